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

#include <godwit/log.h>

#include "settings.h"
#include "vip_list.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static gw_config *new_config(void)
{
    gw_config *config = NULL;
    assert_int_equal(gw_config_new(NULL, &config, NULL), GW_OK);
    return config;
}

static void set(gw_config *config, const char *key, const char *value)
{
    assert_int_equal(gw_config_set(config, key, value, "the test", NULL), GW_OK);
}

/* What main.c does with a change. */
static void on_settings(void *ctx, const void *settings, const char *const *keys, size_t n_keys)
{
    (void)keys;
    (void)n_keys;
    const account_settings *now = settings;
    assert_int_equal(vip_list_set(ctx, &now->vip_accounts, NULL), GW_OK);
}

static gw_status follow(gw_config *config, vip_list *list, gw_settings **ret_settings,
                        gw_error *err)
{
    gw_settings_options options = {.table = account_settings_table,
                                   .n_rows = ACCOUNT_SETTINGS_N,
                                   .size = sizeof(account_settings),
                                   .on_change = on_settings,
                                   .ctx = list};
    return gw_settings_new(config, &options, ret_settings, NULL, err);
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *keys[4][2];
        const char *vips[4];
        const char *others[4];
    } cases[] = {
        {"default", {{NULL}}, {"10000"}, {"10001", "1000", "100000", ""}},
        {"one", {{"vip_accounts", "10007"}}, {"10007"}, {"10000"}},
        {"text", {{"vip_accounts", "10007, a-b_c ,10001"}}, {"10007", "a-b_c", "10001"}, {"10000"}},
        {"list",
         {{"vip_accounts[0]", "10003"}, {"vip_accounts[1]", "10001"}},
         {"10003", "10001"},
         {"10000", "10002"}},
        {"twice", {{"vip_accounts", "10003,10003"}}, {"10003"}, {"10000"}},
        {"empty", {{"vip_accounts", ""}}, {NULL}, {"10000", ""}},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_config *config = new_config();
        for (size_t k = 0; k < 4 && cases[i].keys[k][0] != NULL; k++) {
            set(config, cases[i].keys[k][0], cases[i].keys[k][1]);
        }
        vip_list *list = vip_list_new();
        assert_non_null(list);
        assert_false(vip_list_has(list, "10000")); /* before the first load: nobody */
        gw_error err = GW_ERROR_INIT;
        gw_settings *settings = NULL;
        if (follow(config, list, &settings, &err) != GW_OK) {
            fail_msg("%s: %s", cases[i].name, err.text);
        }
        assert_int_equal(vip_list_load(list, settings, NULL), GW_OK);
        for (size_t k = 0; k < 4 && cases[i].vips[k] != NULL; k++) {
            if (!vip_list_has(list, cases[i].vips[k])) {
                fail_msg("%s: '%s' is no VIP", cases[i].name, cases[i].vips[k]);
            }
        }
        for (size_t k = 0; k < 4 && cases[i].others[k] != NULL; k++) {
            if (vip_list_has(list, cases[i].others[k])) {
                fail_msg("%s: '%s' is a VIP", cases[i].name, cases[i].others[k]);
            }
        }
        gw_settings_free(settings);
        vip_list_free(list);
        gw_config_free(config);
    }
    vip_list_free(NULL);
}

static void test_wrong_list_keeps_the_old_one(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *value;
        const char *text;
    } cases[] = {
        {"vip_accounts", "10001, ../etc",
         "key 'vip_accounts' = '../etc' from the test is not an account id"},
        {"vip_accounts", "10001,a b",
         "key 'vip_accounts' = 'a b' from the test is not an account id"},
        {"vip_accounts[0].id", "10001", "vip_accounts"},
        {"vip_accounts[1]", "10001", "vip_accounts"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_config *config = new_config();
        vip_list *list = vip_list_new();
        set(config, "vip_accounts", "10005");
        gw_settings *settings = NULL;
        assert_int_equal(follow(config, list, &settings, NULL), GW_OK);
        assert_int_equal(vip_list_load(list, settings, NULL), GW_OK);
        set(config, "vip_accounts[5]", "10005"); /* no list, in between */
        set(config, cases[i].key, cases[i].value);
        gw_error err = GW_ERROR_INIT;
        gw_settings *none = NULL;
        assert_int_equal(follow(config, list, &none, &err), GW_E_INVALID);
        if (strstr(err.text, cases[i].text) == NULL) {
            fail_msg("got '%s', expected '%s'", err.text, cases[i].text);
        }
        assert_true(vip_list_has(list, "10005"));
        assert_false(vip_list_has(list, "10001"));
        gw_settings_free(settings);
        vip_list_free(list);
        gw_config_free(config);
    }
}

/* ---- readers while it is swapped ------------------------------------------------------ */

typedef struct reader {
    vip_list *list;
    atomic_bool stop;
    atomic_uint n_reads;
    atomic_uint n_wrong;
} reader;

/* Each list has either both of these or none, and always the third. */
static void *reader_main(void *ctx)
{
    reader *self = ctx;
    while (!atomic_load(&self->stop)) {
        if (!vip_list_has(self->list, "always") || vip_list_has(self->list, "never")) {
            atomic_fetch_add(&self->n_wrong, 1);
        }
        (void)vip_list_has(self->list, "10003");
        atomic_fetch_add(&self->n_reads, 1);
    }
    return NULL;
}

static void *loader_main(void *ctx)
{
    void **args = ctx;
    for (int i = 0; i < 500; i++) {
        assert_int_equal(vip_list_load(args[0], args[1], NULL), GW_OK);
    }
    return NULL;
}

static void test_swap_while_reading(void **state)
{
    (void)state;
    gw_config *config = new_config();
    reader self = {.list = vip_list_new()};
    set(config, "vip_accounts", "always,10003");
    gw_settings *settings = NULL;
    assert_int_equal(follow(config, self.list, &settings, NULL), GW_OK);
    assert_int_equal(vip_list_load(self.list, settings, NULL), GW_OK);
    pthread_t readers[3], loaders[2];
    for (size_t i = 0; i < N_OF(readers); i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, reader_main, &self), 0);
    }
    void *args[] = {self.list, settings};
    for (size_t i = 0; i < N_OF(loaders); i++) {
        assert_int_equal(pthread_create(&loaders[i], NULL, loader_main, args), 0);
    }
    for (int i = 0; i < 300; i++) {
        set(config, "vip_accounts", i % 2 == 0 ? "10001,always" : "10003,always,10004,10005");
    }
    for (size_t i = 0; i < N_OF(loaders); i++) {
        pthread_join(loaders[i], NULL);
    }
    atomic_store(&self.stop, true);
    for (size_t i = 0; i < N_OF(readers); i++) {
        pthread_join(readers[i], NULL);
    }
    assert_true(vip_list_has(self.list, "10005")); /* the newest wins */
    assert_int_equal(atomic_load(&self.n_wrong), 0);
    assert_true(atomic_load(&self.n_reads) > 0);
    gw_settings_free(settings);
    vip_list_free(self.list);
    gw_config_free(config);
}

int main(void)
{
    gw_log_set_level(GW_LOG_OFF);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_wrong_list_keeps_the_old_one),
        cmocka_unit_test(test_swap_while_reading),
    };
    return cmocka_run_group_tests_name("vip list", tests, NULL, NULL);
}
