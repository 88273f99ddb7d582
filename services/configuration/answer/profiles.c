/* SPDX-License-Identifier: MIT */
#include "answer/profiles.h"

#include <string.h>

#include "files/document.h"

typedef struct parser {
    const cs_profiles *profiles;
    const char *p;
    const char *end;
    unsigned depth;
} parser;

static cs_text trim(const char *begin, const char *end)
{
    while (begin < end && (unsigned char)*begin <= ' ') {
        begin++;
    }
    while (end > begin && (unsigned char)end[-1] <= ' ') {
        end--;
    }
    return (cs_text){begin, (size_t)(end - begin)};
}

bool cs_profiles_contain(const cs_profiles *profiles, cs_text name)
{
    for (size_t i = 0; i < profiles->n; i++) {
        if (cs_text_equal(profiles->items[i], name)) {
            return true;
        }
    }
    return false;
}

bool cs_list_next(cs_text *rest, cs_text *ret_name)
{
    while (rest->len > 0) {
        const char *end = rest->bytes + rest->len;
        const char *comma = memchr(rest->bytes, ',', rest->len);
        cs_text name = trim(rest->bytes, comma == NULL ? end : comma);
        *rest = comma == NULL ? (cs_text){end, 0} : (cs_text){comma + 1, (size_t)(end - comma) - 1};
        if (name.len > 0) {
            *ret_name = name;
            return true;
        }
    }
    return false;
}

gw_status cs_profiles_add_list(cs_profiles *profiles, cs_text list)
{
    cs_text name;
    while (cs_list_next(&list, &name)) {
        if (cs_profiles_contain(profiles, name)) {
            continue;
        }
        if (profiles->n >= CS_PROFILES_MAX) {
            return GW_E_LIMIT;
        }
        profiles->items[profiles->n++] = name;
    }
    return GW_OK;
}

static void skip_blanks(parser *at)
{
    while (at->p < at->end && (unsigned char)*at->p <= ' ') {
        at->p++;
    }
}

/* The operator or parenthesis at hand; 0 for a name or the end. */
static char peek(parser *at)
{
    skip_blanks(at);
    if (at->p < at->end && memchr("()&|!", *at->p, 5) != NULL) {
        return *at->p;
    }
    return 0;
}

static gw_status parse_any(parser *at, bool *ret);

static gw_status parse_name(parser *at, bool *ret)
{
    const char *begin = at->p;
    while (at->p < at->end && memchr("()&|!", *at->p, 5) == NULL) {
        at->p++;
    }
    cs_text name = trim(begin, at->p);
    if (name.len == 0) {
        return GW_E_INVALID;
    }
    *ret = cs_profiles_contain(at->profiles, name);
    return GW_OK;
}

/* A name, a negation or a parenthesis. */
static gw_status parse_term(parser *at, bool *ret)
{
    gw_status st = GW_OK;
    if (++at->depth > CS_EXPRESSION_DEPTH_MAX) {
        return GW_E_LIMIT;
    }
    switch (peek(at)) {
    case '!':
        at->p++;
        st = parse_term(at, ret);
        *ret = !*ret;
        break;
    case '(':
        at->p++;
        st = parse_any(at, ret);
        if (st == GW_OK && peek(at) != ')') {
            st = GW_E_INVALID;
        }
        at->p++;
        break;
    case 0: st = parse_name(at, ret); break;
    default: st = GW_E_INVALID; break;
    }
    at->depth--;
    return st;
}

/* Terms joined by one kind of operator. */
static gw_status parse_any(parser *at, bool *ret)
{
    gw_status st = parse_term(at, ret);
    char joined_by = 0;
    for (char op = peek(at); st == GW_OK && (op == '&' || op == '|'); op = peek(at)) {
        if (joined_by != 0 && joined_by != op) {
            return GW_E_INVALID;
        }
        joined_by = op;
        at->p++;
        bool term = false;
        st = parse_term(at, &term);
        *ret = op == '&' ? *ret && term : *ret || term;
    }
    return st;
}

gw_status cs_profiles_match(const cs_profiles *profiles, cs_text expression, bool *ret_match)
{
    if (expression.len > CS_EXPRESSION_BYTES_MAX) {
        return GW_E_LIMIT;
    }
    parser at = {profiles, expression.bytes, expression.bytes + expression.len, 0};
    bool match = false;
    gw_status st = parse_any(&at, &match);
    skip_blanks(&at);
    if (st == GW_OK && at.p != at.end) {
        st = GW_E_INVALID;
    }
    if (st == GW_OK) {
        *ret_match = match;
    }
    return st;
}
