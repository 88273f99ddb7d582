/* SPDX-License-Identifier: MIT */
/* /encrypt, /decrypt and /key over HTTP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/http_client.h>
#include <godwit/log.h>

#include "crypt_body.h"
#include "crypt_routes.h"
#include "unit/config/cipher_vectors.h"

#define N_OF(a)  (sizeof(a) / sizeof((a)[0]))
#define MYSECRET "682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda"
#define FORM     "application/x-www-form-urlencoded"
#define NOT_OURS "{\"status\":\"INVALID\",\"description\":\"Text not encrypted with this key\"}"
#define NO_KEY                                                                                     \
    "{\"status\":\"NO_KEY\",\"description\":\"No key was installed for encryption service\"}"

typedef struct world {
    cs_crypt crypt;
    cs_keys *keys;
    cs_access *access;
    gw_http_server *server;
} world;

static world *serve(const gw_cipher_options *options, const cs_user *users, size_t n_users)
{
    world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    if (options != NULL) {
        gw_cipher *cipher = NULL;
        assert_int_equal(gw_cipher_new(options, &cipher, NULL), GW_OK);
        w->keys = cs_keys_new(cipher, false);
    }
    if (n_users > 0) {
        w->access = cs_access_new(users, n_users);
    }
    w->crypt = (cs_crypt){w->keys, w->access};
    size_t n = 0;
    const gw_http_route *table = cs_crypt_routes(&n);
    gw_http_route routes[16];
    assert_true(n <= N_OF(routes));
    for (size_t i = 0; i < n; i++) {
        routes[i] = table[i];
        routes[i].ctx = &w->crypt;
    }
    gw_http_options http = GW_HTTP_OPTIONS_INIT;
    http.address = "127.0.0.1";
    http.n_threads = 1;
    assert_int_equal(gw_http_server_start(&http, routes, n, &w->server, NULL), GW_OK);
    return w;
}

static void stop(world *w)
{
    gw_http_server_stop(w->server, 1000);
    cs_keys_free(w->keys);
    cs_access_free(w->access);
    free(w);
}

/* Returns the status; `ret` holds the body and a NUL. */
static int ask(const world *w, const char *method, const char *path, const char *type,
               const char *body, char *ret, size_t size)
{
    char url[256];
    char header[128];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", gw_http_server_port(w->server), path);
    snprintf(header, sizeof(header), "Content-Type: %s", type != NULL ? type : "text/plain");
    const char *headers[] = {header, NULL};
    const gw_http_call call = {.method = method,
                               .url = url,
                               .headers = headers,
                               .body = body,
                               .body_len = body != NULL ? strlen(body) : 0};
    gw_http_reply reply = {0};
    gw_error err = GW_ERROR_INIT;
    if (gw_http_perform(&call, &reply, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    snprintf(ret, size, "%s", reply.body.data != NULL ? reply.body.data : "");
    int status = reply.status;
    bool is_text = status == 200 && strcmp(path, "/encrypt/status") != 0;
    assert_int_equal(strncmp(reply.content_type, "text/plain", 10) == 0, is_text);
    gw_http_reply_dispose(&reply);
    return status;
}

static void answers(const world *w, const char *method, const char *path, const char *type,
                    const char *body, int status, const char *expected)
{
    char text[4096];
    int got = ask(w, method, path, type, body, text, sizeof(text));
    if (got != status || strcmp(text, expected) != 0) {
        fail_msg("%s %s %s: %d %s\nand not %d %s", method, path, body != NULL ? body : "", got,
                 text, status, expected);
    }
}

/* Encrypt and decrypt again. */
static void comes_back(const world *w, const char *path, const char *type, const char *body,
                       const char *plain)
{
    char sealed[4096];
    assert_int_equal(ask(w, "POST", path, type, body, sealed, sizeof(sealed)), 200);
    assert_null(strstr(sealed, plain));
    answers(w, "POST", "/decrypt", NULL, sealed, 200, plain);
    answers(w, "POST", "/decrypt", FORM, sealed, 200, plain);
}

static void a_shared_key_encrypts_and_decrypts(void **state)
{
    (void)state;
    world *w = serve(&(gw_cipher_options){.key = "foo"}, NULL, 0);
    answers(w, "POST", "/decrypt", NULL, MYSECRET, 200, "mysecret");
    answers(w, "POST", "/decrypt", NULL, "{cipher}{key:x}" MYSECRET "\n", 200, "mysecret");
    answers(w, "POST", "/decrypt/foo/dev", NULL, MYSECRET, 200, "mysecret");
    answers(w, "POST", "/decrypt", FORM, MYSECRET "=", 200, "mysecret");
    answers(w, "POST", "/decrypt", "application/json", "{cipher}" MYSECRET "=", 200, "mysecret");
    comes_back(w, "/encrypt", NULL, "mysecret", "mysecret");
    comes_back(w, "/encrypt", "text/plain;charset=UTF-8", "a+b%20c=", "a+b%20c=");
    comes_back(w, "/encrypt", FORM, "a+b%20c=", "a b c");
    comes_back(w, "/encrypt", FORM, "a%3D", "a=");
    comes_back(w, "/encrypt/foo/dev,test", NULL, "Gr\xc3\xbc\xc3\x9f", "Gr\xc3\xbc\xc3\x9f");
    answers(w, "POST", "/decrypt", NULL, "{\"status\":\"OK\"}", 400, NOT_OURS);
    stop(w);
}

static void prefixes_are_kept(void **state)
{
    (void)state;
    world *w = serve(&(gw_cipher_options){.key = "foo"}, NULL, 0);
    char sealed[512];
    assert_int_equal(
        ask(w, "POST", "/encrypt", NULL, "{key:a}{name:b}secret", sealed, sizeof(sealed)), 200);
    assert_memory_equal(sealed, "{key:a}{name:b}", 15);
    answers(w, "POST", "/decrypt", NULL, sealed, 200, "secret");
    stop(w);
}

static void status_and_key(void **state)
{
    (void)state;
    world *w = serve(&(gw_cipher_options){.key = "foo"}, NULL, 0);
    answers(w, "GET", "/encrypt/status", NULL, NULL, 200, "{\"status\":\"OK\"}");
    answers(w, "GET", "/key", NULL, NULL, 404,
            "{\"status\":\"NOT_FOUND\",\"description\":\"No public key available\"}");
    stop(w);
    w = serve(&(gw_cipher_options){.key = rsa_key_lines}, NULL, 0);
    answers(w, "GET", "/encrypt/status", NULL, NULL, 200, "{\"status\":\"OK\"}");
    answers(w, "GET", "/key", NULL, NULL, 200, rsa_public_key);
    answers(w, "GET", "/key/foo/dev", NULL, NULL, 200, rsa_public_key);
    stop(w);
}

static void without_a_key_there_is_none(void **state)
{
    (void)state;
    static const char *const paths[] = {"/encrypt", "/encrypt/a/b", "/decrypt", "/decrypt/a/b"};
    world *w = serve(NULL, NULL, 0);
    for (size_t i = 0; i < N_OF(paths); i++) {
        answers(w, "POST", paths[i], NULL, "x", 404, NO_KEY);
    }
    answers(w, "GET", "/encrypt/status", NULL, NULL, 404, NO_KEY);
    answers(w, "GET", "/key", NULL, NULL, 404, NO_KEY);
    answers(w, "GET", "/key/a/b", NULL, NULL, 404, NO_KEY);
    stop(w);
}

static void rsa_texts_survive_forms(void **state)
{
    (void)state;
    world *w = serve(&(gw_cipher_options){.key = rsa_key_lines}, NULL, 0);
    answers(w, "POST", "/decrypt", NULL, rsa_mysecret, 200, "mysecret");
    answers(w, "POST", "/decrypt", FORM, rsa_mysecret, 200, "mysecret");
    gw_buf form;
    gw_buf_init(&form, 0);
    for (const char *p = rsa_mysecret; *p != '\0'; p++) { /* as a servlet hands it on */
        if (strchr("+/=", *p) != NULL) {
            gw_buf_addf(&form, "%%%02X", (unsigned)*p);
        } else {
            gw_buf_add_char(&form, *p);
        }
    }
    answers(w, "POST", "/decrypt", FORM, form.data, 200, "mysecret");
    gw_buf_add_char(&form, '=');
    answers(w, "POST", "/decrypt", FORM, form.data, 200, "mysecret");
    gw_buf_dispose(&form);
    gw_buf_init(&form, 0);
    for (const char *p = rsa_mysecret; *p != '\0'; p++) { /* '+' lost */
        gw_buf_add_char(&form, *p == '+' ? ' ' : *p);
    }
    answers(w, "POST", "/decrypt", FORM, form.data, 200, "mysecret");
    gw_buf_dispose(&form);
    comes_back(w, "/encrypt", FORM, "mysecret=", "mysecret");
    comes_back(w, "/encrypt", NULL, "p=", "p=");
    stop(w);
}

/* All that does not open is the same to the client: no oracle. */
static void every_failure_is_the_same(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{cipher}",
        "x",
        MYSECRET "00",
        "000102030405060708090a0b0c0d0e0f43b8449811620820bb3f75bb748079b2", /* padding */
        "d8f89c112dc2a60bef5a4b1a0ca13a04de5a399d9af2163c8485874fb0f5c4e6", /* UTF-8 */
        "%zz"};
    world *w = serve(&(gw_cipher_options){.key = "foo"}, NULL, 0);
    for (size_t i = 0; i < N_OF(texts); i++) {
        answers(w, "POST", "/decrypt", NULL, texts[i], 400, NOT_OURS);
        answers(w, "POST", "/decrypt", FORM, texts[i], 400, NOT_OURS);
    }
    stop(w);
    w = serve(&(gw_cipher_options){.key = rsa_key_lines}, NULL, 0);
    for (size_t i = 0; i < N_OF(rsa_badly_padded); i++) {
        answers(w, "POST", "/decrypt", NULL, rsa_badly_padded[i].text, 400, NOT_OURS);
    }
    answers(w, "POST", "/decrypt", NULL, "{key:nobody}AAAA", 400, NOT_OURS);
    answers(w, "POST", "/encrypt", NULL, "{key:no\"body}x", 404,
            "{\"status\":\"NOT_FOUND\",\"description\":\"there is no key 'no\\\"body'\"}");
    stop(w);
}

static void names_are_checked_here_too(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *profiles;
    } cases[] = {{".a", "dev"},     {"a..b", "dev"},   {"%2e%2e", "dev"}, {"a%23b", "dev"},
                 {"(_)etc", "dev"}, {"a%252f", "dev"}, {"a", "..%2fdev"}, {"a", "dev%23"},
                 {"a", "-dev"},     {"a%5cb", "dev"},  {"a%2fb", "dev"}};
    world *w = serve(&(gw_cipher_options){.key = rsa_key_lines}, NULL, 0);
    static const char *const routes[] = {"/encrypt", "/decrypt", "/key"};
    for (size_t i = 0; i < N_OF(cases) * N_OF(routes); i++) {
        char path[128];
        char text[1024];
        const char *route = routes[i % N_OF(routes)];
        snprintf(path, sizeof(path), "%s/%s/%s", route, cases[i / N_OF(routes)].name,
                 cases[i / N_OF(routes)].profiles);
        bool is_get = strcmp(route, "/key") == 0;
        int status = ask(w, is_get ? "GET" : "POST", path, NULL, is_get ? NULL : rsa_mysecret, text,
                         sizeof(text));
        if (status != 400 || strstr(text, "mysecret") != NULL) {
            fail_msg("%s: %d %s", path, status, text);
        }
    }
    stop(w);
}

static void bad_texts_are_refused(void **state)
{
    (void)state;
    world *w = serve(&(gw_cipher_options){.key = "foo"}, NULL, 0);
    char text[1024];
    assert_int_equal(ask(w, "POST", "/encrypt", FORM, "100%", text, sizeof(text)), 400);
    assert_non_null(strstr(text, "--data-urlencode"));
    assert_int_equal(ask(w, "POST", "/encrypt", NULL, "a\xff", text, sizeof(text)), 400);
    assert_non_null(strstr(text, "not UTF-8"));
    stop(w);
}

static void who_may_is_asked_first(void **state)
{
    (void)state;
    const cs_user nobody = {.name = NULL, .actions = CS_ACTION_ENCRYPT};
    world *w = serve(&(gw_cipher_options){.key = "foo"}, &nobody, 1);
    char text[1024];
    assert_int_equal(ask(w, "POST", "/encrypt", NULL, "x", text, sizeof(text)), 200);
    assert_int_equal(ask(w, "POST", "/decrypt", NULL, MYSECRET, text, sizeof(text)), 401);
    assert_null(strstr(text, "mysecret"));
    stop(w);
}

static void bodies_are_read_as_they_are_meant(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *body;
        bool is_cipher;
        const char *text;
    } cases[] = {
        {NULL, "a%20=", false, "a%20="},
        {"text/plain", "a=", false, "a="},
        {"TEXT/plain; charset=utf-8", "a=", false, "a="},
        {"text/plainer", "a=", false, "a"},
        {"application/json", "a%20+", false, "a%20+"},
        {"application/json", "a%20+=", false, "a  "},
        {FORM, "a%20+", false, "a  "},
        {FORM, "a%20+=", false, "a  "},
        {FORM, "a==", false, "a="},
        {FORM, "=", false, ""},
        {FORM, "", false, ""},
        {FORM, "a=b", false, "a=b"},
        {FORM ";charset=UTF-8", "a%3D", false, "a="},
        {FORM, "00ff=", true, "00ff"},
        {FORM, "{cipher}00ff=", true, "{cipher}00ff"},
        {FORM, "{cipher}{key:abc}00ff=", true, "{cipher}{key:abc}00ff"},
        {FORM, "AQ==", true, "AQ=="},
        {FORM, "AQ===", true, "AQ=="},
        {FORM, "AQA%3D", true, "AQA="},
        {FORM, "A+ %2B", true, "A+++"},
        {"text/plain", "00ff=", true, "00ff="},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf out;
        gw_buf_init(&out, 0);
        assert_int_equal(cs_crypt_body(cases[i].type, cases[i].body, strlen(cases[i].body),
                                       cases[i].is_cipher, &out, NULL),
                         GW_OK);
        if (strcmp(out.data != NULL ? out.data : "", cases[i].text) != 0) {
            fail_msg("%s %s: '%s'", cases[i].type, cases[i].body, out.data);
        }
        gw_buf_dispose(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shared_key_encrypts_and_decrypts),
        cmocka_unit_test(prefixes_are_kept),
        cmocka_unit_test(status_and_key),
        cmocka_unit_test(without_a_key_there_is_none),
        cmocka_unit_test(rsa_texts_survive_forms),
        cmocka_unit_test(every_failure_is_the_same),
        cmocka_unit_test(names_are_checked_here_too),
        cmocka_unit_test(bad_texts_are_refused),
        cmocka_unit_test(who_may_is_asked_first),
        cmocka_unit_test(bodies_are_read_as_they_are_meant),
    };
    gw_log_set_level(GW_LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
