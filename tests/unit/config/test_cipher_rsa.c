/* SPDX-License-Identifier: MIT */
/* Values that are encrypted for an RSA key; keys from PEM and from PKCS#12. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>

#include <godwit/cipher.h>

#include "unit/config/cipher_vectors.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))
#define FAULT   "the text was not encrypted with this key"

static gw_cipher *cipher_with(const gw_cipher_options *options)
{
    gw_cipher *cipher = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_cipher_new(options, &cipher, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return cipher;
}

static gw_cipher *cipher_of(const char *pem)
{
    return cipher_with(&(gw_cipher_options){.key = pem});
}

static void opens(const gw_cipher *cipher, const char *text, const char *plain)
{
    gw_buf out;
    gw_error err = GW_ERROR_INIT;
    gw_buf_init(&out, 0);
    if (gw_cipher_decrypt(cipher, text, strlen(text), &out, &err) != GW_OK) {
        fail_msg("%.40s...: %s", text, err.text);
    }
    assert_string_equal(out.data, plain);
    gw_buf_dispose(&out);
}

static void does_not_open(const gw_cipher *cipher, const char *what, const char *text)
{
    gw_buf out;
    gw_error err = GW_ERROR_INIT;
    gw_buf_init(&out, 0);
    gw_status st = gw_cipher_decrypt(cipher, text, strlen(text), &out, &err);
    if (st != GW_E_INVALID || strcmp(err.text, FAULT) != 0 || out.len != 0) {
        fail_msg("%s: %s: %s", what, gw_status_name(st), err.text);
    }
    gw_buf_dispose(&out);
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
    assert_null(cipher);
}

/* Put `by` in the place of each line end of `text` into a text that the caller frees. */
static char *with_line_ends(const char *text, const char *by)
{
    gw_buf out;
    gw_buf_init(&out, 0);
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            gw_buf_add_str(&out, by);
        } else {
            gw_buf_add_char(&out, *text);
        }
    }
    return gw_buf_detach(&out, NULL);
}

/* ---- PEM ------------------------------------------------------------------------------ */

static void texts_of_others_open(void **state)
{
    (void)state;
    gw_cipher *cipher = cipher_of(rsa_key_lines);
    opens(cipher, rsa_mysecret, "mysecret");
    opens(cipher, rsa_padded, "mysecret");
    does_not_open(cipher, "OAEP", rsa_oaep_greetings);
    does_not_open(cipher, "another salt", rsa_salted);
    gw_cipher_free(cipher);

    cipher = cipher_with(&(gw_cipher_options){.key = rsa_key_lines, .rsa_oaep = true});
    opens(cipher, rsa_oaep_greetings,
          "Gr\xc3\xbc\xc3\x9f"
          "e");
    does_not_open(cipher, "PKCS#1", rsa_mysecret);
    gw_cipher_free(cipher);

    cipher = cipher_with(&(gw_cipher_options){.key = rsa_key_lines, .salt = "0102"});
    opens(cipher, rsa_salted, "salted");
    gw_cipher_free(cipher);
}

/* As environment variables and YAML carry keys. */
static void line_ends_may_be_lost(void **state)
{
    (void)state;
    static const char *const ends[] = {"\n", "\r\n", " ", "", "\\n", "\\r\\n", "\\n\n    "};
    const char *const keys[] = {rsa_key_lines, rsa_key_pkcs8};
    for (size_t i = 0; i < N_OF(ends) * N_OF(keys); i++) {
        char *key = with_line_ends(keys[i % N_OF(keys)], ends[i / N_OF(keys)]);
        assert_non_null(key);
        gw_cipher *cipher = cipher_of(key);
        opens(cipher, rsa_mysecret, "mysecret");
        gw_cipher_free(cipher);
        free(key);
    }
}

static void other_parts_of_a_pem_are_passed_over(void **state)
{
    (void)state;
    gw_buf pem;
    gw_buf_init(&pem, 0);
    gw_buf_add_str(&pem, "Bag Attributes\n    friendlyName: mine\n");
    gw_buf_add_str(&pem, rsa_public_key);
    gw_buf_add_str(&pem, rsa_key_pkcs8);
    gw_cipher *cipher = cipher_of(pem.data);
    opens(cipher, rsa_mysecret, "mysecret");
    gw_cipher_free(cipher);
    gw_buf_dispose(&pem);
}

static void bad_pems_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *pem;
        const char *why;
    } cases[] = {
        {"-----BEGIN RSA PRIVATE KEY-----", "without its last line"},
        {"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n", "without its last line"},
        {"-----BEGIN RSA PRIVATE KEY-----\n-----END RSA PRIVATE KEY-----", "cannot be read"},
        {"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----", "cannot be read"},
        {"-----BEGIN PRIVATE KEY-----\n=AAA\n-----END PRIVATE KEY-----", "cannot be read"},
        {"-----BEGIN PRIVATE KEY-----\nAAA\n-----END PRIVATE KEY-----", "cannot be read"},
        {"AAAA\n-----END RSA PRIVATE KEY-----", "without a private key"},
        {rsa_public_key, "without a private key"},
        {"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----",
         "the key is encrypted"},
        {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: "
         "AES-256-CBC,00\n\nAAAA\n"
         "-----END RSA PRIVATE KEY-----",
         "the key is encrypted"},
        {"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIB1qcK2j2r9Gnbq1Dq2GmPyZ8qHq1pC7Jc3cZ0Yb"
         "oW9i\n-----END PRIVATE KEY-----",
         "not an RSA key"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        refused(&(gw_cipher_options){.key = cases[i].pem}, GW_E_INVALID, cases[i].why);
    }
}

static void small_keys_are_refused(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_RSA_gen(512);
    assert_non_null(key);
    BIO *pem = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL), 1);
    char *bytes = NULL;
    long len = BIO_get_mem_data(pem, &bytes);
    char *text = strndup(bytes, (size_t)len);
    refused(&(gw_cipher_options){.key = text}, GW_E_INVALID, "512 bits");
    free(text);
    BIO_free(pem);
    EVP_PKEY_free(key);
}

/* ---- messages ------------------------------------------------------------------------- */

/* What follows the RSA part is right each time, so only its own padding can make it fail. */
static void every_failure_is_the_same(void **state)
{
    (void)state;
    gw_cipher *cipher = cipher_of(rsa_key_lines);
    for (size_t i = 0; i < N_OF(rsa_badly_padded); i++) {
        does_not_open(cipher, rsa_badly_padded[i].what, rsa_badly_padded[i].text);
    }
    static const char *const texts[] = {
        "",     "{cipher}",   "AQ==",
        "AQA=", "AAAA",       "A===",
        "====", "not Base64", "682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda"};
    for (size_t i = 0; i < N_OF(texts); i++) {
        does_not_open(cipher, texts[i], texts[i]);
    }
    char text[sizeof(rsa_mysecret)];
    for (size_t cut = 1; cut < sizeof(text); cut += 7) {
        strcpy(text, rsa_mysecret);
        text[sizeof(text) - 1 - cut] = '\0';
        does_not_open(cipher, "cut", text);
    }
    strcpy(text, rsa_mysecret);
    text[1] = 'A'; /* another length of the RSA part */
    does_not_open(cipher, "length", text);
    strcpy(text, rsa_mysecret);
    memset(text + 3, '/', 343); /* above the modulus */
    does_not_open(cipher, "above the modulus", text);
    gw_cipher_free(cipher);
}

static void both_paddings_come_back(void **state)
{
    (void)state;
    for (int is_oaep = 0; is_oaep < 2; is_oaep++) {
        gw_cipher *cipher =
            cipher_with(&(gw_cipher_options){.key = rsa_key_lines, .rsa_oaep = is_oaep != 0});
        for (size_t len = 0; len < 40; len += 3) {
            gw_buf out;
            gw_buf_init(&out, 0);
            const char *plain = &"0123456789012345678901234567890123456789"[40 - len];
            assert_int_equal(gw_cipher_encrypt(cipher, plain, len, &out, NULL), GW_OK);
            assert_memory_equal(out.data, "AQ", 2); /* 256 bytes */
            gw_buf_add_char(&out, '\n');
            if (len > 0) {
                opens(cipher, out.data, plain);
            }
            gw_buf_dispose(&out);
        }
        gw_cipher_free(cipher);
    }
}

static void the_public_key_is_pem(void **state)
{
    (void)state;
    gw_cipher *cipher = cipher_of(rsa_key_lines);
    gw_buf out;
    gw_buf_init(&out, 0);
    assert_int_equal(gw_cipher_public_key(cipher, NULL, &out, NULL), GW_OK);
    assert_string_equal(out.data, rsa_public_key);
    gw_buf_clear(&out);
    assert_int_equal(gw_cipher_public_key(cipher, "other", &out, NULL), GW_E_NOT_FOUND);
    assert_int_equal(out.len, 0);
    gw_buf_dispose(&out);
    gw_cipher_free(cipher);
}

/* ---- PKCS#12 -------------------------------------------------------------------------- */

typedef struct folder {
    char path[64];
    char store[96];
    char pem[96];
} folder;

static int make_folder(void **state)
{
    static folder made;
    strcpy(made.path, "/tmp/godwit-cipher-rsa-XXXXXX");
    if (mkdtemp(made.path) == NULL) {
        return -1;
    }
    snprintf(made.store, sizeof(made.store), "%s/store.p12", made.path);
    snprintf(made.pem, sizeof(made.pem), "%s/key.pem", made.path);
    *state = &made;
    return 0;
}

static int remove_folder(void **state)
{
    folder *made = *state;
    unlink(made->store);
    unlink(made->pem);
    return rmdir(made->path);
}

static EVP_PKEY *key_of(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(key);
    return key;
}

/* A keystore as keytool makes it, of several keys. */
static void make_store(const char *path, EVP_PKEY *const *keys, const char *const *aliases,
                       size_t n, const char *password)
{
    STACK_OF(PKCS12_SAFEBAG) *bags = sk_PKCS12_SAFEBAG_new_null();
    for (size_t i = 0; i < n; i++) {
        PKCS12_SAFEBAG *bag = PKCS12_add_key(&bags, keys[i], 0, 2048,
                                             NID_pbe_WithSHA1And3_Key_TripleDES_CBC, password);
        assert_non_null(bag);
        if (aliases[i] != NULL) {
            assert_int_equal(PKCS12_add_friendlyname_utf8(bag, aliases[i], -1), 1);
        }
    }
    STACK_OF(PKCS7) *safes = NULL;
    assert_int_equal(PKCS12_add_safe(&safes, bags, -1, 0, NULL), 1);
    PKCS12 *store = PKCS12_add_safes(safes, 0);
    assert_non_null(store);
    assert_int_equal(PKCS12_set_mac(store, password, -1, NULL, 0, 2048, EVP_sha1()), 1);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(i2d_PKCS12_fp(file, store), 1);
    assert_int_equal(fclose(file), 0);
    PKCS12_free(store);
    sk_PKCS7_pop_free(safes, PKCS7_free);
    sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
}

static void keys_of_a_store_go_by_alias(void **state)
{
    folder *made = *state;
    EVP_PKEY *keys[] = {EVP_RSA_gen(2048), key_of(rsa_key_lines), EVP_EC_gen("P-256")};
    static const char *const aliases[] = {"first", "Zw\xc3\xb6lf", "curve"};
    make_store(made->store, keys, aliases, 3, "store-pass");
    gw_cipher_options options = {.keystore_file = made->store,
                                 .keystore_password = "store-pass",
                                 .keystore_alias = "ZW\xc3\xb6LF"};
    gw_cipher *cipher = cipher_with(&options);
    opens(cipher, rsa_mysecret, "mysecret");
    gw_cipher_free(cipher);

    options.keystore_alias = NULL; /* the first, unless a text names another */
    cipher = cipher_with(&options);
    does_not_open(cipher, "the first key", rsa_mysecret);
    gw_buf text;
    gw_buf_init(&text, 0);
    gw_buf_addf(&text, "{cipher}{key:zw\xc3\xb6lf}%s", rsa_mysecret);
    opens(cipher, text.data, "mysecret");
    gw_buf_clear(&text);
    gw_buf_addf(&text, "{cipher}{key:curve}%s", rsa_mysecret);
    does_not_open(cipher, "an unknown key", text.data);

    gw_error err = GW_ERROR_INIT;
    gw_buf_clear(&text);
    assert_int_equal(gw_cipher_encrypt(cipher, "{key:nobody}x", 13, &text, &err), GW_E_NOT_FOUND);
    assert_string_equal(err.text, "there is no key 'nobody'");
    static const char plain[] = "{key:zw\xc3\xb6lf}mysecret";
    assert_int_equal(gw_cipher_encrypt(cipher, plain, strlen(plain), &text, NULL), GW_OK);
    assert_memory_equal(text.data, plain, 12);
    opens(cipher, text.data, "mysecret");
    gw_buf_clear(&text);
    assert_int_equal(gw_cipher_public_key(cipher, "zw\xc3\xb6lf", &text, NULL), GW_OK);
    assert_string_equal(text.data, rsa_public_key);
    gw_buf_dispose(&text);
    gw_cipher_free(cipher);
    for (size_t i = 0; i < N_OF(keys); i++) {
        EVP_PKEY_free(keys[i]);
    }
}

/* As `openssl pkcs12` makes it, with today's ciphers and with those of old keytools. */
static void a_store_of_openssl_opens(void **state)
{
    folder *made = *state;
    FILE *file = fopen(made->pem, "w");
    assert_non_null(file);
    fputs(rsa_key_lines, file);
    assert_int_equal(fclose(file), 0);
    static const char *const kinds[] = {"", "-keypbe PBE-SHA1-3DES -macalg sha1 -nomac",
                                        "-keypbe NONE"};
    for (size_t i = 0; i < N_OF(kinds); i++) {
        char command[512];
        snprintf(command, sizeof(command),
                 "openssl pkcs12 -export -nocerts -inkey %s -name mine -passout pass:pw %s -out %s",
                 made->pem, kinds[i], made->store);
        assert_int_equal(system(command), 0);
        gw_cipher_options options = {
            .keystore_file = made->store, .keystore_password = "pw", .keystore_alias = "mine"};
        gw_cipher *cipher = cipher_with(&options);
        opens(cipher, rsa_mysecret, "mysecret");
        gw_cipher_free(cipher);
    }
}

static void bad_stores_say_why(void **state)
{
    folder *made = *state;
    EVP_PKEY *key = key_of(rsa_key_lines);
    EVP_PKEY *curve = EVP_EC_gen("P-256");
    static const char *const alias[] = {"mine"};
    make_store(made->store, &key, alias, 1, "store-pass");
    gw_cipher_options options = {.keystore_file = made->store, .keystore_password = "wrong"};
    refused(&options, GW_E_DENIED, "wrong password");
    options.keystore_password = NULL;
    refused(&options, GW_E_DENIED, "wrong password");
    options.keystore_password = "store-pass";
    options.keystore_alias = "yours";
    refused(&options, GW_E_INVALID, "no key 'yours'");
    options.keystore_alias = NULL;

    make_store(made->store, &curve, alias, 1, "store-pass");
    refused(&options, GW_E_INVALID, "no RSA key");
    make_store(made->store, NULL, NULL, 0, "store-pass");
    refused(&options, GW_E_INVALID, "no private key");
    assert_int_equal(truncate(made->store, 20), 0);
    refused(&options, GW_E_INVALID, "not a PKCS#12 keystore");
    assert_int_equal(truncate(made->store, (1 << 20) + 1), 0);
    refused(&options, GW_E_LIMIT, "more than 1048576 bytes");
    unlink(made->store);
    refused(&options, GW_E_NOT_FOUND, made->store);

    EVP_PKEY *many[65];
    const char *names[65] = {0};
    for (size_t i = 0; i < 65; i++) {
        many[i] = key;
    }
    make_store(made->store, many, names, 65, "store-pass");
    refused(&options, GW_E_LIMIT, "more than 64 keys");
    EVP_PKEY_free(key);
    EVP_PKEY_free(curve);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_of_others_open),
        cmocka_unit_test(line_ends_may_be_lost),
        cmocka_unit_test(other_parts_of_a_pem_are_passed_over),
        cmocka_unit_test(bad_pems_say_why),
        cmocka_unit_test(small_keys_are_refused),
        cmocka_unit_test(every_failure_is_the_same),
        cmocka_unit_test(both_paddings_come_back),
        cmocka_unit_test(the_public_key_is_pem),
        cmocka_unit_test(keys_of_a_store_go_by_alias),
        cmocka_unit_test(a_store_of_openssl_opens),
        cmocka_unit_test(bad_stores_say_why),
    };
    return cmocka_run_group_tests_name("cipher_rsa", tests, make_folder, remove_folder);
}
