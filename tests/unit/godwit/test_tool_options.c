/* SPDX-License-Identifier: MIT */
/* The command line: which options there are, and what is wrong with one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "options.h"

#define ALL 0xffu

/* Split at blanks; the words live in `storage`. */
static int split(const char *line, char *storage, size_t size, const char **argv)
{
    int argc = 0;
    assert_true(strlen(line) < size);
    memcpy(storage, line, strlen(line) + 1);
    for (char *word = strtok(storage, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    return argc;
}

static bool read_line(const char *line, unsigned known, options *given, char *fault)
{
    static char storage[512];
    static const char *argv[32];
    return options_read(known, split(line, storage, sizeof(storage), argv), argv, given, fault);
}

static void test_good_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        options want;
        const char *words; /* joined by commas */
    } cases[] = {
        {"q", {.timeout_ms = 10000}, "q"},
        {"--url amqp://h/ q", {.url = "amqp://h/", .timeout_ms = 10000}, "q"},
        {"q -url=amqp://me@h/ x", {.url = "amqp://me@h/", .timeout_ms = 10000}, "q,x"},
        {"--url amqp://me@h/?password_file=/run/amqp q",
         {.url = "amqp://me@h/?password_file=/run/amqp", .timeout_ms = 10000},
         "q"},
        {"-timeout 250ms q", {.timeout_ms = 250}, "q"},
        {"--timeout=2 q", {.timeout_ms = 2000}, "q"},
        {"--timeout 1h", {.timeout_ms = 3600000}, ""},
        {"a --limit 7 b -json c --all",
         {.timeout_ms = 10000, .limit = 7, .json = true, .all = true},
         "a,b,c"},
        {"--body --id q --to other",
         {.timeout_ms = 10000, .body = true, .id = true, .to = "other"},
         "q"},
        {"q -- --all -", {.timeout_ms = 10000}, "q,--all,-"},
        {"q --help --nonsense", {.timeout_ms = 10000, .help = true}, "q"},
        {"--limit 1 --limit 2", {.timeout_ms = 10000, .limit = 2}, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const options *want = &cases[i].want;
        options got;
        char fault[OPTIONS_FAULT_MAX] = "";
        if (!read_line(cases[i].line, ALL, &got, fault)) {
            fail_msg("'%s': %s", cases[i].line, fault);
        }
        char words[256] = "";
        for (int w = 0; w < got.n_words; w++) {
            strcat(words, w > 0 ? "," : "");
            strcat(words, got.words[w]);
        }
        assert_string_equal(words, cases[i].words);
        assert_int_equal(got.timeout_ms, want->timeout_ms);
        assert_int_equal(got.limit, want->limit);
        assert_string_equal(got.url != NULL ? got.url : "", want->url != NULL ? want->url : "");
        assert_string_equal(got.to != NULL ? got.to : "", want->to != NULL ? want->to : "");
        assert_true(got.json == want->json && got.all == want->all && got.body == want->body);
        assert_true(got.id == want->id && got.help == want->help);
    }
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        unsigned known;
        const char *fault;
    } cases[] = {
        {"--nonsense", ALL, "there is no option --nonsense"},
        {"--all", ALL & ~(unsigned)OPTION_ALL, "there is no option --all"},
        {"--al", ALL, "there is no option --al"},
        {"--all=yes", ALL, "--all takes no value"},
        {"--limit", ALL, "--limit needs a value: --limit NUMBER"},
        {"--limit=", ALL, "--limit needs a value"},
        {"--limit 0", ALL, "'0' is not a number from 1 to"},
        {"--limit -3", ALL, "'-3' is not a number"},
        {"--limit 1000001", ALL, "'1000001' is not a number"},
        {"--limit 99999999999999999999", ALL, "is not a number"},
        {"--timeout soon", ALL, "'soon' is not a time"},
        {"--timeout 0", ALL, "'0' is not a time"},
        {"--timeout 2h", ALL, "'2h' is not a time"},
        {"--timeout 5000000s", ALL, "is not a time"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        options got;
        char fault[OPTIONS_FAULT_MAX] = "";
        if (read_line(cases[i].line, cases[i].known, &got, fault) ||
            strstr(fault, cases[i].fault) == NULL) {
            fail_msg("'%s': '%s', not '%s'", cases[i].line, fault, cases[i].fault);
        }
    }
}

/* A password in the command line is refused, and not repeated, however the URL is broken. */
static void test_passwords(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "amqp://guest:hidden@127.0.0.1:5672/", "amqp://guest:hidden@127.0.0.1:99999/",
        "amqp://guest:hid/hidden@host/",       "guest:hidden@host",
        "amqp://a:hidden@x,b:hidden@y/",       "amqp://:hidden@host/",
    };
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        char line[128] = "q --url=";
        strcat(line, urls[i]);
        options got;
        char fault[OPTIONS_FAULT_MAX] = "";
        if (read_line(line, ALL, &got, fault)) {
            fail_msg("'%s' is taken", urls[i]);
        }
        assert_non_null(strstr(fault, OPTIONS_URL_ENV));
        assert_null(strstr(fault, "hidden"));
    }
}

static void test_environment(void **state)
{
    (void)state;
    options got;
    char fault[OPTIONS_FAULT_MAX] = "";
    setenv(OPTIONS_URL_ENV, "amqp://guest:secret@there/", 1);
    assert_true(read_line("q", ALL, &got, fault));
    assert_string_equal(got.url, "amqp://guest:secret@there/");
    assert_true(read_line("q --url amqp://here/", ALL, &got, fault));
    assert_string_equal(got.url, "amqp://here/");
    assert_true(read_line("q", 0, &got, fault));
    assert_null(got.url);
    unsetenv(OPTIONS_URL_ENV);
}

#define BUS                                                                                        \
    (OPTION_TO_URL | OPTION_N | OPTION_FULL | OPTION_YES | OPTION_FOLLOW | OPTION_DRY_RUN |        \
     OPTION_WATCH | OPTION_TARGET | OPTION_PROPERTIES | OPTION_LIMITS)

static void test_options_of_a_bus(void **state)
{
    (void)state;
    options got;
    char fault[OPTIONS_FAULT_MAX] = "";
    assert_true(read_line("--watch q", BUS, &got, fault));
    assert_true(got.watch_ms == 1000 && got.n_words == 1);
    assert_true(read_line("--watch=250ms -n 7 --full --yes", BUS, &got, fault));
    assert_true(got.watch_ms == 250 && got.limit == 7 && got.full && got.yes && !got.follow);
    assert_true(read_line("--exchange e --type topic --key=a.b --header x=1 --header y==2 "
                          "--expiration 2s --priority 0 --message-id id",
                          BUS, &got, fault));
    assert_string_equal(got.message.exchange, "e");
    assert_string_equal(got.message.type, "topic");
    assert_string_equal(got.message.key, "a.b");
    assert_string_equal(got.message.priority, "0");
    assert_string_equal(got.message.message_id, "id");
    assert_int_equal(got.message.expiration_ms, 2000);
    assert_int_equal(got.message.n_headers, 2);
    assert_string_equal(got.message.headers[1], "y==2");
    assert_true(read_line("--max-messages 0 --overflow refuse", BUS, &got, fault));
    assert_string_equal(got.max_messages, "0");
    assert_string_equal(got.overflow, "refuse");
    assert_null(got.max_bytes);
    assert_true(read_line("--to amqp://me@h/ --dry-run", BUS, &got, fault));
    assert_string_equal(got.url, "amqp://me@h/");
    assert_true(got.dry_run && got.to == NULL);
    static const struct {
        const char *line;
        const char *fault;
    } bad[] = {
        {"--watch=soon", "--watch 'soon' is not a time"},
        {"--watch=", "--watch needs a value: --watch TIME"},
        {"-n 0", "-n '0' is not a number"},
        {"--header novalue", "--header 'novalue' is not NAME=VALUE"},
        {"--to amqp://me:hidden@h/", "--to has a password"},
        {"--limit 1", "there is no option --limit"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (read_line(bad[i].line, BUS, &got, fault) || strstr(fault, bad[i].fault) == NULL) {
            fail_msg("'%s': '%s', not '%s'", bad[i].line, fault, bad[i].fault);
        }
    }
}

#define ACCOUNTS (OPTION_STORE | OPTION_FORMAT | OPTION_IMPORT | OPTION_EXPORT)

static void test_options_of_accounts(void **state)
{
    (void)state;
    options got;
    char fault[OPTIONS_FAULT_MAX] = "";
    assert_true(
        read_line("f --store a:b@c --replace --keep-going --batch 7", ACCOUNTS, &got, fault));
    assert_string_equal(got.accounts.store, "a:b@c"); /* a directory may be called so */
    assert_true(got.accounts.replace && got.accounts.keep_going && !got.accounts.force);
    assert_int_equal(got.accounts.batch, 7);
    assert_true(read_line("--force --after=x --format csv", ACCOUNTS, &got, fault));
    assert_true(got.accounts.force && !got.accounts.replace && got.n_words == 0);
    assert_string_equal(got.accounts.after, "x");
    assert_true(read_line("--store postgresql://me@a,b/d?sslmode=require", ACCOUNTS, &got, fault));
    static const struct {
        const char *line;
        const char *fault;
    } bad[] = {
        {"--store postgresql://me:hidden@h/d", "--store has a password"},
        {"--store postgresql://me:hidden@h:99999/d", "--store has a password"},
        {"--store postgresql://me:hidden@a,b/d", "--store has a password"},
        {"--store=mysql://me:hidden@h/d", OPTIONS_STORE_ENV},
        {"--store postgresql://me@h/d?password=hidden", "GODWIT_STORE_PASSWORD"},
        {"--store postgresql://me@h/d?x=1&PASSWORD=hidden", "GODWIT_STORE_PASSWORD_FILE"},
        {"--store postgresql:me:hidden@h/d", "--store is no URL"},
        {"--batch 0", "--batch '0' is not a number"},
        {"--replace=yes", "--replace takes no value"},
        {"--store", "--store needs a value: --store STORE"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (read_line(bad[i].line, ACCOUNTS, &got, fault) || strstr(fault, bad[i].fault) == NULL ||
            strstr(fault, "hidden") != NULL) {
            fail_msg("'%s': '%s', not '%s'", bad[i].line, fault, bad[i].fault);
        }
    }
}

static void test_count(void **state)
{
    (void)state;
    uint64_t number = 7;
    assert_true(options_count("0", 10, &number) && number == 0);
    assert_true(options_count("10", 10, &number) && number == 10);
    assert_true(options_count("18446744073709551615", UINT64_MAX, &number) && number == UINT64_MAX);
    assert_false(options_count("18446744073709551616", UINT64_MAX, &number));
    assert_false(options_count("11", 10, &number));
    assert_false(options_count("", 10, &number));
    assert_false(options_count("1 ", 10, &number));
    assert_false(options_count("-1", 10, &number));
}

int main(void)
{
    unsetenv(OPTIONS_URL_ENV);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_lines),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_passwords),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_options_of_a_bus),
        cmocka_unit_test(test_options_of_accounts),
        cmocka_unit_test(test_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
