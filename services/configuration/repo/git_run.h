/* SPDX-License-Identifier: MIT */
/*
 * One run of the git program, as a child of its own session with a clean environment, none of the
 * user's or the system's configuration, limits on files, and an end at its time.
 */
#ifndef CS_GIT_RUN_H
#define CS_GIT_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/error.h>

#include "repo/git_access.h"

#define CS_GIT_OUTPUT_MAX 8192

typedef struct cs_git_run {
    const char *git_dir;         /* the repository, and the directory it runs in */
    const char *const *args;     /* after "git" and its settings; ends in NULL */
    const cs_git_access *access; /* NULL: nothing but the local disk is reached */
    const cs_git_grants *grants; /* with it */
    unsigned timeout_s;
    unsigned silence_s; /* 0: timeout_s; the run also ends after so long without a word */
    int stop_fd;        /* readable: end it; -1: none */
} cs_git_run;

typedef struct cs_git_result {
    int exit_status;              /* minus the signal that ended it */
    char text[CS_GIT_OUTPUT_MAX]; /* the end of what it said */
    size_t len;
} cs_git_result;

/*
 * Blocks. Nothing that git started is left when it returns.
 *
 * @return GW_OK when git ended by itself, with whatever status; GW_E_TIMEOUT; GW_E_CLOSED when
 *         `stop_fd` said so; GW_E_IO when it cannot be run.
 */
gw_status cs_git_run_wait(const cs_git_run *run, cs_git_result *ret_result, gw_error *err);

#endif
