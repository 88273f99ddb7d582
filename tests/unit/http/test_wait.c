/* SPDX-License-Identifier: MIT */
/* Requests that are answered later: whom a wake reaches, and what ends a wait. */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/clock.h>
#include <godwit/http.h>
#include <godwit/metrics.h>

#include "peer.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define LONG_MS     600000u /* no test waits for its end */
#define N_CROWD     2000

static gw_http_channel *channel;
static gw_http_server *server;
static uint16_t port;
static atomic_uint value;
static atomic_uint n_calls;
static sem_t waits; /* posted for each request that asks to wait, just before it does */

static unsigned number(const gw_http_request *req, const char *name, unsigned otherwise)
{
    const char *text = gw_http_query(req, name);
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

/* ?since=N&ms=T: the value once it is not N, or "over" after T. */
static void get_change(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    atomic_fetch_add(&n_calls, 1);
    uint64_t ticket = gw_http_channel_ticket(channel);
    unsigned now = atomic_load(&value);
    gw_buf *body = gw_http_response_body(res);
    size_t body_len = 0;
    const char *told = gw_http_body(req, &body_len);
    if (now != number(req, "since", 0)) {
        gw_buf_addf(body, "%s %u %.*s", gw_http_var(req, "what"), now, (int)body_len, told);
    } else if (gw_http_wait_is_over(req)) {
        gw_buf_add_str(body, "over");
    } else {
        gw_http_set_status(res, 500); /* what is set before is dropped */
        gw_http_set_header(res, "X-Dropped", "1");
        gw_buf_add_str(body, "dropped");
        gw_http_wait(res, channel, ticket, number(req, "ms", LONG_MS));
        sem_post(&waits);
    }
}

/* The value changes between the look at it and the wait. */
static void get_raced(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    (void)req;
    uint64_t ticket = gw_http_channel_ticket(channel);
    if (atomic_load(&value) == 0) {
        atomic_store(&value, 7);
        gw_http_channel_wake(channel);
        gw_http_wait(res, channel, ticket, LONG_MS);
        return;
    }
    gw_buf_add_str(gw_http_response_body(res), "seen");
}

/* Never has enough. */
static void get_stubborn(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    gw_http_wait(res, channel, gw_http_channel_ticket(channel), number(req, "ms", 1));
}

static void get_plain(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    (void)ctx;
    (void)req;
    gw_buf_add_str(gw_http_response_body(res), "plain");
}

static const gw_http_route routes[] = {
    {"Change", "GET", "/changes/{what}", get_change, NULL},
    {"PostChange", "POST", "/changes/{what}", get_change, NULL},
    {"Raced", "GET", "/raced", get_raced, NULL},
    {"Stubborn", "GET", "/stubborn", get_stubborn, NULL},
    {"Plain", "GET", "/plain", get_plain, NULL},
};

static void start(gw_http_options options)
{
    gw_error err = GW_ERROR_INIT;
    options.address = "127.0.0.1";
    if (gw_http_server_start(&options, routes, N_OF(routes), &server, &err) != GW_OK) {
        fail_msg("no server: %s", err.text);
    }
    port = gw_http_server_port(server);
}

static const gw_http_options defaults = GW_HTTP_OPTIONS_INIT;

static int setup(void **state)
{
    (void)state;
    sem_init(&waits, 0, 0);
    atomic_store(&value, 0);
    atomic_store(&n_calls, 0);
    channel = gw_http_channel_new();
    assert_non_null(channel);
    server = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gw_http_server_stop(server, 5000);
    gw_http_channel_free(channel);
    sem_destroy(&waits);
    return 0;
}

static void send_get(int fd, const char *method, const char *target)
{
    char request[200];
    snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", method, target);
    peer_send_text(fd, request);
}

static void expect(int fd, bool is_head, const char *body)
{
    static peer_answer answer;
    if (!peer_read(fd, &answer, is_head)) {
        fail_msg("no answer, wanted '%s'", body);
    }
    assert_int_equal(answer.status, 200);
    assert_null(peer_header(&answer, "X-Dropped"));
    assert_string_equal(answer.body, body);
}

static void set_value(unsigned to)
{
    atomic_store(&value, to);
    gw_http_channel_wake(channel);
}

/* The number behind a series in /metrics; -1 if it is not there. */
static double metric(const char *series)
{
    char line[200];
    gw_buf text;
    gw_buf_init(&text, 0);
    gw_metrics_write(&text);
    snprintf(line, sizeof(line), "\n%s ", series);
    const char *found = strstr(text.data, line);
    double number_behind = found != NULL ? strtod(found + strlen(line), NULL) : -1;
    gw_buf_dispose(&text);
    return number_behind;
}

static void wait_for_metric(const char *series, double wanted)
{
    uint64_t deadline_ms = gw_clock_ms() + 10000;
    while (metric(series) != wanted) {
        if (gw_clock_ms() > deadline_ms) {
            fail_msg("%s is %g, wanted %g", series, metric(series), wanted);
        }
        usleep(1000);
    }
}

static void a_wake_answers(void **state)
{
    (void)state;
    start(defaults);
    static const char counted[] =
        "godwit_http_requests_total{route=\"Change\",method=\"GET\",status=\"200\"}";
    int fd = peer_connect(port);
    for (unsigned i = 0; i < 5; i++) {
        char target[64];
        char wanted[64];
        snprintf(target, sizeof(target), "/changes/a%%2Fb?since=%u", i);
        snprintf(wanted, sizeof(wanted), "a/b %u ", i + 1);
        send_get(fd, "GET", target);
        sem_wait(&waits);
        set_value(i + 1);
        expect(fd, false, wanted);
        send_get(fd, "GET", "/plain"); /* the connection goes on */
        expect(fd, false, "plain");
    }
    close(fd);
    wait_for_metric("godwit_http_connections", 0);
    assert_int_equal(atomic_load(&n_calls), 10);
    assert_true(metric("godwit_http_waiting") == 0);
    /* One request is one request, however often its handler was called. */
    assert_true(metric(counted) == 5);
}

static void a_head_waits_too(void **state)
{
    (void)state;
    start(defaults);
    int fd = peer_connect(port);
    send_get(fd, "HEAD", "/changes/x");
    sem_wait(&waits);
    set_value(1);
    expect(fd, true, "");
    send_get(fd, "GET", "/plain");
    expect(fd, false, "plain");
    close(fd);
}

static void a_body_is_there_again(void **state)
{
    (void)state;
    start(defaults);
    int fd = peer_connect(port);
    peer_send_text(fd, "POST /changes/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
    sem_wait(&waits);
    set_value(1);
    expect(fd, false, "x 1 body");
    close(fd);
}

static void time_ends_a_wait(void **state)
{
    (void)state;
    start(defaults);
    static const char *const targets[] = {"/changes/x?ms=30", "/changes/x?ms=1", "/changes/x?ms=0"};
    for (size_t i = 0; i < N_OF(targets); i++) {
        int fd = peer_connect(port);
        uint64_t begin_ms = gw_clock_ms();
        send_get(fd, "GET", targets[i]);
        expect(fd, false, "over");
        assert_true(i > 0 || gw_clock_ms() - begin_ms >= 29);
        send_get(fd, "GET", "/plain");
        expect(fd, false, "plain");
        close(fd);
    }
}

static void *wake_until_told(void *ctx)
{
    while (!atomic_load((atomic_bool *)ctx)) {
        gw_http_channel_wake(channel);
        usleep(200);
    }
    return NULL;
}

/* Each time the request waits on, for the value stays: the time counts from the first. */
static void wakes_do_not_put_off_the_end(void **state)
{
    (void)state;
    start(defaults);
    pthread_t thread;
    atomic_bool is_told = false;
    assert_int_equal(pthread_create(&thread, NULL, wake_until_told, &is_told), 0);
    int fd = peer_connect(port);
    send_get(fd, "GET", "/changes/x?ms=300");
    expect(fd, false, "over");
    atomic_store(&is_told, true);
    pthread_join(thread, NULL);
    assert_true(atomic_load(&n_calls) > 2);
    close(fd);
}

static void a_wake_in_between_is_not_missed(void **state)
{
    (void)state;
    start(defaults);
    int fd = peer_connect(port);
    send_get(fd, "GET", "/raced");
    expect(fd, false, "seen");
    close(fd);
}

static void waiting_on_is_a_fault(void **state)
{
    (void)state;
    start(defaults);
    static peer_answer answer;
    static const char *const targets[] = {"/stubborn?ms=1", "/stubborn?ms=0"};
    for (size_t i = 0; i < N_OF(targets); i++) {
        int fd = peer_connect(port);
        send_get(fd, "GET", targets[i]);
        assert_true(peer_read(fd, &answer, false));
        assert_int_equal(answer.status, 500);
        assert_non_null(strstr(answer.body, "waits on when its wait is over"));
        close(fd);
    }
}

static void a_stop_answers(void **state)
{
    (void)state;
    static const unsigned timeouts_ms[] = {LONG_MS, 0}; /* the first would be noticed */
    static peer_answer answers[20];
    for (size_t i = 0; i < N_OF(timeouts_ms); i++) {
        start(defaults);
        int fds[N_OF(answers)];
        for (size_t j = 0; j < N_OF(fds); j++) {
            fds[j] = peer_connect(port);
            send_get(fds[j], "GET", "/changes/x");
            sem_wait(&waits);
        }
        gw_http_server_stop(server, timeouts_ms[i]);
        server = NULL;
        for (size_t j = 0; j < N_OF(fds); j++) {
            assert_true(peer_read(fds[j], &answers[j], false));
            assert_string_equal(answers[j].body, "over");
            assert_string_equal(peer_header(&answers[j], "Connection"), "close");
            assert_true(peer_is_closed(fds[j]));
            close(fds[j]);
        }
    }
}

static void a_pipelined_request_waits_behind(void **state)
{
    (void)state;
    start(defaults);
    int fd = peer_connect(port);
    peer_send_text(fd, "GET /changes/x HTTP/1.1\r\nHost: x\r\n\r\n"
                       "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n"
                       "GET /changes/y?since=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    sem_wait(&waits);
    send_get(fd, "GET", "/plain"); /* and one that comes while it waits */
    set_value(1);
    expect(fd, false, "x 1 ");
    expect(fd, false, "plain");
    sem_wait(&waits);
    set_value(2);
    expect(fd, false, "y 2 ");
    expect(fd, false, "plain");
    close(fd);
}

static void clients_that_go_away_leave_nothing(void **state)
{
    (void)state;
    start(defaults);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    for (int i = 0; i < 20; i++) {
        int fd = peer_connect(port);
        if (i % 2 == 1) {
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        }
        send_get(fd, "GET", i < 10 ? "/changes/x" : "/changes/x?ms=50");
        sem_wait(&waits);
        close(fd);
    }
    set_value(1);
    wait_for_metric("godwit_http_connections", 0);
    assert_true(metric("godwit_http_waiting") == 0);
    int fd = peer_connect(port);
    send_get(fd, "GET", "/plain");
    expect(fd, false, "plain");
    close(fd);
}

static void a_wait_may_be_longer_than_idle(void **state)
{
    (void)state;
    gw_http_options options = defaults;
    options.idle_timeout_s = 1;
    start(options);
    int fd = peer_connect(port);
    send_get(fd, "GET", "/changes/x?ms=2200");
    expect(fd, false, "over");
    assert_true(peer_is_closed(fd)); /* idle again */
    close(fd);
}

/* How often the log has the text; reads what was written to `file` instead of stderr. */
static int count_in(FILE *file, const char *text)
{
    static char log[65536];
    rewind(file);
    log[fread(log, 1, sizeof(log) - 1, file)] = '\0';
    int n = 0;
    for (const char *p = log; (p = strstr(p, text)) != NULL; p++) {
        n++;
    }
    return n;
}

/* Probes and pushes get through however many wait. */
static void not_all_connections_may_wait(void **state)
{
    (void)state;
    gw_http_options options = defaults;
    options.max_connections = 16;
    options.n_threads = 1;
    start(options);
    FILE *log = tmpfile();
    int own_stderr = dup(STDERR_FILENO);
    assert_true(log != NULL && dup2(fileno(log), STDERR_FILENO) >= 0);
    int fds[16];
    for (int i = 0; i < 16; i++) {
        fds[i] = peer_connect(port);
        send_get(fds[i], "GET", "/changes/x");
        sem_wait(&waits);
        if (i >= 14) {
            expect(fds[i], false, "over");
        }
    }
    send_get(fds[15], "GET", "/plain");
    expect(fds[15], false, "plain");
    set_value(1);
    for (int i = 0; i < 14; i++) {
        expect(fds[i], false, "x 1 ");
    }
    for (int i = 0; i < 16; i++) {
        close(fds[i]);
    }
    gw_http_server_stop(server, 5000);
    server = NULL;
    dup2(own_stderr, STDERR_FILENO);
    close(own_stderr);
    /* Each is told once a minute. */
    assert_int_equal(count_in(log, "14 requests wait on this server thread, and no more may"), 1);
    assert_int_equal(count_in(log, "all 16 connections of this server thread are in use"), 1);
    fclose(log);
}

static void one_wake_answers_thousands(void **state)
{
    (void)state;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    unsigned n =
        limit.rlim_max < 2 * N_CROWD + 100 ? (unsigned)(limit.rlim_max - 100) / 2 : N_CROWD;
    gw_http_options options = defaults;
    options.n_threads = 2;
    options.max_connections = 3 * N_CROWD; /* room for all of them at one thread */
    start(options);
    int *fds = calloc(n, sizeof(*fds));
    for (unsigned i = 0; i < n; i++) {
        fds[i] = peer_connect(port);
        send_get(fds[i], "GET", i % 3 == 0 ? "/changes/x?ms=500000" : "/changes/x");
        sem_wait(&waits);
    }
    wait_for_metric("godwit_http_waiting", n);
    int other = peer_connect(port); /* they are in nobody's way */
    send_get(other, "GET", "/plain");
    expect(other, false, "plain");
    set_value(1);
    for (unsigned i = 0; i < n; i++) {
        expect(fds[i], false, "x 1 ");
        close(fds[i]);
    }
    close(other);
    free(fds);
    assert_int_equal(atomic_load(&n_calls), 2 * n);
    assert_true(metric("godwit_http_waiting") == 0);
}

#define N_WAKERS  4
#define N_CHANGES 100

static void *change_often(void *ctx)
{
    (void)ctx;
    for (int i = 0; i < N_CHANGES; i++) {
        atomic_fetch_add(&value, 1);
        gw_http_channel_wake(channel);
    }
    return NULL;
}

/* Polls until the last value; returns whether it saw it. No wait ends by time. */
static void *follow(void *ctx)
{
    peer_answer *answer = malloc(sizeof(*answer));
    int fd = *(int *)ctx;
    unsigned seen = 0;
    while (seen != N_WAKERS * N_CHANGES) {
        char target[64];
        snprintf(target, sizeof(target), "/changes/x?since=%u", seen);
        send_get(fd, "GET", target);
        if (answer == NULL || !peer_read(fd, answer, false) || answer->status != 200 ||
            sscanf(answer->body, "x %u", &seen) != 1) {
            break;
        }
    }
    free(answer);
    return seen == N_WAKERS * N_CHANGES ? ctx : NULL;
}

static void no_wake_is_lost(void **state)
{
    (void)state;
    start(defaults);
    pthread_t followers[8];
    pthread_t wakers[N_WAKERS];
    int fds[N_OF(followers)];
    for (size_t i = 0; i < N_OF(followers); i++) {
        fds[i] = peer_connect(port);
        assert_int_equal(pthread_create(&followers[i], NULL, follow, &fds[i]), 0);
    }
    for (size_t i = 0; i < N_OF(followers); i++) {
        sem_wait(&waits);
    }
    for (size_t i = 0; i < N_WAKERS; i++) {
        assert_int_equal(pthread_create(&wakers[i], NULL, change_often, NULL), 0);
    }
    for (size_t i = 0; i < N_WAKERS; i++) {
        pthread_join(wakers[i], NULL);
    }
    for (size_t i = 0; i < N_OF(followers); i++) {
        void *seen = NULL;
        pthread_join(followers[i], &seen);
        close(fds[i]);
        assert_non_null(seen);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_wake_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_head_waits_too, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_is_there_again, setup, teardown),
        cmocka_unit_test_setup_teardown(time_ends_a_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(wakes_do_not_put_off_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wake_in_between_is_not_missed, setup, teardown),
        cmocka_unit_test_setup_teardown(waiting_on_is_a_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stop_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pipelined_request_waits_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_that_go_away_leave_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wait_may_be_longer_than_idle, setup, teardown),
        cmocka_unit_test_setup_teardown(not_all_connections_may_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(one_wake_answers_thousands, setup, teardown),
        cmocka_unit_test_setup_teardown(no_wake_is_lost, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
