/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/clock.h>
#include <godwit/id.h>

#define N_IDS     20000
#define N_THREADS 4

typedef char id_text[GW_ID_LEN + 1];

static uint64_t milliseconds_of(const char *id)
{
    char digits[13];
    memcpy(digits, id, 8);
    memcpy(digits + 8, id + 9, 4);
    digits[12] = '\0';
    return strtoull(digits, NULL, 16);
}

static void an_id_is_a_uuid_of_version_7(void **state)
{
    (void)state;
    for (int i = 0; i < 5000; i++) {
        id_text id;
        gw_id_new(id);
        assert_int_equal(strlen(id), GW_ID_LEN);
        assert_true(gw_id_is_valid(id, GW_ID_LEN));
        assert_int_equal(id[14], '7');
        assert_non_null(strchr("89ab", id[19]));
        assert_int_equal(strspn(id, "0123456789abcdef-"), GW_ID_LEN);
    }
}

static void an_id_begins_with_the_time(void **state)
{
    (void)state;
    id_text id;
    uint64_t before = gw_clock_unix_ns() / GW_NS_PER_MS;
    gw_id_new(id);
    /* The ids of the test before may have borrowed some milliseconds. */
    assert_in_range(milliseconds_of(id), before, before + 60000);
}

static void *make_ids(void *arg)
{
    id_text *ids = arg;
    for (int i = 0; i < N_IDS; i++) {
        gw_id_new(ids[i]);
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void ids_ascend_in_a_thread_and_differ_between_threads(void **state)
{
    (void)state;
    id_text *ids = calloc(N_THREADS * N_IDS, sizeof(*ids));
    assert_non_null(ids);
    pthread_t threads[N_THREADS];
    for (int t = 0; t < N_THREADS; t++) {
        assert_int_equal(pthread_create(&threads[t], NULL, make_ids, ids + (ptrdiff_t)t * N_IDS),
                         0);
    }
    for (int t = 0; t < N_THREADS; t++) {
        pthread_join(threads[t], NULL);
    }
    for (int i = 0; i < N_THREADS * N_IDS; i++) {
        if (i % N_IDS != 0 && strcmp(ids[i - 1], ids[i]) >= 0) {
            fail_msg("%s is followed by %s", ids[i - 1], ids[i]);
        }
    }
    qsort(ids, N_THREADS * N_IDS, sizeof(*ids), compare);
    for (int i = 1; i < N_THREADS * N_IDS; i++) {
        if (strcmp(ids[i - 1], ids[i]) == 0) {
            fail_msg("%s was given twice", ids[i]);
        }
    }
    free(ids);
}

static void a_forked_child_makes_other_ids(void **state)
{
    (void)state;
    id_text ours;
    id_text theirs;
    int ends[2];
    gw_id_new(ours); /* fills the pool that the child inherits */
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        gw_id_new(theirs);
        _exit(write(ends[1], theirs, sizeof(theirs)) == (ssize_t)sizeof(theirs) ? 0 : 1);
    }
    gw_id_new(ours);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], theirs, sizeof(theirs)), sizeof(theirs));
    close(ends[0]);
    close(ends[1]);
    assert_string_not_equal(ours + 19, theirs + 19); /* the random part */
}

static void only_the_form_of_a_uuid_is_valid(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool want;
    } cases[] = {
        {"01932b1c-5d5e-7abc-8def-0123456789ab", true},
        {"01932B1C-5D5E-7ABC-8DEF-0123456789AB", true},
        {"00000000-0000-0000-0000-000000000000", true},
        {"01932b1c-5d5e-7abc-8def-0123456789a", false},
        {"01932b1c-5d5e-7abc-8def-0123456789abc", false},
        {"01932b1c5d5e-7abc-8def-0123456789abcd", false},
        {"01932b1c-5d5e-7abc-8def-0123456789ag", false},
        {"01932b1c-5d5e-7abc-8def 0123456789ab", false},
        {"{1932b1c-5d5e-7abc-8def-0123456789a}", false},
        {"------------------------------------", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (gw_id_is_valid(cases[i].text, strlen(cases[i].text)) != cases[i].want) {
            fail_msg("'%s': want %d", cases[i].text, cases[i].want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_a_uuid_of_version_7),
        cmocka_unit_test(an_id_begins_with_the_time),
        cmocka_unit_test(ids_ascend_in_a_thread_and_differ_between_threads),
        cmocka_unit_test(a_forked_child_makes_other_ids),
        cmocka_unit_test(only_the_form_of_a_uuid_is_valid),
    };
    return cmocka_run_group_tests_name("id", tests, NULL, NULL);
}
