/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "answer/cache.h"

static void put(cs_cache *cache, const char *key, const char *body)
{
    cs_answer *answer = cs_answer_new(200, body, strlen(body));
    assert_non_null(answer);
    cs_cache_put(cache, key, strlen(key), answer);
    cs_answer_unref(answer);
}

static void expect(cs_cache *cache, const char *key, const char *body)
{
    cs_answer *answer = cs_cache_get(cache, key, strlen(key));
    if (body == NULL) {
        assert_null(answer);
        return;
    }
    assert_non_null(answer);
    assert_string_equal(answer->body, body);
    assert_int_equal(answer->body_len, strlen(body));
    cs_answer_unref(answer);
}

static void answers_are_found_again(void **state)
{
    (void)state;
    cs_cache *cache = cs_cache_new(0, 0);
    expect(cache, "a", NULL);
    put(cache, "a", "1");
    put(cache, "b", "2");
    put(cache, "", "3");
    expect(cache, "a", "1");
    expect(cache, "b", "2");
    expect(cache, "", "3");
    put(cache, "a", "4");
    expect(cache, "a", "4");
    assert_int_equal(cs_cache_n_entries(cache), 3);
    cs_cache_free(cache);
    cs_cache_free(NULL);
}

static void the_least_recently_used_goes_first(void **state)
{
    (void)state;
    cs_cache *cache = cs_cache_new(3, 0);
    put(cache, "a", "1");
    put(cache, "b", "2");
    put(cache, "c", "3");
    expect(cache, "a", "1");
    put(cache, "d", "4");
    expect(cache, "b", NULL);
    expect(cache, "a", "1");
    put(cache, "e", "5");
    expect(cache, "c", NULL);
    expect(cache, "a", "1");
    expect(cache, "d", "4");
    expect(cache, "e", "5");
    cs_cache_free(cache);
}

static void bytes_are_bounded(void **state)
{
    (void)state;
    char body[512];
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    cs_cache *cache = cs_cache_new(0, 8192);
    for (int i = 0; i < 1000; i++) {
        char key[32];
        snprintf(key, sizeof(key), "%d", i);
        put(cache, key, body);
    }
    assert_in_range(cs_cache_n_entries(cache), 8, 16);
    expect(cache, "999", body);
    expect(cache, "0", NULL);
    char large[4096];
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    put(cache, "large", large);
    expect(cache, "large", NULL);
    expect(cache, "999", body);
    cs_cache_free(cache);
}

static void an_answer_outlives_its_entry(void **state)
{
    (void)state;
    cs_cache *cache = cs_cache_new(1, 0);
    put(cache, "a", "1");
    cs_answer *answer = cs_cache_get(cache, "a", 1);
    put(cache, "b", "2");
    expect(cache, "a", NULL);
    cs_cache_free(cache);
    assert_string_equal(answer->body, "1");
    cs_answer_unref(answer);
    cs_answer_unref(NULL);
}

static void *use(void *arg)
{
    cs_cache *cache = arg;
    for (int i = 0; i < 5000; i++) {
        char key[32];
        snprintf(key, sizeof(key), "%d", i % 40);
        cs_answer *answer = cs_cache_get(cache, key, strlen(key));
        if (answer == NULL) {
            answer = cs_answer_new(200, key, strlen(key));
            cs_cache_put(cache, key, strlen(key), answer);
        }
        if (strcmp(answer->body, key) != 0) {
            return answer;
        }
        cs_answer_unref(answer);
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    (void)state;
    cs_cache *cache = cs_cache_new(20, 0);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use, cache), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    cs_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_found_again),
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(an_answer_outlives_its_entry),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
