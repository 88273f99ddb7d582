/* SPDX-License-Identifier: MIT */
/* Getting a connection and keeping it. test_amqp_index.c says what else is known to go wrong. */
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/clock.h>

#include "amqp/reasons.h"
#include "source.h"
#include "support/fake_broker.h"

/* ---- a name service that hangs ------------------------------------------- */

static pthread_mutex_t resolver_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t resolver_changed = PTHREAD_COND_INITIALIZER;
static bool resolver_hangs;
static unsigned n_hanging;

/* Takes the place of the C library's: "hangs.test" is not answered until the test lets it. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret_list)
{
    bool numeric = strspn(host, "0123456789.") == strlen(host);
    if (!numeric && (hints->ai_flags & AI_NUMERICHOST) != 0) {
        return EAI_NONAME;
    }
    if (strcmp(host, "hangs.test") == 0) {
        pthread_mutex_lock(&resolver_lock);
        n_hanging++;
        while (resolver_hangs) {
            pthread_cond_wait(&resolver_changed, &resolver_lock);
        }
        n_hanging--;
        pthread_cond_broadcast(&resolver_changed);
        pthread_mutex_unlock(&resolver_lock);
    } else if (strcmp(host, "two.test") != 0 && !numeric) {
        return EAI_NONAME;
    }
    /* two.test has two addresses, the first of which is of no use. */
    size_t n = strcmp(host, "two.test") == 0 ? 2 : 1;
    struct {
        struct addrinfo info;
        struct sockaddr_in address;
    } *items = calloc(n, sizeof(*items));
    for (size_t i = 0; i < n; i++) {
        items[i].address.sin_family = AF_INET;
        items[i].address.sin_port = htons((uint16_t)atoi(service));
        items[i].address.sin_addr.s_addr = htonl(i + 1 < n ? 0x7f00fffe : INADDR_LOOPBACK);
        items[i].info = (struct addrinfo){.ai_family = AF_INET,
                                          .ai_socktype = SOCK_STREAM,
                                          .ai_addrlen = sizeof(struct sockaddr_in),
                                          .ai_addr = (struct sockaddr *)&items[i].address,
                                          .ai_next = i + 1 < n ? &items[i + 1].info : NULL};
    }
    *ret_list = &items[0].info;
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    free(list);
}

/* ---- fixture ------------------------------------------------------------- */

typedef struct fixture {
    fake_broker *broker;
    fake_conn *conn;
    source *src;
    char url[512];
} fixture;

static int setup(void **state)
{
    fixture *fix = calloc(1, sizeof(*fix));
    fix->broker = fake_broker_new();
    fix->src = source_new();
    *state = fix;
    return 0;
}

static int teardown(void **state)
{
    fixture *fix = *state;
    source_free(fix->src);
    fake_hang_up(fix->conn);
    fake_broker_free(fix->broker);
    free(fix);
    return 0;
}

/* A port of 127.0.0.1 on which nobody listens as long as the descriptor is open. */
static int reserve_port(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* ---- who we are ---------------------------------------------------------- */

static void test_who_we_are(void **state)
{
    fixture *fix = *state;
    snprintf(fix->url, sizeof(fix->url), "amqp://me:p%%40ss@127.0.0.1:%u/my%%2Fhost",
             fake_broker_port(fix->broker));
    source_open(fix->src, fix->url);
    fix->conn = fake_accept(fix->broker);
    fake_expect_protocol_header(fix->conn);
    fake_send_start(fix->conn);
    assert_string_equal(fake_client_property(fix->conn, "product"), "godwit");
    assert_non_null(fake_client_property(fix->conn, "version"));
    assert_non_null(fake_client_property(fix->conn, "platform"));
    char host[256] = "";
    char name[512];
    gethostname(host, sizeof(host) - 1);
    snprintf(name, sizeof(name), "test@%s:%d publish", host, (int)getpid());
    assert_string_equal(fake_client_property(fix->conn, "connection_name"), name);
    static const char *const capabilities[] = {"publisher_confirms",
                                               "basic.nack",
                                               "connection.blocked",
                                               "consumer_cancel_notify",
                                               "authentication_failure_close",
                                               "exchange_exchange_bindings",
                                               "per_consumer_qos"};
    for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
        if (!fake_client_capability(fix->conn, capabilities[i])) {
            fail_msg("%s is not announced", capabilities[i]);
        }
    }
    size_t len;
    const char *login = fake_client_login(fix->conn, &len);
    assert_int_equal(len, 8);
    assert_memory_equal(login, "\0me\0p@ss", 8);
    fake_send_tune(fix->conn, FAKE_TUNING_DEFAULT);
    const amqp_connection_tune_ok_t *tune =
        fake_expect(fix->conn, AMQP_CONNECTION_TUNE_OK_METHOD, NULL);
    assert_int_equal(tune->frame_max, 131072);
    assert_int_equal(tune->heartbeat, 10);
    const amqp_connection_open_t *open = fake_expect(fix->conn, AMQP_CONNECTION_OPEN_METHOD, NULL);
    assert_memory_equal(open->virtual_host.bytes, "my/host", 7);
}

static void test_login_again(void **state)
{
    fixture *fix = *state;
    source_open(fix->src, fake_broker_url(fix->broker));
    for (int i = 0; i < 3; i++) {
        fix->conn = fake_accept_open(fix->broker);
        source_wait_state(fix->src, GW_CLIENT_UP, "");
        size_t len;
        assert_memory_equal(fake_client_login(fix->conn, &len), "\0guest\0guest", 12);
        fake_hang_up(fix->conn);
        fix->conn = NULL;
        source_wait_state(fix->src, GW_CLIENT_CONNECTING, "");
    }
}

/* ---- a password in a file ------------------------------------------------- */

static void write_file(const char *path, const char *bytes, size_t len)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void expect_login(fixture *fix, const char *login, size_t login_len)
{
    size_t len;
    const char *found = fake_client_login(fix->conn, &len);
    assert_int_equal(len, login_len);
    assert_memory_equal(found, login, len);
}

/* It may come after the program, and change while that runs. */
static void test_password_file_is_read_each_time(void **state)
{
    fixture *fix = *state;
    char dir[] = "/tmp/gw-amqp-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char path[64];
    snprintf(path, sizeof(path), "%s/password", dir);
    snprintf(fix->url, sizeof(fix->url), "amqp://me@127.0.0.1:%u/?password_file=%s",
             fake_broker_port(fix->broker), path);
    source_open(fix->src, fix->url);
    char text[128];
    snprintf(text, sizeof(text), "password_file '%s': No such file or directory", path);
    source_wait_state(fix->src, GW_CLIENT_CONNECTING, text);
    assert_true(fake_nobody_comes(fix->broker, 20));
    write_file(path, "first\n", 6);
    fix->conn = fake_accept_open(fix->broker);
    expect_login(fix, "\0me\0first", 9);
    source_wait_state(fix->src, GW_CLIENT_UP, "");
    write_file(path, "second\r\n", 8);
    fake_hang_up(fix->conn);
    fix->conn = fake_accept_open(fix->broker);
    expect_login(fix, "\0me\0second", 10);
    unlink(path);
    rmdir(dir);
}

/* ---- refused ------------------------------------------------------------- */

static void test_refused_login(void **state)
{
    fixture *fix = *state;
    snprintf(fix->url, sizeof(fix->url), "amqp://guest:geheim@127.0.0.1:%u/",
             fake_broker_port(fix->broker));
    source_open(fix->src, fix->url);
    fix->conn = fake_accept(fix->broker);
    fake_expect_protocol_header(fix->conn);
    fake_send_start(fix->conn);
    size_t len;
    assert_memory_equal(fake_client_login(fix->conn, &len), "\0guest\0geheim", 13);
    fake_close_connection(fix->conn, 403, "ACCESS_REFUSED - Login was refused");
    fake_expect(fix->conn, AMQP_CONNECTION_CLOSE_OK_METHOD, NULL);
    char text[64];
    snprintf(text, sizeof(text), "127.0.0.1:%u: login refused for user 'guest'",
             fake_broker_port(fix->broker));
    source_wait_state(fix->src, GW_CLIENT_CONNECTING, text);
    assert_null(strstr(fix->src->reason, "geheim"));
    assert_true(fake_nobody_comes(fix->broker, 500)); /* nor for five seconds */
}

static void test_nobody_listens(void **state)
{
    fixture *fix = *state;
    uint16_t port;
    int fd = reserve_port(&port);
    snprintf(fix->url, sizeof(fix->url), "amqp://127.0.0.1:%u", port);
    source_open(fix->src, fix->url);
    char text[64];
    snprintf(text, sizeof(text), "127.0.0.1:%u: connection refused", port);
    source_wait_state(fix->src, GW_CLIENT_CONNECTING, text);
    close(fd);
}

static void test_unknown_name(void **state)
{
    fixture *fix = *state;
    source_open(fix->src, "amqp://nowhere.test");
    source_wait_state(fix->src, GW_CLIENT_CONNECTING, "nowhere.test:5672: ");
}

static void test_frame_max_1(void **state)
{
    fixture *fix = *state;
    source_open(fix->src, fake_broker_url(fix->broker));
    fix->conn = fake_accept(fix->broker);
    fake_expect_protocol_header(fix->conn);
    fake_send_start(fix->conn);
    fake_send_tune(fix->conn, (fake_tuning){2047, 1, 60});
    fake_expect_hang_up(fix->conn);
    source_wait_state(fix->src, GW_CLIENT_CONNECTING, "frames of at most 1 bytes");
}

static void test_another_protocol(void **state)
{
    fixture *fix = *state;
    source_open(fix->src, fake_broker_url(fix->broker));
    fix->conn = fake_accept(fix->broker);
    fake_expect_protocol_header(fix->conn);
    static const char page[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    fake_be_slow(fix->conn);
    fake_send_bytes(fix->conn, page, sizeof(page) - 1);
    source_wait_state(fix->src, GW_CLIENT_CONNECTING, "does not speak AMQP");
}

/* ---- several hosts ------------------------------------------------------- */

static void test_hosts_are_tried_in_turn(void **state)
{
    fixture *fix = *state;
    uint16_t dead;
    int fd = reserve_port(&dead);
    snprintf(fix->url, sizeof(fix->url), "amqp://127.0.0.1:%u,nowhere.test:%u,two.test:%u", dead,
             dead, fake_broker_port(fix->broker));
    source_open(fix->src, fix->url);
    fix->conn = fake_accept_open(fix->broker); /* by its second address, whatever the order */
    source_wait_state(fix->src, GW_CLIENT_UP, "");
    fake_hang_up(fix->conn);
    fix->conn = fake_accept_open(fix->broker);
    source_wait_state(fix->src, GW_CLIENT_UP, "");
    close(fd);
}

/* A listener whose queue is full: connecting to it hangs. */
static int listen_full(uint16_t *ret_port, int *ret_clients, int n_clients)
{
    int fd = reserve_port(ret_port);
    assert_int_equal(listen(fd, 0), 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(*ret_port)};
    for (int i = 0; i < n_clients; i++) {
        ret_clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(ret_clients[i], (struct sockaddr *)&address, sizeof(address));
    }
    return fd;
}

/* Neither a name service nor a host that does not answer can hold up more than the ten seconds that
 * they have; both at once here, since they take that long. */
static void test_no_answer_to_connecting_or_looking_up(void **state)
{
    fixture *fix = *state;
    enum { N_CLIENTS = 4 };
    int clients[N_CLIENTS];
    uint16_t full;
    int fd = listen_full(&full, clients, N_CLIENTS);
    source *second = source_new();
    resolver_hangs = true;
    uint64_t before = gw_clock_ms();
    source_open(fix->src, "amqp://hangs.test:1");
    snprintf(fix->url, sizeof(fix->url), "amqp://127.0.0.1:%u", full);
    source_open(second, fix->url);
    source_wait_state(fix->src, GW_CLIENT_CONNECTING, "no answer about its address within 10 s");
    source_wait_state(second, GW_CLIENT_CONNECTING, "no connection within 10 s");
    assert_true(gw_clock_ms() - before >= 9900);
    /* Closing does not wait for the look-up, which cleans up after itself later. */
    before = gw_clock_ms();
    source_close(fix->src, 1000);
    source_close(second, 1000);
    assert_true(gw_clock_ms() - before < 1000);
    pthread_mutex_lock(&resolver_lock);
    assert_int_equal(n_hanging, 1); /* never a second thread for it */
    resolver_hangs = false;
    pthread_cond_broadcast(&resolver_changed);
    while (n_hanging > 0) {
        pthread_cond_wait(&resolver_changed, &resolver_lock);
    }
    pthread_mutex_unlock(&resolver_lock);
    source_free(second);
    for (int i = 0; i < N_CLIENTS; i++) {
        close(clients[i]);
    }
    close(fd);
}

/* ---- keeping it ---------------------------------------------------------- */

static void test_heartbeats(void **state)
{
    fixture *fix = *state;
    source_open(fix->src, fake_broker_url(fix->broker));
    fix->conn = fake_accept_tuned(fix->broker, (fake_tuning){2047, 131072, 1});
    fake_serve_confirm_channel(fix->conn);
    uint64_t before = gw_clock_ms();
    for (int i = 0; i < 4; i++) {
        fake_expect_heartbeat(fix->conn); /* every half second */
        fake_send_frame(fix->conn, AMQP_FRAME_HEARTBEAT, 0, NULL, 0);
    }
    uint64_t took = gw_clock_ms() - before;
    assert_true(took >= 1500 && took < 4000);
    /* We say nothing any more: after two seconds it comes anew. */
    before = gw_clock_ms();
    fake_expect_hang_up(fix->conn);
    assert_true(gw_clock_ms() - before >= 1000);
    source_wait_state(fix->src, GW_CLIENT_CONNECTING, "nothing heard of the broker for 2 s");
    fake_hang_up(fix->conn);
    fix->conn = fake_accept_open(fix->broker);
}

/* Halves belong together however long the second one takes; a half that is all there is ends
 * nothing but the connection. */
static void test_half_frames(void **state)
{
    fixture *fix = *state;
    static const uint8_t beat[8] = {AMQP_FRAME_HEARTBEAT, 0, 0, 0, 0, 0, 0, AMQP_FRAME_END};
    source_open(fix->src, fake_broker_url(fix->broker));
    fix->conn = fake_accept_open(fix->broker);
    fake_serve_confirm_channel(fix->conn);
    source_wait_state(fix->src, GW_CLIENT_UP, "");
    for (size_t half = 1; half < sizeof(beat); half++) {
        fake_send_bytes(fix->conn, beat, half);
        assert_true(fake_is_quiet(fix->conn, 5));
        fake_send_bytes(fix->conn, beat + half, sizeof(beat) - half);
    }
    fake_send_bytes(fix->conn, beat, 5);
    assert_true(fake_is_quiet(fix->conn, 20));
    fake_hang_up(fix->conn);
    fix->conn = fake_accept_open(fix->broker);
    source_wait_state(fix->src, GW_CLIENT_UP, "");
}

/* Our end of the connection to this port. */
static int find_socket(uint16_t port)
{
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in peer = {.sin_port = 0};
        socklen_t len = sizeof(peer);
        if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin_family == AF_INET &&
            ntohs(peer.sin_port) == port) {
            return fd;
        }
    }
    fail_msg("no connection to port %u", port);
    return -1;
}

/* What was sent and stays without an answer of the peer's system ends the connection after two
 * heartbeats; but not in an alarm, in which a broker may not read for hours. */
static void test_user_timeout(void **state)
{
    fixture *fix = *state;
    source_open(fix->src, fake_broker_url(fix->broker));
    fix->conn = fake_accept_tuned(fix->broker, (fake_tuning){2047, 131072, 7});
    source_wait_state(fix->src, GW_CLIENT_UP, "");
    int fd = find_socket(fake_broker_port(fix->broker));
    int timeout_ms = 0;
    socklen_t len = sizeof(timeout_ms);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &len), 0);
    assert_int_equal(timeout_ms, 14000);
    amqp_connection_blocked_t blocked = {.reason = amqp_cstring_bytes("low on memory")};
    fake_send_method(fix->conn, 0, AMQP_CONNECTION_BLOCKED_METHOD, &blocked);
    source_wait_state(fix->src, GW_CLIENT_BLOCKED, "low on memory");
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &len), 0);
    assert_int_equal(timeout_ms, 0);
}

/* What the broker says, and what that means. */
static void test_close_reason_in_words(void **state)
{
    fixture *fix = *state;
    source_open(fix->src, fake_broker_url(fix->broker));
    fix->conn = fake_accept_open(fix->broker);
    source_wait_state(fix->src, GW_CLIENT_UP, "");
    fake_close_connection(fix->conn, 320, "CONNECTION_FORCED - maintenance");
    source_wait_state(fix->src, GW_CLIENT_CONNECTING,
                      "broker closed the connection: 320 CONNECTION_FORCED - maintenance (an "
                      "operator closed the connection");
    fake_expect_after(fix->conn, AMQP_CONNECTION_CLOSE_OK_METHOD, AMQP_CHANNEL_OPEN_METHOD, NULL);
    fake_hang_up(fix->conn);
    fix->conn = fake_accept_open(fix->broker); /* the first retry is immediate */
    source_wait_state(fix->src, GW_CLIENT_UP, "");
}

static void test_reasons(void **state)
{
    (void)state;
    static const struct {
        int code;
        const char *text; /* RabbitMQ's */
        const char *words;
    } cases[] = {
        {311, "CONTENT_TOO_LARGE", "larger than"},
        {320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
         "shutting down"},
        {320, "CONNECTION_FORCED - Closed via management plugin", "operator"},
        {402, "INVALID_PATH", "virtual host"},
        {403, "ACCESS_REFUSED - write access to exchange 'x' in vhost '/' refused", "permission"},
        {403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use", "another consumer"},
        {404, "NOT_FOUND - no exchange 'x' in vhost '/'", "does not exist"},
        {404, "NOT_FOUND - home node 'rabbit@b' of durable queue 'q' is down", "node"},
        {405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q'",
         "another connection"},
        {406,
         "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value "
         "used: 1800000 ms.",
         "consumer_timeout, 30 minutes"},
        {406, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q'", "other properties"},
        {406, "PRECONDITION_FAILED - unknown delivery tag 7", "report"},
        {406, "PRECONDITION_FAILED - message size 9 is larger than configured max size 8",
         "max_message_size"},
        {406, "PRECONDITION_FAILED - user_id property set to 'x'", "user of the login"},
        {406, "PRECONDITION_FAILED", "does not allow"},
        {501, "FRAME_ERROR - type 1, all octets = <<>>", "damaged"},
        {502, "SYNTAX_ERROR", "wrong value"},
        {503, "COMMAND_INVALID - unknown exchange type", "out of order"},
        {504, "CHANNEL_ERROR - expected 'channel.open'", "not open"},
        {505, "UNEXPECTED_FRAME", "out of order"},
        {506, "RESOURCE_ERROR", "disk"},
        {530, "NOT_ALLOWED - vhost v not found", "virtual host"},
        {530, "NOT_ALLOWED - attempt to reuse consumer tag 't'", "consumer tag"},
        {530, "NOT_ALLOWED", "rules"},
        {540, "NOT_IMPLEMENTED", "RabbitMQ 3.8"},
        {541, "INTERNAL_ERROR", "leader"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        gw_error err;
        gw__reason_set(&err, GW_E_UNAVAILABLE, cases[i].code, amqp_cstring_bytes(cases[i].text));
        const char *words = strchr(err.text, '(');
        assert_int_equal(err.native, cases[i].code);
        if (words == NULL || strstr(words, cases[i].words) == NULL ||
            strstr(err.text, cases[i].text) == NULL || err.text[strlen(err.text) - 1] != ')') {
            fail_msg("%d %s: '%s'", cases[i].code, cases[i].text, err.text);
        }
    }
    gw_error err;
    gw__reason_set(&err, GW_E_UNAVAILABLE, 999, amqp_empty_bytes);
    assert_string_equal(err.text, "999 ");
}

/* The two connections of a transport are one login to the broker: refused to one, it is not tried
 * by the other before it works again. */
static void test_refused_login_is_not_tried_by_both(void **state)
{
    fixture *fix = *state;
    source_open(fix->src, fake_broker_url(fix->broker));
    const gw__consumer_spec spec = {.queue = "q", .prefetch = 1};
    gw__consumer *consumer;
    assert_int_equal(gw__amqp_transport.subscribe(fix->src->transport, &spec, &sink_that_ignores,
                                                  &consumer, NULL),
                     GW_OK);
    fix->conn = fake_accept(fix->broker);
    fake_expect_protocol_header(fix->conn);
    fake_send_start(fix->conn);
    fake_close_connection(fix->conn, 403, "ACCESS_REFUSED - Login was refused");
    fake_expect(fix->conn, AMQP_CONNECTION_CLOSE_OK_METHOD, NULL);
    assert_true(fake_nobody_comes(fix->broker, 500));
    fake_hang_up(fix->conn);
    fix->conn = fake_accept_open(fix->broker); /* after five to ten seconds */
    fake_conn *consuming = fake_accept_open(fix->broker);
    const char *name = fake_client_property(consuming, "connection_name");
    assert_non_null(strstr(name, " consume"));
    fake_serve_consumer(consuming, NULL);
    gw__amqp_transport.cancel(consumer, 0);
    gw__amqp_transport.release(consumer, 0);
    fake_hang_up(consuming);
}

/* What was subscribed to while there was no broker is consumed from once there is one. */
static void test_subscribe_before_the_broker(void **state)
{
    fixture *fix = *state;
    source_open(fix->src, fake_broker_url(fix->broker));
    const gw__consumer_spec spec = {.queue = "q", .prefetch = 1};
    gw__consumer *consumer;
    fix->conn = fake_accept(fix->broker);
    fake_reset(fix->conn);
    fix->conn = NULL;
    assert_int_equal(gw__amqp_transport.subscribe(fix->src->transport, &spec, &sink_that_ignores,
                                                  &consumer, NULL),
                     GW_OK);
    fake_conn *conns[2];
    conns[0] = fake_accept_open(fix->broker);
    conns[1] = fake_accept_open(fix->broker);
    const char *name = fake_client_property(conns[0], "connection_name");
    size_t consuming = strstr(name, " consume") != NULL ? 0 : 1;
    fake_serve_consumer(conns[consuming], NULL);
    gw__amqp_transport.cancel(consumer, 0);
    gw__amqp_transport.release(consumer, 0);
    fake_hang_up(conns[0]);
    fake_hang_up(conns[1]);
}

/* ---- closing ------------------------------------------------------------- */

typedef struct closing {
    source *src;
    unsigned timeout_ms;
} closing;

static void *close_it(void *arg)
{
    const closing *it = arg;
    source_close(it->src, it->timeout_ms);
    return NULL;
}

static void test_goodbye(void **state)
{
    fixture *fix = *state;
    source_open(fix->src, fake_broker_url(fix->broker));
    fix->conn = fake_accept_open(fix->broker);
    source_wait_state(fix->src, GW_CLIENT_UP, "");
    closing it = {fix->src, 10000};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, close_it, &it), 0);
    fake_serve_goodbye(fix->conn);
    fix->conn = NULL;
    pthread_join(thread, NULL);
    assert_true(fake_nobody_comes(fix->broker, 20));
}

/* Closing ends in time, however far the connection has come. */
static void test_close_at_every_stage(void **state)
{
    for (int stage = 0; stage < 5; stage++) {
        fixture *fix = *state;
        source_open(fix->src, fake_broker_url(fix->broker));
        if (stage > 0) {
            fix->conn = fake_accept(fix->broker);
        }
        if (stage > 1) {
            fake_expect_protocol_header(fix->conn);
            fake_send_start(fix->conn);
        }
        if (stage > 2) {
            fake_send_tune(fix->conn, FAKE_TUNING_DEFAULT);
            fake_expect(fix->conn, AMQP_CONNECTION_TUNE_OK_METHOD, NULL);
            fake_expect(fix->conn, AMQP_CONNECTION_OPEN_METHOD, NULL);
        }
        if (stage > 3) {
            amqp_connection_open_ok_t ok = {.known_hosts = amqp_empty_bytes};
            fake_send_method(fix->conn, 0, AMQP_CONNECTION_OPEN_OK_METHOD, &ok);
            source_wait_state(fix->src, GW_CLIENT_UP, "");
        }
        uint64_t before = gw_clock_ms();
        source_close(fix->src, 100);
        if (gw_clock_ms() - before > 5000) {
            fail_msg("stage %d: closing took %llu ms", stage,
                     (unsigned long long)(gw_clock_ms() - before));
        }
        teardown(state);
        setup(state);
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_who_we_are),
        TEST(test_login_again),
        TEST(test_password_file_is_read_each_time),
        TEST(test_refused_login),
        TEST(test_nobody_listens),
        TEST(test_unknown_name),
        TEST(test_frame_max_1),
        TEST(test_another_protocol),
        TEST(test_hosts_are_tried_in_turn),
        TEST(test_no_answer_to_connecting_or_looking_up),
        TEST(test_heartbeats),
        TEST(test_half_frames),
        TEST(test_user_timeout),
        TEST(test_close_reason_in_words),
        TEST(test_reasons),
        TEST(test_refused_login_is_not_tried_by_both),
        TEST(test_subscribe_before_the_broker),
        TEST(test_goodbye),
        TEST(test_close_at_every_stage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
