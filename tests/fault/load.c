/* SPDX-License-Identifier: MIT */
/*
 * fault_load: a client under load, for tests that break the world around it.
 *
 * One process has one role, publish or consume, given with flags (load_options.h). What it did
 * stands in its journal, which survives its own kill -9 (load_publish.h, load_consume.h). Standard
 * input takes commands, one a line; standard output tells what happened:
 *
 *   pause, resume                -> paused, resumed (publishing)
 *   subscribe, unsubscribe       -> subscribed, unsubscribed
 *   up MS                        -> is-up ok (its subscription consumes) | is-up STATUS text
 *   flush MS                     -> flushed ok | flushed STATUS text
 *   stop MS                      -> closed ok | closed STATUS text, and the end
 *                                -> state NAME reason; refused KEY STATUS text; accepted again KEY;
 *                                   done NUMBER (all that -count says are published)
 *
 * SIGTERM and the end of standard input are as "stop 10000". The exit status is 0 if all was sent.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "load_consume.h"
#include "load_journal.h"
#include "load_options.h"
#include "load_publish.h"

#define STOP_MS        10000
#define FLUSH_SLICE_MS 200
#define COMMAND_MAX    256

typedef struct load {
    load_options options;
    gw_client *client;
    publisher *pub; /* NULL for a consumer */
    consumer con;
    int journal;
    int signals;
    char pending[COMMAND_MAX]; /* of standard input, up to the next newline */
    size_t n_pending;
    bool stopping;
    unsigned stop_ms;
} load;

static void say(const char *what, const char *how)
{
    printf("%s %s\n", what, how);
    fflush(stdout);
}

static void say_outcome(const char *what, gw_status st, const gw_error *err)
{
    char text[GW_ERROR_TEXT_MAX + 64];
    snprintf(text, sizeof(text), "%s %s", gw_status_name(st), err->text);
    say(what, st == GW_OK ? "ok" : text);
}

static void on_state(void *ctx, gw_client_state state, const char *reason)
{
    (void)ctx;
    char text[GW_ERROR_TEXT_MAX + 64];
    snprintf(text, sizeof(text), "%s %s", gw_client_state_name(state), reason);
    say("state", text);
}

static void on_failed(void *ctx, const gw_message *msg, const gw_error *why)
{
    load *it = ctx;
    char key[64];
    size_t len;
    const void *body = gw_message_body(msg, &len);
    journal_key(body, len, key, sizeof(key));
    journal_write(it->journal, "F %s %s %s", key, gw_message_id(msg), gw_status_name(why->status));
}

/* As gw_flush(), but a signal to stop ends it early. */
static gw_status flush(load *it, unsigned timeout_ms, gw_error *err)
{
    uint64_t end_ms = gw_clock_ms() + timeout_ms;
    gw_status st;
    do {
        st = gw_flush(it->client, FLUSH_SLICE_MS, err);
    } while (st == GW_E_TIMEOUT && gw_clock_ms() < end_ms &&
             poll(&(struct pollfd){.fd = it->signals, .events = POLLIN}, 1, 0) == 0);
    return st;
}

static void command(load *it, const char *text)
{
    gw_error err = GW_ERROR_INIT;
    unsigned ms;
    if (strcmp(text, "pause") == 0 && it->pub != NULL) {
        publisher_pause(it->pub, true);
        say("paused", "");
    } else if (strcmp(text, "resume") == 0 && it->pub != NULL) {
        publisher_pause(it->pub, false);
        say("resumed", "");
    } else if (strcmp(text, "subscribe") == 0 && it->pub == NULL) {
        say_outcome("subscribed", consumer_subscribe(&it->con, it->client, &err), &err);
    } else if (strcmp(text, "unsubscribe") == 0 && it->pub == NULL) {
        consumer_unsubscribe(&it->con);
        say("unsubscribed", "");
    } else if (sscanf(text, "up %u", &ms) == 1) {
        say_outcome("is-up", gw_wait_up(it->client, ms, &err), &err);
    } else if (sscanf(text, "flush %u", &ms) == 1) {
        say_outcome("flushed", flush(it, ms, &err), &err);
    } else if (sscanf(text, "stop %u", &ms) == 1) {
        it->stopping = true;
        it->stop_ms = ms;
    } else {
        say("unknown", text);
    }
}

/* Take what standard input has, and do the lines that are complete. */
static void read_commands(load *it)
{
    size_t room = sizeof(it->pending) - it->n_pending;
    ssize_t n = read(STDIN_FILENO, it->pending + it->n_pending, room);
    if (n <= 0) {
        it->stopping = n == 0 || errno != EINTR;
        return;
    }
    it->n_pending += (size_t)n;
    char *start = it->pending;
    char *end;
    size_t left = it->n_pending;
    while (!it->stopping && (end = memchr(start, '\n', left)) != NULL) {
        *end = '\0';
        command(it, start);
        left -= (size_t)(end + 1 - start);
        start = end + 1;
    }
    memmove(it->pending, start, left);
    it->n_pending = left;
    if (left == sizeof(it->pending)) {
        say("unknown", "a command that is too long");
        it->n_pending = 0;
    }
}

static void run(load *it)
{
    while (!it->stopping) {
        int wait_ms = it->pub != NULL ? publisher_run(it->pub, it->client) : -1;
        struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                               {.fd = it->signals, .events = POLLIN}};
        if (poll(fds, 2, wait_ms) <= 0) {
            continue;
        }
        if (fds[1].revents != 0) {
            it->stopping = true;
        } else if (fds[0].revents != 0) {
            read_commands(it);
        }
    }
}

/* Signals are blocked before the client's threads start, so that these do not get them. */
static int take_signals(void)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    return signalfd(-1, &ends, SFD_CLOEXEC);
}

static bool start(load *it, gw_error *err)
{
    gw_client_options options = it->options.client;
    options.on_state = on_state;
    options.on_failed = on_failed;
    options.ctx = it;
    if (gw_connect(it->options.url, &options, &it->client, err) != GW_OK) {
        return false;
    }
    if (!it->options.publishes) {
        it->con = (consumer){.options = &it->options, .journal = it->journal};
        return consumer_subscribe(&it->con, it->client, err) == GW_OK;
    }
    it->pub = publisher_new(&it->options, it->journal);
    if (it->pub == NULL) {
        gw_error_set(err, GW_E_NOMEM, 0, "no memory");
    }
    return it->pub != NULL;
}

int main(int argc, char **argv)
{
    static load it = {.stop_ms = STOP_MS};
    gw_error err = GW_ERROR_INIT;
    if (!load_options_parse(argc, argv, &it.options)) {
        return 2;
    }
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* poison aborts, on purpose */
    gw_log_set_service(it.options.name);
    it.signals = take_signals();
    it.journal = journal_open(it.options.journal);
    if (it.signals < 0 || it.journal < 0) {
        fprintf(stderr, "fault_load: %s: %s\n", it.options.journal, strerror(errno));
        return EXIT_FAILURE;
    }
    if (!start(&it, &err)) {
        say_outcome("failed", err.status, &err);
        gw_close(it.client, 0, NULL);
        return EXIT_FAILURE;
    }
    run(&it);
    gw_status st = gw_close(it.client, it.stop_ms, &err);
    say_outcome("closed", st, &err);
    publisher_free(it.pub);
    return st == GW_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
