/* SPDX-License-Identifier: MIT */
/*
 * What changed, from the webhook of a git host: the body's files, and from them the applications
 * that may have new configuration.
 */
#ifndef CS_WEBHOOK_H
#define CS_WEBHOOK_H

#include <stdbool.h>

#include <godwit/error.h>

#include "files/arena.h"
#include "files/bounds.h"

/* A request of POST /monitor, borrowed. */
typedef struct cs_webhook {
    const char *(*header)(void *ctx, const char *name); /* NULL if absent */
    void *ctx;
    const char *body;
    size_t body_len;
} cs_webhook;

/* Different names in the order they came up; "*" stands for all applications. */
typedef struct cs_names {
    cs_text items[CS_WEBHOOK_NAMES_MAX + 1];
    size_t n;
    size_t n_paths; /* that they came from */
    cs_arena arena;
} cs_names;

void cs_names_init(cs_names *names);
void cs_names_dispose(cs_names *names);

/*
 * The names for one changed file: "dir/tax-eu-dev.yml" may be tax-eu-dev, tax-eu with a profile, or
 * tax; "application.yml" is everybody. With too many names everybody is added instead. GW_E_INVALID
 * for a NUL, GW_E_LIMIT, GW_E_NOMEM.
 */
gw_status cs_names_add_path(cs_names *names, cs_text path);

/*
 * Read a body: GitHub, GitLab, Gogs, Gitee, Gitea and Bitbucket pushes by their headers, otherwise
 * "path" (one or several) in JSON or a form.
 *
 * @return GW_OK, also when nothing is recognised; GW_E_INVALID for a body that is not JSON, with
 *         the place; GW_E_LIMIT; GW_E_NOMEM.
 */
gw_status cs_webhook_read(const cs_webhook *hook, cs_names *names, gw_error *err);

#endif
