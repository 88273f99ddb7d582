/* SPDX-License-Identifier: MIT */
/* The first byte picks the host whose headers come with the body. */
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
};

#define N_HOSTS (sizeof(hosts) / sizeof(hosts[0]))

static const char *header(void *ctx, const char *name)
{
    const char *const *host = ctx;
    for (size_t i = 0; i < 4 && host[i] != NULL; i += 2) {
        if (strcasecmp(host[i], name) == 0) {
            return host[i + 1];
        }
    }
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    cs_webhook hook = {
        .header = header,
        .ctx = (void *)(uintptr_t)hosts[data[0] % N_HOSTS],
        .body = (const char *)data + 1,
        .body_len = size - 1,
    };
    cs_names names;
    gw_error err = GW_ERROR_INIT;
    cs_names_init(&names);
    gw_status st = cs_webhook_read(&hook, &names, &err);
    if (st != GW_OK && err.text[0] == '\0') {
        abort();
    }
    for (size_t i = 0; i < names.n; i++) {
        if (names.items[i].len == 0 || strlen(names.items[i].bytes) != names.items[i].len) {
            abort();
        }
    }
    cs_names_dispose(&names);
    return 0;
}
