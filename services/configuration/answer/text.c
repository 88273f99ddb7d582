/* SPDX-License-Identifier: MIT */
#include "answer/text.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/cipher.h>
#include <godwit/utf8.h>

#include "answer/placeholders.h"
#include "files/utf8.h"

/* Take the new text if it is whole. */
static gw_status replace(gw_buf *text, gw_buf *with)
{
    gw_status st = gw_buf_status(with);
    if (st == GW_OK) {
        gw_buf_dispose(text);
        *text = *with;
    } else {
        gw_buf_dispose(with);
    }
    return st;
}

/* ---- decoding ------------------------------------------------------------------- */

bool cs_text_decode(gw_buf *text, bool is_latin1, gw_status *ret_st)
{
    *ret_st = GW_OK;
    if (text->len == 0) {
        return true;
    }
    if (memchr(text->data, '\0', text->len) != NULL) {
        return false;
    }
    if (!is_latin1) {
        return gw_utf8_is_valid(text->data, text->len);
    }
    gw_buf utf8;
    gw_buf_init(&utf8, text->limit);
    for (size_t i = 0; i < text->len; i++) {
        cs_utf8_add(&utf8, (unsigned char)text->data[i]);
    }
    *ret_st = replace(text, &utf8);
    return *ret_st == GW_OK;
}

/* ---- {cipher} ------------------------------------------------------------------- */

static bool can_hold_ciphers(const char *path)
{
    static const char *const extensions[] = {".json", ".yml", ".yaml", ".properties"};
    size_t len = strlen(path);
    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
        size_t n = strlen(extensions[i]);
        if (len > n && strcmp(path + len - n, extensions[i]) == 0) {
            return true;
        }
    }
    return false;
}

static unsigned line_of(const gw_buf *text, const char *at)
{
    unsigned line = 1;
    for (const char *p = text->data; p < at; p++) {
        line += *p == '\n';
    }
    return line;
}

/* Write a value so that it means itself in the quotes it stands in. */
static void add_quoted(gw_buf *out, const gw_buf *value, char quote, bool is_properties)
{
    for (size_t i = 0; i < value->len; i++) {
        char c = value->data[i];
        bool has_escapes = quote == '"' || is_properties;
        if (quote == '\'' && c == '\'') {
            gw_buf_add_str(out, "''");
        } else if (has_escapes && (c == '\\' || (quote == '"' && c == '"'))) {
            gw_buf_add_char(out, '\\');
            gw_buf_add_char(out, c);
        } else if (has_escapes && c == '\n') {
            gw_buf_add_str(out, "\\n");
        } else if (has_escapes && (unsigned char)c < ' ') {
            gw_buf_addf(out, "\\u%04x", (unsigned)c);
        } else {
            gw_buf_add_char(out, c);
        }
    }
}

/* The quote that a value stands in; '\0' for none. */
static char quote_before(const gw_buf *text, const char *at)
{
    char c = at > text->data ? at[-1] : '\0';
    return c == '"' || c == '\'' ? c : '\0';
}

static gw_status open_value(gw_buf *out, const gw_buf *text, cs_text value, const cs_keys *keys,
                            const char *path, gw_error *err)
{
    gw_buf plain;
    gw_buf_init(&plain, GW_CIPHER_TEXT_MAX);
    gw_status st = gw_cipher_decrypt(cs_keys_cipher(keys), value.bytes, value.len, &plain, err);
    if (st == GW_OK) {
        size_t len = strlen(path);
        bool is_properties = len > 11 && strcmp(path + len - 11, ".properties") == 0;
        add_quoted(out, &plain, quote_before(text, value.bytes), is_properties);
    } else if (st == GW_E_INVALID && cs_keys_are_lenient(keys)) {
        gw_buf_add(out, value.bytes, value.len);
        st = GW_OK;
    } else {
        gw_error_prefix(err, st, "%s:%u", path, line_of(text, value.bytes));
    }
    if (plain.data != NULL) {
        explicit_bzero(plain.data, plain.len);
    }
    gw_buf_dispose(&plain);
    return st;
}

gw_status cs_text_decrypt(gw_buf *text, const cs_keys *keys, const char *path, gw_error *err)
{
    static const char prefix[] = GW_CIPHER_PREFIX;
    if (text->len == 0 || !can_hold_ciphers(path)) {
        return GW_OK;
    }
    gw_buf out;
    gw_buf_init(&out, text->limit);
    const char *p = text->data;
    const char *end = text->data + text->len;
    gw_status st = GW_OK;
    while (st == GW_OK && p < end) {
        const char *at = memmem(p, (size_t)(end - p), prefix, sizeof(prefix) - 1);
        gw_buf_add(&out, p, (size_t)((at == NULL ? end : at) - p));
        if (at == NULL) {
            break;
        }
        size_t len = strcspn(at, "\"' \t\r\n,");
        st = open_value(&out, text, (cs_text){at, len}, keys, path, err);
        p = at + len;
    }
    if (st != GW_OK) {
        gw_buf_dispose(&out);
        return st;
    }
    st = replace(text, &out);
    return st == GW_OK ? st : gw_error_set(err, st, 0, "%s: %s", path, gw_status_text(st));
}

/* ---- placeholders --------------------------------------------------------------- */

/* All properties by key, so that a text of many placeholders is no work without end. */
typedef struct ranked {
    const cs_property *property;
    size_t rank; /* the higher source first */
} ranked;

typedef struct key_index {
    ranked *items;
    size_t n;
} key_index;

static int compare_ranked(const void *left, const void *right)
{
    const ranked *a = left;
    const ranked *b = right;
    int order = cs_text_compare(a->property->key, b->property->key);
    return order != 0 ? order : a->rank < b->rank ? -1 : a->rank > b->rank;
}

static bool make_index(const cs_environment *env, key_index *ret_index)
{
    size_t n = 0;
    for (size_t i = 0; i < env->n_sources; i++) {
        n += env->sources[i].n_items;
    }
    key_index index = {calloc(n + 1, sizeof(*index.items)), 0};
    if (index.items == NULL) {
        return false;
    }
    for (size_t i = 0; i < env->n_sources; i++) {
        for (size_t j = 0; j < env->sources[i].n_items; j++) {
            index.items[index.n] = (ranked){&env->sources[i].items[j], index.n};
            index.n++;
        }
    }
    qsort(index.items, index.n, sizeof(*index.items), compare_ranked);
    *ret_index = index;
    return true;
}

/* The first of the key, which is that of the highest source. */
static bool find_value(void *ctx, cs_text key, cs_text *ret_value)
{
    const key_index *index = ctx;
    size_t low = 0;
    size_t high = index->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cs_text_compare(index->items[middle].property->key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == index->n || !cs_text_equal(index->items[low].property->key, key)) {
        return false;
    }
    *ret_value = index->items[low].property->value;
    return true;
}

gw_status cs_text_resolve(gw_buf *text, const cs_environment *env, const char *path, gw_error *err)
{
    key_index index;
    if (!make_index(env, &index)) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    gw_buf out;
    gw_buf_init(&out, text->limit);
    gw_status st =
        cs_placeholders_resolve(&out, (cs_text){text->data, text->len}, find_value, &index, err);
    free(index.items);
    if (st != GW_OK) {
        gw_buf_dispose(&out);
        return gw_error_prefix(err, st, "%s", path);
    }
    st = replace(text, &out);
    return st == GW_OK ? st : gw_error_set(err, st, 0, "%s: %s", path, gw_status_text(st));
}
