/* SPDX-License-Identifier: MIT */
/* The chassis, as a user meets it: a program started, asked, signalled, and what it wrote and
 * exited with. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/version.h>

#include "commit/commit.h"
#include "support/child.h"
#include "unit/config/scripted_server.h"
#include "unit/http/peer.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static const char *const no_env[] = {NULL};
static const char *const plain[] = {SAMPLE, "-port", "0", NULL};
static const char *const broker_env[] = {"SAMPLE_BROKER=1", "GODWIT_AMQP_SERVER_URL=memory:sample",
                                         NULL};

static child program; /* one test runs one at a time */
static peer_answer answer;

static void ask(unsigned port, const char *path)
{
    char request[512];
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
             path);
    peer_ask((uint16_t)port, request, &answer);
}

static unsigned start_plain(const char *const *env)
{
    child_start(&program, plain, env);
    return child_wait_port(&program);
}

static void expect_exit(int expected)
{
    int status = child_wait_exit(&program);
    if (status != expected) {
        fail_msg("exit status %d, expected %d\n--- standard error:\n%s---", status, expected,
                 child_err(&program));
    }
}

/* Ask until it answers with the status and the text: what it tells of comes from other threads. */
static void wait_answer(unsigned port, const char *path, int status, const char *text)
{
    for (int i = 0; i < 2000; i++) {
        ask(port, path);
        if (answer.status == status && strstr(answer.body, text) != NULL) {
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    fail_msg("%s answers %d, without '%s': %s", path, answer.status, text, answer.body);
}

/* ---- questions and wrong flags ---------------------------------------------------------- */

static void test_help_fits_the_terminal(void **state)
{
    (void)state;
    static const char *const programs[] = {ACCOUNTSERVICE, VIPSERVICE, CONFIGSERVER, SAMPLE};
    for (size_t i = 0; i < N_OF(programs); i++) {
        const char *argv[] = {programs[i], "--help", NULL};
        assert_int_equal(child_run(&program, argv, no_env), 0);
        assert_string_equal(child_err(&program), "");
        int n_lines = 0;
        char *next;
        for (char *line = child_out(&program); (next = strchr(line, '\n')) != NULL;
             line = next + 1) {
            n_lines++;
            if (next - line > 80) {
                fail_msg("%s --help, line %d has %d columns", programs[i], n_lines,
                         (int)(next - line));
            }
        }
        if (n_lines > 24) {
            fail_msg("%s --help has %d lines", programs[i], n_lines);
        }
    }
}

static void test_version_and_keys(void **state)
{
    (void)state;
    const char *version[] = {ACCOUNTSERVICE, "-version", NULL};
    assert_int_equal(child_run(&program, version, no_env), 0);
    char wanted[128];
    snprintf(wanted, sizeof(wanted), "accountservice %s (commit %s)\n", GW_VERSION, program_commit);
    assert_string_equal(child_out(&program), wanted);
    const char *without[] = {SAMPLE, "--version", NULL}; /* a program that says nothing of itself */
    assert_int_equal(child_run(&program, without, no_env), 0);
    assert_string_equal(child_out(&program), "sample (godwit " GW_VERSION ")\n");
    const char *keys[] = {VIPSERVICE, "--keys", NULL};
    assert_int_equal(child_run(&program, keys, no_env), 0);
    assert_non_null(
        strstr(child_out(&program), "| `store_dir` | `GODWIT_STORE_DIR` | `data/vipservice` | "));
}

static void test_wrong_flags(void **state)
{
    (void)state;
    static const struct {
        const char *args[3];
        const char *env;
        const char *text;
    } cases[] = {
        {{"-wrong"}, "A=", "sample: there is no flag -wrong (see --help)\n"},
        {{"word"}, "A=", "sample: 'word' is not a flag (see --help)\n"},
        {{"-mode"}, "A=", "sample: the flag -mode needs a value: -mode MODE\n"},
        {{NULL}, "SAMPLE_MODE=\x01", "sample: SAMPLE_MODE holds a control character\n"},
        {{"amqp://guest:secret@host"},
         "A=",
         "sample: 'amqp://guest:***@host' is not a flag (see --help)\n"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        const char *argv[] = {SAMPLE, cases[i].args[0], cases[i].args[1], NULL};
        const char *env[] = {cases[i].env, NULL};
        assert_int_equal(child_run(&program, argv, env), 2);
        assert_string_equal(child_err(&program), cases[i].text);
        assert_string_equal(child_out(&program), "");
    }
}

/* ---- what keeps it from starting ----------------------------------------------------------- */

static void test_cannot_start(void **state)
{
    (void)state;
    static const struct {
        const char *args[4];
        const char *env[3];
        const char *text;
    } cases[] = {
        {{"-mode", "broken-start"}, {NULL}, "cannot start: the store is on fire\n"},
        {{NULL},
         {"SAMPLE_BROKER=1"},
         "cannot start: there is no 'amqp_server_url' in the configuration: set it in the "
         "configuration repository or as GODWIT_AMQP_SERVER_URL, to bus:DIR or "
         "amqp://host:5672/\n"},
        {{NULL},
         {"SAMPLE_BROKER=1", "GODWIT_AMQP_SERVER_URL=amqps://u:secret@h"},
         "cannot start: amqp_server_url: amqps:// (TLS) is not supported yet"},
        {{NULL},
         {"SAMPLE_BROKER=1", "GODWIT_AMQP_SERVER_URL=http://u:secret@h"},
         "cannot start: amqp_server_url: broker URL 'http://u:***@h' has no scheme that is known"},
        {{NULL},
         {"SAMPLE_BROKER=1", "GODWIT_AMQP_SERVER_URL=amqp://u:secret@h:99999"},
         "cannot start: amqp_server_url: "},
        {{"-logLevel", "loud"},
         {NULL},
         "cannot start: key 'log_level' = 'loud' from the flag -logLevel is not debug, info, warn, "
         "error or off\n"},
        {{"-logFormat=xml"},
         {NULL},
         "cannot start: key 'log_format' = 'xml' from the flag -logFormat is not text or json\n"},
        {{"-port", "abc"},
         {NULL},
         "cannot start: key 'server_port' = 'abc' from the flag -port is not a number"},
        {{NULL},
         {"SAMPLE_PORT=-1"},
         "cannot start: key 'server_port' = '-1' from environment variable SAMPLE_PORT is not a"},
        {{NULL},
         {"GODWIT_SERVER_PORT=65536"},
         "cannot start: key 'server_port' = '65536' from environment variable GODWIT_SERVER_PORT "
         "is not a"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        const char *argv[] = {SAMPLE, cases[i].args[0], cases[i].args[1], NULL};
        const char *env[] = {cases[i].env[0], cases[i].env[1], NULL};
        int status = child_run(&program, argv, env);
        if (status != 1 || strstr(child_err(&program), cases[i].text) == NULL ||
            strstr(child_err(&program), "secret") != NULL) {
            fail_msg("case %zu: exit status %d, expected '%s'\n--- standard error:\n%s---", i,
                     status, cases[i].text, child_err(&program));
        }
        assert_null(strstr(child_out(&program), "stop begins")); /* it was not started */
    }
}

static void test_wrong_queue_type(void **state)
{
    (void)state;
    const char *env[] = {broker_env[0], broker_env[1], "GODWIT_QUEUE_TYPE=stream", NULL};
    assert_int_equal(child_run(&program, plain, env), 1);
    assert_non_null(strstr(child_err(&program), "cannot start: key 'queue_type' = 'stream' from "
                                                "environment variable GODWIT_QUEUE_TYPE is not "
                                                "classic or quorum\n"));
}

/* All that is wrong, of the chassis and of the program, before anything is opened. */
static void test_all_wrong_settings_are_named(void **state)
{
    (void)state;
    const char *argv[] = {VIPSERVICE, "-configServerUrl", "", NULL};
    const char *env[] = {"GODWIT_QUEUE_TYPE=stream", "GODWIT_DUPLICATES_AGE=1s",
                         "GODWIT_DUPLICATES_MAX=few", NULL};
    assert_int_equal(child_run(&program, argv, env), 1);
    static const char *const lines[] = {
        "key 'queue_type' = 'stream' from environment variable GODWIT_QUEUE_TYPE is not classic ",
        "key 'duplicates_age' = '1s' from environment variable GODWIT_DUPLICATES_AGE is not a ",
        "key 'duplicates_max' = 'few' from environment variable GODWIT_DUPLICATES_MAX is not a ",
        "cannot start: 3 settings are wrong, see above\n",
    };
    for (size_t i = 0; i < N_OF(lines); i++) {
        if (strstr(child_err(&program), lines[i]) == NULL) {
            fail_msg("no '%s' in '%s'", lines[i], child_err(&program));
        }
    }
}

static void test_port_is_taken(void **state)
{
    (void)state;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    socklen_t len = sizeof(address);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    char port[16];
    snprintf(port, sizeof(port), "%u", ntohs(address.sin6_port));
    const char *argv[] = {SAMPLE, "-port", port, NULL};
    assert_int_equal(child_run(&program, argv, broker_env), 1);
    char text[80];
    snprintf(text, sizeof(text), "cannot start: cannot listen on port %s: another process has it\n",
             port);
    assert_non_null(strstr(child_err(&program), text));
    /* What was started before is stopped. */
    assert_non_null(strstr(child_out(&program), "started\nstop begins\nstop ends\n"));
    close(fd);
}

/* ---- stopping ------------------------------------------------------------------------------- */

static void test_stops_on_signal(void **state)
{
    (void)state;
    static const struct {
        int signum;
        const char *text;
    } cases[] = {{SIGTERM, "stopping: Terminated"}, {SIGINT, "stopping: Interrupt"}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        start_plain(i == 0 ? no_env : broker_env);
        child_signal(&program, cases[i].signum);
        expect_exit(0);
        assert_non_null(strstr(child_err(&program), cases[i].text));
        assert_non_null(strstr(child_err(&program), ": stopped\n"));
        assert_null(strstr(child_err(&program), " ERROR "));
        assert_non_null(strstr(child_out(&program), "started\nstop begins\nstop ends\n"));
    }
}

static void test_drains(void **state)
{
    (void)state;
    unsigned port = start_plain(broker_env);
    ask(port, "/publish?text=last+one");
    assert_int_equal(answer.status, 200);
    child_wait_out(&program, "message begins: last one\n");
    int fd = peer_connect((uint16_t)port);
    peer_send_text(fd, "GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    child_wait_out(&program, "request begins\n");
    child_signal(&program, SIGTERM);
    assert_true(peer_read(fd, &answer, false));
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "\"slow\"");
    close(fd);
    expect_exit(0);
    const char *ends = strstr(child_out(&program), "message ends\n");
    assert_non_null(ends);
    assert_non_null(strstr(ends, "stop begins\n")); /* handlers first, then the stores */
}

/* One that follows at once belongs to the first; one after half a second is meant. */
static void test_second_signal(void **state)
{
    (void)state;
    static const int signums[][2] = {{SIGINT, SIGTERM}, {SIGTERM, SIGINT}};
    for (size_t i = 0; i < N_OF(signums); i++) {
        const char *argv[] = {SAMPLE, "-port", "0", "-mode", "slow-stop", NULL};
        child_start(&program, argv, no_env);
        child_wait_port(&program);
        child_signal(&program, SIGTERM);
        child_signal(&program, signums[i][0]);
        child_wait_out(&program, "stop begins\n");
        nanosleep(&(struct timespec){.tv_nsec = 600000000}, NULL); /* the time is what is tested */
        child_signal(&program, SIGHUP);                            /* is not a second one */
        child_wait_err(&program, "SIGHUP");
        child_signal(&program, signums[i][1]);
        expect_exit(128 + signums[i][1]);
        assert_non_null(strstr(child_err(&program), ": exiting at once\n"));
        assert_null(strstr(child_out(&program), "stop ends\n"));
    }
}

static void test_deadline(void **state)
{
    (void)state;
    const char *argv[] = {SAMPLE, "-port", "0", "-mode", "slow-stop", NULL};
    const char *env[] = {"GODWIT_SHUTDOWN_TIMEOUT=100ms", NULL};
    child_start(&program, argv, env);
    child_wait_port(&program);
    child_signal(&program, SIGTERM);
    expect_exit(1);
    assert_non_null(strstr(child_err(&program), "not stopped within the shutdown timeout"));
}

static void test_stops_itself(void **state)
{
    (void)state;
    unsigned port = start_plain(no_env);
    ask(port, "/stop");
    assert_int_equal(answer.status, 200);
    expect_exit(0);
    assert_non_null(strstr(child_err(&program), "stopping: asked to"));
    assert_non_null(strstr(child_out(&program), "stop ends\n"));
}

/* ---- configuration ----------------------------------------------------------------------------
 */

#define CONFIGURATION(greeting, level)                                                             \
    "{\"name\":\"sample\",\"profiles\":[\"test\"],\"label\":\"main\",\"version\":\"abc\","         \
    "\"propertySources\":[{\"name\":\"file\",\"source\":{\"greeting\":\"" greeting                 \
    "\",\"log_level\":\"" level "\",\"shutdown_timeout\":\"5s\"}}]}"

static void test_reload(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 200, CONFIGURATION("hello", "info"));
    const char *argv[] = {SAMPLE, "-port=0", "-configServerUrl", server_url(server), NULL};
    const char *env[] = {"SAMPLE_CONFIG=1", NULL};
    child_start(&program, argv, env);
    child_wait_port(&program);
    assert_non_null(strstr(child_err(&program), "loaded 1 property sources, version abc\n"));
    assert_non_null(strstr(server_last_request(server), "/sample/test/main"));

    server_answer(server, 200, CONFIGURATION("good evening", "info"));
    child_signal(&program, SIGHUP);
    child_wait_out(&program, "changed: greeting=good evening\n");

    /* The chassis' own keys are checked; the wrong value changes nothing. */
    server_answer(server, 200, CONFIGURATION("good evening", "loud"));
    child_signal(&program, SIGHUP);
    child_wait_err(&program, "the settings stay as they are: key 'log_level' = 'loud' from file "
                             "is not debug, info, warn, error or off\n");

    /* A server that fails changes nothing, and the program keeps running. */
    server_answer(server, 500, "broken");
    size_t n = server_count(server);
    child_signal(&program, SIGHUP);
    assert_true(server_wait(server, n + 1));
    child_signal(&program, SIGTERM);
    expect_exit(0);
    server_stop(server);
}

static void test_stop_while_loading(void **state)
{
    (void)state;
    scripted_server *server = server_start();
    server_answer(server, 503, "");
    const char *argv[] = {SAMPLE, "-port=0", "-configServerUrl", server_url(server), NULL};
    const char *env[] = {"SAMPLE_CONFIG=1", NULL};
    for (int i = 0; i < 5; i++) {
        size_t n = server_count(server);
        child_start(&program, argv, env);
        assert_true(server_wait(server, n + 1)); /* it is at it */
        child_signal(&program, SIGTERM);
        expect_exit(0);
        assert_null(strstr(child_err(&program), "cannot start"));
        assert_string_equal(child_out(&program), "");
    }
    server_stop(server);
}

static void test_log_as_json(void **state)
{
    (void)state;
    const char *argv[] = {SAMPLE, "-port=0", "-logFormat=json", "-logLevel=debug", NULL};
    child_start(&program, argv, no_env);
    child_wait_port(&program);
    child_signal(&program, SIGTERM);
    expect_exit(0);
    assert_int_equal(child_err(&program)[0], '{');
    assert_non_null(strstr(child_err(&program), "\"service\":\"sample\""));
}

/* ---- endpoints ---------------------------------------------------------------------------------
 */

static void test_health(void **state)
{
    (void)state;
    unsigned port = start_plain(no_env);
    ask(port, "/health");
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "{\"status\":\"UP\"}");
    assert_string_equal(peer_header(&answer, "Content-Type"), "application/json");
    ask(port, "/health/live");
    assert_string_equal(answer.body, "{\"status\":\"UP\"}");
    ask(port, "/health/ready");
    assert_int_equal(answer.status, 200);
    static const char up[] = "{\"status\":\"UP\",\"components\":{\"store\":{\"status\":\"UP\",";
    assert_memory_equal(answer.body, up, strlen(up));

    ask(port, "/down?reason=the+disk+is+full");
    static const char *const paths[] = {"/health", "/health/ready"};
    for (size_t i = 0; i < N_OF(paths); i++) {
        ask(port, paths[i]);
        assert_int_equal(answer.status, 503);
        static const char down[] = "{\"status\":\"DOWN\",\"components\":{\"store\":{\"status\":"
                                   "\"DOWN\",\"reason\":\"the disk is full\",\"since\":\"";
        assert_memory_equal(answer.body, down, strlen(down));
    }
    ask(port, "/health/live"); /* no reason to restart it */
    assert_int_equal(answer.status, 200);

    ask(port, "/up");
    ask(port, "/health");
    assert_int_equal(answer.status, 200);
    child_signal(&program, SIGTERM);
    expect_exit(0);
}

static void test_health_as_text(void **state)
{
    (void)state;
    const char *env[] = {"SAMPLE_TEXT=1", NULL};
    unsigned port = start_plain(env);
    ask(port, "/health");
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "OK");
    assert_string_equal(peer_header(&answer, "Content-Type"), "text/plain; charset=utf-8");
    assert_null(peer_header(&answer, "Server")); /* the program says nothing of itself */
    static const struct {
        const char *accept;
        bool json;
    } cases[] = {
        {"application/json", true},
        {"Application/JSON;q=0.9, text/plain;q=0.1", true},
        {"text/plain, application/json", false},
        {"*/*", false},
        {"text/html,application/xhtml+xml,*/*;q=0.8", false},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char request[512];
        snprintf(request, sizeof(request),
                 "GET /health HTTP/1.1\r\nHost: test\r\nAccept: %s\r\nConnection: close\r\n\r\n",
                 cases[i].accept);
        peer_ask((uint16_t)port, request, &answer);
        assert_string_equal(answer.body, cases[i].json ? "{\"status\":\"UP\"}" : "OK");
        assert_string_equal(peer_header(&answer, "Content-Type"),
                            cases[i].json ? "application/json" : "text/plain; charset=utf-8");
        assert_string_equal(peer_header(&answer, "Vary"), "Accept");
    }
    ask(port, "/down?reason=amqp://u:secret@h+is+away");
    ask(port, "/health");
    assert_int_equal(answer.status, 503);
    static const char down[] = "store: amqp://u:***@h is away (since 20";
    assert_memory_equal(answer.body, down, strlen(down));
    ask(port, "/health/ready"); /* the details are JSON for every program */
    assert_int_equal(answer.status, 503);
    assert_int_equal(answer.body[0], '{');
    child_signal(&program, SIGTERM);
    expect_exit(0);
}

static void test_no_component(void **state)
{
    (void)state;
    const char *argv[] = {SAMPLE, "-port=0", "-mode=no-component", NULL};
    child_start(&program, argv, no_env);
    unsigned port = child_wait_port(&program);
    ask(port, "/health/ready");
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "{\"status\":\"UP\",\"components\":{}}");
    child_signal(&program, SIGTERM);
    expect_exit(0);
}

static void test_broker_health(void **state)
{
    (void)state;
    unsigned port = start_plain(broker_env);
    wait_answer(port, "/health", 200, "{\"status\":\"UP\"}");
    wait_answer(port, "/health/ready", 200, "\"broker\":{\"status\":\"UP\"");
    child_signal(&program, SIGTERM);
    expect_exit(0);

    /* Nobody is there: it starts, says so, and stops cleanly. */
    char url[128];
    snprintf(url, sizeof(url), "GODWIT_AMQP_SERVER_URL=amqp://u:secret@%s",
             dead_url() + strlen("http://"));
    const char *env[] = {"SAMPLE_BROKER=1", url, NULL};
    port = start_plain(env);
    wait_answer(port, "/health", 503, "\"broker\":{\"status\":\"DOWN\",\"reason\":\"connecting: ");
    assert_null(strstr(answer.body, "secret"));
    child_signal(&program, SIGTERM);
    expect_exit(0);
    assert_null(strstr(child_err(&program), "secret"));
}

/* What an outbox in memory still has when the time is up is lost, and that is said. One on disk
 * keeps it for the next start, and does not wait for a broker that is away. */
static void test_messages_left(void **state)
{
    (void)state;
    char url[128];
    snprintf(url, sizeof(url), "GODWIT_AMQP_SERVER_URL=amqp://%s", dead_url() + strlen("http://"));
    const char *in_memory[] = {"SAMPLE_BROKER=1", url, "GODWIT_SHUTDOWN_TIMEOUT=500ms",
                               "GODWIT_OUTBOX_LEVEL=memory", NULL};
    unsigned port = start_plain(in_memory);
    ask(port, "/publish?text=lost");
    assert_int_equal(answer.status, 200);
    child_signal(&program, SIGTERM);
    expect_exit(1);
    assert_non_null(strstr(child_err(&program), "1 messages are still in the outbox"));

    const char *on_disk[] = {"SAMPLE_BROKER=1", url, "GODWIT_OUTBOX_DIR=left/outbox", NULL};
    port = start_plain(on_disk);
    ask(port, "/publish?text=kept");
    assert_int_equal(answer.status, 200);
    child_signal(&program, SIGTERM);
    expect_exit(0);
    assert_non_null(strstr(child_err(&program), "1 messages stay in the outbox left/outbox"));

    port = start_plain(on_disk);
    ask(port, "/metrics");
    assert_non_null(strstr(answer.body, "\ngodwit_outbox_messages 1\n"));
    child_signal(&program, SIGKILL);
    child_wait_exit(&program);
    assert_non_null(strstr(child_err(&program), "1 messages that were left in left/outbox"));

    const char *not_there[] = {"SAMPLE_BROKER=1",
                               url,
                               "GODWIT_SHUTDOWN_TIMEOUT=500ms",
                               "GODWIT_OUTBOX_DIR=left/outbox",
                               "GODWIT_OUTBOX_LEVEL=memory",
                               NULL};
    start_plain(not_there);
    child_signal(&program, SIGTERM);
    expect_exit(0);
    assert_non_null(strstr(child_err(&program), "1 messages wait in left/outbox and are not sent"));
}

/* The same directory for two processes, and settings that are none. */
static void test_outbox_settings(void **state)
{
    (void)state;
    static const struct {
        const char *setting;
        const char *reason;
    } cases[] = {
        {"GODWIT_OUTBOX_LEVEL=paper", "key 'outbox_level' = 'paper' from environment variable "
                                      "GODWIT_OUTBOX_LEVEL is not memory, "
                                      "process or disk"},
        {"GODWIT_OUTBOX_DIR=/proc/none", "outbox: cannot make the directory /proc/none"},
        {"GODWIT_OUTBOX_MAX_MESSAGES=0", "outbox_max_messages"},
        {"GODWIT_OUTBOX_MAX_BYTES=many", "outbox_max_bytes"},
    };
    char url[128];
    snprintf(url, sizeof(url), "GODWIT_AMQP_SERVER_URL=amqp://%s", dead_url() + strlen("http://"));
    for (size_t i = 0; i < N_OF(cases); i++) {
        const char *env[] = {"SAMPLE_BROKER=1", url, cases[i].setting, NULL};
        child_start(&program, plain, env);
        expect_exit(1);
        if (strstr(child_err(&program), cases[i].reason) == NULL) {
            fail_msg("%s: no '%s' in '%s'", cases[i].setting, cases[i].reason, child_err(&program));
        }
    }
    const char *env[] = {"SAMPLE_BROKER=1", url, "GODWIT_OUTBOX_DIR=shared/outbox", NULL};
    start_plain(env);
    child second;
    child_start(&second, plain, env);
    assert_int_equal(child_wait_exit(&second), 1);
    char reason[128];
    snprintf(reason, sizeof(reason), "the outbox in shared/outbox is in use by process %ld",
             (long)program.pid);
    assert_non_null(strstr(child_err(&second), reason));
    child_signal(&program, SIGTERM);
    expect_exit(0);
}

static void test_metrics(void **state)
{
    (void)state;
    unsigned port = start_plain(broker_env);
    ask(port, "/slow");
    static const char *const lines[] = {
        "\n# TYPE godwit_http_requests_total counter\n",
        "godwit_http_requests_total{route=\"Slow\",method=\"GET\",status=\"200\"} 1\n",
        "\ngodwit_broker_up 1\n",
        "\nprocess_resident_memory_bytes ",
    };
    for (size_t i = 0; i < N_OF(lines); i++) {
        wait_answer(port, "/metrics", 200, lines[i]);
    }
    assert_string_equal(peer_header(&answer, "Content-Type"),
                        "text/plain; version=0.0.4; charset=utf-8");
    child_signal(&program, SIGTERM);
    expect_exit(0);
}

/* The programs keep their outboxes where they run. */
static char test_dir[256];

static int enter_test_dir(void **state)
{
    (void)state;
    make_test_dir(test_dir, sizeof(test_dir));
    return chdir(test_dir);
}

static int leave_test_dir(void **state)
{
    (void)state;
    remove_test_dir(test_dir);
    return chdir("/");
}

/* ---- routes and connections ----------------------------------------------------------------- */

static void test_routes_added_at_start(void **state)
{
    (void)state;
    unsigned port = start_plain(no_env);
    ask(port, "/added/a");
    assert_string_equal(answer.body, "\"a with the program\"");
    ask(port, "/other/b");
    assert_string_equal(answer.body, "\"b alone\"");
    ask(port, "/metrics");
    assert_non_null(strstr(answer.body, "route=\"Added\""));
    child_signal(&program, SIGTERM);
    expect_exit(0);
}

static void test_bad_route_added_at_start(void **state)
{
    (void)state;
    static const char *const argv[] = {SAMPLE, "-port", "0", "-mode", "bad-route", NULL};
    assert_int_equal(child_run(&program, argv, no_env), 1);
    assert_non_null(strstr(child_err(&program),
                           "cannot start: route Added has the pattern '-added/{what}': it does "
                           "not begin with '/'\n"));
    assert_non_null(strstr(child_out(&program), "stop ends"));
}

/* The sample allows 4000 connections. */
static void test_open_files_suffice(void **state)
{
    (void)state;
    struct rlimit before;
    struct rlimit own;
    struct rlimit small = {.rlim_cur = 100, .rlim_max = 0};
    getrlimit(RLIMIT_NOFILE, &before);
    small.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_NOFILE, &small);
    start_plain(no_env);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(prlimit(program.pid, RLIMIT_NOFILE, NULL, &own), 0);
    if (before.rlim_max >= 4256) {
        assert_int_equal(own.rlim_cur, 4256);
        assert_null(strstr(child_err(&program), "connections are allowed, but"));
    } else {
        assert_int_equal(own.rlim_cur, before.rlim_max);
        assert_non_null(strstr(child_err(&program), "4000 connections are allowed, but"));
    }
    child_signal(&program, SIGTERM);
    expect_exit(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_fits_the_terminal),
        cmocka_unit_test(test_version_and_keys),
        cmocka_unit_test(test_wrong_flags),
        cmocka_unit_test(test_cannot_start),
        cmocka_unit_test(test_routes_added_at_start),
        cmocka_unit_test(test_bad_route_added_at_start),
        cmocka_unit_test(test_open_files_suffice),
        cmocka_unit_test(test_wrong_queue_type),
        cmocka_unit_test(test_all_wrong_settings_are_named),
        cmocka_unit_test(test_port_is_taken),
        cmocka_unit_test(test_stops_on_signal),
        cmocka_unit_test(test_drains),
        cmocka_unit_test(test_second_signal),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_stops_itself),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_stop_while_loading),
        cmocka_unit_test(test_log_as_json),
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_health_as_text),
        cmocka_unit_test(test_no_component),
        cmocka_unit_test(test_broker_health),
        cmocka_unit_test(test_messages_left),
        cmocka_unit_test(test_outbox_settings),
        cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests_name("service", tests, enter_test_dir, leave_test_dir);
}
