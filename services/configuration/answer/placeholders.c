/* SPDX-License-Identifier: MIT */
#include "answer/placeholders.h"

#include <string.h>

#include "files/bounds.h"
#include "files/document.h"

/* A key whose value is being resolved, and the one whose value it stands in. */
typedef struct frame {
    cs_text key;
    const struct frame *outer;
} frame;

typedef struct resolver {
    cs_find_value find;
    void *ctx;
    size_t *n_steps;
    unsigned depth;
    gw_error *err;
} resolver;

static gw_status resolve(resolver *r, gw_buf *out, cs_text text, const frame *outer);

static bool opens(cs_text text, size_t at)
{
    return text.len - at >= 2 && text.bytes[at] == '$' && text.bytes[at + 1] == '{';
}

/* How many characters at `at` are "\${" or "\\${"; 0 if they are not. */
static size_t escape_len(cs_text text, size_t at)
{
    size_t n = 0;
    while (n < 2 && at + n < text.len && text.bytes[at + n] == '\\') {
        n++;
    }
    return n > 0 && at + n < text.len && opens(text, at + n) ? n + 2 : 0;
}

bool cs_has_placeholders(cs_text text)
{
    return text.len >= 2 && memmem(text.bytes, text.len, "${", 2) != NULL;
}

/* Where the placeholder that opens at `at` closes: at the '}' that is not of a '{' within. False if
 * nowhere. `ret_colon` is the first ':' that stands in no other placeholder, or the end. */
static bool find_end(cs_text text, size_t at, size_t *ret_end, size_t *ret_colon)
{
    size_t depth = 0;
    bool has_colon = false;
    for (size_t i = at + 2; i < text.len; i++) {
        size_t escaped = escape_len(text, i);
        if (escaped > 0) {
            i += escaped - 2; /* its '{' counts, as a '{' does */
            depth++;
            i++;
        } else if (text.bytes[i] == '{') {
            depth++;
        } else if (text.bytes[i] == '}' && depth > 0) {
            depth--;
        } else if (text.bytes[i] == '}') {
            *ret_end = i;
            *ret_colon = has_colon ? *ret_colon : i;
            return true;
        } else if (text.bytes[i] == ':' && depth == 0 && !has_colon) {
            has_colon = true;
            *ret_colon = i;
        }
    }
    return false;
}

static cs_text trim(cs_text text)
{
    while (text.len > 0 && (unsigned char)text.bytes[0] <= ' ') {
        text.bytes++;
        text.len--;
    }
    while (text.len > 0 && (unsigned char)text.bytes[text.len - 1] <= ' ') {
        text.len--;
    }
    return text;
}

static gw_status fail_limit(const resolver *r, const char *what, unsigned limit)
{
    return gw_error_set(r->err, GW_E_LIMIT, 0, "placeholders: %s %u", what, limit);
}

/* Append the value of a key; false in `ret_found` if there is none. */
static gw_status add_value(resolver *r, gw_buf *out, cs_text key, const frame *outer,
                           bool *ret_found)
{
    cs_text value;
    *ret_found = r->find(r->ctx, key, &value);
    if (!*ret_found) {
        return GW_OK;
    }
    for (const frame *at = outer; at != NULL; at = at->outer) {
        if (cs_text_equal(at->key, key)) {
            return gw_error_set(r->err, GW_E_INVALID, 0,
                                "placeholders: the value of '%.*s' contains itself",
                                (int)(key.len < 128 ? key.len : 128), key.bytes);
        }
    }
    frame inner = {key, outer};
    return resolve(r, out, value, &inner);
}

/* The key may be made of placeholders itself. */
static gw_status add_resolved_key(resolver *r, gw_buf *out, cs_text raw, const frame *outer,
                                  bool *ret_found)
{
    if (!cs_has_placeholders(raw)) {
        return add_value(r, out, trim(raw), outer, ret_found);
    }
    gw_buf key;
    gw_buf_init(&key, CS_KEY_BYTES_MAX);
    gw_status st = resolve(r, &key, raw, outer);
    if (st == GW_OK && key.len > 0) {
        st = add_value(r, out, trim((cs_text){key.data, key.len}), outer, ret_found);
    }
    gw_buf_dispose(&key);
    return st;
}

static void add_unescaped(gw_buf *out, cs_text text)
{
    for (size_t i = 0; i < text.len;) {
        size_t escaped = escape_len(text, i);
        if (escaped > 0) {
            gw_buf_add_str(out, "${");
            i += escaped;
        } else {
            gw_buf_add_char(out, text.bytes[i++]);
        }
    }
}

/* What the placeholder between `at` and `end` stands for; what is unknown stays. */
static gw_status add_placeholder(resolver *r, gw_buf *out, cs_text text, size_t at, size_t end,
                                 size_t colon, const frame *outer)
{
    bool found = false;
    gw_status st = GW_OK;
    cs_text whole = {text.bytes + at + 2, end - at - 2};
    *r->n_steps += 1 + whole.len / 256; /* one that is long takes long to look at */
    if (*r->n_steps > CS_PLACEHOLDER_STEPS_MAX) {
        return fail_limit(r, "more steps than", CS_PLACEHOLDER_STEPS_MAX);
    }
    if (colon < end && !cs_has_placeholders(whole)) {
        st = add_value(r, out, trim(whole), outer, &found);
    }
    if (st == GW_OK && !found) {
        st = add_resolved_key(r, out, (cs_text){whole.bytes, colon - at - 2}, outer, &found);
    }
    if (st != GW_OK || found) {
        return st;
    }
    if (colon < end) {
        return resolve(r, out, (cs_text){text.bytes + colon + 1, end - colon - 1}, outer);
    }
    add_unescaped(out, (cs_text){text.bytes + at, end - at + 1});
    return GW_OK;
}

/* Plain text up to the next '$' or '\'. */
static size_t add_plain(gw_buf *out, cs_text text, size_t at)
{
    size_t end = at;
    while (end < text.len && text.bytes[end] != '$' && text.bytes[end] != '\\') {
        end++;
    }
    gw_buf_add(out, text.bytes + at, end - at);
    return end;
}

static gw_status resolve_parts(resolver *r, gw_buf *out, cs_text text, const frame *outer)
{
    size_t at = 0;
    bool may_close = true; /* after one that does not close Spring looks for no more */
    while ((at = add_plain(out, text, at)) < text.len) {
        size_t escaped = escape_len(text, at);
        size_t end = 0;
        size_t colon = 0;
        if (escaped > 0) {
            gw_buf_add_str(out, "${");
            at += escaped;
        } else if (may_close && opens(text, at)) {
            may_close = find_end(text, at, &end, &colon);
            gw_status st = may_close ? add_placeholder(r, out, text, at, end, colon, outer) : GW_OK;
            if (st != GW_OK) {
                return st;
            }
            if (may_close) {
                at = end + 1;
            }
        } else {
            gw_buf_add_char(out, text.bytes[at++]);
        }
        if (gw_buf_status(out) != GW_OK) {
            break;
        }
    }
    gw_status st = gw_buf_status(out);
    return st == GW_OK ? GW_OK
                       : gw_error_set(r->err, st, 0, "placeholders: what they come to: %s",
                                      gw_status_text(st));
}

static gw_status resolve(resolver *r, gw_buf *out, cs_text text, const frame *outer)
{
    if (r->depth >= CS_PLACEHOLDER_DEPTH_MAX) {
        return fail_limit(r, "nested deeper than", CS_PLACEHOLDER_DEPTH_MAX);
    }
    r->depth++;
    gw_status st = resolve_parts(r, out, text, outer);
    r->depth--;
    return st;
}

gw_status cs_placeholders_resolve_within(gw_buf *out, cs_text text, cs_find_value find, void *ctx,
                                         size_t *n_steps, gw_error *err)
{
    resolver r = {.find = find, .ctx = ctx, .n_steps = n_steps, .err = err};
    return resolve(&r, out, text, NULL);
}

gw_status cs_placeholders_resolve(gw_buf *out, cs_text text, cs_find_value find, void *ctx,
                                  gw_error *err)
{
    size_t n_steps = 0;
    return cs_placeholders_resolve_within(out, text, find, ctx, &n_steps, err);
}
