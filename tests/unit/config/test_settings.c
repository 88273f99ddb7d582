/* SPDX-License-Identifier: MIT */
/* A struct bound to a table: each type, all that is wrong at once, and what a reload changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include <godwit/log.h>
#include <godwit/settings.h>

#include "config/settings.h"
#include "support/log_capture.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

typedef enum colour { RED, GREEN, OFF } colour;

typedef struct sample {
    const char *name;
    int64_t count;
    uint64_t size;
    uint64_t wait_ms;
    bool loud;
    gw_config_list ids;
    colour colour;
    uint16_t port;
    const char *pin;
} sample;

static const char *check_id(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0' ? NULL : "an id";
}

static const char *check_pin(const char *text)
{
    return strlen(text) == 4 && check_id(text) == NULL ? NULL : "four digits";
}

static const char *const colours[] = {"red", "green", "off", NULL};

static const gw_setting table[] = {
    GW_SETTING_STRING(sample, name, "name", "nobody", 0, NULL, "a name"),
    GW_SETTING_INT(sample, count, "count", "3", -5, 10, GW_SETTING_LIVE, "a number"),
    GW_SETTING_SIZE(sample, size, "size", "1MB", 1024, UINT64_C(1) << 30, 0, "bytes"),
    GW_SETTING_DURATION(sample, wait_ms, "wait", "2s", 10, 60000, GW_SETTING_LIVE, "a time"),
    GW_SETTING_BOOL(sample, loud, "loud", "off", GW_SETTING_LIVE, "whether"),
    GW_SETTING_LIST(sample, ids, "ids", "1,2", GW_SETTING_LIVE, check_id, "ids"),
    GW_SETTING_WORD(sample, colour, "colour", "green", colours, GW_SETTING_LIVE, "which"),
    GW_SETTING_PORT(sample, port, "port", "80", 0, "a port"),
    GW_SETTING_STRING(sample, pin, "pin", "", GW_SETTING_SECRET | GW_SETTING_LIVE, check_pin,
                      "a pin"),
};

static gw_config *config;

static int make_config(void **state)
{
    (void)state;
    return gw_config_new(NULL, &config, NULL) == GW_OK ? 0 : -1;
}

static int free_config(void **state)
{
    (void)state;
    gw_config_free(config);
    return 0;
}

static void set(const char *key, const char *value)
{
    assert_int_equal(gw_config_set(config, key, value, "file:///test.yml:7", NULL), GW_OK);
}

static gw_status bind(sample *ret_got, gw_buf *faults, gw_error *err)
{
    const gw_config_snapshot *snapshot = gw_config_acquire(config);
    gw_status st = gw_settings_bind(snapshot, table, N_OF(table), ret_got, faults, err);
    gw_config_release(snapshot);
    return st;
}

static void defaults(void **state)
{
    (void)state;
    sample got;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_settings_bind(NULL, table, N_OF(table), &got, NULL, &err), GW_OK);
    assert_string_equal(got.name, "nobody");
    assert_int_equal(got.count, 3);
    assert_int_equal(got.size, 1048576);
    assert_int_equal(got.wait_ms, 2000);
    assert_false(got.loud);
    assert_int_equal(got.ids.n_items, 2);
    assert_string_equal(got.ids.items[1], "2");
    assert_int_equal(got.colour, GREEN);
    assert_int_equal(got.port, 80);
    assert_string_equal(got.pin, "");
    gw_settings_dispose(table, N_OF(table), &got);
    assert_null(got.name);
    assert_int_equal(got.ids.n_items, 0);
    gw_settings_dispose(table, N_OF(table), &got); /* twice is allowed */
}

static void values_of_each_type(void **state)
{
    (void)state;
    set("name", "me");
    set("count", "-5");
    set("size", "64kb");
    set("wait", "1m");
    set("loud", "yes");
    set("ids[0]", "10");
    set("ids[1]", "11");
    set("ids[2]", "12");
    set("colour", "RED");
    set("port", "65535");
    sample got;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(bind(&got, NULL, &err), GW_OK);
    assert_string_equal(got.name, "me");
    assert_int_equal(got.count, -5);
    assert_int_equal(got.size, 65536);
    assert_int_equal(got.wait_ms, 60000);
    assert_true(got.loud);
    assert_int_equal(got.ids.n_items, 3);
    assert_string_equal(got.ids.items[2], "12");
    assert_int_equal(got.colour, RED);
    assert_int_equal(got.port, 65535);
    gw_settings_dispose(table, N_OF(table), &got);
}

/* YAML 1.1 has made a boolean of a bare off. */
static void a_word_that_yaml_took_for_a_boolean(void **state)
{
    (void)state;
    set("colour", "false");
    sample got;
    assert_int_equal(bind(&got, NULL, NULL), GW_OK);
    assert_int_equal(got.colour, OFF);
    gw_settings_dispose(table, N_OF(table), &got);
}

static void what_is_wrong_with_each_type(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *value;
        const char *text;
    } cases[] = {
        {"count", "11", "key 'count' = '11' from file:///test.yml:7 is not a number from -5 to 10"},
        {"count", "many",
         "key 'count' = 'many' from file:///test.yml:7 is not a number from -5 to 10"},
        {"size", "1023",
         "key 'size' = '1023' from file:///test.yml:7 is not a size from 1024 to 1073741824 bytes, "
         "such as 4096, 64KB, 10MB or 2GB"},
        {"size", "99999999999TB", NULL},
        {"size", "10 apples", NULL},
        {"wait", "9ms",
         "key 'wait' = '9ms' from file:///test.yml:7 is not a duration from 10ms to 60000ms, such "
         "as 250ms, 10s, 5m, 1h or 2d"},
        {"loud", "maybe", "key 'loud' = 'maybe' from file:///test.yml:7 is not true or false"},
        {"ids", "1,x", "key 'ids' = 'x' from file:///test.yml:7 is not an id"},
        {"ids.a", "1", "key 'ids' from file:///test.yml:7 is an object, not a list"},
        {"colour", "blue",
         "key 'colour' = 'blue' from file:///test.yml:7 is not red, green or off"},
        {"port", "65536",
         "key 'port' = '65536' from file:///test.yml:7 is not a number from 0 to 65535"},
        {"name[0]", "a", "key 'name' from file:///test.yml:7 is a list, not one value"},
        {"pin", "12x4", "key 'pin' = '***' from file:///test.yml:7 is not four digits"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        sample got;
        memset(&got, 0x5a, sizeof(got));
        sample before = got;
        gw_error err = GW_ERROR_INIT;
        set(cases[i].key, cases[i].value);
        assert_int_equal(bind(&got, NULL, &err), GW_E_INVALID);
        if (cases[i].text != NULL) {
            assert_string_equal(err.text, cases[i].text);
        }
        assert_memory_equal(&got, &before, sizeof(got)); /* whole or not at all */
        set(cases[i].key, NULL);
    }
}

static void all_that_is_wrong_is_named(void **state)
{
    (void)state;
    set("count", "11");
    set("loud", "maybe");
    set("colour", "blue");
    gw_buf faults;
    gw_buf_init(&faults, 0);
    sample got;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(bind(&got, &faults, &err), GW_E_INVALID);
    assert_string_equal(faults.data,
                        "key 'count' = '11' from file:///test.yml:7 is not a number from -5 to 10\n"
                        "key 'loud' = 'maybe' from file:///test.yml:7 is not true or false\n"
                        "key 'colour' = 'blue' from file:///test.yml:7 is not red, green or off\n");
    assert_string_equal(err.text, "3 settings are wrong: key 'count' = '11' from "
                                  "file:///test.yml:7 is not a number from -5 to 10 (and 2 more)");
    gw_buf_dispose(&faults);
}

static void a_required_key(void **state)
{
    (void)state;
    static const gw_setting row =
        GW_SETTING_STRING(sample, name, "must", "", GW_SETTING_REQUIRED, NULL, "a name");
    const gw_config_snapshot *snapshot = gw_config_acquire(config);
    sample got;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_settings_bind(snapshot, &row, 1, &got, NULL, &err), GW_E_NOT_FOUND);
    assert_string_equal(err.text,
                        "key 'must' is not set: there is no environment variable GODWIT_MUST");
    gw_config_release(snapshot);
}

static void a_number_without_a_default_is_zero(void **state)
{
    (void)state;
    static const gw_setting row = GW_SETTING_INT(sample, count, "most", "", 1, 9, 0, "a number");
    const gw_config_snapshot *snapshot = gw_config_acquire(config);
    sample got = {.count = 7};
    assert_int_equal(gw_settings_bind(snapshot, &row, 1, &got, NULL, NULL), GW_OK);
    assert_int_equal(got.count, 0);
    gw_config_release(snapshot);
}

static void what_is_allowed_in_words(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "text",   "-5 to 10",          "1KB to 1GB", "10ms to 1m", "true or false",
        "a list", "red, green or off", "0 to 65535", "text"};
    for (size_t i = 0; i < N_OF(table); i++) {
        gw_buf out;
        gw_buf_init(&out, 0);
        gw__setting_describe(&table[i], &out);
        assert_string_equal(out.data, texts[i]);
        gw_buf_dispose(&out);
    }
}

/* ---- live -------------------------------------------------------------------------- */

typedef struct seen {
    unsigned n_calls;
    char keys[200];
    int64_t count;
} seen;

static void on_change(void *ctx, const void *settings, const char *const *keys, size_t n_keys)
{
    seen *saw = ctx;
    const sample *now = settings;
    saw->n_calls++;
    saw->count = now->count;
    saw->keys[0] = '\0';
    for (size_t i = 0; i < n_keys; i++) {
        snprintf(saw->keys + strlen(saw->keys), sizeof(saw->keys) - strlen(saw->keys), "%s ",
                 keys[i]);
    }
}

static gw_settings *follow(seen *saw)
{
    gw_settings_options options = {.table = table,
                                   .n_rows = N_OF(table),
                                   .size = sizeof(sample),
                                   .on_change = on_change,
                                   .ctx = saw};
    gw_settings *settings = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_settings_new(config, &options, &settings, NULL, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return settings;
}

static void a_change_takes_effect_and_is_told(void **state)
{
    (void)state;
    seen saw = {0};
    gw_settings *settings = follow(&saw);
    const sample *before = gw_settings_acquire(settings);
    set("count", "9");
    assert_int_equal(saw.n_calls, 1);
    assert_string_equal(saw.keys, "count ");
    assert_int_equal(saw.count, 9);
    const sample *after = gw_settings_acquire(settings);
    assert_int_equal(before->count, 3); /* who holds it keeps it */
    assert_int_equal(after->count, 9);
    assert_string_equal(after->name, "nobody");
    gw_settings_release(before);
    set("unknown", "1");
    set("count", " 9 "); /* another text, the same value */
    assert_int_equal(saw.n_calls, 1);
    gw_settings_free(settings);
    assert_int_equal(after->count, 9); /* also behind the holder's end */
    gw_settings_release(after);
}

static void a_wrong_value_keeps_the_old_struct_whole(void **state)
{
    (void)state;
    seen saw = {0};
    gw_settings *settings = follow(&saw);
    log_capture_start();
    set("count", "11");
    set("wait", "5s"); /* valid, but not without the other */
    char *text = log_capture_stop();
    assert_non_null(strstr(text, "key 'count' = '11' from file:///test.yml:7 is not a number"));
    assert_non_null(strstr(text, "the settings stay as they are"));
    free(text);
    const sample *now = gw_settings_acquire(settings);
    assert_int_equal(now->count, 3);
    assert_int_equal(now->wait_ms, 2000);
    gw_settings_release(now);
    assert_int_equal(saw.n_calls, 0);
    set("count", "4"); /* mended: what changed in between comes with it */
    assert_int_equal(saw.n_calls, 1);
    assert_string_equal(saw.keys, "count wait ");
    gw_settings_free(settings);
}

static void what_needs_a_restart_waits_for_it(void **state)
{
    (void)state;
    seen saw = {0};
    gw_settings *settings = follow(&saw);
    log_capture_start();
    set("name", "other");
    char *text = log_capture_stop();
    assert_non_null(strstr(text, "'name' has changed: that takes effect at the next start"));
    free(text);
    const sample *now = gw_settings_acquire(settings);
    assert_string_equal(now->name, "nobody");
    gw_settings_release(now);
    assert_int_equal(saw.n_calls, 0);
    log_capture_start();
    set("count", "5"); /* not said again */
    text = log_capture_stop();
    assert_null(strstr(text, "next start"));
    free(text);
    assert_string_equal(saw.keys, "count ");
    log_capture_start();
    set("name", NULL);
    text = log_capture_stop();
    assert_non_null(strstr(text, "'name' is again what it was at the start"));
    free(text);
    gw_settings_free(settings);
}

static void wrong_at_the_start(void **state)
{
    (void)state;
    set("count", "11");
    gw_settings_options options = {.table = table, .n_rows = N_OF(table), .size = sizeof(sample)};
    gw_settings *settings = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_settings_new(config, &options, &settings, NULL, &err), GW_E_INVALID);
    assert_null(settings);
    set("count", "1"); /* and follows no more */
}

/* ---- threads: readers while it changes ----------------------------------------------- */

static atomic_bool ended;

static void *read_always(void *ctx)
{
    while (!atomic_load(&ended)) {
        const sample *now = gw_settings_acquire(ctx);
        if ((uint64_t)now->count * 1000 != now->wait_ms) { /* changed together */
            abort();                                       /* half of a change was seen */
        }
        gw_settings_release(now);
    }
    return NULL;
}

static void readers_see_all_of_a_change(void **state)
{
    (void)state;
    static const gw_setting rows[] = {
        GW_SETTING_INT(sample, count, "pair", "2", 1, 10, GW_SETTING_LIVE, "a number"),
        GW_SETTING_DURATION(sample, wait_ms, "pair_ms", "2s", 1, 60000, GW_SETTING_LIVE, "a time"),
    };
    gw_settings_options options = {.table = rows, .n_rows = 2, .size = sizeof(sample)};
    gw_settings *settings = NULL;
    log_capture_start();
    assert_int_equal(gw_settings_new(config, &options, &settings, NULL, NULL), GW_OK);
    pthread_t readers[3];
    for (size_t i = 0; i < N_OF(readers); i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_always, settings), 0);
    }
    for (int i = 0; i < 200; i++) { /* each other change alone is refused */
        set("pair_ms", "wrong");
        set("pair", i % 2 == 0 ? "5" : "2");
        set("pair_ms", i % 2 == 0 ? "5s" : "2s");
    }
    atomic_store(&ended, true);
    for (size_t i = 0; i < N_OF(readers); i++) {
        pthread_join(readers[i], NULL);
    }
    free(log_capture_stop());
    gw_settings_free(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults, make_config, free_config),
        cmocka_unit_test_setup_teardown(values_of_each_type, make_config, free_config),
        cmocka_unit_test_setup_teardown(a_word_that_yaml_took_for_a_boolean, make_config,
                                        free_config),
        cmocka_unit_test_setup_teardown(what_is_wrong_with_each_type, make_config, free_config),
        cmocka_unit_test_setup_teardown(all_that_is_wrong_is_named, make_config, free_config),
        cmocka_unit_test_setup_teardown(a_required_key, make_config, free_config),
        cmocka_unit_test_setup_teardown(a_number_without_a_default_is_zero, make_config,
                                        free_config),
        cmocka_unit_test_setup_teardown(what_is_allowed_in_words, make_config, free_config),
        cmocka_unit_test_setup_teardown(a_change_takes_effect_and_is_told, make_config,
                                        free_config),
        cmocka_unit_test_setup_teardown(a_wrong_value_keeps_the_old_struct_whole, make_config,
                                        free_config),
        cmocka_unit_test_setup_teardown(what_needs_a_restart_waits_for_it, make_config,
                                        free_config),
        cmocka_unit_test_setup_teardown(wrong_at_the_start, make_config, free_config),
        cmocka_unit_test_setup_teardown(readers_see_all_of_a_change, make_config, free_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
