/* SPDX-License-Identifier: MIT */
#include "config/bus_event.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include <godwit/config.h>
#include <godwit/id.h>

#define PARTS_MAX 32 /* of a pattern or an id; longer ones match nothing */
#define ID_MAX    1024

/* ---- matching ------------------------------------------------------------------ */

typedef struct part {
    const char *text;
    size_t len;
} part;

/* Split at colons. SIZE_MAX when there are too many. */
static size_t split(const char *text, part parts[PARTS_MAX])
{
    size_t n = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, ":");
        if (len > 0) {
            if (n == PARTS_MAX) {
                return SIZE_MAX;
            }
            parts[n++] = (part){text, len};
        }
        text += len + (text[len] == ':' ? 1 : 0);
    }
    return n;
}

/* Length of a token of the pattern that stands for any text: "*" or "{name}"; 0 if it is none. */
static size_t wildcard_len(part pattern, size_t at)
{
    if (pattern.text[at] == '*') {
        return 1;
    }
    if (pattern.text[at] == '{') {
        const char *end = memchr(pattern.text + at, '}', pattern.len - at);
        return end == NULL ? 0 : (size_t)(end - (pattern.text + at)) + 1;
    }
    return 0;
}

/* Only the last wildcard ever has to take more, so this is at worst quadratic. */
static bool part_matches(part pattern, part word)
{
    size_t at = 0;
    size_t in = 0;
    size_t after = SIZE_MAX; /* behind the last wildcard, ... */
    size_t retry = 0;        /* ... and what it was tried with */
    while (in < word.len) {
        size_t wild = at < pattern.len ? wildcard_len(pattern, at) : 0;
        if (wild > 0) {
            at += wild;
            after = at;
            retry = in;
        } else if (at < pattern.len &&
                   (pattern.text[at] == '?' || pattern.text[at] == word.text[in])) {
            at++;
            in++;
        } else if (after != SIZE_MAX) {
            at = after;
            in = ++retry;
        } else {
            return false;
        }
    }
    while (at < pattern.len && wildcard_len(pattern, at) > 0) {
        at += wildcard_len(pattern, at);
    }
    return at == pattern.len;
}

static bool is_any_parts(part pattern)
{
    return pattern.len == 2 && memcmp(pattern.text, "**", 2) == 0;
}

bool gw__bus_path_matches(const char *pattern, const char *id)
{
    part patterns[PARTS_MAX];
    part words[PARTS_MAX];
    size_t n_patterns = split(pattern, patterns);
    size_t n_words = split(id, words);
    if (n_patterns == SIZE_MAX || n_words == SIZE_MAX) {
        return false;
    }
    /* reach[w]: the patterns so far take exactly the first w words. */
    bool reach[PARTS_MAX + 1] = {true};
    for (size_t p = 0; p < n_patterns; p++) {
        bool next[PARTS_MAX + 1] = {false};
        bool any = is_any_parts(patterns[p]);
        for (size_t w = 0; w <= n_words; w++) {
            if (any) {
                next[w] = reach[w] || (w > 0 && next[w - 1]);
            } else {
                next[w] = w > 0 && reach[w - 1] && part_matches(patterns[p], words[w - 1]);
            }
        }
        memcpy(reach, next, sizeof(reach));
    }
    return reach[n_words];
}

static bool is_blank(const char *text)
{
    return text == NULL || text[strspn(text, " \t\r\n")] == '\0';
}

/* Our id is "name:profiles:port:random": try it with each of the profiles alone. */
static bool matches_one_profile(const char *destination, const char *own_id)
{
    part parts[PARTS_MAX];
    size_t n = split(own_id, parts);
    if (n == SIZE_MAX || n < 3 || memchr(parts[1].text, ',', parts[1].len) == NULL) {
        return false;
    }
    const char *at = parts[1].text;
    const char *end = at + parts[1].len;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t len = comma == NULL ? (size_t)(end - at) : (size_t)(comma - at);
        char id[ID_MAX];
        int id_len = snprintf(id, sizeof(id), "%.*s:%.*s%s", (int)parts[0].len, parts[0].text,
                              (int)len, at, end);
        if (id_len > 0 && id_len < ID_MAX && gw__bus_path_matches(destination, id)) {
            return true;
        }
        at += len + 1;
    }
    return false;
}

/* "name" and "name:*" mean "name:**". */
static bool matches_short_form(const char *destination, const char *own_id)
{
    size_t len = strlen(destination);
    const char *colon = strchr(destination, ':');
    bool bare = colon == NULL;
    bool star = colon != NULL && strcmp(colon, ":*") == 0;
    if ((!bare && !star) || len + 4 > ID_MAX) {
        return false;
    }
    char pattern[ID_MAX];
    snprintf(pattern, sizeof(pattern), "%.*s:**", (int)(bare ? len : len - 2), destination);
    return gw__bus_path_matches(pattern, own_id);
}

bool gw__bus_is_for(const char *destination, const char *own_id)
{
    return is_blank(destination) || gw__bus_path_matches(destination, own_id) ||
           matches_one_profile(destination, own_id) || matches_short_form(destination, own_id);
}

/* ---- the event -------------------------------------------------------------------- */

static gw_status get_text(json_t *event, const char *field, const char **ret_text, gw_error *err)
{
    json_t *value = json_object_get(event, field);
    if (value != NULL && !json_is_string(value) && !json_is_null(value)) {
        return gw_error_set(err, GW_E_INVALID, 0, "a bus event whose '%s' is not a text", field);
    }
    *ret_text = json_string_value(value);
    return GW_OK;
}

static gw_status read_event(json_t *event, const char *own_id, bool *ret_refresh, gw_error *err)
{
    if (!json_is_object(event)) {
        return gw_error_set(err, GW_E_INVALID, 0, "a bus event that is not a JSON object");
    }
    const char *type;
    const char *destination = NULL;
    const char *origin = NULL;
    gw_status st = get_text(event, "type", &type, err);
    if (st == GW_OK && type == NULL) {
        st = gw_error_set(err, GW_E_INVALID, 0, "a bus event without a type");
    }
    if (st == GW_OK) {
        st = get_text(event, "destinationService", &destination, err);
    }
    if (st == GW_OK) {
        st = get_text(event, "originService", &origin, err);
    }
    if (st != GW_OK) {
        return st;
    }
    *ret_refresh = strcmp(type, "RefreshRemoteApplicationEvent") == 0 &&
                   gw__bus_is_for(destination, own_id) &&
                   (is_blank(origin) || !gw__bus_path_matches(origin, own_id));
    return GW_OK;
}

gw_status gw__bus_event_read(const char *own_id, const void *body, size_t len, bool *ret_refresh,
                             gw_error *err)
{
    if (len > GW__EVENT_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "a bus event of %zu bytes, more than %zu", len,
                            GW__EVENT_MAX);
    }
    json_error_t fault;
    json_t *event = len == 0 ? NULL : json_loadb(body, len, 0, &fault);
    if (event == NULL) {
        if (len > 0 && json_error_code(&fault) == json_error_out_of_memory) {
            return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a bus event");
        }
        return len == 0 ? gw_error_set(err, GW_E_INVALID, 0, "a bus event without a body")
                        : gw_error_set(err, GW_E_INVALID, 0,
                                       "a bus event that is not JSON (line %d, column %d)",
                                       fault.line, fault.column);
    }
    gw_status st = read_event(event, own_id, ret_refresh, err);
    json_decref(event);
    return st;
}

/* ---- our own id ---------------------------------------------------------------------- */

static void add_part(gw_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        gw_buf_add_char(out, *text == ':' ? '-' : *text);
    }
}

void gw_config_bus_id(gw_buf *out, const char *name, const char *profile, unsigned port)
{
    char id[GW_ID_LEN + 1];
    gw_id_new(id);
    add_part(out, name);
    if (!is_blank(profile)) {
        gw_buf_add_char(out, ':');
        add_part(out, profile);
    }
    gw_buf_addf(out, ":%u:", port);
    for (const char *at = id; *at != '\0'; at++) {
        if (*at != '-') {
            gw_buf_add_char(out, *at);
        }
    }
}
