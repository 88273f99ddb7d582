/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/memo.h"

static atomic_uint n_values; /* alive */

static char *value_new(const char *text)
{
    char *value = strdup(text);
    assert_non_null(value);
    atomic_fetch_add(&n_values, 1);
    return value;
}

static void value_free(void *value)
{
    atomic_fetch_sub(&n_values, 1);
    free(value);
}

/* Whose value is kept in the end; NULL if there was no room. */
static const char *put(cs_memo *memo, const char *key, const char *text, size_t size)
{
    char *value = value_new(text);
    void *kept = NULL;
    if (!cs_memo_put(memo, key, strlen(key), value, size, &kept)) {
        assert_null(kept);
        value_free(value);
        return NULL;
    }
    return kept;
}

static void values_are_found_again(void **state)
{
    (void)state;
    cs_memo *memo = cs_memo_new(1 << 20, value_free);
    assert_null(cs_memo_find(memo, "a", 1));
    assert_string_equal(put(memo, "a", "1", 10), "1");
    assert_string_equal(put(memo, "", "2", 10), "2");
    assert_string_equal(cs_memo_find(memo, "a", 1), "1");
    assert_string_equal(cs_memo_find(memo, "", 0), "2");
    assert_null(cs_memo_find(memo, "ab", 2));
    /* The first stays. */
    assert_string_equal(put(memo, "a", "3", 10), "1");
    assert_int_equal(atomic_load(&n_values), 2);
    /* Keys are bytes. */
    assert_null(cs_memo_find(memo, "a\0b", 3));
    for (int i = 0; i < 5000; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key-%d-of-many", i);
        assert_string_equal(put(memo, key, key, 20), key);
    }
    for (int i = 0; i < 5000; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key-%d-of-many", i);
        assert_string_equal(cs_memo_find(memo, key, strlen(key)), key);
    }
    assert_false(cs_memo_is_full(memo));
    cs_memo_free(memo);
    assert_int_equal(atomic_load(&n_values), 0);
    cs_memo_free(NULL);
}

static void it_is_bounded(void **state)
{
    (void)state;
    cs_memo *memo = cs_memo_new(8192, value_free);
    /* One that never fits does not make it full: a new one would not help. */
    assert_null(put(memo, "large", "1", 4096));
    assert_false(cs_memo_is_full(memo));
    assert_null(put(memo, "huge", "1", SIZE_MAX));
    assert_false(cs_memo_is_full(memo));
    unsigned n_kept = 0;
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", i);
        n_kept += put(memo, key, key, 1000) != NULL;
    }
    assert_in_range(n_kept, 6, 8);
    assert_true(cs_memo_is_full(memo));
    assert_string_equal(cs_memo_find(memo, "0", 1), "0");
    assert_null(cs_memo_find(memo, "99", 2));
    assert_int_equal(atomic_load(&n_values), n_kept);
    cs_memo_free(memo);
    assert_int_equal(atomic_load(&n_values), 0);
}

typedef struct racers {
    cs_memo *memo;
    pthread_barrier_t start;
    atomic_uint n_wrong;
} racers;

enum { N_KEYS = 300, N_THREADS = 8 };

/* All put the same keys; each must get the same value for one as all others. */
static void *race(void *arg)
{
    racers *all = arg;
    const void **seen = calloc(N_KEYS, sizeof(*seen));
    pthread_barrier_wait(&all->start);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N_KEYS; i++) {
            char key[16];
            snprintf(key, sizeof(key), "%d", i);
            const char *value = cs_memo_find(all->memo, key, strlen(key));
            value = value == NULL ? put(all->memo, key, key, 10) : value;
            if (value == NULL || strcmp(value, key) != 0 || (round > 0 && seen[i] != value)) {
                atomic_fetch_add(&all->n_wrong, 1);
            }
            seen[i] = value;
        }
    }
    return seen;
}

static void threads_share_it(void **state)
{
    (void)state;
    racers all = {.memo = cs_memo_new(64 * 1024, value_free)};
    pthread_barrier_init(&all.start, NULL, N_THREADS);
    pthread_t threads[N_THREADS];
    for (size_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, race, &all), 0);
    }
    void *first = NULL;
    for (size_t i = 0; i < N_THREADS; i++) {
        void *seen = NULL;
        pthread_join(threads[i], &seen);
        first = first == NULL ? seen : first;
        assert_memory_equal(seen, first, N_KEYS * sizeof(void *));
        if (seen != first) {
            free(seen);
        }
    }
    free(first);
    pthread_barrier_destroy(&all.start);
    assert_int_equal(atomic_load(&all.n_wrong), 0);
    assert_int_equal(atomic_load(&n_values), N_KEYS);
    cs_memo_free(all.memo);
    assert_int_equal(atomic_load(&n_values), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found_again),
        cmocka_unit_test(it_is_bounded),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
