/* SPDX-License-Identifier: MIT */
#include "names.h"

#include <stdbool.h>
#include <string.h>

#include "files/document.h"

#define SHARED    "application"
#define EVERYBODY "*"

void cs_names_init(cs_names *names)
{
    names->n = 0;
    names->n_paths = 0;
    cs_arena_init(&names->arena, (size_t)1 << 20);
}

void cs_names_dispose(cs_names *names)
{
    cs_arena_dispose(&names->arena);
    names->n = 0;
}

static bool has_name(const cs_names *names, cs_text name)
{
    for (size_t i = 0; i < names->n; i++) {
        if (cs_text_equal(names->items[i], name)) {
            return true;
        }
    }
    return false;
}

static gw_status add_name(cs_names *names, cs_text name)
{
    if (names->n >= CS_WEBHOOK_NAMES_MAX) {
        name = (cs_text){EVERYBODY, 1}; /* the array has one more place for it */
    }
    if (has_name(names, name)) {
        return GW_OK;
    }
    cs_text copy = cs_arena_copy(&names->arena, name.bytes, name.len);
    if (copy.bytes == NULL) {
        return cs_arena_status(&names->arena);
    }
    names->items[names->n++] = copy;
    return GW_OK;
}

/* The file's name without its directories and its extension. */
static cs_text stem_of(cs_text path)
{
    size_t begin = 0;
    for (size_t i = 0; i < path.len; i++) {
        if (path.bytes[i] == '/' || path.bytes[i] == '\\') {
            begin = i + 1;
        }
    }
    const char *stem = path.bytes + begin;
    size_t len = path.len - begin;
    const char *dot = len == 0 ? NULL : memrchr(stem, '.', len);
    return (cs_text){stem, dot == NULL ? len : (size_t)(dot - stem)};
}

gw_status cs_names_add_path(cs_names *names, cs_text path)
{
    if (path.len > CS_WEBHOOK_PATH_MAX) {
        return GW_E_LIMIT;
    }
    if (++names->n_paths > CS_WEBHOOK_PATHS_MAX) {
        return add_name(names, (cs_text){EVERYBODY, 1});
    }
    if (path.len > 0 && memchr(path.bytes, 0, path.len) != NULL) {
        return GW_E_INVALID;
    }
    cs_text name = stem_of(path);
    while (name.len > 0) {
        gw_status st = add_name(names, cs_text_is(name, SHARED) ? (cs_text){EVERYBODY, 1} : name);
        if (st != GW_OK) {
            return st;
        }
        const char *hyphen = memrchr(name.bytes, '-', name.len);
        name.len = hyphen == NULL ? 0 : (size_t)(hyphen - name.bytes);
    }
    return GW_OK;
}
