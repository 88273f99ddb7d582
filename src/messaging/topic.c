/* SPDX-License-Identifier: MIT */
#include "messaging/topic.h"

#include <stddef.h>
#include <string.h>

/* A place between the words of a key: the word that starts here, or NULL behind the last one. */
typedef const char *cursor;

static cursor first_word(const char *key)
{
    return key[0] == '\0' ? NULL : key;
}

static size_t word_len(cursor at)
{
    return strcspn(at, ".");
}

static cursor next_word(cursor at)
{
    at += word_len(at);
    return *at == '.' ? at + 1 : NULL;
}

static bool word_is(cursor at, char c)
{
    return at != NULL && at[0] == c && word_len(at) == 1;
}

static bool word_takes(cursor pattern, cursor word)
{
    size_t len = word_len(pattern);
    return word_is(pattern, '*') || (len == word_len(word) && memcmp(pattern, word, len) == 0);
}

bool gw__topic_matches(const char *binding_key, const char *routing_key)
{
    cursor pattern = first_word(binding_key);
    cursor word = first_word(routing_key);
    cursor after_hash = NULL; /* the pattern behind the last '#' seen, ... */
    cursor retry_word = NULL; /* ... and where it is tried next; only the last one needs this */
    bool seen_hash = false;

    while (word != NULL) {
        if (word_is(pattern, '#')) {
            seen_hash = true;
            pattern = after_hash = next_word(pattern);
            retry_word = word;
        } else if (pattern != NULL && word_takes(pattern, word)) {
            pattern = next_word(pattern);
            word = next_word(word);
        } else if (seen_hash) {
            pattern = after_hash;
            word = retry_word = next_word(retry_word);
        } else {
            return false;
        }
    }
    while (word_is(pattern, '#')) {
        pattern = next_word(pattern);
    }
    return pattern == NULL;
}
