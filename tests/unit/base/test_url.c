/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/url.h>

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

/* "scheme|user|password|host:port,...|path|query" with '-' for what is absent: both sides of a
 * comparison. */
static void describe(const gw_url *url, char *text, size_t size)
{
    char hosts[1024] = "";
    for (size_t i = 0; i < url->n_hosts; i++) {
        size_t len = strlen(hosts);
        snprintf(hosts + len, sizeof(hosts) - len, "%s%s:%u", i > 0 ? "," : "", url->hosts[i].name,
                 url->hosts[i].port);
    }
    snprintf(text, size, "%s|%s|%s|%s|%s|%s", url->scheme, url->user != NULL ? url->user : "-",
             url->password != NULL ? url->password : "-", hosts,
             url->path != NULL ? url->path : "-", url->query != NULL ? url->query : "-");
}

static void urls_come_apart(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *want;
    } cases[] = {
        {"http://h", "http|-|-|h:0|-|-"},
        {"HTTP://ConfigServer:8888/", "http|-|-|ConfigServer:8888|/|-"},
        {"amqp://guest:guest@127.0.0.1:5672", "amqp|guest|guest|127.0.0.1:5672|-|-"},
        {"amqp://guest:guest@127.0.0.1:5672/", "amqp|guest|guest|127.0.0.1:5672|/|-"},
        {"amqp://u@h/%2f", "amqp|u|-|h:0|//|-"},
        {"amqp://h/a%2Fb?heartbeat=30", "amqp|-|-|h:0|/a/b|heartbeat=30"},
        {"amqp://u:p@h1:1,h2,h3:65535/v", "amqp|u|p|h1:1,h2:0,h3:65535|/v|-"},
        {"amqp://[::1]:5672", "amqp|-|-|::1:5672|-|-"},
        {"amqp://u:p@[fe80::1%25eth0],[::]:1/x", "amqp|u|p|fe80::1%eth0:0,:::1|/x|-"},
        {"http://h?q=1", "http|-|-|h:0|-|q=1"},
        {"http://h/?", "http|-|-|h:0|/|"},
        {"http://h/a?b/c@d:e", "http|-|-|h:0|/a|b/c@d:e"},
        {"http://h/a@b", "http|-|-|h:0|/a@b|-"},
        {"x://u%3Aser:p%40s%2Fs%25@h", "x|u:ser|p@s/s%|h:0|-|-"},
        {"x://u:a@b@h", "x|u|a@b|h:0|-|-"}, /* the last '@' ends the user */
        {"x://u:a:b@h", "x|u|a:b|h:0|-|-"}, /* the first ':' ends its name */
        {"x://:@h", "x|||h:0|-|-"},         /* empty is not absent */
        {"x://u:pa'\"s<s>@h", "x|u|pa'\"s<s>|h:0|-|-"},
        {"svn+ssh://my_host-1.example.", "svn+ssh|-|-|my_host-1.example.:0|-|-"},
        {"http://b\xc3\xbc"
         "cher.example/\xe2\x82\xac",
         "http|-|-|b\xc3\xbc"
         "cher.example:0|/\xe2\x82\xac|-"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_url url;
        gw_error err = GW_ERROR_INIT;
        char got[2048];
        gw_status st = gw_url_parse(cases[i].in, &url, &err);
        if (st != GW_OK) {
            fail_msg("%s: %s", cases[i].in, err.text);
        }
        describe(&url, got, sizeof(got));
        if (strcmp(got, cases[i].want) != 0) {
            fail_msg("%s: got %s, want %s", cases[i].in, got, cases[i].want);
        }
        gw_url_dispose(&url);
        gw_url_dispose(&url);
    }
    gw_url_dispose(NULL);
}

static void what_is_no_url_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "h",
        "h:80",
        "://h",
        "http:/h",
        "http:h",
        "1http://h",
        "+x://h",
        "ht tp://h",
        "ht_tp://h",
        "h\xc3\xa9://h",
        "http://",
        "http:///path",
        "http://:80",
        "http://h:",
        "http://h:0",
        "http://h:65536",
        "http://h:99999999999999999999",
        "http://h:+80",
        "http://h:8o",
        "http://h:80:80",
        "http://u@",
        "http://h/ x",
        "http://h/\n",
        "http://h\t",
        "http://h/\x7f",
        "http://h/#top",
        "http://h/%",
        "http://h/%4",
        "http://h/%zz",
        "http://h/%00",
        "http://h/%0a",
        "http://h%0d%0aX-Evil:1/",
        "http://h%20/",
        "http://h%2fx/",
        "http://h%40x/",
        "http://${HOST}/",
        "http://a b/",
        "http://h\\x/",
        "http://u%0a@h/",
        "http://u:p%00@h/",
        "http://u:%@h/",
        "http://u%4:p@h/",
        "http://[::1",
        "http://[]",
        "http://[1]",
        "http://[::1]x",
        "http://[::1]:",
        "http://[::g]",
        "http://[::1%25]",
        "http://[::1%25a/b]",
        "http://::1",
        "http://h]",
        "http://h1,",
        "http://,h1",
        "http://h1,,h2",
        "http://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_url url;
        memset(&url, 0x5a, sizeof(url));
        gw_error err = GW_ERROR_INIT;
        gw_status st = gw_url_parse(cases[i], &url, &err);
        if (st != GW_E_INVALID) {
            fail_msg("'%s': got %s", cases[i], gw_status_name(st));
        }
        assert_int_equal(err.status, GW_E_INVALID);
        assert_non_null(strstr(err.text, "is not valid: it"));
        assert_int_equal(((unsigned char *)&url)[0],
                         0x5a); /* outputs are written on success only */
    }
    gw_url url;
    assert_int_equal(gw_url_parse(NULL, &url, NULL), GW_E_INVALID);
    assert_int_equal(gw_url_parse("http://h", NULL, NULL), GW_E_INVALID);
}

static void long_urls_are_refused_unread(void **state)
{
    (void)state;
    char *text = malloc(GW_URL_MAX + 2);
    assert_non_null(text);
    memset(text, 'a', GW_URL_MAX + 1);
    memcpy(text, "http://h/", 9);
    text[GW_URL_MAX + 1] = '\0';
    gw_url url;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_url_parse(text, &url, &err), GW_E_LIMIT);
    assert_null(strstr(err.text, "aaa"));
    text[GW_URL_MAX] = '\0';
    assert_int_equal(gw_url_parse(text, &url, &err), GW_OK);
    gw_url_dispose(&url);
    free(text);
}

/* Every prefix, and every change of one byte, of a URL with everything: refused or parsed, never a
 * wild read. */
static void mangled_urls_are_survived(void **state)
{
    (void)state;
    static const char whole[] = "amqps://u%41:p%42@[::1%25e]:5671,h2:1/v%2fh?a=%41&b=2";
    char text[sizeof(whole)];
    for (size_t i = 0; i < sizeof(whole); i++) {
        for (int byte = 0; byte < 256; byte++) {
            memcpy(text, whole, sizeof(whole));
            text[i] = (char)byte;
            text[sizeof(text) - 1] = '\0';
            char *copy = strdup(text); /* of the exact size, so that a sanitizer sees its end */
            assert_non_null(copy);
            gw_url url;
            char value[8];
            if (gw_url_parse(copy, &url, NULL) == GW_OK) {
                assert_in_range(url.n_hosts, 1, GW_URL_HOSTS_MAX);
                (void)!gw_url_query(&url, "a", value, sizeof(value));
                gw_url_dispose(&url);
            }
            gw_buf out;
            gw_buf_init(&out, 0);
            gw_url_mask(&out, copy);
            assert_int_equal(gw_buf_status(&out), GW_OK);
            gw_buf_dispose(&out);
            free(copy);
        }
    }
}

static void errors_show_no_password(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "amqp://guest:sesame@",          "amqp://guest:sesame@h:port",
        "amqp://guest:sesame@h o s t",   "amqp://guest:open sesame@h",
        "amqp://guest:open/sesame@h",    "amqp://guest:open?sesame@h:x",
        "amqp://guest:open#sesame@h",    "amqp://guest:open%sesame@h",
        "amqp://guest:open'sesame@h:x",  "amqp://guest:open\"sesame@h:x",
        "amqp://guest:open<sesame>@h:x", "amqp://guest:open\nsesame@h",
        "amqp://guest:x@sesame@h:x",     "amqp://guest:sesame",
        "amqp://guest:sesame/vhost",     "amqp://guest:1sesame",
        "guest:sesame@h:5672",           "amqp:guest:sesame@h",
        "amqp:/guest:sesame@h",          "amqp:/guest:sesame://x@h",
        "am qp://guest:sesame@h",        " amqp://guest:sesame@h",
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_url url;
        gw_error err = GW_ERROR_INIT;
        if (gw_url_parse(cases[i], &url, &err) == GW_OK) {
            fail_msg("%s was accepted", cases[i]);
        }
        if (strstr(err.text, "sesame") != NULL || strstr(err.text, "***") == NULL) {
            fail_msg("%s: the error is %s", cases[i], err.text);
        }
    }
}

static void lines_are_masked(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *want; /* NULL: unchanged */
    } cases[] = {
        {"", NULL},
        {"no url: here@all", NULL},
        {"guest:sesame@h:5672", "guest:***@h:5672"}, /* the scheme is missing */
        {"to amqp:guest:sesame@h", "to amqp:***@h"},
        {"guest:sesame@amqp://h:80", "guest:***@amqp://h:80"},
        {"git@h:path rabbit@h", NULL},
        {"  \t two  blanks ", NULL},
        {"amqp://guest:guest@127.0.0.1:5672", "amqp://guest:***@127.0.0.1:5672"},
        {"amqp://guest:guest@h1:1,h2:2/v", "amqp://guest:***@h1:1,h2:2/v"},
        {"to amqp://a:b@h, then amqp://c:d@i", "to amqp://a:***@h, then amqp://c:***@i"},
        {"amqp://a:b@h\nhttp://c:d@i\thttp://e:f@j",
         "amqp://a:***@h\nhttp://c:***@i\thttp://e:***@j"},
        {"(amqp://a:b@h)", "(amqp://a:***@h)"},
        {"url='amqp://a:b@h/v'", "url='amqp://a:***@h/v'"},
        {"amqp://a:b@c@h", "amqp://a:***@h"},
        {"amqp://a:b/c@h", "amqp://a:***@h"},
        {"amqp://a:b'c@h", "amqp://a:***@h"},
        {"amqp://a:b\"c@h", "amqp://a:***@h"},
        {"amqp://a:b:c@h", "amqp://a:***@h"},
        {"amqp://:b@h", "amqp://:***@h"},
        {"amqp://a:@h", NULL},
        {"amqp://a@h:5", NULL},
        {"amqp://a:b", "amqp://a:***"},
        {"amqp://a:b/v x", "amqp://a:***/v x"},
        {"amqp://a:12x", "amqp://a:***"},
        {"http://h:80", NULL},
        {"http://h:80/a b", NULL},
        {"http://h:80: connection refused", NULL},
        {"see http://h:80.", NULL},
        {"(http://h:80), \"http://h:80\", [http://h:80]; <http://h:80>", NULL},
        {"http://h: refused", NULL},
        {"http://[::1]:80/x", NULL},
        {"http://[::1]/x", NULL},
        {"http://h1:1,h2:2/x", NULL},
        {"://", NULL},
        {"://://u:p@h", "://:***@h"},
        {"://@", NULL},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        const char *want = cases[i].want != NULL ? cases[i].want : cases[i].in;
        gw_buf out;
        gw_buf_init(&out, 0);
        gw_url_mask(&out, cases[i].in);
        if (strcmp(out.data, want) != 0) {
            fail_msg("'%s': got '%s', want '%s'", cases[i].in, out.data, want);
        }
        gw_buf_dispose(&out);
    }
}

static void queries_are_answered(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        size_t size;
        gw_status want;
        const char *value;
    } cases[] = {
        {"a", 8, GW_OK, "1"},
        {"a", 2, GW_OK, "1"},
        {"a", 1, GW_E_LIMIT, NULL},
        {"a", 0, GW_E_LIMIT, NULL},
        {"empty", 8, GW_OK, ""},
        {"empty", 1, GW_OK, ""},
        {"empty", 0, GW_E_LIMIT, NULL},
        {"b", 8, GW_OK, "x y&+"},
        {"b", 6, GW_OK, "x y&+"},
        {"b", 5, GW_E_LIMIT, NULL},
        {"flag", 8, GW_E_NOT_FOUND, NULL},
        {"bad", 8, GW_E_INVALID, NULL},
        {"nul", 8, GW_E_INVALID, NULL},
        {"mp", 8, GW_E_NOT_FOUND, NULL},
        {"", 8, GW_E_NOT_FOUND, NULL},
        {"last", 8, GW_OK, "9"},
    };
    gw_url url;
    assert_int_equal(
        gw_url_parse("x://h?a=1&a=2&&empty=&b=x%20y%26+&flag&bad=%4&nul=%00&last=9", &url, NULL),
        GW_OK);
    for (size_t i = 0; i < N_OF(cases); i++) {
        char value[16];
        memset(value, '~', sizeof(value));
        gw_status st = gw_url_query(&url, cases[i].key, value, cases[i].size);
        if (st != cases[i].want) {
            fail_msg("case %zu, '%s': got %s, want %s", i, cases[i].key, gw_status_name(st),
                     gw_status_name(cases[i].want));
        }
        assert_int_equal(value[cases[i].size], '~');
        if (st == GW_OK) {
            assert_string_equal(value, cases[i].value);
        } else {
            assert_int_equal(value[0], '~');
        }
    }
    gw_url_dispose(&url);
    assert_int_equal(gw_url_parse("x://h", &url, NULL), GW_OK);
    char value[4];
    assert_int_equal(gw_url_query(&url, "a", value, sizeof(value)), GW_E_NOT_FOUND);
    gw_url_dispose(&url);
}

static void escapes_go_round(void **state)
{
    (void)state;
    gw_buf encoded;
    gw_buf decoded;
    gw_buf_init(&encoded, 0);
    gw_buf_init(&decoded, 0);
    char all[255];
    for (int i = 0; i < 255; i++) {
        all[i] = (char)(i + 1);
    }
    gw_url_encode(&encoded, all, sizeof(all));
    assert_int_equal(strspn(encoded.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                          "0123456789-._~%"),
                     encoded.len);
    assert_int_equal(gw_url_decode(&decoded, encoded.data, encoded.len), GW_OK);
    assert_int_equal(decoded.len, sizeof(all));
    assert_memory_equal(decoded.data, all, sizeof(all));

    gw_buf_clear(&encoded);
    gw_url_encode(&encoded, "a/b c\0", 6);
    assert_string_equal(encoded.data, "a%2Fb%20c%00");
    gw_buf_clear(&decoded);
    assert_int_equal(gw_url_decode(&decoded, "a+b%2fc", 7), GW_OK);
    assert_string_equal(decoded.data, "a+b/c");
    static const char *const broken[] = {"%", "%4", "%g0", "%0g", "%00", "x%", "%%41"};
    for (size_t i = 0; i < N_OF(broken); i++) {
        gw_buf_clear(&decoded);
        assert_int_equal(gw_url_decode(&decoded, broken[i], strlen(broken[i])), GW_E_INVALID);
    }
    gw_buf_clear(&decoded);
    assert_int_equal(gw_url_decode(&decoded, "%41", 2),
                     GW_E_INVALID); /* the length rules, not the NUL */
    gw_buf_dispose(&encoded);
    gw_buf_dispose(&decoded);
}

static void passwords_are_added(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *with;
    } cases[] = {
        {"amqp://godwit@rabbit:5672/", "amqp://godwit:p%40s%2Fs%3A@rabbit:5672/"},
        {"amqps://u@a,b,[::1]:5671", "amqps://u:p%40s%2Fs%3A@a,b,[::1]:5671"},
        {"amqp://u@h?heartbeat=5", "amqp://u:p%40s%2Fs%3A@h?heartbeat=5"},
        {"amqp://u:own@h/", "amqp://u:own@h/"},
        {"amqp://u:@h/", "amqp://u:@h/"},
        {"amqp://h/v@w", "amqp://h/v@w"},
        {"amqp://u@h/?heartbeat=5&password_file=/run/x",
         "amqp://u@h/?heartbeat=5&password_file=/run/x"},
        {"bus:run/u@bus", "bus:run/u@bus"},
        {"", ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf out;
        gw_buf_init(&out, 0);
        gw_buf_add_str(&out, "");
        gw_url_add_password(&out, cases[i].url, "p@s/s:");
        assert_string_equal(out.data, cases[i].with);
        gw_buf_dispose(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_come_apart),
        cmocka_unit_test(what_is_no_url_is_refused),
        cmocka_unit_test(long_urls_are_refused_unread),
        cmocka_unit_test(mangled_urls_are_survived),
        cmocka_unit_test(errors_show_no_password),
        cmocka_unit_test(lines_are_masked),
        cmocka_unit_test(queries_are_answered),
        cmocka_unit_test(escapes_go_round),
        cmocka_unit_test(passwords_are_added),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
