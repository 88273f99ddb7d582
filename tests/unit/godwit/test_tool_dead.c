/* SPDX-License-Identifier: MIT */
/* The program as a whole, on a broker in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/log.h>
#include <godwit/messaging.h>
#include <godwit/testing.h>
#include <godwit/version.h>

#include "tool.h"

#define URL     "memory:tool"
#define WAIT_MS 20000

typedef struct output {
    int status;
    char *out;
    char *err;
} output;

/* Run it with the words of `line`. */
static output run(const char *line)
{
    char *storage = strdup(line);
    char *argv[32] = {(char[]){"godwit"}};
    int argc = 1;
    for (char *word = strtok(storage, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    output got;
    size_t len;
    FILE *out = open_memstream(&got.out, &len);
    FILE *err = open_memstream(&got.err, &len);
    assert_true(out != NULL && err != NULL);
    got.status = tool_run(argc, argv, out, err);
    fclose(out);
    fclose(err);
    free(storage);
    return got;
}

static void check(const char *line, int status, const char *in_out, const char *in_err)
{
    output got = run(line);
    if (got.status != status || strstr(got.out, in_out) == NULL ||
        strstr(got.err, in_err) == NULL || (in_err[0] == '\0' && got.err[0] != '\0')) {
        fail_msg("'%s': %d, '%s', '%s'", line, got.status, got.out, got.err);
    }
    free(got.out);
    free(got.err);
}

static gw_client *open_client(void)
{
    gw_client *client = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_connect(URL, NULL, &client, &err) != GW_OK ||
        gw_wait_up(client, WAIT_MS, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return client;
}

static void send(gw_client *client, const char *queue, const char *id, const char *from)
{
    gw_message *msg = gw_message_new(id, strlen(id));
    assert_non_null(msg);
    assert_int_equal(gw_message_set_id(msg, id), GW_OK);
    assert_int_equal(gw_message_set_header_text(msg, "x-godwit-reason", "why not"), GW_OK);
    assert_int_equal(gw_message_set_header_text(msg, "x-godwit-queue", from), GW_OK);
    assert_int_equal(gw_publish_on_queue(client, queue, msg, NULL), GW_OK);
    gw_message_free(msg);
}

static void send_letters(gw_client *client)
{
    send(client, "work.dead", "a", "work");
    send(client, "work.dead", "2", "work");
    send(client, "work.dead", "c", "work");
}

static void take(const char *queue, const char *id)
{
    gw_message *msg = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_testing_take(URL, queue, 0, &msg, &err) != GW_OK) {
        fail_msg("%s: %s", queue, err.text);
    }
    assert_string_equal(gw_message_id(msg), id);
    gw_message_free(msg);
}

static void test_arguments(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int status;
        const char *out;
        const char *err;
    } cases[] = {
        {"", 2, "", "see godwit --help"},
        {"--version", 0, "godwit " GW_VERSION " (commit ", ""},
        {"nonsense", 2, "", "there is no command 'nonsense'"},
        {"dead", 2, "", "needs a command"},
        {"dead nonsense", 2, "", "has no command 'nonsense'"},
        {"dead list", 2, "", "usage: godwit dead list"},
        {"dead list a b", 2, "", "usage: godwit dead list"},
        {"dead show a", 2, "", "usage: godwit dead show"},
        {"dead list --all q", 2, "", "there is no option --all here (see godwit dead list --help)"},
        {"dead list q", 2, "", "which broker? Set GODWIT_AMQP_SERVER_URL"},
        {"dead list --url " URL " -- ", 2, "", "usage"},
        {"dead putback --url " URL " q", 2, "", "or all of them with --all"},
        {"dead drop --url " URL " q x --all", 2, "", "or all of them with --all"},
        {"dead show --url " URL " q x --json --body", 2, "", "exclude each other"},
        {"dead list --url amqp://guest:hidden@h/ q", 2, "", "--url has a password"},
        {"dead list --url http://h/ q", 1, "", "http://h/"},
        {"dead list --url amqp://127.0.0.1:1/ --timeout 50ms q", 1, "", "not connected within"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check(cases[i].line, cases[i].status, cases[i].out, cases[i].err);
    }
    char longest[400] = "dead list --url " URL " ";
    memset(longest + strlen(longest), 'q', 251);
    check(longest, 2, "", "a queue's name has 1 to 250 bytes");
}

/* Each page fits a screen, and has an example. */
static void test_help(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "--help",          "dead --help",         "dead list --help",     "dead show -h",
        "dead drop -help", "dead putback --help", "dead export q --help",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        output got = run(lines[i]);
        assert_int_equal(got.status, 0);
        assert_non_null(strstr(got.out, "\nexample"));
        int n_lines = 0;
        for (char *line = strtok(got.out, "\n"); line != NULL; line = strtok(NULL, "\n")) {
            n_lines++;
            assert_true(strlen(line) <= 80);
        }
        assert_true(n_lines <= 23);
        free(got.out);
        free(got.err);
    }
}

static void test_list_and_show(void **state)
{
    (void)state;
    gw_client *client = open_client();
    check("dead list --url " URL " work", 1, "", "there is no queue 'work.dead' on the broker");
    send_letters(client);
    check("dead list --url " URL " work", 0, "     3  c ", "");
    check("dead list --url " URL " work --limit 2", 0, "     2  2 ", "the first 2 of 3 messages");
    check("dead list --url " URL " work --json", 0, "{\"number\":2,\"id\":\"2\"", "");
    check("dead export --url " URL " work", 0, "\"body\":\"c\"}\n", "");
    check("dead show --url " URL " work a", 0, "message 1 of queue work.dead", "");
    check("dead show --url " URL " work 3", 0, "message_id         c", "");
    check("dead show --url " URL " work 2 --id --body", 0, "2", "");
    check("dead show --url " URL " work 4", 1, "", "has no message number 4, but 3 in all");
    check("dead show --url " URL " work b", 1, "", "id 'b' is among the first 3 of 3");
    take("work.dead", "a");
    take("work.dead", "2");
    take("work.dead", "c");
    check("dead list --url " URL " work", 0, "", "'work.dead' is empty");
    assert_int_equal(gw_close(client, 1000, NULL), GW_OK);
}

static void test_drop(void **state)
{
    (void)state;
    gw_client *client = open_client();
    send_letters(client);
    check("dead drop --url " URL " work 2", 0, "dropped 1 message, 2 left in 'work.dead'\n", "");
    check("dead drop --url " URL " work 2 c", 1, "dropped 1 message, 1 left", "id '2' is among");
    take("work.dead", "a");
    send_letters(client);
    check("dead drop --url " URL " work --all --limit 2 --json", 0, "{\"dropped\":2,\"left\":1}\n",
          "");
    take("work.dead", "c");
    check("dead drop --url " URL " work --all", 0, "dropped 0 messages, 0 left", "");
    assert_int_equal(gw_close(client, 1000, NULL), GW_OK);
}

static void test_putback(void **state)
{
    (void)state;
    gw_client *client = open_client();
    send_letters(client);
    check("dead putback --url " URL " work c", 0, "put back 1 message, 2 left", "");
    check("dead putback --url " URL " work --all", 0, "put back 2 messages, 0 left", "");
    take("work", "c");
    take("work", "a");
    take("work", "2");
    /* What says that it was elsewhere stays, unless one says where to. */
    send(client, "work.dead", "x", "elsewhere");
    send(client, "work.dead", "y", "work");
    check("dead putback --url " URL " work --all", 1, "put back 1 message, 1 left",
          "comes from queue 'elsewhere'");
    take("work", "y");
    check("dead putback --url " URL " work x --to third", 0, "put back 1 message, 0 left", "");
    take("third", "x");
    assert_int_equal(gw_close(client, 1000, NULL), GW_OK);
}

int main(void)
{
    unsetenv(OPTIONS_URL_ENV);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),     cmocka_unit_test(test_help),
        cmocka_unit_test(test_list_and_show), cmocka_unit_test(test_drop),
        cmocka_unit_test(test_putback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
