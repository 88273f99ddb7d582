/* SPDX-License-Identifier: MIT */
/* What is done to plain files: decoding, opening {cipher} values, resolving placeholders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/text.h"
#include "configserver/view_double.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static void put(gw_buf *text, const char *bytes, size_t len)
{
    gw_buf_init(text, 4096);
    gw_buf_add(text, bytes, len);
}

static void bytes_become_text(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        bool is_latin1, is_text;
        const char *expected;
    } cases[] = {
        {"", 0, false, true, NULL},
        {"a\n", 2, false, true, "a\n"},
        {"caf\xc3\xa9", 5, false, true, "caf\xc3\xa9"},
        {"caf\xe9", 4, false, false, "caf\xe9"},
        {"caf\xe9", 4, true, true, "caf\xc3\xa9"},
        {"a\0b", 3, false, false, "a"},
        {"a\0b", 3, true, false, "a"},
        {"\xed\xa0\x80", 3, false, false, "\xed\xa0\x80"}, /* a surrogate */
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf text;
        gw_status st = GW_E_INTERNAL;
        put(&text, cases[i].bytes, cases[i].len);
        if (cs_text_decode(&text, cases[i].is_latin1, &st) != cases[i].is_text || st != GW_OK) {
            fail_msg("case %zu", i);
        }
        if (cases[i].expected != NULL) {
            assert_string_equal(text.data, cases[i].expected);
        }
        gw_buf_dispose(&text);
    }
    gw_buf text; /* which grows past its limit */
    gw_status st = GW_OK;
    gw_buf_init(&text, 3);
    gw_buf_add_str(&text, "\xe9\xe9\xe9");
    assert_false(cs_text_decode(&text, true, &st));
    assert_int_equal(st, GW_E_LIMIT);
    gw_buf_dispose(&text);
}

/* Text with "@" for the encrypted `plain`. */
static void fill_in(gw_buf *out, const cs_keys *keys, const char *text, const char *plain)
{
    gw_buf_init(out, 1u << 20);
    for (; *text != '\0'; text++) {
        if (*text != '@') {
            gw_buf_add_char(out, *text);
            continue;
        }
        gw_buf_add_str(out, GW_CIPHER_PREFIX);
        assert_int_equal(gw_cipher_encrypt(cs_keys_cipher(keys), plain, strlen(plain), out, NULL),
                         GW_OK);
    }
}

static cs_keys *make_keys(const char *key, bool is_lenient)
{
    gw_cipher_options options = {.key = key};
    gw_cipher *cipher = NULL;
    assert_int_equal(gw_cipher_new(&options, &cipher, NULL), GW_OK);
    cs_keys *keys = cs_keys_new(cipher, is_lenient);
    assert_non_null(keys);
    return keys;
}

static void encrypted_values_are_opened(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text, *plain, *expected;
    } cases[] = {
        {"a.yml", "a: '@'\nb: @\n", "secret", "a: 'secret'\nb: secret\n"},
        {"a.yaml", "a: \"@\"", "q\"b\\c", "a: \"q\\\"b\\\\c\""},
        {"a.yml", "a: '@'", "it's", "a: 'it''s'"},
        {"a.json", "{\"a\":\"@\",\"b\":[\"@\"]}", "x\ny", "{\"a\":\"x\\ny\",\"b\":[\"x\\ny\"]}"},
        {"a.properties", "a=@\nb=1\n", "x\ny\\", "a=x\\ny\\\\\nb=1\n"},
        {"a.yml", "none\n", "", "none\n"},
    };
    cs_keys *keys = make_keys("key", false);
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf text;
        gw_error err = GW_ERROR_INIT;
        fill_in(&text, keys, cases[i].text, cases[i].plain);
        if (cs_text_decrypt(&text, keys, cases[i].path, &err) != GW_OK) {
            fail_msg("case %zu: %s", i, err.text);
        }
        assert_string_equal(text.data, cases[i].expected);
        gw_buf_dispose(&text);
    }
    gw_buf text; /* a script may speak of such values */
    fill_in(&text, keys, "echo @", "secret");
    assert_int_equal(cs_text_decrypt(&text, keys, "a.sh", NULL), GW_OK);
    assert_int_equal(strncmp(text.data, "echo {cipher}", 13), 0);
    gw_buf_dispose(&text);
    cs_keys_free(keys);
}

static void what_does_not_open_is_told_or_stays(void **state)
{
    (void)state;
    cs_keys *strict = make_keys("key", false);
    cs_keys *lenient = make_keys("key", true);
    static const char text[] = "a: 1\nb: '{cipher}00ff'\n";
    gw_buf buf;
    gw_error err = GW_ERROR_INIT;
    put(&buf, text, strlen(text));
    assert_int_equal(cs_text_decrypt(&buf, strict, "dir/a.yml", &err), GW_E_INVALID);
    assert_int_equal(strncmp(err.text, "dir/a.yml:2: ", 13), 0);
    assert_null(strstr(err.text, "00ff"));
    assert_int_equal(cs_text_decrypt(&buf, lenient, "dir/a.yml", &err), GW_OK);
    assert_string_equal(buf.data, text);
    gw_buf_dispose(&buf);
    cs_keys_free(strict);
    cs_keys_free(lenient);
}

static void placeholders_are_resolved_by_the_highest_source(void **state)
{
    (void)state;
    static const double_file files[] = {
        {"application.yml", "a: low\nonly: ${a}\nlist: [x, y]\nloop: ${loop}\n"},
        {"foo-dev.yml", "a: high\n"},
        {NULL, NULL},
    };
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"${a} ${only} ${list[1]}", "high high y"},
        {"${none} ${none:x} \\${a}", "${none} x ${a}"},
        {"$a ${ $", "$a ${ $"},
    };
    cs_view *view = NULL;
    cs_environment env;
    assert_int_equal(view_double_load(files, "foo", "dev", &view, &env, NULL), GW_OK);
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf text;
        gw_error err = GW_ERROR_INIT;
        put(&text, cases[i].text, strlen(cases[i].text));
        if (cs_text_resolve(&text, &env, "x.conf", &err) != GW_OK) {
            fail_msg("case %zu: %s", i, err.text);
        }
        assert_string_equal(text.data, cases[i].expected);
        gw_buf_dispose(&text);
    }
    gw_buf text;
    gw_error err = GW_ERROR_INIT;
    put(&text, "${loop}", 7);
    assert_int_equal(cs_text_resolve(&text, &env, "x.conf", &err), GW_E_INVALID);
    assert_int_equal(strncmp(err.text, "x.conf: ", 8), 0);
    gw_buf_dispose(&text);
    cs_environment_dispose(&env);
    view_double_free(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_become_text),
        cmocka_unit_test(encrypted_values_are_opened),
        cmocka_unit_test(what_does_not_open_is_told_or_stays),
        cmocka_unit_test(placeholders_are_resolved_by_the_highest_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
