/* SPDX-License-Identifier: MIT */
/*
 * What changed, from the webhook of a git host: the body's files, and from them the applications
 * that may have new configuration.
 */
#ifndef CS_WEBHOOK_H
#define CS_WEBHOOK_H

#include <stdbool.h>

#include <godwit/error.h>

#include "names.h"

/* A request of POST /monitor, borrowed. */
typedef struct cs_webhook {
    const char *(*header)(void *ctx, const char *name); /* NULL if absent */
    void *ctx;
    const char *body;
    size_t body_len;
} cs_webhook;

/*
 * Read a body: GitHub, GitLab, Gogs, Gitee, Gitea and Bitbucket pushes by their headers, otherwise
 * "path" (one or several) in JSON or a form.
 *
 * @return GW_OK, also when nothing is recognised; GW_E_INVALID for a body that is not JSON, with
 *         the place; GW_E_LIMIT; GW_E_NOMEM.
 */
gw_status cs_webhook_read(const cs_webhook *hook, cs_names *names, gw_error *err);

#endif
