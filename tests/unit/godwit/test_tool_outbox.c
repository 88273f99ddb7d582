/* SPDX-License-Identifier: MIT */
/* godwit outbox as a whole, on an outbox that no service uses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/log.h>

#include "messaging/journal.h"
#include "support/child.h"
#include "tool.h"

static char dir[256];

typedef struct output {
    int status;
    char *out;
    char *err;
} output;

/* Run "godwit outbox COMMAND DIR WORDS". */
static output run(const char *verb, const char *words)
{
    char *storage = strdup(words);
    char *argv[32] = {(char[]){"godwit"}, (char[]){"outbox"}};
    int argc = 2;
    argv[argc++] = strdup(verb);
    argv[argc++] = dir;
    for (char *word = strtok(storage, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    output got;
    size_t len;
    FILE *out = open_memstream(&got.out, &len);
    FILE *err = open_memstream(&got.err, &len);
    assert_true(out != NULL && err != NULL);
    char *first = argv[2];
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

static gw_message *new_message(const char *id)
{
    gw_message *msg = gw_message_new(id, strlen(id));
    assert_non_null(msg);
    assert_int_equal(gw_message_set_id(msg, id), GW_OK);
    return msg;
}

static uint64_t append(gw__journal *journal, uint32_t queue, const char *id)
{
    gw_message *msg = new_message(id);
    uint64_t seq = 0;
    assert_int_equal(gw__journal_append(journal, queue, msg, &seq, NULL), GW_OK);
    gw_message_free(msg);
    return seq;
}

/* Messages a, b and c for queue "q\x1b[1m", x for exchange "e"; b is dead. */
static int fill(void **state)
{
    (void)state;
    gw_log_set_level(GW_LOG_OFF);
    make_test_dir(dir, sizeof(dir));
    gw__journal *journal = NULL;
    gw__journal_options how = {.dir = dir, .max_bytes = 1 << 20};
    assert_int_equal(gw__journal_open(&how, &journal, NULL), GW_OK);
    gw__target q = {.exchange = "", .queue = "q\x1b[1m"};
    gw__target e = {.exchange = "e", .type = GW_EXCHANGE_TOPIC};
    uint32_t q_queue;
    uint32_t e_queue;
    assert_int_equal(gw__journal_queue(journal, &q, &q_queue, NULL), GW_OK);
    assert_int_equal(gw__journal_queue(journal, &e, &e_queue, NULL), GW_OK);
    append(journal, q_queue, "a");
    append(journal, e_queue, "x");
    uint64_t b = append(journal, q_queue, "b");
    append(journal, q_queue, "c");
    gw_message *msg = new_message("b");
    const gw_error why = {GW_E_UNROUTABLE, 312, "no queue takes it"};
    gw__journal_ref ref = {.seq = b, .queue = q_queue};
    assert_true(gw__journal_bury(journal, ref, msg, &why));
    gw_message_free(msg);
    gw__journal_close(journal);
    return 0;
}

static int clear(void **state)
{
    (void)state;
    remove_test_dir(dir);
    return 0;
}

/* The number of the message with this id. */
static unsigned long number_of(const char *id)
{
    char pair[64];
    snprintf(pair, sizeof(pair), "\"id\":\"%s\"", id);
    output got = run("list", "--json");
    unsigned long number = 0;
    for (char *line = strtok(got.out, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strstr(line, pair) != NULL) {
            assert_int_equal(sscanf(line, "{\"number\":%lu", &number), 1);
        }
    }
    free(got.out);
    free(got.err);
    return number;
}

static void test_list(void **state)
{
    (void)state;
    output got = run("list", "");
    assert_int_equal(got.status, 0);
    assert_null(strchr(got.out, '\x1b'));
    const char *first = strstr(got.out, "3 waiting, 1 dead, 0 damaged; no process uses it\n");
    const char *dead = strstr(got.out, "  dead     b ");
    const char *waiting = strstr(got.out, "  waiting  a ");
    assert_true(first == got.out && dead != NULL && waiting > dead);
    assert_non_null(strstr(dead, "no queue takes it\n"));
    assert_non_null(strstr(waiting, "q\\x1b[1m"));
    free(got.out);
    free(got.err);
    check("list", "--limit 2", 0, "waiting  a", "the first 2 messages");
    check("list", "--json --dead", 0, "\"part\":\"dead\",\"queue\":\"q\\u001b[1m\"", "");
    check("export", "--waiting", 0, "\"exchange\":\"e\",\"exchange_type\":\"topic\"", "");
    check("export", "", 0, "\"body\":\"c\"}\n", "");
}

static void test_show(void **state)
{
    (void)state;
    char number[32];
    snprintf(number, sizeof(number), "%lu", number_of("b"));
    check("show", number, 0, "\n  reason             no queue takes it\n", "");
    check("show", "b", 0, "of the outbox, dead\n", "");
    check("show", "x --json", 0, "\"message_id\":\"x\"", "");
    check("show", "x --body", 0, "x", "");
    check("show", "x --dead", 1, "", "no dead message in the outbox has the number or id 'x'");
    check("show", "4711", 1, "", "has the number or id '4711'");
    check("show", "x --body --json", 2, "", "exclude each other");
}

static void test_resend(void **state)
{
    (void)state;
    check("resend", "", 2, "", "or all dead ones with --all");
    check("resend", "a", 1, "resent 0 messages", "no dead message");
    check("resend", "b", 0, "resent 1 message\n", "");
    check("list", "", 0, "4 waiting, 0 dead", "");
    check("resend", "--all --json", 0, "{\"resent\":0}\n", "");
}

static void test_drop(void **state)
{
    (void)state;
    check("drop", "--all", 2, "", "which part: --dead or --waiting?");
    check("drop", "b --all", 2, "", "or --all with --dead or --waiting");
    check("drop", "a b nobody", 1, "dropped 2 messages", "number or id 'nobody'");
    check("list", "", 0, "2 waiting, 0 dead", "");
    check("drop", "--all --waiting", 0, "dropped 2 messages", "");
    check("list", "", 0, "0 waiting, 0 dead", "");
}

static void test_no_outbox(void **state)
{
    (void)state;
    char path[256];
    snprintf(path, sizeof(path), "%s", dir);
    snprintf(dir, sizeof(dir), "%.240s/none", path);
    static const char *const commands[] = {"list", "show", "resend", "drop", "export"};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        bool named = i > 0 && i < 4;
        check(commands[i], named ? "x" : "", 1, "", "there is no outbox in ");
    }
    memcpy(dir, path, sizeof(path));
}

/* Each page fits a screen, and has an example. */
static void test_help(void **state)
{
    (void)state;
    static const char *const commands[] = {"--help", "list", "show", "resend", "drop", "export"};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        output got = run(commands[i], "--help");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_list, fill, clear),
        cmocka_unit_test_setup_teardown(test_show, fill, clear),
        cmocka_unit_test_setup_teardown(test_resend, fill, clear),
        cmocka_unit_test_setup_teardown(test_drop, fill, clear),
        cmocka_unit_test_setup_teardown(test_no_outbox, fill, clear),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
