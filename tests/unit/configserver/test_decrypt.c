/* SPDX-License-Identifier: MIT */
/* {cipher} values of an environment. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/log.h>

#include "answer/decrypt.h"
#include "unit/config/cipher_vectors.h"

#define MYSECRET "{cipher}682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda"
#define BROKEN   "{cipher}682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bdb"
#define T(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static const cs_property upper[] = {
    {T("plain"), T("a"), CS_VALUE_TEXT, 1, 1},
    {T("db.password"), T(MYSECRET), CS_VALUE_TEXT, 2, 3},
    {T("port"), T("8080"), CS_VALUE_LITERAL, 3, 3},
};
static const cs_property lower[] = {
    {T("list[0]"),
     T("{cipher}{key:any}682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49"
       "f7bda"),
     CS_VALUE_TEXT, 1, 1},
    {T("db.password"), T("text {cipher}"), CS_VALUE_TEXT, 2, 3},
};
static const cs_property broken[] = {
    {T("first"), T("1"), CS_VALUE_TEXT, 1, 1},
    {T("password"), T(BROKEN), CS_VALUE_TEXT, 7, 11},
    {T("last"), T("2"), CS_VALUE_TEXT, 9, 1},
};
static const cs_property both[] = {
    {T("invalid.password"), T("mine"), CS_VALUE_TEXT, 1, 1},
    {T("password"), T(BROKEN), CS_VALUE_TEXT, 2, 1},
};

static cs_keys *keys_of(const char *key, bool are_lenient)
{
    gw_cipher *cipher = NULL;
    assert_int_equal(gw_cipher_new(&(gw_cipher_options){.key = key}, &cipher, NULL), GW_OK);
    cs_keys *keys = cs_keys_new(cipher, are_lenient);
    assert_non_null(keys);
    return keys;
}

static void has(const cs_source *source, size_t i, const char *key, const char *value,
                unsigned line)
{
    const cs_property *item = &source->items[i];
    assert_true(i < source->n_items);
    assert_int_equal(item->key.len, strlen(key));
    assert_memory_equal(item->key.bytes, key, item->key.len);
    assert_int_equal(item->value.len, strlen(value));
    assert_memory_equal(item->value.bytes, value, item->value.len);
    assert_int_equal(item->line, line);
}

static void encrypted_values_become_plain(void **state)
{
    (void)state;
    cs_source sources[] = {{"u/foo-dev.yml", "foo-dev.yml", upper, N_OF(upper)},
                           {"u/foo.yml", "foo.yml", lower, N_OF(lower)},
                           {"u/none.yml", "none.yml", upper, 1}};
    cs_environment env = {.sources = sources, .n_sources = 3};
    cs_keys *keys = keys_of("foo", false);
    for (int twice = 0; twice < 2; twice++) { /* the second time from what was kept */
        sources[0] = (cs_source){"u/foo-dev.yml", "foo-dev.yml", upper, N_OF(upper)};
        sources[1] = (cs_source){"u/foo.yml", "foo.yml", lower, N_OF(lower)};
        assert_int_equal(cs_environment_decrypt(&env, keys, NULL), GW_OK);
        assert_int_equal(sources[0].n_items, 3);
        has(&sources[0], 0, "plain", "a", 1);
        has(&sources[0], 1, "db.password", "mysecret", 0);
        assert_int_equal(sources[0].items[1].kind, CS_VALUE_TEXT);
        assert_int_equal(sources[0].items[1].column, 0);
        has(&sources[0], 2, "port", "8080", 3);
        assert_int_equal(sources[0].items[2].kind, CS_VALUE_LITERAL);
        has(&sources[1], 0, "list[0]", "mysecret", 0);
        has(&sources[1], 1, "db.password", "text {cipher}", 2);
        assert_ptr_equal(sources[2].items, upper); /* nothing to do */
        cs_environment_forget(&env);
        assert_null(env.opened);
    }
    cs_keys_free(keys);
}

static void a_strict_server_names_what_cannot_be_opened(void **state)
{
    (void)state;
    cs_source source = {"u/foo.yml", "foo.yml", broken, N_OF(broken)};
    cs_environment env = {.sources = &source, .n_sources = 1};
    cs_keys *keys = keys_of("foo", false);
    for (int twice = 0; twice < 2; twice++) {
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(cs_environment_decrypt(&env, keys, &err), GW_E_INVALID);
        assert_string_equal(err.text,
                            "foo.yml:7: the value of 'password' cannot be decrypted with this key");
        cs_environment_forget(&env);
    }
    source.path = "";
    source.name = "overrides";
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(cs_environment_decrypt(&env, keys, &err), GW_E_INVALID);
    assert_memory_equal(err.text, "overrides:7: ", 13);
    cs_environment_forget(&env);
    cs_keys_free(keys);
}

static void a_lenient_server_marks_what_cannot_be_opened(void **state)
{
    (void)state;
    cs_source sources[] = {{"u/foo.yml", "foo.yml", broken, N_OF(broken)},
                           {"u/both.yml", "both.yml", both, N_OF(both)}};
    cs_environment env = {.sources = sources, .n_sources = 2};
    cs_keys *keys = keys_of("foo", true);
    assert_int_equal(cs_environment_decrypt(&env, keys, NULL), GW_OK);
    assert_int_equal(sources[0].n_items, 3);
    has(&sources[0], 0, "first", "1", 1);
    has(&sources[0], 1, "invalid.password", "<n/a>", 0);
    has(&sources[0], 2, "last", "2", 9);
    assert_int_equal(sources[1].n_items, 1); /* no key twice */
    has(&sources[1], 0, "invalid.password", "mine", 1);
    cs_environment_forget(&env);
    cs_keys_free(keys);
}

static void rsa_keys_open_too(void **state)
{
    (void)state;
    gw_buf value;
    gw_buf_init(&value, 0);
    gw_buf_addf(&value, "{cipher}%s", rsa_mysecret);
    const cs_property item = {T("k"), {value.data, value.len}, CS_VALUE_TEXT, 1, 1};
    cs_source source = {"u/foo.yml", "foo.yml", &item, 1};
    cs_environment env = {.sources = &source, .n_sources = 1};
    cs_keys *keys = keys_of(rsa_key_lines, false);
    assert_int_equal(cs_environment_decrypt(&env, keys, NULL), GW_OK);
    has(&source, 0, "k", "mysecret", 0);
    cs_environment_forget(&env);
    cs_keys_free(keys);
    gw_buf_dispose(&value);
}

/* Three times as much as may be kept; what finds no room is opened all the same. */
static void what_is_kept_is_bounded(void **state)
{
    (void)state;
    cs_keys *keys = keys_of("foo", false);
    cs_arena arena;
    cs_arena_init(&arena, CS_ENVIRONMENT_BYTES_MAX);
    char plain[1024];
    memset(plain, 'p', sizeof(plain));
    for (unsigned i = 0; i < 3 * CS_OPENED_BYTES_MAX / 3072; i++) {
        gw_buf value;
        gw_buf_init(&value, 0);
        gw_buf_add_str(&value, "{cipher}");
        assert_int_equal(
            gw_cipher_encrypt(cs_keys_cipher(keys), plain, sizeof(plain), &value, NULL), GW_OK);
        cs_opened opened = {0};
        assert_int_equal(cs_keys_open(keys, (cs_text){value.data, value.len}, &arena, &opened),
                         GW_OK);
        assert_true(opened.is_good);
        assert_true(opened.is_new);
        assert_int_equal(opened.plain.len, sizeof(plain));
        gw_buf_dispose(&value);
        cs_arena_wipe(&arena);
    }
    cs_keys_free(keys);
}

static void results_are_kept(void **state)
{
    (void)state;
    cs_keys *keys = keys_of("foo", false);
    cs_arena arena;
    cs_arena_init(&arena, CS_ENVIRONMENT_BYTES_MAX);
    static const struct {
        cs_text value;
        bool is_good;
    } cases[] = {{T(MYSECRET), true}, {T(BROKEN), false}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        for (int twice = 0; twice < 2; twice++) {
            cs_opened opened = {0};
            assert_int_equal(cs_keys_open(keys, cases[i].value, &arena, &opened), GW_OK);
            assert_int_equal(opened.is_good, cases[i].is_good);
            assert_int_equal(opened.is_new, twice == 0);
        }
    }
    cs_arena_wipe(&arena);
    cs_keys_free(keys);
}

static void *decrypt_often(void *ctx)
{
    for (int i = 0; i < 500; i++) {
        cs_source source = {"u/foo-dev.yml", "foo-dev.yml", upper, N_OF(upper)};
        cs_environment env = {.sources = &source, .n_sources = 1};
        if (cs_environment_decrypt(&env, ctx, NULL) != GW_OK ||
            strcmp(source.items[1].value.bytes, "mysecret") != 0) {
            return ctx;
        }
        cs_environment_forget(&env);
    }
    return NULL;
}

static void threads_share_the_keys(void **state)
{
    (void)state;
    cs_keys *keys = keys_of("foo", false);
    pthread_t threads[4];
    for (size_t i = 0; i < N_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, decrypt_often, keys), 0);
    }
    for (size_t i = 0; i < N_OF(threads); i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    cs_keys_free(keys);
}

static void only_the_prefix_makes_a_cipher(void **state)
{
    (void)state;
    assert_true(cs_value_is_cipher((cs_text)T("{cipher}")));
    assert_true(cs_value_is_cipher((cs_text)T("{cipher}00")));
    assert_false(cs_value_is_cipher((cs_text)T("{cipher")));
    assert_false(cs_value_is_cipher((cs_text)T(" {cipher}00")));
    assert_false(cs_value_is_cipher((cs_text){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encrypted_values_become_plain),
        cmocka_unit_test(a_strict_server_names_what_cannot_be_opened),
        cmocka_unit_test(a_lenient_server_marks_what_cannot_be_opened),
        cmocka_unit_test(rsa_keys_open_too),
        cmocka_unit_test(results_are_kept),
        cmocka_unit_test(what_is_kept_is_bounded),
        cmocka_unit_test(threads_share_the_keys),
        cmocka_unit_test(only_the_prefix_makes_a_cipher),
    };
    gw_log_set_level(GW_LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
