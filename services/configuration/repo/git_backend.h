/* SPDX-License-Identifier: MIT */
/* The two kinds of git repositories that cs_git_open() opens. */
#ifndef CS_GIT_BACKEND_H
#define CS_GIT_BACKEND_H

#include "repo/backend.h"
#include "repo/git_location.h"

/* @param location borrowed. GW_E_NOT_FOUND when there is no repository; GW_E_IO; GW_E_LIMIT;
 * GW_E_NOMEM. */
gw_status cs_git_local_open(const cs_git_location *location, cs_backend **ret_backend,
                            gw_error *err);

/* @param location borrowed. GW_E_IO; GW_E_NOMEM. */
gw_status cs_git_remote_open(const cs_repo_options *options, const cs_git_location *location,
                             cs_backend **ret_backend, gw_error *err);

#endif
