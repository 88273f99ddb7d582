/* SPDX-License-Identifier: MIT */
/* Databases that are not there, say nothing, or say nonsense: nobody waits for long. */
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/clock.h>

#include "postgres/pg_pool.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* A server that sends some bytes to whoever connects, and keeps the connection. */
typedef struct peer {
    int fd;
    unsigned port;
    const char *bytes;
    size_t len;
    pthread_t thread;
} peer;

static void *peer_main(void *ctx)
{
    peer *self = ctx;
    int fds[64];
    size_t n = 0;
    while (n < N_OF(fds) && (fds[n] = accept(self->fd, NULL, NULL)) >= 0) {
        ssize_t sent = send(fds[n], self->bytes, self->len, MSG_NOSIGNAL);
        (void)sent;
        n++;
    }
    while (n > 0) {
        close(fds[--n]);
    }
    return NULL;
}

static void peer_start(peer *self, const char *bytes, size_t len)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    *self = (peer){.fd = socket(AF_INET, SOCK_STREAM, 0), .bytes = bytes, .len = len};
    assert_true(self->fd >= 0);
    assert_int_equal(bind(self->fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(self->fd, 64), 0);
    assert_int_equal(getsockname(self->fd, (struct sockaddr *)&address, &size), 0);
    self->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&self->thread, NULL, peer_main, self), 0);
}

static void peer_stop(peer *self)
{
    shutdown(self->fd, SHUT_RDWR);
    pthread_join(self->thread, NULL);
    close(self->fd);
}

static gw_status never(void *ctx, pg_conn *conn, gw_error *err)
{
    (void)ctx;
    (void)conn;
    (void)err;
    fail_msg("there is a connection");
    return GW_OK;
}

static void note_state(void *ctx, const char *fault)
{
    snprintf(ctx, 600, "%s", fault != NULL ? fault : "");
}

static gw_status open_pool(unsigned port, bool is_watched, char *state, pg_pool **ret_pool,
                           gw_error *err)
{
    char url[128];
    snprintf(url, sizeof(url), "postgresql://u:sesame@127.0.0.1:%u/d?connect_timeout=1", port);
    pg_pool_options options = {.url = url,
                               .application = "test",
                               .max_connections = 2,
                               .timeout_ms = 200,
                               .create = never,
                               .probe = never,
                               .on_state = is_watched ? note_state : NULL,
                               .state_ctx = state};
    return pg_pool_new(&options, ret_pool, err);
}

static void test_away(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        bool is_closed; /* nobody listens */
        const char *text;
    } cases[] = {
        {"", 0, true, "refused"},
        {"", 0, false, "does not answer while connecting"},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", 28, false, ""},
        {"N", 1, false, ""}, /* no TLS, and then nothing */
        {"E\0\0\0\xffSFATAL\0", 12, false, ""},
        {"R\xff\xff\xff\xff\0\0\0\0", 9, false, ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        peer server;
        peer_start(&server, cases[i].bytes, cases[i].len);
        if (cases[i].is_closed) {
            peer_stop(&server);
        }
        pg_pool *pool = NULL;
        gw_error err = GW_ERROR_INIT;
        uint64_t start_ms = gw_clock_ms();
        gw_status st = open_pool(server.port, false, NULL, &pool, &err);
        assert_true(st == GW_E_UNAVAILABLE || st == GW_E_TIMEOUT);
        assert_non_null(strstr(err.text, cases[i].text));
        assert_non_null(strstr(err.text, "the database at 127.0.0.1:"));
        assert_null(strstr(err.text, "sesame"));
        assert_true(gw_clock_ms() - start_ms < 15000); /* it does end */
        if (!cases[i].is_closed) {
            peer_stop(&server);
        }
    }
}

/* With somebody who looks after it the pool opens, and who asks is refused without a wait. */
static void test_watched(void **state)
{
    (void)state;
    peer server;
    char fault[600] = "?";
    peer_start(&server, "", 0);
    pg_pool *pool = NULL;
    assert_int_equal(open_pool(server.port, true, fault, &pool, NULL), GW_OK);
    assert_non_null(strstr(fault, "does not answer while connecting"));
    for (int i = 0; i < 1000;
         i++) { /* a second each, if they waited: longer than the test may take */
        gw_error err = GW_ERROR_INIT;
        assert_int_equal(pg_pool_use(pool, never, NULL, NULL, &err), GW_E_TIMEOUT);
        assert_string_equal(err.text, fault);
    }
    assert_false(pg_pool_wait_up(pool, 10));
    pg_pool_free(pool);
    pg_pool_free(NULL);
    peer_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_away),
        cmocka_unit_test(test_watched),
    };
    return cmocka_run_group_tests_name("databases that are away", tests, NULL, NULL);
}
