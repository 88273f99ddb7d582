/* SPDX-License-Identifier: MIT */
/* Which repository an application's profiles are kept in, by patterns such as "team-a*" and
 * "billing/dev*". */
#ifndef CS_PATTERN_H
#define CS_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* Whether `text` is what `pattern` says, in which '*' stands for any characters and `one`, unless
 * it is NUL, for one. No pattern makes it slow. */
bool cs_pattern_matches(const char *pattern, size_t pattern_len, const char *text, size_t len,
                        char one);

/*
 * Whether a pattern is for these: "app/profile", or "app" for all its profiles. It is held against
 * the whole list of profiles, then against each of them, from the last to the first; a pattern that
 * does not end in '*' is also for lists that begin with what it says.
 */
bool cs_pattern_is_for(const char *pattern, const char *application, const char *profiles);

#endif
