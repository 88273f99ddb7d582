/* SPDX-License-Identifier: MIT */
#include "files/yaml_scalar.h"

#include <string.h>

#include <godwit/buf.h>

#include "files/document.h"
#include "files/yaml_number.h"

#define TAG_PREFIX "tag:yaml.org,2002:"

static bool is_any_of(cs_text text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (cs_text_is(text, words[i])) {
            return true;
        }
    }
    return false;
}

static bool parse_boolean(cs_text text, cs_scalar *ret)
{
    static const char *const yes[] = {"yes",  "Yes", "YES", "true", "True",
                                      "TRUE", "on",  "On",  "ON"};
    static const char *const no[] = {"no",    "No",  "NO",  "false", "False",
                                     "FALSE", "off", "Off", "OFF"};
    if (is_any_of(text, yes, sizeof(yes) / sizeof(yes[0]))) {
        *ret = (cs_scalar){CS_SCALAR_BOOLEAN, {"true", 4}};
        return true;
    }
    if (is_any_of(text, no, sizeof(no) / sizeof(no[0]))) {
        *ret = (cs_scalar){CS_SCALAR_BOOLEAN, {"false", 5}};
        return true;
    }
    return false;
}

static bool is_null(cs_text text)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    return is_any_of(text, words, sizeof(words) / sizeof(words[0]));
}

/* Move the number in `out` to the arena. */
static gw_status keep(cs_arena *arena, gw_buf *out, cs_scalar_type type, cs_scalar *ret)
{
    gw_status st = gw_buf_status(out);
    if (st == GW_OK) {
        *ret = (cs_scalar){type, cs_arena_copy(arena, out->data, out->len)};
        st = cs_arena_status(arena);
    }
    gw_buf_dispose(out);
    return st;
}

/* GW_E_NOT_FOUND when the text has no such form. */
static gw_status parse_number(cs_arena *arena, cs_text text, bool allow_float, cs_scalar *ret)
{
    gw_buf out;
    gw_buf_init(&out, 0);
    bool is_finite = true;
    bool found =
        cs_yaml_integer(text, &out) || (allow_float && cs_yaml_float(text, &out, &is_finite));
    if (!found) {
        gw_buf_dispose(&out);
        return GW_E_NOT_FOUND;
    }
    return keep(arena, &out, is_finite ? CS_SCALAR_NUMBER : CS_SCALAR_TEXT, ret);
}

static gw_status resolve_plain(cs_arena *arena, cs_text text, cs_scalar *ret)
{
    if (is_null(text)) {
        *ret = (cs_scalar){CS_SCALAR_NULL, {"", 0}};
        return GW_OK;
    }
    if (parse_boolean(text, ret)) {
        return GW_OK;
    }
    if (cs_text_is(text, "<<")) {
        *ret = (cs_scalar){CS_SCALAR_MERGE, text};
        return GW_OK;
    }
    *ret = (cs_scalar){CS_SCALAR_TEXT, text};
    if (strchr("+-.0123456789", text.bytes[0]) == NULL) {
        return GW_OK;
    }
    gw_status st = parse_number(arena, text, true, ret);
    return st == GW_E_NOT_FOUND ? GW_OK : st;
}

/* "!!float 5" is 5.0. */
static gw_status resolve_float(cs_arena *arena, cs_text text, cs_scalar *ret)
{
    gw_buf with_dot;
    gw_buf_init(&with_dot, 0);
    gw_buf_add(&with_dot, text.bytes, text.len);
    gw_buf_add_char(&with_dot, '.');
    gw_buf out;
    gw_buf_init(&out, 0);
    bool is_finite = true;
    gw_status st = gw_buf_status(&with_dot);
    if (st == GW_OK && !cs_yaml_float(text, &out, &is_finite) &&
        !cs_yaml_float((cs_text){with_dot.data, with_dot.len}, &out, &is_finite)) {
        st = GW_E_INVALID;
    }
    gw_buf_dispose(&with_dot);
    if (st != GW_OK) {
        gw_buf_dispose(&out);
        return st;
    }
    return keep(arena, &out, is_finite ? CS_SCALAR_NUMBER : CS_SCALAR_TEXT, ret);
}

static gw_status resolve_tagged(cs_arena *arena, cs_text text, const char *type, cs_scalar *ret)
{
    if (strcmp(type, "str") == 0 || strcmp(type, "timestamp") == 0) {
        *ret = (cs_scalar){CS_SCALAR_TEXT, text};
        return GW_OK;
    }
    if (strcmp(type, "int") == 0) {
        gw_status st = parse_number(arena, text, false, ret);
        return st == GW_E_NOT_FOUND ? GW_E_INVALID : st;
    }
    if (strcmp(type, "float") == 0) {
        return resolve_float(arena, text, ret);
    }
    if (strcmp(type, "bool") == 0) {
        return parse_boolean(text, ret) ? GW_OK : GW_E_INVALID;
    }
    if (strcmp(type, "null") == 0) {
        *ret = (cs_scalar){CS_SCALAR_NULL, {"", 0}};
        return GW_OK;
    }
    if (strcmp(type, "merge") == 0) {
        *ret = (cs_scalar){CS_SCALAR_MERGE, text};
        return GW_OK;
    }
    return GW_E_UNSUPPORTED;
}

gw_status cs_scalar_resolve(cs_arena *arena, cs_text text, const char *tag, bool is_plain,
                            cs_scalar *ret_scalar)
{
    if (tag == NULL && is_plain) {
        return resolve_plain(arena, text, ret_scalar);
    }
    if (tag == NULL || strcmp(tag, "!") == 0) {
        *ret_scalar = (cs_scalar){CS_SCALAR_TEXT, text};
        return GW_OK;
    }
    if (strncmp(tag, TAG_PREFIX, strlen(TAG_PREFIX)) != 0) {
        return GW_E_UNSUPPORTED;
    }
    return resolve_tagged(arena, text, tag + strlen(TAG_PREFIX), ret_scalar);
}
