/* SPDX-License-Identifier: MIT */
/* The first byte picks the host whose headers come with the body, and which rules hold. Where the
 * rules ask for a signature, it is what follows up to the first newline, in every header that may
 * hold one; the body is the rest. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "webhook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const hosts[][4] = {
    {"X-GitHub-Event", "push"},
    {"X-Gitea-Event", "push"},
    {"X-Gitlab-Event", "Push Hook"},
    {"X-Event-Key", "repo:push", "X-Hook-UUID", "1"},
    {"X-Event-Key", "repo:refs_changed", "X-Request-Id", "1"},
    {"Content-Type", "application/x-www-form-urlencoded"},
    {"Content-Type", "application/json"},
    {"X-Gogs-Event", "push"},
    {"X-Gitee-Event", "Push Hook"},
    {"X-Event-Key", "pr:merged", "X-Request-Id", "1"},
};

#define N_HOSTS (sizeof(hosts) / sizeof(hosts[0]))

static const char *const branches[] = {"main", "release"};

static const cs_webhook_rules rules[] = {
    {.disabled = 0},
    {.branches = branches, .n_branches = 2, .with_stand_ins = true},
    {.secret = "secret", .branches = branches, .n_branches = 2},
    {.disabled = 1u << CS_GITHUB | 1u << CS_BITBUCKET},
};

#define N_RULES (sizeof(rules) / sizeof(rules[0]))

typedef struct request {
    const char *const *host;
    char *signature; /* NULL: none */
} request;

static const char *header(void *ctx, const char *name)
{
    const request *req = ctx;
    for (size_t i = 0; i < 4 && req->host[i] != NULL; i += 2) {
        if (strcasecmp(req->host[i], name) == 0) {
            return req->host[i + 1];
        }
    }
    bool is_signed = strstr(name, "-Signature") != NULL || strstr(name, "-Token") != NULL;
    return is_signed ? req->signature : NULL;
}

static void check(const cs_push *push, gw_status st, const gw_error *err)
{
    if (st != GW_OK ? err->text[0] == '\0' || strstr(err->text, "'secret'") != NULL
                    : (push->names.n == 0) != (push->reason[0] != '\0')) {
        abort();
    }
    for (size_t i = 0; i < push->names.n; i++) {
        if (push->names.items[i].len == 0 ||
            strlen(push->names.items[i].bytes) != push->names.items[i].len) {
            abort();
        }
    }
    for (size_t i = 0; i < push->n_urls; i++) {
        if (strlen(push->urls[i].bytes) != push->urls[i].len) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    request req = {.host = hosts[data[0] % N_HOSTS]};
    const cs_webhook_rules *held = &rules[data[0] / N_HOSTS % N_RULES];
    const char *body = (const char *)data + 1;
    const char *end = (const char *)data + size;
    const char *line = held->secret != NULL ? memchr(body, '\n', size - 1) : NULL;
    if (line != NULL) {
        req.signature = strndup(body, (size_t)(line - body));
        body = line + 1;
    }
    cs_webhook hook = {.header = header,
                       .ctx = &req,
                       .body = body,
                       .body_len = (size_t)(end - body),
                       .rules = held,
                       .is_authorised = data[0] >= 0x80};
    cs_push push;
    gw_error err = GW_ERROR_INIT;
    cs_push_init(&push);
    gw_status st = cs_webhook_read(&hook, &push, &err);
    check(&push, st, &err);
    cs_push_dispose(&push);
    free(req.signature);
    return 0;
}
