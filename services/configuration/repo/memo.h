/* SPDX-License-Identifier: MIT */
/*
 * What was computed from a view, by what was asked. Entries are added and never removed, so reading
 * needs no lock; they go with the view. Any thread.
 */
#ifndef CS_MEMO_H
#define CS_MEMO_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cs_memo cs_memo;

/* NULL when out of memory. `free_value` is called for each value in the end. */
cs_memo *cs_memo_new(size_t max_bytes, void (*free_value)(void *value));
void cs_memo_free(cs_memo *memo); /* accepts NULL */

/* NULL if there is none. Borrowed until the memo is freed. */
void *cs_memo_find(const cs_memo *memo, const void *key, size_t key_len);

/*
 * Keep a value of `size` bytes. If another thread was faster, its value is returned and `value` is
 * freed. False, with the value still the caller's, when there is no room, see cs_memo_is_full(), or
 * when it would take more than a quarter of all.
 */
bool cs_memo_put(cs_memo *memo, const void *key, size_t key_len, void *value, size_t size,
                 void **ret_kept);

/* Something found no room that would have found it in an empty memo. */
bool cs_memo_is_full(const cs_memo *memo);

#endif
