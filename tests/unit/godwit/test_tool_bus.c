/* SPDX-License-Identifier: MIT */
/* godwit bus as a whole, on a bus that no service uses. What needs a broker, a terminal or another
 * process is in tests/e2e/test_godwit_bus.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/log.h>

#include "support/child.h"
#include "tool.h"

static char dir[256];     /* of the test */
static char bus_dir[300]; /* of the bus in it */

typedef struct output {
    int status;
    char *out;
    char *err;
} output;

/* Run "godwit bus COMMAND WORDS"; a word '@' stands for the bus's directory. */
static output run(const char *verb, const char *words)
{
    char *storage = strdup(words);
    char *first = strdup(verb);
    char *argv[32] = {(char[]){"godwit"}, (char[]){"bus"}, first};
    int argc = 3;
    for (char *word = strtok(storage, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = strcmp(word, "@") == 0 ? bus_dir : word;
    }
    output got;
    size_t len;
    FILE *out = open_memstream(&got.out, &len);
    FILE *err = open_memstream(&got.err, &len);
    assert_true(out != NULL && err != NULL);
    got.status = tool_run(argc, argv, out, err);
    fclose(out);
    fclose(err);
    free(first);
    free(storage);
    return got;
}

static void check(const char *verb, const char *words, int status, const char *in_out,
                  const char *in_err)
{
    output got = run(verb, words);
    if (got.status != status || strstr(got.out, in_out) == NULL ||
        strstr(got.err, in_err) == NULL || (in_err[0] == '\0' && got.err[0] != '\0')) {
        fail_msg("%s '%s': %d, '%s', '%s'", verb, words, got.status, got.out, got.err);
    }
    free(got.out);
    free(got.err);
}

/* A bus with messages a, b and c in queue "q"; c comes first. */
static int fill(void **state)
{
    (void)state;
    gw_log_set_level(GW_LOG_OFF);
    make_test_dir(dir, sizeof(dir));
    snprintf(bus_dir, sizeof(bus_dir), "%s/bus", dir);
    check("publish", "@ q one --message-id a --message-type greeting", 0,
          "published a on queue 'q'", "");
    check("publish", "@ q two --message-id b --header mine=7", 0, "published b", "");
    check("publish", "@ q thr\x1b[1mee --message-id c --priority 5", 0, "published c", "");
    return 0;
}

static int clear(void **state)
{
    (void)state;
    remove_test_dir(dir);
    return 0;
}

static void test_status(void **state)
{
    (void)state;
    check("status", "@", 0, ", format version 1, healthy\n1 queues (0 temporary), ", "");
    check("status", "@", 0, "3 messages ready, 0 at consumers, 0 delayed; ", "");
    check("status", "@", 0, "no process uses it\n", "");
    check("status", "@ --json", 0, "\"healthy\":true,\"queues\":1,", "");
    check("status", "@ --json", 0, ",\"processes\":[]}\n", "");
}

static void test_list(void **state)
{
    (void)state;
    output got = run("list", "@");
    assert_int_equal(got.status, 0);
    unsigned long n_ready = 0;
    unsigned long n_leased = 9;
    assert_int_equal(strncmp(got.out, "QUEUE ", 6), 0);
    assert_int_equal(sscanf(strchr(got.out, '\n') + 1, "q %lu %lu", &n_ready, &n_leased), 2);
    assert_true(n_ready == 3 && n_leased == 0);
    free(got.out);
    free(got.err);
    check("list", "@ --json", 0, "{\"queue\":\"q\",\"temporary\":false,\"ready\":3,", "");
    check("list", "@ --json", 0, ",\"in\":3,\"out\":0,", "");
}

static void test_peek(void **state)
{
    (void)state;
    output got = run("peek", "@ q");
    assert_int_equal(got.status, 0);
    const char *c = strstr(got.out, "  ready    c ");
    const char *a = strstr(got.out, "  ready    a ");
    const char *b = strstr(got.out, "  ready    b ");
    assert_true(c != NULL && a > c && b > a);
    assert_null(strchr(got.out, '\x1b'));
    free(got.out);
    free(got.err);
    check("peek", "@ q -n 2", 0, " a ", "the first 2 messages");
    check("peek", "@ q --full", 0, "  mine               7\n", "");
    check("peek", "@ q --json", 0, "\"body\":\"two\",\"state\":\"ready\"}\n", "");
    check("list", "@ --json", 0, "\"ready\":3,\"leased\":0,", "");
    check("peek", "@ none", 1, "", "there is no queue 'none'");
    check("peek", "@ q -n 0", 2, "", "godwit: -n '0'");
}

static void test_publish(void **state)
{
    (void)state;
    check("publish", "@ --exchange e --type topic --key a.b lost", 1, "", "exchange 'e'");
    check("publish", "@ --exchange e --type fanout x", 1, "", "topic");
    check("publish", "@", 2, "", "to which queue");
    check("publish", "@ q x y", 2, "", "a body with blanks needs quotes");
    check("publish", "@ q --type topic x", 2, "", "belong to an --exchange");
    check("publish", "q --exchange e x", 2, "", "to queue 'q', or to --exchange 'e'?");
    check("publish", "@ --exchange e --type other x", 2, "", "direct, fanout, topic, headers");
    check("publish", "@ q --priority 256 x", 2, "", "--priority '256'");
    check("publish", "@ q --header =x x", 2, "", "NAME=VALUE");
    check("publish", "@ new x --expiration 1h", 0, "on queue 'new'", "");
    check("peek", "@ new --full", 0, "3600000 ms", "");
}

static void test_consume(void **state)
{
    (void)state;
    check("consume", "@ q -n 1 --body", 0, "thr\x1b[1mee\n", "");
    check("consume", "@ q -n 1 --json", 0, "\"message_id\":\"a\",\"type\":\"greeting\"", "");
    check("list", "@ --json", 0, "\"ready\":1,\"leased\":0,", "");
    check("consume", "@ q", 0, "message 1 of queue q\n", "");
    check("consume", "@ q", 0, "", "'q' is empty");
    check("consume", "@ none", 1, "", "there is no queue 'none'");
    check("consume", "@ q --body --json", 2, "", "exclude each other");
}

static void test_follow_to_a_number(void **state)
{
    (void)state;
    check("consume", "@ q --follow -n 3 --body", 0, "one\ntwo\n", "");
    check("list", "@ --json", 0, "\"ready\":0,\"leased\":0,", "");
}

/* A message that could not be written is not acknowledged. */
static void test_a_full_disk(void **state)
{
    (void)state;
    FILE *full = fopen("/dev/full", "w");
    char *text;
    size_t len;
    FILE *err = open_memstream(&text, &len);
    char *argv[] = {(char[]){"godwit"}, (char[]){"bus"}, (char[]){"consume"}, bus_dir,
                    (char[]){"q"}};
    assert_int_equal(tool_run(5, argv, full, err), 1);
    fclose(err);
    (void)fclose(full);
    assert_non_null(strstr(text, "standard output cannot be written"));
    free(text);
    check("list", "@ --json", 0, "\"ready\":3,\"leased\":0,", "");
}

static void test_purge(void **state)
{
    (void)state;
    check("purge", "@ q", 2, "", "say --yes if that is meant");
    check("purge", "@ none --yes", 1, "", "there is no queue 'none'");
    check("purge", "@ q --yes", 0, "purged 3 messages\n", "");
    check("purge", "@ q --yes --json", 0, "{\"purged\":0}\n", "");
}

static void test_limit(void **state)
{
    (void)state;
    check("limit", "@ q", 2, "", "which limit");
    check("limit", "@ q --max-messages some", 2, "", "is not a number");
    check("limit", "@ q --overflow other", 2, "", "refuse, drop-oldest, dead-letter");
    check("limit", "@ none --max-messages 1", 1, "", "there is no queue 'none'");
    check("limit", "@ q --max-messages 3", 0,
          "q: max-messages 3, max-bytes 0, overflow refuse (0: no limit)\n", "");
    check("publish", "@ q four", 1, "", "q");
    check("limit", "@ q --overflow drop-oldest --max-bytes 100000", 0,
          "max-messages 3, max-bytes 100000, overflow drop-oldest", "");
    check("publish", "@ q four", 0, "published", "");
    check("list", "@ --json", 0, "\"ready\":3,", "");
    check("limit", "@ q --max-messages 0", 0, "max-messages 0", "");
}

static void test_backup(void **state)
{
    (void)state;
    char words[700];
    snprintf(words, sizeof(words), "@ %s/copy", dir);
    check("backup", words, 0, "backup of ", "");
    check("backup", words, 1, "", "/copy is there already");
    check("purge", "@ q --yes", 0, "purged 3", "");
    snprintf(words, sizeof(words), "%s/copy q --body", dir);
    check("consume", words, 0, "thr\x1b[1mee\none\ntwo\n", "");
    snprintf(words, sizeof(words), "@ %s/none/copy", dir);
    check("backup", words, 1, "", "/none/copy");
}

static void test_recover(void **state)
{
    (void)state;
    check("recover", "@", 0, "q: recovered 3 messages\n", "");
    check("consume", "@ q --body", 0, "thr\x1b[1mee\none\ntwo\n", "");
}

static void test_move_needs_a_broker(void **state)
{
    (void)state;
    check("move", "@", 2, "", "to which broker?");
    check("move", "@ --to memory:x", 1, "", "amqp://");
    check("move", "@ --to amqp://me:secret@h/", 2, "", "--to has a password");
}

static void test_no_bus(void **state)
{
    (void)state;
    static const char *const commands[][2] = {{"status", "/nowhere/bus"},
                                              {"list", "bus:/nowhere/bus"},
                                              {"peek", "/nowhere/bus q"},
                                              {"consume", "/nowhere/bus q"},
                                              {"purge", "/nowhere/bus q --yes"},
                                              {"backup", "/nowhere/bus /nowhere/to"},
                                              {"recover", "/nowhere/bus"},
                                              {"limit", "/nowhere/bus q --max-bytes 1"},
                                              {"move", "/nowhere/bus --to amqp://h/"}};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        check(commands[i][0], commands[i][1], 1, "", "there is no bus in /nowhere/bus");
    }
    check("list", "", 1, "", "there is no bus in run/bus: name its directory");
    check("publish", "q x", 1, "", "there is no bus in run/bus: name its directory");
    check("list", "bus:x?nonsense=1", 1, "", "nonsense");
}

/* Each page fits a screen, and has an example. */
static void test_help(void **state)
{
    (void)state;
    static const char *const commands[] = {"--help",  "status",  "list",  "peek",
                                           "publish", "consume", "purge", "limit",
                                           "backup",  "recover", "move"};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        output got = run(commands[i], "--help");
        assert_int_equal(got.status, 0);
        assert_non_null(strstr(got.out, "\nexample"));
        int n_lines = 0;
        for (const char *at = got.out; *at != '\0'; n_lines++) {
            size_t len = strcspn(at, "\n");
            if (len > 80) {
                fail_msg("%s: '%.*s'", commands[i], (int)len, at);
            }
            at += len + 1;
        }
        if (n_lines > 23) {
            fail_msg("%s: %d lines", commands[i], n_lines);
        }
        free(got.out);
        free(got.err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_status, fill, clear),
        cmocka_unit_test_setup_teardown(test_list, fill, clear),
        cmocka_unit_test_setup_teardown(test_peek, fill, clear),
        cmocka_unit_test_setup_teardown(test_publish, fill, clear),
        cmocka_unit_test_setup_teardown(test_consume, fill, clear),
        cmocka_unit_test_setup_teardown(test_follow_to_a_number, fill, clear),
        cmocka_unit_test_setup_teardown(test_a_full_disk, fill, clear),
        cmocka_unit_test_setup_teardown(test_purge, fill, clear),
        cmocka_unit_test_setup_teardown(test_limit, fill, clear),
        cmocka_unit_test_setup_teardown(test_backup, fill, clear),
        cmocka_unit_test_setup_teardown(test_recover, fill, clear),
        cmocka_unit_test_setup_teardown(test_move_needs_a_broker, fill, clear),
        cmocka_unit_test(test_no_bus),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
