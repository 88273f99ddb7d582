/* SPDX-License-Identifier: MIT */
/*
 * Who may do what: users with passwords (HTTP Basic) and tokens (Bearer), each for applications and
 * profiles of its own. Without any, everybody may do everything, as in Spring without its security.
 */
#ifndef CS_ACCESS_H
#define CS_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/error.h>
#include <godwit/http.h>

#include "digest.h"

typedef enum cs_action {
    CS_ACTION_READ = 1,    /* environments */
    CS_ACTION_EXPLAIN = 2, /* where values come from */
    CS_ACTION_ENCRYPT = 4, /* also the public key */
    CS_ACTION_DECRYPT = 8,
    CS_ACTION_REFRESH = 16, /* /monitor, /actuator/bus... */
    CS_ACTION_FILES = 32    /* any file of a repository, those of other applications too */
} cs_action;

#define CS_ACTIONS_ALL                                                                             \
    (CS_ACTION_READ | CS_ACTION_EXPLAIN | CS_ACTION_ENCRYPT | CS_ACTION_DECRYPT |                  \
     CS_ACTION_REFRESH | CS_ACTION_FILES)

#define CS_SECRET_MAX     1024
#define CS_USERS_MAX      256
#define CS_USER_RULES_MAX 64 /* patterns of one user */

/* Borrowed while access is made, which copies it. */
typedef struct cs_user {
    const char *name; /* NULL for everybody without credentials */
    bool has_secret;
    bool is_token;                         /* Bearer; otherwise the password of Basic */
    unsigned char digest[CS_DIGEST_BYTES]; /* SHA-256 of the secret */
    unsigned actions;                      /* cs_action, or'ed */
    const char *const *applications;       /* patterns with '*'; none: all of them */
    size_t n_applications;
    const char *const *profiles;
    size_t n_profiles;
} cs_user;

/* Immutable; any thread. */
typedef struct cs_access cs_access;

/* NULL when out of memory. */
cs_access *cs_access_new(const cs_user *users, size_t n_users);
void cs_access_free(cs_access *access); /* accepts NULL */

/*
 * Whether the client may do it; otherwise the answer is made: 401 without good credentials, 403
 * with those of somebody who may not.
 *
 * @param access      NULL: everybody may.
 * @param application comma list; each must be allowed. NULL where none is concerned.
 * @param profiles    the same.
 */
bool cs_access_allow(const cs_access *access, const gw_http_request *req, gw_http_response *res,
                     cs_action action, const char *application, const char *profiles);

#endif
