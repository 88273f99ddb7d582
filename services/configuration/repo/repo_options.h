/* SPDX-License-Identifier: MIT */
/* A copy of a repository's options, for as long as the repository lives. */
#ifndef CS_REPO_OPTIONS_H
#define CS_REPO_OPTIONS_H

#include "repo/backend.h"

/* A deep copy with another name and URI, either of which may be NULL for the same. Defaults are
 * filled in. NULL when out of memory. */
cs_repo_options *cs_repo_options_copy(const cs_repo_options *options, const char *name,
                                      const char *uri);

/* Overwrites the secrets. Accepts NULL. */
void cs_repo_options_free(cs_repo_options *options);

#endif
