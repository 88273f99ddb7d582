/* SPDX-License-Identifier: MIT */
/* What a config server answers, and what it says of a failure. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/environment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every property has a key and a place; the groups are found under their names. */
static void check_properties(const gw__properties *props)
{
    for (size_t i = 0; i < gw__properties_count(props); i++) {
        const gw__property *item = gw__properties_at(props, i);
        if (item->key[0] == '\0' || item->origin[0] == '\0' ||
            gw__properties_group(props, item->key, item->group_len).n == 0) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *body = size > 0 ? (const char *)data : "";
    gw__environment env = {.properties = NULL};
    gw_error err = GW_ERROR_INIT;
    gw_status st = gw__environment_parse(body, size, &env, &err);
    if (st == GW_OK) {
        check_properties(env.properties);
        if (strpbrk(env.state, "\r\n") != NULL) { /* it goes into a header */
            abort();
        }
        gw__properties_unref(env.properties);
    } else if (err.text[0] == '\0' || env.properties != NULL) {
        abort();
    }
    char detail[64];
    gw__problem_detail(body, size, detail, sizeof(detail));
    return strlen(detail) < sizeof(detail) ? 0 : 1;
}
