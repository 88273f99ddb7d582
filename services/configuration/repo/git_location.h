/* SPDX-License-Identifier: MIT */
/*
 * Where a git repository is, as an operator writes it. What git itself would take for an option, a
 * command or another transport is refused here.
 */
#ifndef CS_GIT_LOCATION_H
#define CS_GIT_LOCATION_H

#include <stdbool.h>

#include <godwit/error.h>

typedef enum cs_git_scheme { CS_GIT_LOCAL, CS_GIT_HTTP, CS_GIT_HTTPS, CS_GIT_SSH } cs_git_scheme;

typedef struct cs_git_location {
    cs_git_scheme scheme;
    char *path;     /* of a local one; NULL otherwise */
    char *url;      /* what git is told: without a password, over HTTP also without a user */
    char *uri;      /* as sources are named; has no password either */
    char *host;     /* lower case is kept as written; NULL of a local one */
    char *username; /* percent-decoded; NULL if there is none */
    char *password; /* a secret; NULL if there is none */
} cs_git_location;

/*
 * A path; "file:", "http:", "https:" or "ssh:" URIs; "[user@]host:path" for ssh.
 *
 * @return GW_OK; GW_E_INVALID for a URI that is none; GW_E_UNSUPPORTED for another scheme;
 *         GW_E_NOMEM.
 */
gw_status cs_git_location_parse(const char *uri, cs_git_location *ret_location, gw_error *err);

/* Overwrites the password. Accepts a zeroed struct. */
void cs_git_location_dispose(cs_git_location *location);

#endif
