/* SPDX-License-Identifier: MIT */
/* Requests to answers, over a real repository: status, text, bytes, and when they change. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include <godwit/log.h>
#include <godwit/metrics.h>

#include "configserver/fixture.h"
#include "answer/lookup.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

typedef struct world {
    fixture fix;
    cs_repository *repo;
    cs_lookup *lookup;
    char commit[41];
} world;

static const fixture_file first_files[] = {
    {"application.yml", "shared: 1\n", false},
    {"foo.yml", "server_port: 6767\nshared: 2\n", false},
    {"foo-test.yml", "server_port: 6868\n", false},
    {"broken.yml", "a: 1\na: 2\n", false},
    {"broken-test.yml", "server_port: 1\nserver_port: 2\n", false},
    {"linked.yml", "foo.yml", true},
};

static int setup(void **state)
{
    world *w = calloc(1, sizeof(*w));
    fixture_make(&w->fix, true);
    fixture_commit(&w->fix, "main", first_files, N_OF(first_files), w->commit);
    fixture_tag(&w->fix, "v1", "main", true);
    assert_int_equal(cs_repository_open(w->fix.repo, &w->repo, NULL), GW_OK);
    assert_int_equal(cs_lookup_new(w->repo, "main", &w->lookup, NULL), GW_OK);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world *w = *state;
    cs_lookup_free(w->lookup);
    cs_repository_free(w->repo);
    fixture_remove(&w->fix);
    free(w);
    return 0;
}

static void expect_body(world *w, const char *name, const char *profiles, const char *label,
                        const char *expected)
{
    cs_answer *answer = cs_lookup_environment(w->lookup, name, profiles, label);
    assert_non_null(answer);
    if (answer->status != 200 || strcmp(answer->body, expected) != 0) {
        fail_msg("gave   %d %s\nwanted %s", answer->status, answer->body, expected);
    }
    assert_int_equal(answer->body_len, strlen(expected));
    cs_answer_unref(answer);
}

static void an_environment_is_answered_to_the_byte(void **state)
{
    world *w = *state;
    char expected[2048];
    static const char sources[] =
        "{\"name\":\"file://%s/foo-test.yml\",\"source\":{\"server_port\":6868}},"
        "{\"name\":\"file://%s/foo.yml\",\"source\":{\"server_port\":6767,\"shared\":2}},"
        "{\"name\":\"file://%s/application.yml\",\"source\":{\"shared\":1}}]}";
    char rest[1024];
    snprintf(rest, sizeof(rest), sources, w->fix.repo, w->fix.repo, w->fix.repo);
    for (int round = 0; round < 2; round++) {
        snprintf(expected, sizeof(expected),
                 "{\"name\":\"foo\",\"profiles\":[\"test\"],\"label\":null,\"version\":\"%s\","
                 "\"state\":\"\",\"propertySources\":[%s",
                 w->commit, rest);
        expect_body(w, "foo", "test", NULL, expected);
        static const char *const labels[] = {"main", "master", "v1"};
        for (size_t i = 0; i < N_OF(labels); i++) {
            snprintf(expected, sizeof(expected),
                     "{\"name\":\"foo\",\"profiles\":[\"test\"],\"label\":\"%s\",\"version\":"
                     "\"%s\",\"state\":\"\",\"propertySources\":[%s",
                     labels[i], w->commit, rest);
            expect_body(w, "foo", "test", labels[i], expected);
        }
    }
}

static void every_case_has_its_status(void **state)
{
    world *w = *state;
    static const struct {
        const char *name, *profiles, *label;
        int status;
        const char *text;
    } cases[] = {
        {"foo", "default", NULL, 200, "\"propertySources\":[{"},
        {"unknown", "default", NULL, 200, "/application.yml\""},
        {"foo", "default", "nope", 404, "no branch, tag or commit 'nope' in file:///tmp/"},
        {"foo", "default", "nope(_)x", 404, "no branch, tag or commit 'nope/x'"},
        {"..", "default", NULL, 400, "the application leads out of the repository"},
        {"foo", "a/b", NULL, 400, "a profile may hold letters, digits"},
        {"foo", "default", "-x", 400, "the label is not a name"},
        {"foo", "default", "main#", 400, "the label has a character"},
        {"broken", "default", NULL, 500, "broken.yml:2: duplicate key 'a' (first at line 1)"},
        {"broken", "test", NULL, 500, "broken.yml:2: duplicate key 'a'"},
        {"linked", "default", NULL, 500, "linked.yml: a symbolic link is not followed"},
    };
    gw_log_set_level(GW_LOG_OFF);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < N_OF(cases); i++) {
            cs_answer *answer =
                cs_lookup_environment(w->lookup, cases[i].name, cases[i].profiles, cases[i].label);
            if (answer->status != cases[i].status || strstr(answer->body, cases[i].text) == NULL) {
                fail_msg("%s/%s gave %d '%s', wanted %d '%s'", cases[i].name, cases[i].profiles,
                         answer->status, answer->body, cases[i].status, cases[i].text);
            }
            cs_answer_unref(answer);
        }
    }
    gw_log_set_level(GW_LOG_INFO);
}

static void an_unknown_application_without_shared_files_is_empty(void **state)
{
    world *w = *state;
    char expected[512];
    char commit[41];
    fixture_commit_file(&w->fix, "bare", "foo.yml", "a: 1\n", commit);
    snprintf(expected, sizeof(expected),
             "{\"name\":\"foo\",\"profiles\":[\"default\"],\"label\":\"bare\",\"version\":\"%s\","
             "\"state\":\"\",\"propertySources\":[]}",
             commit);
    memcpy(strstr(expected, "foo"), "bar", 3);
    expect_body(w, "bar", "default", "bare", expected);
}

static void a_commit_changes_the_answer_at_once(void **state)
{
    world *w = *state;
    for (int i = 0; i < 20; i++) {
        char text[64];
        char wanted[64];
        snprintf(text, sizeof(text), "vip_accounts: ['1000%d']\n", i);
        snprintf(wanted, sizeof(wanted), "\"vip_accounts[0]\":\"1000%d\"", i);
        fixture_commit_file(&w->fix, "main", "foo.yml", text, w->commit);
        cs_answer *answer = cs_lookup_environment(w->lookup, "foo", "test", NULL);
        assert_int_equal(answer->status, 200);
        assert_non_null(strstr(answer->body, wanted));
        assert_non_null(strstr(answer->body, w->commit));
        cs_answer_unref(answer);
    }
    cs_answer *answer = cs_lookup_environment(w->lookup, "foo", "test", "v1");
    assert_non_null(strstr(answer->body, "6868"));
    cs_answer_unref(answer);
}

/* A repair needs no restart, and the fault is told once a commit. */
static void a_fault_is_logged_once_and_can_be_repaired(void **state)
{
    world *w = *state;
    int pipe_fds[2];
    int stderr_fd = dup(STDERR_FILENO);
    assert_int_equal(pipe2(pipe_fds, O_NONBLOCK), 0);
    dup2(pipe_fds[1], STDERR_FILENO);
    for (int i = 0; i < 5; i++) {
        cs_answer *answer = cs_lookup_environment(w->lookup, "broken", "test", NULL);
        assert_int_equal(answer->status, 500);
        cs_answer_unref(answer);
    }
    dup2(stderr_fd, STDERR_FILENO);
    close(stderr_fd);
    close(pipe_fds[1]);
    char log[4096];
    ssize_t n = read(pipe_fds[0], log, sizeof(log) - 1);
    close(pipe_fds[0]);
    assert_true(n > 0);
    log[n] = '\0';
    assert_non_null(strstr(log, "broken.yml:2: duplicate key 'a' (first at line 1)"));
    assert_ptr_equal(strchr(log, '\n'), log + n - 1); /* one line */
    fixture_commit_file(&w->fix, "main", "broken.yml", "a: 1\n", NULL);
    cs_answer *answer = cs_lookup_environment(w->lookup, "broken", "test", NULL);
    assert_int_equal(answer->status, 200);
    cs_answer_unref(answer);
}

static void answers_come_from_memory(void **state)
{
    world *w = *state;
    gw_counter *hits = gw_metrics_counter("godwit_config_cache_hits_total", "", NULL);
    gw_counter *misses = gw_metrics_counter("godwit_config_cache_misses_total", "", NULL);
    uint64_t hits_before = gw_counter_get(hits);
    uint64_t misses_before = gw_counter_get(misses);
    for (int i = 0; i < 10; i++) {
        cs_answer_unref(cs_lookup_environment(w->lookup, "foo", "test", NULL));
        cs_answer_unref(cs_lookup_environment(w->lookup, "foo", "test", "main"));
    }
    assert_int_equal(gw_counter_get(misses) - misses_before, 2);
    assert_int_equal(gw_counter_get(hits) - hits_before, 18);
}

/* Parts of the key must not run into each other. */
static void similar_requests_have_their_own_answers(void **state)
{
    world *w = *state;
    static const char *const requests[][3] = {
        {"foo", "test", NULL},   {"foo", "test", "main"}, {"foo,test", "test", NULL},
        {"foo", "test,l", NULL}, {"foot", "est", NULL},   {"foo", "testl", "main"},
    };
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < N_OF(requests); i++) {
            cs_answer *answer =
                cs_lookup_environment(w->lookup, requests[i][0], requests[i][1], requests[i][2]);
            json_t *json = json_loadb(answer->body, answer->body_len, 0, NULL);
            assert_string_equal(json_string_value(json_object_get(json, "name")), requests[i][0]);
            assert_string_equal(
                json_string_value(json_array_get(json_object_get(json, "profiles"), 0)),
                requests[i][1]);
            const char *label = json_string_value(json_object_get(json, "label"));
            assert_true((label == NULL) == (requests[i][2] == NULL));
            json_decref(json);
            cs_answer_unref(answer);
        }
    }
}

static void a_lost_repository_is_unavailable(void **state)
{
    world *w = *state;
    char moved[96];
    snprintf(moved, sizeof(moved), "%s-away", w->fix.repo);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(cs_lookup_check(w->lookup, &err), GW_OK);
    assert_int_equal(rename(w->fix.repo, moved), 0);
    assert_int_not_equal(cs_lookup_check(w->lookup, &err), GW_OK);
    gw_log_set_level(GW_LOG_OFF);
    cs_answer *answer = cs_lookup_environment(w->lookup, "foo", "test", NULL);
    gw_log_set_level(GW_LOG_INFO);
    assert_int_equal(answer->status, 503);
    cs_answer_unref(answer);
    assert_int_equal(rename(moved, w->fix.repo), 0);
    assert_int_equal(cs_lookup_check(w->lookup, &err), GW_OK);
    answer = cs_lookup_environment(w->lookup, "foo", "test", NULL);
    assert_int_equal(answer->status, 200);
    cs_answer_unref(answer);
}

typedef struct client {
    world *w;
    atomic_uint *n_wrong;
} client;

static void *ask(void *arg)
{
    client *self = arg;
    static const char *const names[] = {"foo", "bar", "broken", "foo,bar"};
    for (int i = 0; i < 400; i++) {
        cs_answer *answer = cs_lookup_environment(self->w->lookup, names[i % 4], "test", NULL);
        int wanted = i % 4 == 2 ? 500 : 200;
        *self->n_wrong += answer->status != wanted;
        cs_answer_unref(answer);
    }
    return NULL;
}

static void many_ask_at_once(void **state)
{
    world *w = *state;
    atomic_uint n_wrong = 0;
    client self = {w, &n_wrong};
    pthread_t threads[4];
    gw_log_set_level(GW_LOG_OFF);
    for (size_t i = 0; i < N_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &self), 0);
    }
    for (int i = 0; i < 20; i++) {
        fixture_commit(&w->fix, "main", first_files, N_OF(first_files), NULL);
    }
    for (size_t i = 0; i < N_OF(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    gw_log_set_level(GW_LOG_INFO);
    assert_int_equal(n_wrong, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_environment_is_answered_to_the_byte),
        TEST(every_case_has_its_status),
        TEST(an_unknown_application_without_shared_files_is_empty),
        TEST(a_commit_changes_the_answer_at_once),
        TEST(a_fault_is_logged_once_and_can_be_repaired),
        TEST(answers_come_from_memory),
        TEST(similar_requests_have_their_own_answers),
        TEST(a_lost_repository_is_unavailable),
        TEST(many_ask_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
