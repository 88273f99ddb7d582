/* SPDX-License-Identifier: MIT */
#include "http/target.h"

#include <stdlib.h>
#include <string.h>

#include "base/hex.h"

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

/* The byte that the two digits at `digits` stand for, or -1. */
static int decode_escape(const char *digits)
{
    int high = gw__hex_value(digits[0]);
    int low = high < 0 ? -1 : gw__hex_value(digits[1]);
    return low < 0 ? -1 : high * 16 + low;
}

void gw__http_target_init(gw__http_target *target)
{
    target->text = target->room;
    target->text_len = 0;
    target->n_segments = 0;
}

void gw__http_target_dispose(gw__http_target *target)
{
    if (target->text != target->room) {
        free(target->text);
    }
    gw__http_target_init(target);
}

static void end_segment(gw__http_target *target, char *start, char *end)
{
    *end = '\0';
    if (target->n_segments < GW__HTTP_SEGMENTS_MAX) {
        target->segments[target->n_segments] = (gw__http_segment){start, (size_t)(end - start)};
    }
    target->n_segments++;
}

gw_status gw__http_target_parse(gw__http_target *target, const char *path)
{
    gw__http_target_dispose(target);
    if (path[0] != '/') {
        return GW_E_INVALID;
    }
    size_t len = strlen(path);
    if (len > GW__HTTP_TARGET_INLINE) {
        char *text = malloc(len);
        if (text == NULL) {
            return GW_E_NOMEM;
        }
        target->text = text;
    }
    /* Decoding never lengthens, and the first '/' is left out: `len` bytes hold the last NUL too.
     */
    char *start = target->text;
    char *to = start;
    for (const char *from = path + 1; *from != '\0'; from++) {
        int c = (unsigned char)*from;
        if (c > '/' && c < 0x7f) { /* letters and digits among them: nothing to look at */
            *to++ = (char)c;
            continue;
        }
        if (c == '/') {
            end_segment(target, start, to);
            start = ++to;
            continue;
        }
        if (c == '%') {
            c = decode_escape(from + 1);
            from += 2;
        } else if (c == ' ') {
            return GW_E_INVALID;
        }
        if (c < 0 || is_control((unsigned char)c)) {
            return GW_E_INVALID;
        }
        *to++ = (char)c;
    }
    end_segment(target, start, to);
    target->text_len = (size_t)(to - target->text);
    return GW_OK;
}

const char *gw__http_target_join(gw__http_target *target, size_t first)
{
    char *text = target->segments[first].text;
    /* No segment holds a NUL, so each one before the last is a slash that was cut. */
    for (char *p = text; p < target->text + target->text_len; p++) {
        if (*p == '\0') {
            *p = '/';
        }
    }
    return text;
}

/* Decode one "name=value" or "name" at `from`; the end of what was written, or NULL. */
static char *decode_pair(const char *from, const char *end, char *to)
{
    bool in_value = false;
    for (; from < end; from++) {
        int c = (unsigned char)*from;
        if (c == '=' && !in_value) {
            in_value = true;
            *to++ = '\0';
            continue;
        }
        if (c == '%') {
            c = end - from > 2 ? decode_escape(from + 1) : -1;
            from += 2;
        } else if (c == '+') {
            c = ' ';
        }
        if (c <= 0) {
            return NULL;
        }
        *to++ = (char)c;
    }
    if (!in_value) {
        *to++ = '\0';
    }
    *to++ = '\0';
    return to;
}

gw_status gw__http_query_decode(const char *query, size_t len, char *ret_pairs, size_t *ret_len)
{
    char *to = ret_pairs;
    const char *end = query + len;
    for (const char *from = query; from < end;) {
        const char *pair_end = memchr(from, '&', (size_t)(end - from));
        pair_end = pair_end != NULL ? pair_end : end;
        if (pair_end > from) {
            to = decode_pair(from, pair_end, to);
            if (to == NULL) {
                return GW_E_INVALID;
            }
        }
        from = pair_end + 1;
    }
    *ret_len = (size_t)(to - ret_pairs);
    return GW_OK;
}

const char *gw__http_query_find(const char *pairs, size_t len, const char *name)
{
    const char *end = pairs + len;
    for (const char *p = pairs; p < end;) {
        const char *value = p + strlen(p) + 1;
        if (strcmp(p, name) == 0) {
            return value;
        }
        p = value + strlen(value) + 1;
    }
    return NULL;
}
