/* SPDX-License-Identifier: MIT */
/* The headers of a webhook in a test: "Name: value" in an array that ends with NULL. */
#ifndef TEST_WEBHOOK_HEADERS_H
#define TEST_WEBHOOK_HEADERS_H

#include <string.h>
#include <strings.h>

static inline const char *find_header(void *ctx, const char *name)
{
    for (const char *const *line = ctx; *line != NULL; line++) {
        size_t len = strlen(name);
        if (strncasecmp(*line, name, len) == 0 && strncmp(*line + len, ": ", 2) == 0) {
            return *line + len + 2;
        }
    }
    return NULL;
}

#endif
