/* SPDX-License-Identifier: MIT */
/* Files of accounts, as people and enemies write them; what is told of progress. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "accounts.h"
#include "accounts_text.h"
#include "progress.h"

typedef struct bytes {
    const char *at;
    size_t left;
    size_t piece;
} bytes;

static gw_status give(void *ctx, char *ret_bytes, size_t size, size_t *ret_n, gw_error *err)
{
    bytes *from = ctx;
    (void)err;
    size_t n = from->left < from->piece ? from->left : from->piece;
    n = n < size ? n : size;
    memcpy(ret_bytes, from->at, n);
    from->at += n;
    from->left -= n;
    *ret_n = n;
    return GW_OK;
}

static void add_result(gw_buf *all, const account_reader *reader, gw_status st, const account *one,
                       const gw_error *err)
{
    gw_buf_addf(all, "%d ", (int)account_reader_line(reader));
    if (st == GW_OK) {
        gw_buf_addf(all, "%s=%s|", one->id, one->name);
    } else {
        gw_buf_addf(all, "%s: %s|", st == GW_E_INVALID ? "bad" : "END", err->text);
    }
}

/* What is read, "LINE ID=NAME|LINE bad: TEXT|...", when it comes in pieces of that size. */
static char *read_all(account_format format, const char *text, size_t len, size_t piece)
{
    bytes from = {.at = text, .left = len, .piece = piece};
    account_reader *reader = account_reader_new(format, give, &from);
    assert_non_null(reader);
    gw_buf all;
    gw_buf_init(&all, 0);
    gw_status st = GW_OK;
    while (st == GW_OK || st == GW_E_INVALID) {
        account one;
        gw_error err = GW_ERROR_INIT;
        st = account_reader_next(reader, &one, &err);
        if (st != GW_E_NOT_FOUND) {
            add_result(&all, reader, st, &one, &err);
        } else {
            assert_int_equal(from.left, 0);
        }
    }
    account_reader_free(reader);
    gw_buf_add_str(&all, "");
    return all.data != NULL ? gw_buf_detach(&all, NULL) : calloc(1, 1);
}

static void check_len(account_format format, const char *text, size_t len, const char *want)
{
    static const size_t pieces[] = {1, 2, 7, 65536};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        char *got = read_all(format, text, len, pieces[i]);
        if (strstr(want, "...") != NULL ? strncmp(got, want, strlen(want) - 3) != 0
                                        : strcmp(got, want) != 0) {
            fail_msg("%.200s\n in pieces of %zu:\n got %.600s\nwant %s", text, pieces[i], got,
                     want);
        }
        free(got);
    }
}

#define NOT_AN_ID "is no account id: 1 to 64 letters, digits, '-' or '_'"
#define NOT_A_NAME(id)                                                                             \
    "the name of account '" id "' is not UTF-8, has a NUL, or is longer than 255 bytes"
#define HEADER_HAS "the header has to name the columns id and name, each once, and has "

typedef struct reading {
    const char *text;
    const char *want; /* what stands behind "..." does not matter */
} reading;

static void check(account_format format, const reading *cases, size_t n_cases)
{
    for (size_t i = 0; i < n_cases; i++) {
        check_len(format, cases[i].text, strlen(cases[i].text), cases[i].want);
    }
}

static void test_json(void **state)
{
    (void)state;
    static const reading cases[] = {
        {"", ""},
        {"\n \r\n", ""},
        {"{\"id\":\"10000\",\"name\":\"Person_0\"}\n", "1 10000=Person_0|"},
        {"\xef\xbb\xbf{\"id\":\"1\",\"name\":\"\"}\r\n\n{\"name\":\"b\",\"x\":[{}],\"id\":\"2\"}",
         "1 1=|3 2=b|"},
        {"{\"id\":\"1\",\"name\":\"\\u00e9\\ud83d\\ude00\\n\"}", "1 1=\xc3\xa9\xf0\x9f\x98\x80\n|"},
        {"{\"id\":\"1\",\"name\":\"a\",\"id\":\"2\"}\n{\"id\":\"3\",\"name\":\"c\"}",
         "1 bad: no JSON, at column 25: duplicate object key..."},
        {"[1]\n{\"id\":\"3\",\"name\":\"c\"}", "1 bad: an array, and no object of JSON|2 3=c|"},
        {"{\"id\":1,\"name\":\"c\"}", "1 bad: \"id\" is no string|"},
        {"{\"id\":\"1\",\"name\":null}", "1 bad: \"name\" is no string|"},
        {"{\"name\":\"c\"}", "1 bad: there is no \"id\"|"},
        {"{\"ID\":\"1\",\"name\":\"c\"}", "1 bad: there is no \"id\"|"},
        {"{\"id\":\"1\"}\n", "1 bad: there is no \"name\"|"},
        {"{\"id\":\"\",\"name\":\"\"}", "1 bad: '' " NOT_AN_ID "|"},
        {"{\"id\":\"a/b\",\"name\":\"\"}", "1 bad: 'a/b' " NOT_AN_ID "|"},
        {"{\"id\":\"1\",\"name\":\"c\"} x\n", "1 bad: no JSON, at column 2..."},
        {"{\"id\":\"1\",\"name\":\"c\"}{\"id\":\"2\",\"name\":\"d\"}", "1 bad: no JSON, at..."},
        {"{\"id\":\"1\",\n\"name\":\"c\"}\n", "1 bad: no JSON, at..."},
        {"{\"id\":\"1\",\"name\":\"\xff\"}\n", "1 bad: no JSON, at..."},
        {"{\"id\":\"1\",\"name\":\"a\\u0000b\"}\n", "1 bad: " NOT_A_NAME("1") "|"},
        {"id,name\n1,a\n", "1 bad: no JSON, at column 2..."},
    };
    check(ACCOUNT_NDJSON, cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_csv(void **state)
{
    (void)state;
    static const reading cases[] = {
        {"", "0 END: there is no header: id,name|"},
        {"id,name\r\n", ""},
        {"id,name\r\n10000,Person_0\r\n10001,\r\n", "2 10000=Person_0|3 10001=|"},
        {"\xef\xbb\xbfname,id\na,1", "2 1=a|"},
        {"\"id\",more,\"name\"\n1,,a\n\n2,\"x\ny\", b \n3,,c\n", "2 1=a|4 2= b |6 3=c|"},
        {"id,name\n1,\"a, \"\"b\"\"\r\nc\"\n2,\"\"\n\"3\",\"\"\"\"\n",
         "2 1=a, \"b\"\r\nc|4 2=|5 3=\"|"},
        {"id,name\n1,a\"b\n2,c\n",
         "2 bad: a quote within field 2: the whole field has to be in quotes, and the quote "
         "doubled|3 2=c|"},
        {"id,name\n1,\"a\"b\n2,c\n", "2 bad: text behind the closing quote of field 2|3 2=c|"},
        {"id,name\n1,\"a\" \n2,c\n", "2 bad: text behind the closing quote of field 2|3 2=c|"},
        {"id,name\n1\r,a\n2,c\n", "2 bad: a carriage return within a line, behind field 1|3 2=c|"},
        {"id,name\r1,a\r", "1 END: a carriage return within a line, behind field 2|"},
        {"id,name\n1,a\r", "2 bad: a carriage return within a line, behind field 2|"},
        {"id,name\n1,a\n2,\"b\n3,c\n",
         "2 1=a|3 bad: a field in quotes is not closed before the end of the file|"},
        {"id,name\n1\n1,a,b\n2,c\n",
         "2 bad: 1 field, and the header has 2|3 bad: 3 fields, and the header has 2|4 2=c|"},
        {"id;name\n1;a\n", "1 END: " HEADER_HAS "no 'id'|"},
        {"10000,Person_0\n", "1 END: " HEADER_HAS "no 'id'|"},
        {"id,Name\n1,a\n", "1 END: " HEADER_HAS "no 'name'|"},
        {"id,name,id\n1,a,2\n", "1 END: " HEADER_HAS "more than one 'id'|"},
        {"id,\"name\n1,a\n", "1 END: a field in quotes is not closed before the end of the file|"},
        {"id,name\n 1,a\n", "2 bad: ' 1' " NOT_AN_ID "|"},
        {"id,name\n1,a\xffz\n2,c", "2 bad: " NOT_A_NAME("1") "|3 2=c|"},
        {"{\"id\":\"1\",\"name\":\"a\"}\n", "1 END: a quote within..."},
    };
    check(ACCOUNT_CSV, cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_nul(void **state)
{
    (void)state;
    static const char csv[] = "id,name\n1\0,a\n2,b\0c\n3,d\n";
    check_len(ACCOUNT_CSV, csv, sizeof(csv) - 1,
              "2 bad: '1' " NOT_AN_ID "|3 bad: " NOT_A_NAME("2") "|4 3=d|");
    static const char json[] =
        "\0\n{\"id\":\"1\",\"name\":\"a\0b\"}\n{\"id\":\"3\",\"name\":\"d\"}";
    char *got = read_all(ACCOUNT_NDJSON, json, sizeof(json) - 1, 3);
    assert_non_null(strstr(got, "1 bad: no JSON"));
    assert_non_null(strstr(got, "|2 bad: no JSON"));
    assert_non_null(strstr(got, "|3 3=d|"));
    free(got);
}

static void add_times(gw_buf *text, const char *what, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        gw_buf_add_str(text, what);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    gw_buf text;
    gw_buf_init(&text, 0);
    gw_buf_add_str(&text, "id,name\n");
    add_times(&text, "i", 64);
    gw_buf_add_char(&text, ',');
    add_times(&text, "n", 255);
    gw_buf_add_str(&text, "\n2,");
    add_times(&text, "n", 256);
    gw_buf_add_char(&text, '\n');
    add_times(&text, "i", 65);
    gw_buf_add_str(&text, ",x\n");
    char *got = read_all(ACCOUNT_CSV, text.data, text.len, 100);
    assert_non_null(strstr(got, "nnn|3 bad: " NOT_A_NAME("2") "|4 bad: 'iii"));
    free(got);

    /* A line that is just short enough, one that is too long, and what follows. */
    gw_buf_clear(&text);
    gw_buf_add_str(&text, "{\"id\":\"1\",\"name\":\"a\"}");
    add_times(&text, " ", LINE_READER_MAX - 1 - text.len);
    gw_buf_add_char(&text, '\n');
    add_times(&text, "x", LINE_READER_MAX + 1000000);
    gw_buf_add_str(&text, "\n{\"id\":\"3\",\"name\":\"c\"}\n");
    check_len(ACCOUNT_NDJSON, text.data, text.len,
              "1 1=a|2 bad: the line is longer than 65536 bytes|3 3=c|");

    /* A quote that is never closed takes no more than it may, and what follows is no account. */
    gw_buf_clear(&text);
    gw_buf_add_str(&text, "id,name\n1,\"");
    add_times(&text, "abcdefg\n", 8191);
    gw_buf_add_str(&text, "xxxxxxxxxxx\n2,b\n");
    check_len(ACCOUNT_CSV, text.data, text.len, "2 END: the record is longer than 65536 bytes|");

    gw_buf_clear(&text);
    gw_buf_add_str(&text, "id,name\n1,\"");
    add_times(&text, "x", LINE_READER_MAX);
    gw_buf_add_str(&text, "\n666,in a field\n\"\n2,b\n");
    check_len(ACCOUNT_CSV, text.data, text.len, "2 END: the line is longer than 65536 bytes|");

    gw_buf_clear(&text);
    gw_buf_add_str(&text, "id,name");
    add_times(&text, ",", 63);
    check_len(ACCOUNT_CSV, text.data, text.len, "1 END: more than 64 fields|");

    gw_buf_clear(&text);
    add_times(&text, "[", 60000);
    gw_buf_add_str(&text, "\n{\"id\":\"3\",\"name\":\"c\"}\n");
    got = read_all(ACCOUNT_NDJSON, text.data, text.len, 5000);
    assert_non_null(strstr(got, "|2 3=c|"));
    free(got);
    gw_buf_dispose(&text);
}

/* The source fails in the middle of a line, which is not taken for one then. */
static gw_status give_and_fail(void *ctx, char *ret_bytes, size_t size, size_t *ret_n,
                               gw_error *err)
{
    bytes *from = ctx;
    return from->left > 0 ? give(ctx, ret_bytes, size, ret_n, err)
                          : gw_error_set(err, GW_E_IO, 0, "the disk is broken");
}

static void test_source_fails(void **state)
{
    (void)state;
    static const char text[] = "id,name\n1,a\n2,b";
    bytes from = {.at = text, .left = sizeof(text) - 1, .piece = 4};
    account_reader *reader = account_reader_new(ACCOUNT_CSV, give_and_fail, &from);
    account one;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(account_reader_next(reader, &one, &err), GW_OK);
    assert_int_equal(account_reader_next(reader, &one, &err), GW_E_IO);
    assert_string_equal(err.text, "the disk is broken");
    assert_int_equal(account_reader_next(reader, &one, &err), GW_E_CLOSED);
    account_reader_free(reader);
}

static void test_written_is_read(void **state)
{
    (void)state;
    static const char *const names[] = {"",     "Person_0",     "a,b",
                                        "\"",   "\"a\"",        "a\r\nb\n",
                                        " a ",  "\xef\xbb\xbf", "\xe2\x80\xae\x1b[1m",
                                        "=1+2", "\\",           "{\"id\":\"2\"}"};
    for (size_t i = 0; i < 2 * sizeof(names) / sizeof(names[0]); i++) {
        account_format format = i % 2 == 0 ? ACCOUNT_CSV : ACCOUNT_NDJSON;
        account one = {.id = "a-1_B"};
        snprintf(one.name, sizeof(one.name), "%s", names[i / 2]);
        gw_buf text;
        gw_buf_init(&text, 0);
        accounts_text_add_header(&text, format);
        accounts_text_add(&text, format, &one);
        char *got = read_all(format, text.data, text.len, 3);
        char want[300];
        snprintf(want, sizeof(want), "%d a-1_B=%s|", format == ACCOUNT_CSV ? 2 : 1, one.name);
        assert_string_equal(got, want);
        free(got);
        gw_buf_dispose(&text);
    }
}

static void test_formats(void **state)
{
    (void)state;
    account_format format;
    assert_true(account_format_of_file("a/b.csv", &format) && format == ACCOUNT_CSV);
    assert_true(account_format_of_file("B.CSV", &format) && format == ACCOUNT_CSV);
    assert_true(account_format_of_file("csv.ndjson", &format) && format == ACCOUNT_NDJSON);
    assert_true(account_format_of_file("x.jsonl", &format) && format == ACCOUNT_NDJSON);
    assert_false(account_format_of_file("x.json", &format));
    assert_false(account_format_of_file("csv", &format));
    assert_true(account_format_of_name("csv", &format) && format == ACCOUNT_CSV);
    assert_true(account_format_of_name("ndjson", &format) && format == ACCOUNT_NDJSON);
    assert_false(account_format_of_name("json", &format));
}

static void test_progress(void **state)
{
    (void)state;
    static const struct {
        uint64_t count, done, whole, ms;
        const char *want;
    } cases[] = {
        {0, 0, 0, 0, "0 accounts"},
        {70, 0, 0, 200, "70 accounts"},
        {70, 7, 10, 200, "70 accounts, 70 %"},
        {1000, 0, 0, 2000, "1000 accounts, 500/s"},
        {1000, 250, 1000, 2000, "1000 accounts, 500/s, 25 %, 6 s left"},
        {1000, 1, 1000, 1000, "1000 accounts, 1000/s, 0 %, 16 min 39 s left"},
        {1000, 1000, 1000, 1000, "1000 accounts, 1000/s, 100 %, 0 s left"},
        {1000, 2000, 1000, 1000, "1000 accounts, 1000/s, 100 %, 0 s left"}, /* the file grew */
        {1000, 0, 1000, 1000, "1000 accounts, 1000/s, 0 %"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[128];
        progress_format(text, sizeof(text), "accounts", cases[i].count, cases[i].done,
                        cases[i].whole, cases[i].ms);
        assert_string_equal(text, cases[i].want);
    }
}

static void check_screen(const char *help)
{
    int n_lines = 0;
    assert_non_null(strstr(help, "\nexample"));
    for (; *help != '\0'; n_lines++) {
        size_t len = strcspn(help, "\n");
        assert_true(len <= 80);
        help += len + (help[len] != '\0' ? 1 : 0);
    }
    assert_true(n_lines <= 23);
}

static void test_help(void **state)
{
    (void)state;
    check_screen(accounts_group.help);
    for (size_t i = 0; i < accounts_group.n_commands; i++) {
        check_screen(accounts_group.commands[i].help);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),         cmocka_unit_test(test_csv),
        cmocka_unit_test(test_nul),          cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_source_fails), cmocka_unit_test(test_written_is_read),
        cmocka_unit_test(test_formats),      cmocka_unit_test(test_progress),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
