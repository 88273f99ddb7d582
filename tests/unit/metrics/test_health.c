/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <godwit/health.h>

#include "base/utf8.h"

static char json_text[8192];
static char plain_text[8192];

static json_t *read_json(bool details)
{
    gw_buf out;
    gw_buf_init(&out, sizeof(json_text) - 1);
    gw_health_write_json(&out, details);
    assert_int_equal(gw_buf_status(&out), GW_OK);
    strcpy(json_text, out.data);
    gw_buf_dispose(&out);
    json_t *root = json_loads(json_text, JSON_REJECT_DUPLICATES, NULL);
    if (root == NULL) {
        fail_msg("no JSON: %s", json_text);
    }
    return root;
}

static const char *read_text(void)
{
    gw_buf out;
    gw_buf_init(&out, sizeof(plain_text) - 1);
    gw_buf_add_str(&out, "");
    gw_health_write_text(&out);
    assert_int_equal(gw_buf_status(&out), GW_OK);
    strcpy(plain_text, out.data);
    gw_buf_dispose(&out);
    return plain_text;
}

/* A member of a component, in a static buffer; "" when there is none. */
static const char *member(const char *component, const char *name)
{
    static char value[GW_HEALTH_REASON_MAX];
    json_t *root = read_json(true);
    json_t *part = json_object_get(json_object_get(root, "components"), component);
    const char *text = json_string_value(json_object_get(part, name));
    snprintf(value, sizeof(value), "%s", text != NULL ? text : "");
    json_decref(root);
    return value;
}

static void assert_time(const char *text)
{
    const char *form = "0000-00-00T00:00:00.000Z";
    assert_int_equal(strlen(text), strlen(form));
    for (size_t i = 0; form[i] != '\0'; i++) {
        if (form[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != form[i]) {
            fail_msg("no RFC 3339 time: %s", text);
        }
    }
}

static void nothing_registered_is_ready(void **state)
{
    (void)state;
    assert_true(gw_health_is_ready());
    json_decref(read_json(false));
    assert_string_equal(json_text, "{\"status\":\"UP\"}");
    json_decref(read_json(true));
    assert_string_equal(json_text, "{\"status\":\"UP\",\"components\":{}}");
    assert_string_equal(read_text(), "");
}

static void the_version_follows_the_status(void **state)
{
    (void)state;
    static const struct {
        const char *version;
        const char *commit;
        const char *json;
    } cases[] = {
        {"1.2.3", "abc-dirty",
         "{\"status\":\"UP\",\"version\":\"1.2.3\",\"commit\":\"abc-dirty\"}"},
        {"1.2.3", NULL, "{\"status\":\"UP\",\"version\":\"1.2.3\"}"},
        {NULL, "abc", "{\"status\":\"UP\",\"commit\":\"abc\"}"},
        {"\"\n", "", "{\"status\":\"UP\",\"version\":\"\\\"?\"}"},
        {NULL, NULL, "{\"status\":\"UP\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        gw_health_set_version(cases[i].version, cases[i].commit);
        json_decref(read_json(false));
        assert_string_equal(json_text, cases[i].json);
    }
    char endless[4 * GW_HEALTH_VERSION_MAX];
    memset(endless, 'x', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    gw_health_set_version(endless, NULL);
    json_t *root = read_json(true);
    assert_int_equal(strlen(json_string_value(json_object_get(root, "version"))),
                     GW_HEALTH_VERSION_MAX);
    json_decref(root);
    gw_health_set_version(NULL, NULL);
}

static void a_component_starts_down(void **state)
{
    (void)state;
    gw_health *broker = gw_health_add("broker", true);
    assert_non_null(broker);
    assert_false(gw_health_is_ready());
    assert_string_equal(member("broker", "status"), "DOWN");
    assert_string_equal(member("broker", "reason"), "starting");
    assert_time(member("broker", "since"));
    char want[128];
    snprintf(want, sizeof(want), "broker: starting (since %s)", member("broker", "since"));
    assert_string_equal(read_text(), want);
    gw_health_remove(broker);
    assert_true(gw_health_is_ready());
}

static void up_and_down_are_reported(void **state)
{
    (void)state;
    gw_health *broker = gw_health_add("broker", true);
    gw_health *config = gw_health_add("config", true);
    gw_health_up(broker);
    assert_false(gw_health_is_ready());
    gw_health_down(config, "HTTP status %d", 503);
    char want[512];
    char broker_since[64];
    snprintf(broker_since, sizeof(broker_since), "%s", member("broker", "since"));
    snprintf(want, sizeof(want),
             "{\"status\":\"DOWN\",\"components\":{\"broker\":{\"status\":\"UP\",\"since\":\"%s\"},"
             "\"config\":{\"status\":\"DOWN\",\"reason\":\"HTTP status 503\",\"since\":\"%s\"}}}",
             broker_since, member("config", "since"));
    json_decref(read_json(false));
    assert_string_equal(json_text, want);

    gw_health_up(config);
    assert_true(gw_health_is_ready());
    json_decref(read_json(false));
    assert_string_equal(json_text, "{\"status\":\"UP\"}");
    assert_string_equal(read_text(), "");

    gw_health_down(broker, "a");
    gw_health_down(config, "b");
    char config_since[64];
    snprintf(broker_since, sizeof(broker_since), "%s", member("broker", "since"));
    snprintf(config_since, sizeof(config_since), "%s", member("config", "since"));
    snprintf(want, sizeof(want), "broker: a (since %s); config: b (since %s)", broker_since,
             config_since);
    assert_string_equal(read_text(), want);
    gw_health_remove(broker);
    gw_health_remove(config);
}

static void the_first_failure_dates_the_outage(void **state)
{
    (void)state;
    char since[64];
    gw_health *broker = gw_health_add("broker", true);
    snprintf(since, sizeof(since), "%s", member("broker", "since"));
    for (int i = 0; i < 3; i++) {
        /* Wait until the clock shows another millisecond than the one of the start. */
        gw_health *now = gw_health_add("now", false);
        while (strcmp(member("now", "since"), since) == 0) {
            gw_health_remove(now);
            now = gw_health_add("now", false);
        }
        gw_health_remove(now);
        gw_health_down(broker, "failure %d", i);
        assert_string_equal(member("broker", "since"), since);
    }
    assert_string_equal(member("broker", "reason"), "failure 2");
    gw_health_up(broker);
    char up_since[64];
    snprintf(up_since, sizeof(up_since), "%s", member("broker", "since"));
    assert_true(strcmp(up_since, since) > 0);
    gw_health_up(broker);
    assert_string_equal(member("broker", "since"), up_since);
    assert_string_equal(member("broker", "reason"), "");
    gw_health_remove(broker);
}

static void what_is_not_required_does_not_stop_readiness(void **state)
{
    (void)state;
    gw_health *cache = gw_health_add("cache", false);
    gw_health_down(cache, "cold");
    assert_true(gw_health_is_ready());
    json_decref(read_json(false));
    assert_string_equal(json_text, "{\"status\":\"UP\"}");
    json_t *root = read_json(true);
    json_t *part = json_object_get(json_object_get(root, "components"), "cache");
    assert_true(json_is_false(json_object_get(part, "required")));
    assert_string_equal(json_string_value(json_object_get(part, "status")), "DOWN");
    json_decref(root);
    assert_non_null(strstr(read_text(), "cache: cold"));
    gw_health_remove(cache);
}

static void a_name_that_exists_is_the_same_component(void **state)
{
    (void)state;
    char name[] = "store";
    gw_health *store = gw_health_add(name, true);
    name[0] = 'S'; /* copied */
    assert_ptr_equal(gw_health_add("store", false), store);
    gw_health *other = gw_health_add(name, true);
    assert_ptr_not_equal(other, store);
    gw_health_remove(store);
    gw_health_up(other);
    assert_true(gw_health_is_ready());
    gw_health_remove(other);
    gw_health_up(NULL);
    gw_health_down(NULL, "x");
    gw_health_remove(NULL);
}

static void reasons_are_tidied_masked_and_cut(void **state)
{
    (void)state;
    gw_health *broker = gw_health_add("bro\"ker", true);
    gw_health_down(broker, "%s", "a\nb\"c\\\x1b");
    assert_string_equal(member("bro\"ker", "reason"), "a?b\"c\\?");
    gw_health_down(broker, "no route to %s at all", "amqp://guest:sesame@host:5672");
    assert_string_equal(member("bro\"ker", "reason"),
                        "no route to amqp://guest:***@host:5672 at all");
    char in[2000];
    for (size_t at = GW_HEALTH_REASON_MAX - 40; at < GW_HEALTH_REASON_MAX + 5; at++) {
        memset(in, 'x', at);
        strcpy(in + at, "amqp://guest:12345678@host");
        gw_health_down(broker, "%s", in);
        assert_null(strstr(read_text(), "123"));
    }
    in[0] = '\0';
    while (strlen(in) < 1500) {
        strcat(in, "\xe2\x82\xac");
    }
    gw_health_down(broker, "%s", in);
    const char *reason = member("bro\"ker", "reason");
    assert_in_range(strlen(reason), GW_HEALTH_REASON_MAX - 4, GW_HEALTH_REASON_MAX - 1);
    assert_true(gw_utf8_is_valid(reason, strlen(reason)));
    assert_string_equal(reason + strlen(reason) - 3, "...");
    gw_health_remove(broker);
}

#define N_THREADS 4
#define N_CHANGES 3000

static void *change(void *arg)
{
    gw_health *shared = gw_health_add("shared", true);
    char name[32];
    snprintf(name, sizeof(name), "own%d", *(int *)arg);
    for (int i = 0; i < N_CHANGES; i++) {
        gw_health *own = gw_health_add(name, false);
        gw_health_down(own, "%d", i);
        gw_health_down(shared, "%d", i);
        gw_health_up(shared);
        gw_health_remove(own);
    }
    return NULL;
}

static void threads_may_change_and_report(void **state)
{
    (void)state;
    gw_health *shared = gw_health_add("shared", true);
    pthread_t threads[N_THREADS];
    int numbers[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, change, &numbers[i]), 0);
    }
    for (int i = 0; i < 500; i++) {
        json_decref(read_json(i % 2 == 0));
        read_text();
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(gw_health_is_ready());
    gw_health_remove(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_registered_is_ready),
        cmocka_unit_test(the_version_follows_the_status),
        cmocka_unit_test(a_component_starts_down),
        cmocka_unit_test(up_and_down_are_reported),
        cmocka_unit_test(the_first_failure_dates_the_outage),
        cmocka_unit_test(what_is_not_required_does_not_stop_readiness),
        cmocka_unit_test(a_name_that_exists_is_the_same_component),
        cmocka_unit_test(reasons_are_tidied_masked_and_cut),
        cmocka_unit_test(threads_may_change_and_report),
    };
    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
