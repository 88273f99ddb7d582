/* SPDX-License-Identifier: MIT */
/*
 * What changed, from the webhook of a git host: the body's files, and from them the applications
 * that may have new configuration. Whether the host may say so, and whether the branch matters.
 */
#ifndef CS_WEBHOOK_H
#define CS_WEBHOOK_H

#include <stdbool.h>

#include <godwit/error.h>

#include "names.h"

/* In the order of the settings' switches. */
typedef enum cs_provider {
    CS_GITHUB,
    CS_GITLAB,
    CS_GITEE,
    CS_GITEA, /* and Forgejo */
    CS_GOGS,
    CS_BITBUCKET /* Cloud and Server */
} cs_provider;

/* Which pushes are heard. Immutable; all zero: every one. */
typedef struct cs_webhook_rules {
    unsigned disabled;  /* providers that are switched off, as bits: 1u << CS_GITHUB, ... */
    const char *secret; /* NULL or "": signatures are not looked at */
    const char *const *branches; /* branches and tags that count; "*" for all of them */
    size_t n_branches;           /* 0: all of them */
    bool with_stand_ins;         /* "main" and "master" stand for each other among them */
} cs_webhook_rules;

/* A request of POST /monitor, borrowed. */
typedef struct cs_webhook {
    const char *(*header)(void *ctx, const char *name); /* NULL if absent */
    void *ctx;
    const char *body;
    size_t body_len;
    const cs_webhook_rules *rules; /* NULL: none */
    bool is_authorised;            /* by a user's password or token: it needs no signature */
} cs_webhook;

/* What a body says. */
typedef struct cs_push {
    cs_names names; /* whom it concerns */
    /* The repository that was pushed to, in the spellings of the body, also when nobody is
     * concerned. None for a body that names files alone. */
    cs_text urls[CS_WEBHOOK_URLS_MAX];
    size_t n_urls;
    const char *host; /* "GitHub"; NULL: no push of a host that is known; static */
    bool is_signed;   /* with the secret of the rules */
    char reason[CS_WEBHOOK_REASON_MAX]; /* why nobody is concerned; "" otherwise */
} cs_push;

void cs_push_init(cs_push *push);
void cs_push_dispose(cs_push *push);

/*
 * Read a body: GitHub, GitLab, Gogs, Gitee, Gitea and Bitbucket pushes by their headers, otherwise
 * "path" (one or several) in JSON or a form.
 *
 * @param push initialised; to be disposed of, whatever comes out.
 * @return GW_OK, also when nothing is recognised or concerned; GW_E_DENIED when a signature is
 * wrong, or missing though there is a secret and no user; GW_E_INVALID for a body that is not JSON,
 *         with the place; GW_E_LIMIT; GW_E_NOMEM.
 */
gw_status cs_webhook_read(const cs_webhook *hook, cs_push *push, gw_error *err);

#endif
