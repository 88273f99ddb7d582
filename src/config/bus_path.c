/* SPDX-License-Identifier: MIT */
#include "config/bus_path.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PARTS_MAX 32 /* of a pattern or an id; longer ones match nothing */
#define ID_MAX    1024

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
            bool any = pattern.text[at++] == '?';
            in++;
            while (any && in < word.len && ((unsigned char)word.text[in] & 0xc0) == 0x80) {
                in++; /* the rest of a character of UTF-8 */
            }
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

bool gw__bus_is_blank(const char *text)
{
    return text == NULL || text[strspn(text, " \t\r\n")] == '\0';
}

/* Our id is "name:profiles:port:random": try it with each of the profiles alone. */
static bool matches_one_profile(const char *destination, const char *own_id)
{
    part parts[PARTS_MAX];
    size_t n = split(own_id, parts);
    if (n == SIZE_MAX || n < 2 || memchr(parts[1].text, ',', parts[1].len) == NULL) {
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

/* By the names that its configuration is asked for, with what follows our own. */
static bool matches_config_name(const char *destination, const gw__bus_self *self)
{
    const char *rest = strchr(self->own_id, ':');
    const char *at = self->config_names != NULL ? self->config_names : "";
    while (*at != '\0') {
        at += strspn(at, ", ");
        size_t len = strcspn(at, ", ");
        char id[ID_MAX];
        int id_len = snprintf(id, sizeof(id), "%.*s%s", (int)(len < ID_MAX ? len : ID_MAX), at,
                              rest != NULL ? rest : "");
        if (len > 0 && id_len > 0 && id_len < ID_MAX &&
            (gw__bus_path_matches(destination, id) || matches_one_profile(destination, id))) {
            return true;
        }
        at += len;
    }
    return false;
}

bool gw__bus_is_for(const char *destination, const gw__bus_self *self)
{
    return gw__bus_is_blank(destination) || gw__bus_path_matches(destination, self->own_id) ||
           matches_one_profile(destination, self->own_id) || matches_config_name(destination, self);
}

bool gw__bus_is_short_for(const char *destination, const gw__bus_self *self)
{
    return !gw__bus_is_blank(destination) && matches_short_form(destination, self->own_id);
}
