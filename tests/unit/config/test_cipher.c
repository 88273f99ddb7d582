/* SPDX-License-Identifier: MIT */
/* Values that are encrypted with a shared key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <pthread.h>

#include <godwit/cipher.h>

#define N_OF(a)  (sizeof(a) / sizeof((a)[0]))
#define MYSECRET "682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda"
#define FAULT    "the text was not encrypted with this key"

static gw_cipher *cipher_of(const char *key, const char *salt)
{
    const gw_cipher_options options = {.key = key, .salt = salt};
    gw_cipher *cipher = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_cipher_new(&options, &cipher, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return cipher;
}

static void opens(const gw_cipher *cipher, const char *text, const char *plain)
{
    gw_buf out;
    gw_error err = GW_ERROR_INIT;
    gw_buf_init(&out, 0);
    gw_buf_add_str(&out, "<");
    if (gw_cipher_decrypt(cipher, text, strlen(text), &out, &err) != GW_OK) {
        fail_msg("%s: %s", text, err.text);
    }
    assert_string_equal(out.data + 1, plain);
    assert_int_equal(out.len, strlen(plain) + 1);
    gw_buf_dispose(&out);
}

static void does_not_open(const gw_cipher *cipher, const char *text, size_t len)
{
    gw_buf out;
    gw_error err = GW_ERROR_INIT;
    gw_buf_init(&out, 0);
    gw_buf_add_str(&out, "kept");
    gw_status st = gw_cipher_decrypt(cipher, text, len, &out, &err);
    if (st != GW_E_INVALID) {
        fail_msg("'%.*s': %s", (int)len, text, gw_status_name(st));
    }
    assert_string_equal(err.text, FAULT);
    assert_string_equal(out.data, "kept");
    gw_buf_dispose(&out);
}

/* The first is from Spring Cloud Config's documentation. The others were made with Python's
 * hashlib.pbkdf2_hmac and `openssl enc`. */
static void texts_of_others_open(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *salt;
        const char *text;
        const char *plain;
    } cases[] = {
        {"foo", NULL, MYSECRET, "mysecret"},
        {"foo", NULL, "9341dc26fbf61e256c1f71d43cf9c5a7e3a2732d5683de1b5b4a558d06ce0dca", ""},
        {"foo", NULL,
         "d6d2bf3fd0d17343589a5255053e610fe636d327af74ddfc10086cae7580006d"
         "202ff08042fde1f4bca809012d061f7b",
         "0123456789abcdef"},
        {"s3cr\xc3\xa4t \xe2\x82\xac", "deadbeef",
         "4a2f01ffc6cf846b68114c8cedc2d4c0a5c18519a1f73dfd1539f2657b899ba7"
         "03ecdeb38dd3ab37616bacd55d2df362",
         "Gr\xc3\xbc\xc3\x9f"
         "e, \xe6\x9d\xb1\xe4\xba\xac \xf0\x9f\x90\xa6"},
        {"foo", "00ff", "230cc2bad9997f58c1c56104cfeec74245f3e51608d92b3ab3768f1aae892dd0",
         "mysecret"},
        {"foo", "00FF", "230cc2bad9997f58c1c56104cfeec74245f3e51608d92b3ab3768f1aae892dd0",
         "mysecret"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaa",
         NULL,
         "63c6411e99530d1956c36d4e13aa9042a79e6a32b2a47972da629d9c04aabb81"
         "89f23b1765671f09b687fac3294fe418db0be6119a30bf91ce4c8b084f2d0754",
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_cipher *cipher = cipher_of(cases[i].key, cases[i].salt);
        opens(cipher, cases[i].text, cases[i].plain);
        gw_cipher_free(cipher);
    }
}

static void what_stands_in_front_is_understood(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{cipher}" MYSECRET,
        "{cipher}{key:whatever}" MYSECRET,
        "{cipher}{name:app}{profiles:dev,test}" MYSECRET,
        "{name:}" MYSECRET,
        "{key:a}{plain}" MYSECRET,
        "  {cipher}" MYSECRET "\r\n",
        "682BC583F4641835FA2DB009355293665D2647DADE3375C0EE201DE2A49F7BDA",
    };
    gw_cipher *cipher = cipher_of("foo", NULL);
    for (size_t i = 0; i < N_OF(texts); i++) {
        opens(cipher, texts[i], "mysecret");
    }
    gw_cipher_free(cipher);
}

static void every_failure_is_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *text;
    } cases[] = {
        {"empty", ""},
        {"a prefix alone", "{cipher}"},
        {"not hex", "mysecret"},
        {"an odd digit", MYSECRET "0"},
        {"half a block", MYSECRET "0011223344556677"},
        {"an IV alone", "000102030405060708090a0b0c0d0e0f"},
        {"another key", "4a2f01ffc6cf846b68114c8cedc2d4c0a5c18519a1f73dfd1539f2657b899ba7"
                        "03ecdeb38dd3ab37616bacd55d2df362"},
        {"another salt", "230cc2bad9997f58c1c56104cfeec74245f3e51608d92b3ab3768f1aae892dd0"},
        {"padding of 0", "000102030405060708090a0b0c0d0e0f43b8449811620820bb3f75bb748079b2"},
        {"padding of 17", "000102030405060708090a0b0c0d0e0fe2add88b6a9fa48212c2cc5d6a08adf3"},
        {"padding 2 3 3", "000102030405060708090a0b0c0d0e0fb750729f34bc78f388fd318851a834f6"},
        {"not UTF-8", "d8f89c112dc2a60bef5a4b1a0ca13a04de5a399d9af2163c8485874fb0f5c4e6"},
        {"a NUL", "00bd0af4f3115a92a1f0870b370ecba484086e71de849f062627693ed0313cbd"},
        {"twice a prefix", "{cipher}{cipher}" MYSECRET},
        {"an open pair", "{key:a" MYSECRET},
        {"JSON in front", "{\"key\":\"a\"}" MYSECRET},
        {"blanks within", "682bc583 f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda"},
    };
    gw_cipher *cipher = cipher_of("foo", NULL);
    for (size_t i = 0; i < N_OF(cases); i++) {
        does_not_open(cipher, cases[i].text, strlen(cases[i].text));
    }
    does_not_open(cipher, MYSECRET "\0\0", sizeof(MYSECRET) + 1);
    gw_cipher_free(cipher);
}

/* A bit changed anywhere in the last two blocks breaks the text or its padding, or changes the
 * text: CBC is not authenticated. Never is it something else. */
static void changed_bits_fail_or_change_the_text(void **state)
{
    (void)state;
    gw_cipher *cipher = cipher_of("foo", NULL);
    for (size_t i = 0; i < sizeof(MYSECRET) - 1; i++) {
        char text[] = MYSECRET;
        text[i] = text[i] == '0' ? '1' : '0';
        gw_buf out;
        gw_error err = GW_ERROR_INIT;
        gw_buf_init(&out, 0);
        gw_status st = gw_cipher_decrypt(cipher, text, strlen(text), &out, &err);
        if (st == GW_OK) {
            assert_true(out.len < 16);
            assert_string_not_equal(out.data, "mysecret");
        } else {
            assert_int_equal(st, GW_E_INVALID);
            assert_string_equal(err.text, FAULT);
        }
        gw_buf_dispose(&out);
    }
    gw_cipher_free(cipher);
}

static void encrypted_texts_open_and_differ(void **state)
{
    (void)state;
    gw_cipher *cipher = cipher_of("foo", NULL);
    for (size_t len = 0; len < 100; len++) {
        char plain[101];
        memset(plain, 'p', len);
        plain[len] = '\0';
        gw_buf one;
        gw_buf two;
        gw_buf_init(&one, 0);
        gw_buf_init(&two, 0);
        assert_int_equal(gw_cipher_encrypt(cipher, plain, len, &one, NULL), GW_OK);
        assert_int_equal(gw_cipher_encrypt(cipher, plain, len, &two, NULL), GW_OK);
        assert_int_equal(one.len, 2 * (16 + len / 16 * 16 + 16));
        assert_int_equal(strspn(one.data, "0123456789abcdef"), one.len);
        assert_string_not_equal(one.data, two.data);
        opens(cipher, one.data, plain);
        opens(cipher, two.data, plain);
        gw_buf_dispose(&one);
        gw_buf_dispose(&two);
    }
    gw_cipher_free(cipher);
}

static void pairs_are_kept_and_plain_ends_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *kept;
        const char *plain;
    } cases[] = {
        {"{key:a}secret", "{key:a}", "secret"},
        {"{name:x}{profiles:y}secret", "{name:x}{profiles:y}", "secret"},
        {"{plain}{key:a}secret", "", "{key:a}secret"},
        {"{key:a}{plain}{key:b}secret", "{key:a}", "{key:b}secret"},
        {"{\"a\":1}", "", "{\"a\":1}"},
        {"{a}", "", "{a}"},
        {"{:a}", "", "{:a}"},
        {"{1:a}", "", "{1:a}"},
        {"{a:b", "", "{a:b"},
        {"{a:{b}}", "", "{a:{b}}"},
        {"x{a:b}", "", "x{a:b}"},
    };
    gw_cipher *cipher = cipher_of("foo", NULL);
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf out;
        gw_buf_init(&out, 0);
        assert_int_equal(
            gw_cipher_encrypt(cipher, cases[i].text, strlen(cases[i].text), &out, NULL), GW_OK);
        assert_memory_equal(out.data, cases[i].kept, strlen(cases[i].kept));
        assert_true(out.data[strlen(cases[i].kept)] != '{');
        opens(cipher, out.data, cases[i].plain);
        gw_buf_dispose(&out);
    }
    gw_cipher_free(cipher);
}

static void texts_are_bounded(void **state)
{
    (void)state;
    gw_cipher *cipher = cipher_of("foo", NULL);
    char *plain = malloc(GW_CIPHER_TEXT_MAX + 1);
    assert_non_null(plain);
    memset(plain, 'x', GW_CIPHER_TEXT_MAX + 1);
    gw_buf out;
    gw_buf opened;
    gw_buf_init(&out, 0);
    gw_buf_init(&opened, 0);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_cipher_encrypt(cipher, plain, GW_CIPHER_TEXT_MAX + 1, &out, &err),
                     GW_E_LIMIT);
    assert_string_equal(err.text, "a text of more than 1048576 bytes");
    assert_int_equal(out.len, 0);
    assert_int_equal(gw_cipher_encrypt(cipher, plain, GW_CIPHER_TEXT_MAX, &out, NULL), GW_OK);
    assert_int_equal(gw_cipher_decrypt(cipher, out.data, out.len, &opened, NULL), GW_OK);
    assert_int_equal(opened.len, GW_CIPHER_TEXT_MAX);
    assert_memory_equal(opened.data, plain, opened.len);
    /* Whole blocks, but too many. */
    for (size_t n = 0; n < 8192; n++) {
        gw_buf_add(&out, "00", 2);
    }
    does_not_open(cipher, out.data, out.len);
    gw_buf_dispose(&out);
    gw_buf_dispose(&opened);
    free(plain);
    gw_cipher_free(cipher);
}

static void what_is_no_text_is_not_encrypted(void **state)
{
    (void)state;
    gw_cipher *cipher = cipher_of("foo", NULL);
    gw_buf out;
    gw_buf_init(&out, 0);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_cipher_encrypt(cipher, "a\xff", 2, &out, &err), GW_E_INVALID);
    assert_int_equal(gw_cipher_encrypt(cipher, "a\0b", 3, &out, &err), GW_E_INVALID);
    assert_string_equal(err.text, "the text is not UTF-8, or has a NUL character");
    assert_int_equal(out.len, 0);
    gw_buf_dispose(&out);
    gw_cipher_free(cipher);
}

/* A buffer without room stays as it was. */
static void a_full_buffer_gets_nothing(void **state)
{
    (void)state;
    gw_cipher *cipher = cipher_of("foo", NULL);
    gw_buf out;
    gw_buf_init(&out, 20);
    gw_buf_add_str(&out, "kept");
    assert_int_equal(gw_cipher_encrypt(cipher, "{key:a}text", 11, &out, NULL), GW_E_LIMIT);
    assert_string_equal(out.data, "kept");
    assert_int_equal(out.len, 4);
    gw_buf_dispose(&out);
    gw_cipher_free(cipher);
}

static void a_shared_key_has_no_public_part(void **state)
{
    (void)state;
    gw_cipher *cipher = cipher_of("foo", NULL);
    gw_buf out;
    gw_buf_init(&out, 0);
    assert_int_equal(gw_cipher_public_key(cipher, NULL, &out, NULL), GW_E_NOT_FOUND);
    assert_int_equal(out.len, 0);
    gw_buf_dispose(&out);
    gw_cipher_free(cipher);
}

/* ---- options ---------------------------------------------------------------------- */

typedef struct folder {
    char path[64];
    char file[80];
} folder;

static int make_folder(void **state)
{
    static folder made;
    strcpy(made.path, "/tmp/godwit-cipher-XXXXXX");
    if (mkdtemp(made.path) == NULL) {
        return -1;
    }
    snprintf(made.file, sizeof(made.file), "%s/key", made.path);
    *state = &made;
    return 0;
}

static int remove_folder(void **state)
{
    folder *made = *state;
    unlink(made->file);
    return rmdir(made->path);
}

static void write_file(const char *path, const char *bytes, size_t len, mode_t mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void a_key_may_be_in_a_file(void **state)
{
    folder *made = *state;
    static const char *const contents[] = {"foo", "foo\n", "foo\r\n"};
    for (size_t i = 0; i < N_OF(contents); i++) {
        write_file(made->file, contents[i], strlen(contents[i]), 0600);
        const gw_cipher_options options = {.key_file = made->file};
        gw_cipher *cipher = NULL;
        assert_int_equal(gw_cipher_new(&options, &cipher, NULL), GW_OK);
        opens(cipher, MYSECRET, "mysecret");
        gw_cipher_free(cipher);
    }
}

static void refused(const gw_cipher_options *options, gw_status st, const char *text)
{
    gw_cipher *cipher = NULL;
    gw_error err = GW_ERROR_INIT;
    gw_status got = gw_cipher_new(options, &cipher, &err);
    if (got != st || strstr(err.text, text) == NULL) {
        fail_msg("%s: '%s' and not %s: '%s'", gw_status_name(got), err.text, gw_status_name(st),
                 text);
    }
    assert_null(strstr(err.text, "topsecret"));
    assert_null(cipher);
}

static void bad_options_are_named(void **state)
{
    folder *made = *state;
    refused(&(gw_cipher_options){0}, GW_E_INVALID, "give one of");
    refused(&(gw_cipher_options){.key = "topsecret", .key_file = made->file}, GW_E_INVALID,
            "give one of");
    refused(&(gw_cipher_options){.key = ""}, GW_E_INVALID, "the key is empty");
    static const char *const salts[] = {"", "f", "topsecret", "0x12", "12 "};
    for (size_t i = 0; i < N_OF(salts); i++) {
        refused(&(gw_cipher_options){.key = "foo", .salt = salts[i]}, GW_E_INVALID, "salt");
    }
    char long_key[4098];
    memset(long_key, 'k', 4097);
    long_key[4097] = '\0';
    refused(&(gw_cipher_options){.key = long_key}, GW_E_INVALID, "more than 4096 bytes");
    char long_salt[131];
    memset(long_salt, '0', 130);
    long_salt[130] = '\0';
    refused(&(gw_cipher_options){.key = "foo", .salt = long_salt}, GW_E_INVALID, "1 to 64 bytes");
}

static void bad_files_are_named(void **state)
{
    folder *made = *state;
    const gw_cipher_options options = {.key_file = made->file};
    unlink(made->file);
    refused(&options, GW_E_NOT_FOUND, made->file);
    refused(&(gw_cipher_options){.key_file = made->path}, GW_E_IO, "not a file");
    write_file(made->file, "", 0, 0600);
    refused(&options, GW_E_INVALID, "the key is empty");
    write_file(made->file, "\n", 1, 0600);
    refused(&options, GW_E_INVALID, "the key is empty");
    write_file(made->file, "topsecret\0x", 11, 0600);
    refused(&options, GW_E_INVALID, "NUL");
    write_file(made->file, "topsecret", 9, 0602);
    refused(&options, GW_E_DENIED, "chmod o-w");
    char *large = calloc(1, 65537);
    assert_non_null(large);
    memset(large, 'x', 65537);
    write_file(made->file, large, 65537, 0600);
    refused(&options, GW_E_LIMIT, "more than 65536 bytes");
    free(large);
    unlink(made->file);
    assert_int_equal(mkfifo(made->file, 0600), 0);
    refused(&options, GW_E_IO, "not a file"); /* and does not wait for a writer */
    unlink(made->file);
}

/* ---- threads ------------------------------------------------------------------------ */

static void *use(void *ctx)
{
    const gw_cipher *cipher = ctx;
    size_t n_good = 0;
    for (size_t i = 0; i < 200; i++) {
        gw_buf sealed;
        gw_buf out;
        gw_buf_init(&sealed, 0);
        gw_buf_init(&out, 0);
        gw_status st = gw_cipher_encrypt(cipher, "text", 4, &sealed, NULL);
        if (st == GW_OK) {
            st = gw_cipher_decrypt(cipher, sealed.data, sealed.len, &out, NULL);
        }
        n_good += st == GW_OK && strcmp(out.data, "text") == 0;
        gw_buf_dispose(&sealed);
        gw_buf_dispose(&out);
    }
    return (void *)(uintptr_t)n_good;
}

static void threads_share_it(void **state)
{
    (void)state;
    gw_cipher *cipher = cipher_of("foo", NULL);
    pthread_t threads[4];
    for (size_t i = 0; i < N_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use, cipher), 0);
    }
    for (size_t i = 0; i < N_OF(threads); i++) {
        void *n_good = NULL;
        assert_int_equal(pthread_join(threads[i], &n_good), 0);
        assert_int_equal((uintptr_t)n_good, 200);
    }
    gw_cipher_free(cipher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_of_others_open),
        cmocka_unit_test(what_stands_in_front_is_understood),
        cmocka_unit_test(every_failure_is_the_same),
        cmocka_unit_test(changed_bits_fail_or_change_the_text),
        cmocka_unit_test(encrypted_texts_open_and_differ),
        cmocka_unit_test(pairs_are_kept_and_plain_ends_them),
        cmocka_unit_test(texts_are_bounded),
        cmocka_unit_test(what_is_no_text_is_not_encrypted),
        cmocka_unit_test(a_full_buffer_gets_nothing),
        cmocka_unit_test(a_shared_key_has_no_public_part),
        cmocka_unit_test(a_key_may_be_in_a_file),
        cmocka_unit_test(bad_options_are_named),
        cmocka_unit_test(bad_files_are_named),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests_name("cipher", tests, make_folder, remove_folder);
}
