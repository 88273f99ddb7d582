/* SPDX-License-Identifier: MIT */
/* Typed getters and the texts of their errors; where a value comes from. Without a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/config.h>

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static gw_config *new_config(void)
{
    gw_config *config = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_config_new(NULL, &config, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return config;
}

static void set(gw_config *config, const char *key, const char *value)
{
    assert_int_equal(gw_config_set(config, key, value, "file:///test.yml", NULL), GW_OK);
}

static void integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t min;
        int64_t max;
        gw_status st;
        int64_t value;
    } cases[] = {
        {"0", 0, 10, GW_OK, 0},
        {"6767", 1, 65535, GW_OK, 6767},
        {" 7\n", 0, 10, GW_OK, 7},
        {"007", 0, 10, GW_OK, 7},
        {"-5", -10, 10, GW_OK, -5},
        {"9223372036854775807", INT64_MIN, INT64_MAX, GW_OK, INT64_MAX},
        {"-9223372036854775808", INT64_MIN, INT64_MAX, GW_OK, INT64_MIN},
        {"9223372036854775808", INT64_MIN, INT64_MAX, GW_E_INVALID, 0},
        {"65536", 1, 65535, GW_E_INVALID, 0},
        {"0", 1, 65535, GW_E_INVALID, 0},
        {"", 0, 10, GW_E_INVALID, 0},
        {" ", 0, 10, GW_E_INVALID, 0},
        {"abc", 0, 10, GW_E_INVALID, 0},
        {"5x", 0, 10, GW_E_INVALID, 0},
        {"5 5", 0, 10, GW_E_INVALID, 0},
        {"+5", 0, 10, GW_E_INVALID, 0},
        {"0x5", 0, 10, GW_E_INVALID, 0},
        {"5.0", 0, 10, GW_E_INVALID, 0},
        {"1e1", 0, 10, GW_E_INVALID, 0},
        {"--5", -10, 10, GW_E_INVALID, 0},
        {"-", -10, 10, GW_E_INVALID, 0},
    };
    gw_config *config = new_config();
    for (size_t i = 0; i < N_OF(cases); i++) {
        set(config, "n", cases[i].text);
        const gw_config_snapshot *snap = gw_config_acquire(config);
        int64_t value = 0;
        gw_status st = gw_config_get_int(snap, "n", cases[i].min, cases[i].max, &value, NULL);
        if (st != cases[i].st || value != cases[i].value) {
            fail_msg("'%s': got %s %lld, expected %s %lld", cases[i].text, gw_status_name(st),
                     (long long)value, gw_status_name(cases[i].st), (long long)cases[i].value);
        }
        gw_config_release(snap);
    }
    gw_config_free(config);
}

static void booleans(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int value; /* -1: refused */
    } cases[] = {{"true", 1}, {"false", 0},  {"TRUE", 1},        {"No", 0},
                 {"yes", 1},  {"on", 1},     {"off", 0},         {"1", 1},
                 {"0", 0},    {" true ", 1}, {"", -1},           {"2", -1},
                 {"tru", -1}, {"y", -1},     {"true false", -1}, {"truee", -1}};
    gw_config *config = new_config();
    for (size_t i = 0; i < N_OF(cases); i++) {
        set(config, "b", cases[i].text);
        const gw_config_snapshot *snap = gw_config_acquire(config);
        bool value = false;
        gw_status st = gw_config_get_bool(snap, "b", &value, NULL);
        int got = st == GW_OK ? value : -1;
        if (got != cases[i].value) {
            fail_msg("'%s': got %d, expected %d", cases[i].text, got, cases[i].value);
        }
        gw_config_release(snap);
    }
    gw_config_free(config);
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } cases[] = {
        {"0", 0},
        {"250", 250},
        {"250ms", 250},
        {"10s", 10000},
        {"5m", 300000},
        {"1h", 3600000},
        {"2d", 172800000},
        {" 10s ", 10000},
        {"", -1},
        {"s", -1},
        {"10 s", -1},
        {"-1s", -1},
        {"1.5s", -1},
        {"10S", -1},
        {"10min", -1},
        {"1s500ms", -1},
        {"PT10S", -1},
        {"1000000001", -1},
        {"99999999999999999999", -1},
        {"999999999999999d", -1},
    };
    gw_config *config = new_config();
    for (size_t i = 0; i < N_OF(cases); i++) {
        set(config, "d", cases[i].text);
        const gw_config_snapshot *snap = gw_config_acquire(config);
        uint64_t ms = 0;
        gw_status st = gw_config_get_duration_ms(snap, "d", 0, 1000000000, &ms, NULL);
        int64_t got = st == GW_OK ? (int64_t)ms : -1;
        if (got != cases[i].ms) {
            fail_msg("'%s': got %lld, expected %lld", cases[i].text, (long long)got,
                     (long long)cases[i].ms);
        }
        gw_config_release(snap);
    }
    gw_config_free(config);
}

static void join(const gw_config_list *list, char *text, size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; i < list->n_items; i++) {
        size_t len = strlen(text);
        snprintf(text + len, size - len, "%s<%s>", i > 0 ? " " : "", list->items[i]);
    }
}

static void lists(void **state)
{
    (void)state;
    static const struct {
        const char *keys[4][2];
        gw_status st;
        const char *items;
    } cases[] = {
        {{{"l", "10000"}}, GW_OK, "<10000>"},
        {{{"l", "a,b,c"}}, GW_OK, "<a> <b> <c>"},
        {{{"l", " a , b c ,\td\n"}}, GW_OK, "<a> <b c> <d>"},
        {{{"l", "a,,b"}}, GW_OK, "<a> <> <b>"},
        {{{"l", "a,"}}, GW_OK, "<a> <>"},
        {{{"l", ","}}, GW_OK, "<> <>"},
        {{{"l", ""}}, GW_OK, ""},
        {{{"l", "  "}}, GW_OK, ""},
        {{{"l[0]", "a"}, {"l[1]", "b"}}, GW_OK, "<a> <b>"},
        {{{"l[0]", "a,b"}}, GW_OK, "<a,b>"},
        {{{"l[2]", "c"}, {"l[0]", "a"}, {"l[1]", "b"}}, GW_OK, "<a> <b> <c>"},
        {{{"l[0]", ""}}, GW_OK, "<>"},
        {{{"l[1]", "b"}}, GW_E_INVALID, "indexes"},
        {{{"l[0]", "a"}, {"l[2]", "c"}}, GW_E_INVALID, "indexes"},
        {{{"l[0]", "a"}, {"l[00]", "b"}}, GW_E_INVALID, "indexes"},
        {{{"l[4294967296]", "a"}}, GW_E_INVALID, "plain value"},
        {{{"l[0].name", "a"}}, GW_E_INVALID, "plain value"},
        {{{"l[0]", "a"}, {"l[1][0]", "b"}}, GW_E_INVALID, "plain value"},
        {{{"l.a", "b"}}, GW_E_INVALID, "is an object, not a list"},
        {{{"other", "a"}}, GW_E_NOT_FOUND, "not set"},
        {{{"list.a", "b"}}, GW_E_NOT_FOUND, "not set"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_config *config = new_config();
        for (size_t k = 0; k < 4 && cases[i].keys[k][0] != NULL; k++) {
            set(config, cases[i].keys[k][0], cases[i].keys[k][1]);
        }
        const gw_config_snapshot *snap = gw_config_acquire(config);
        gw_config_list list = {0};
        gw_error err = GW_ERROR_INIT;
        gw_status st = gw_config_get_list(snap, "l", &list, &err);
        char got[256];
        join(&list, got, sizeof(got));
        bool fits = st == GW_OK ? strcmp(got, cases[i].items) == 0
                                : strstr(err.text, cases[i].items) != NULL;
        if (st != cases[i].st || !fits) {
            fail_msg("case %zu: got %s %s %s, expected %s %s", i, gw_status_name(st), got, err.text,
                     gw_status_name(cases[i].st), cases[i].items);
        }
        gw_config_list_dispose(&list);
        gw_config_release(snap);
        gw_config_free(config);
    }
}

static void a_list_is_searched(void **state)
{
    (void)state;
    gw_config *config = new_config();
    set(config, "vip_accounts", "10000,10001");
    const gw_config_snapshot *snap = gw_config_acquire(config);
    gw_config_list list = {0};
    assert_int_equal(gw_config_get_list(snap, "vip_accounts", &list, NULL), GW_OK);
    assert_true(gw_config_list_has(&list, "10001"));
    assert_false(gw_config_list_has(&list, "1000"));
    gw_config_list_dispose(&list);
    gw_config_list_dispose(&list);
    assert_false(gw_config_list_has(&list, "10001"));
    gw_config_release(snap);
    gw_config_free(config);
}

/* What a person reads. */
static void error_texts(void **state)
{
    (void)state;
    gw_config *config = new_config();
    set(config, "server_port", "abc");
    set(config, "db_password", "hunter2");
    set(config, "broker", "amqp://guest:hunter2@host");
    set(config, "items[0]", "a");
    set(config, "pause", "soon");
    set(config, "long",
        "0123456789012345678901234567890123456789012345678901234567890123456789"
        "0123456789012345678901234567890123456789");
    const gw_config_snapshot *snap = gw_config_acquire(config);
    int64_t number;
    bool flag;
    uint64_t ms;
    const char *text;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_get_int(snap, "server_port", 1, 65535, &number, &err), GW_E_INVALID);
    assert_string_equal(err.text, "key 'server_port' = 'abc' from file:///test.yml is not a number "
                                  "from 1 to 65535");
    assert_int_equal(gw_config_get_int(snap, "db_password", 0, 1, &number, &err), GW_E_INVALID);
    assert_string_equal(err.text, "key 'db_password' = '***' from file:///test.yml is not a number "
                                  "from 0 to 1");
    assert_int_equal(gw_config_get_bool(snap, "broker", &flag, &err), GW_E_INVALID);
    assert_string_equal(err.text, "key 'broker' = 'amqp://guest:***@host' from file:///test.yml is "
                                  "not true or false");
    assert_int_equal(gw_config_get_duration_ms(snap, "pause", 0, 60000, &ms, &err), GW_E_INVALID);
    assert_string_equal(err.text, "key 'pause' = 'soon' from file:///test.yml is not a duration "
                                  "from 0ms to 60000ms, such as 250ms, 10s, 5m, 1h or 2d");
    assert_int_equal(gw_config_get_bool(snap, "long", &flag, &err), GW_E_INVALID);
    assert_non_null(strstr(err.text, "0123456789...' from"));
    assert_int_equal(gw_config_get_string(snap, "items", &text, &err), GW_E_INVALID);
    assert_string_equal(err.text, "key 'items' from file:///test.yml is a list, not one value");
    assert_int_equal(gw_config_get_string(snap, "amqp_server_url", &text, &err), GW_E_NOT_FOUND);
    assert_string_equal(err.text, "key 'amqp_server_url' is not set: there is no environment "
                                  "variable GODWIT_AMQP_SERVER_URL");
    assert_int_equal(gw_config_get_string(snap, "", &text, &err), GW_E_INVALID);
    assert_int_equal(gw_config_get_string(NULL, "k", &text, &err), GW_E_INVALID);
    assert_int_equal(gw_config_optional(GW_E_NOT_FOUND), GW_OK);
    assert_int_equal(gw_config_optional(GW_E_INVALID), GW_E_INVALID);
    assert_int_equal(gw_config_optional(GW_OK), GW_OK);
    gw_config_release(snap);
    gw_config_free(config);
}

static const char *string_of(gw_config *config, const char *key)
{
    static char copy[256];
    const gw_config_snapshot *snap = gw_config_acquire(config);
    const char *text = NULL;
    gw_status st = gw_config_get_string(snap, key, &text, NULL);
    snprintf(copy, sizeof(copy), "%s", st == GW_OK ? text : gw_status_name(st));
    gw_config_release(snap);
    return copy;
}

static void environment_overrides(void **state)
{
    (void)state;
    setenv("GODWIT_SERVER_PORT", "1234", 1);
    setenv("GODWIT_SPRING_RABBIT_HOST", "broker", 1);
    setenv("GODWIT_VIP_ACCOUNTS", "a, b", 1);
    setenv("GODWIT_EMPTY", "", 1);
    setenv("OTHER_KEY", "x", 1);
    gw_config *config = new_config();
    setenv("GODWIT_LATE", "x", 1); /* captured once, before this */
    static const struct {
        const char *key;
        const char *value;
    } cases[] = {
        {"server_port", "1234"},
        {"server.port", "1234"},
        {"SERVER-PORT", "1234"},
        {"spring.rabbit-host", "broker"},
        {"empty", ""},
        {"late", "GW_E_NOT_FOUND"},
        {"key", "GW_E_NOT_FOUND"},
        {"vip_accounts", "a, b"},
        {"vip_accounts[0]", "GW_E_NOT_FOUND"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        if (strcmp(string_of(config, cases[i].key), cases[i].value) != 0) {
            fail_msg("'%s': got '%s', expected '%s'", cases[i].key, string_of(config, cases[i].key),
                     cases[i].value);
        }
    }
    set(config, "server_port", "99"); /* what the program sets is above */
    assert_string_equal(string_of(config, "server_port"), "99");
    const gw_config_snapshot *snap = gw_config_acquire(config);
    assert_string_equal(gw_config_origin(snap, "server_port"), "file:///test.yml");
    assert_string_equal(gw_config_origin(snap, "vip_accounts"),
                        "environment variable GODWIT_VIP_ACCOUNTS");
    assert_null(gw_config_origin(snap, "nothing"));
    gw_config_list list = {0};
    assert_int_equal(gw_config_get_list(snap, "vip_accounts", &list, NULL), GW_OK);
    assert_int_equal(list.n_items, 2);
    gw_config_list_dispose(&list);
    gw_config_release(snap);
    gw_config_free(config);

    gw_config_options options = GW_CONFIG_OPTIONS_INIT;
    options.env_prefix = "OTHER_";
    assert_int_equal(gw_config_new(&options, &config, NULL), GW_OK);
    assert_string_equal(string_of(config, "key"), "x");
    assert_string_equal(string_of(config, "server_port"), "GW_E_NOT_FOUND");
    gw_config_free(config);
    options.env_prefix = "";
    assert_int_equal(gw_config_new(&options, &config, NULL), GW_OK);
    assert_string_equal(string_of(config, "godwit_server_port"), "GW_E_NOT_FOUND");
    gw_config_free(config);
    unsetenv("GODWIT_SERVER_PORT");
    unsetenv("GODWIT_SPRING_RABBIT_HOST");
    unsetenv("GODWIT_VIP_ACCOUNTS");
    unsetenv("GODWIT_EMPTY");
    unsetenv("GODWIT_LATE");
    unsetenv("OTHER_KEY");
}

/* ---- set and watch ------------------------------------------------------------ */

static void note_keys(void *ctx, const gw_config_snapshot *snapshot, const char *const *keys,
                      size_t n_keys)
{
    char *text = ctx;
    assert_non_null(snapshot);
    for (size_t i = 0; i < n_keys; i++) {
        strcat(text, keys[i]);
        strcat(text, " ");
    }
    strcat(text, "; ");
}

static void setting_tells_watchers(void **state)
{
    (void)state;
    gw_config *config = new_config();
    char seen[256] = "";
    gw_config_watch *watch = NULL;
    assert_int_equal(gw_config_watch_add(config, note_keys, seen, &watch, NULL), GW_OK);
    set(config, "b", "1");
    set(config, "b", "1"); /* no change */
    set(config, "b", "2");
    set(config, "l[0]", "x");
    set(config, "l[1]", "y");
    set(config, "l", "z"); /* replaces the items */
    assert_string_equal(string_of(config, "l[0]"), "GW_E_NOT_FOUND");
    set(config, "l[0]", "w"); /* and they replace it */
    assert_string_equal(string_of(config, "l"), "GW_E_INVALID");
    set(config, "b", NULL);
    set(config, "b", NULL);
    set(config, "l", NULL);
    assert_string_equal(seen, "b ; b ; l ; l ; l ; l ; b ; l ; ");
    gw_config_watch_remove(config, watch);
    set(config, "b", "3");
    assert_string_equal(seen, "b ; b ; l ; l ; l ; l ; b ; l ; ");
    gw_config_watch_remove(config, NULL);
    assert_int_equal(gw_config_set(config, "", "v", "o", NULL), GW_E_INVALID);
    assert_int_equal(gw_config_set(config, "k", "v", NULL, NULL), GW_E_INVALID);
    gw_config_free(config);
    gw_config_free(NULL);
}

static void a_snapshot_does_not_change(void **state)
{
    (void)state;
    gw_config *config = new_config();
    set(config, "k", "old");
    const gw_config_snapshot *snap = gw_config_acquire(config);
    const char *text = NULL;
    assert_int_equal(gw_config_get_string(snap, "k", &text, NULL), GW_OK);
    set(config, "k", "new");
    assert_string_equal(text, "old");
    gw_config_free(config);
    assert_string_equal(text, "old"); /* as long as it is held */
    gw_config_release(snap);
    gw_config_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(booleans),
        cmocka_unit_test(durations),
        cmocka_unit_test(lists),
        cmocka_unit_test(a_list_is_searched),
        cmocka_unit_test(error_texts),
        cmocka_unit_test(environment_overrides),
        cmocka_unit_test(setting_tells_watchers),
        cmocka_unit_test(a_snapshot_does_not_change),
    };
    clearenv(); /* whoever runs this may configure services of his own */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
