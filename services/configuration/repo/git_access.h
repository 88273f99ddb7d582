/* SPDX-License-Identifier: MIT */
/*
 * How a server lets us in, and how we know it: what the git program and ssh are given for one run.
 *
 * Secrets are on no command line, in no environment and in no file. They are in memory that has a
 * descriptor (memfd_create(2)); the git process inherits it, and whoever it asks to answer a prompt
 * reads it as /proc/<pid of git>/fd/<n>, which only the same user may. A pipe would not do, since
 * git and ssh ask more than once, and ssh closes what it inherits. The memory is gone with the run.
 */
#ifndef CS_GIT_ACCESS_H
#define CS_GIT_ACCESS_H

#include <stdbool.h>

#include "repo/backend.h"
#include "repo/git_location.h"

/* Owned copies, of what cs_repo_options and the location say. */
typedef struct cs_git_access {
    cs_git_scheme scheme;
    char *host; /* with the port, as in the URI */
    char *username;
    char *password;
    char *private_key;
    char *private_key_file;
    char *passphrase;
    char *known_hosts_file;
    char *ca_file;
    bool any_host_key;
    bool skip_tls_verification;
} cs_git_access;

/* GW_E_NOMEM. */
gw_status cs_git_access_init(cs_git_access *access, const cs_repo_options *options,
                             const cs_git_location *location, gw_error *err);

/* Overwrites the secrets. Accepts a zeroed struct. */
void cs_git_access_dispose(cs_git_access *access);

/* The descriptors that git inherits, by these numbers; each may be missing. */
typedef enum cs_git_grant_kind {
    CS_GIT_GRANT_ANSWERS, /* see git_helper.c */
    CS_GIT_GRANT_KEY,
    CS_GIT_GRANT_HOSTS,
    CS_GIT_N_GRANTS
} cs_git_grant_kind;

#define CS_GIT_GRANT_FD 3 /* the number of the first */

typedef struct cs_git_grants {
    int fds[CS_GIT_N_GRANTS]; /* close-on-exec; -1 for none */
} cs_git_grants;

/* For one run. Files are read anew, so that they may be changed. GW_E_DENIED when a file of the
 * operator's cannot be read, with a text that names it; GW_E_IO. */
gw_status cs_git_grants_open(const cs_git_access *access, cs_git_grants *ret_grants, gw_error *err);
void cs_git_grants_close(cs_git_grants *grants);

#endif
