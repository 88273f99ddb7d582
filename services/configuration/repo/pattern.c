/* SPDX-License-Identifier: MIT */
#include "repo/pattern.h"

#include <string.h>

#include "files/bounds.h"

/* Greedy, with one place to go back to. */
bool cs_pattern_matches(const char *pattern, size_t pattern_len, const char *text, size_t len,
                        char one)
{
    const char *pattern_end = pattern + pattern_len;
    const char *end = text + len;
    const char *star = NULL;
    const char *resume = NULL;
    while (text < end) {
        bool is_more = pattern < pattern_end;
        if (is_more && *pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (is_more && (*pattern == *text || (one != '\0' && *pattern == one))) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (pattern < pattern_end && *pattern == '*') {
        pattern++;
    }
    return pattern == pattern_end;
}

/* "app/profile", in the pattern's own form. */
static bool matches_pair(const char *pattern, const char *pair, size_t len)
{
    size_t pattern_len = strlen(pattern);
    if (cs_pattern_matches(pattern, pattern_len, pair, len, '\0')) {
        return true;
    }
    bool is_open = pattern_len > 0 && pattern[pattern_len - 1] == '*';
    if (is_open) {
        return false;
    }
    char wider[2 * CS_NAME_BYTES_MAX + 8];
    if (pattern_len + 3 > sizeof(wider)) {
        return false;
    }
    memcpy(mempcpy(wider, pattern, pattern_len), ",*", 3);
    return cs_pattern_matches(wider, pattern_len + 2, pair, len, '\0');
}

bool cs_pattern_is_for(const char *pattern, const char *application, const char *profiles)
{
    char pair[2 * CS_NAME_BYTES_MAX + 2];
    size_t app_len = strlen(application);
    size_t all_len = strlen(profiles);
    if (app_len + all_len + 2 > sizeof(pair)) {
        return false;
    }
    if (strchr(pattern, '/') == NULL) {
        return cs_pattern_matches(pattern, strlen(pattern), application, app_len, '\0');
    }
    char *profile = mempcpy(pair, application, app_len);
    *profile++ = '/';
    memcpy(profile, profiles, all_len + 1);
    if (matches_pair(pattern, pair, app_len + 1 + all_len)) {
        return true;
    }
    size_t end = all_len;
    while (end > 0) {
        size_t begin = end;
        while (begin > 0 && profiles[begin - 1] != ',') {
            begin--;
        }
        memcpy(profile, profiles + begin, end - begin);
        if (matches_pair(pattern, pair, app_len + 1 + end - begin)) {
            return true;
        }
        end = begin == 0 ? 0 : begin - 1;
    }
    return false;
}
