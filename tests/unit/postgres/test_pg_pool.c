/* SPDX-License-Identifier: MIT */
/* A pool of connections to a real server. */
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "postgres/pg_pool.h"
#include "support/place.h"

static const pg_statement statements[] = {{"answer", "SELECT 40 + $1::int"},
                                          {"sleep", "SELECT pg_sleep($1::float8)"},
                                          {"me", "SELECT pg_backend_pid()"}};

static const char *where;
static pg_pool *pool;

static gw_status nothing(void *ctx, pg_conn *conn, gw_error *err)
{
    (void)ctx;
    (void)conn;
    (void)err;
    return GW_OK;
}

static int setup(void **state)
{
    (void)state;
    where = place_make();
    pg_pool_options options = {.url = where,
                               .application = "test",
                               .max_connections = 2,
                               .timeout_ms = 300,
                               .statements = statements,
                               .n_statements = 3,
                               .create = nothing,
                               .probe = nothing};
    gw_error err = GW_ERROR_INIT;
    if (pg_pool_new(&options, &pool, &err) != GW_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pg_pool_free(pool);
    place_remove();
    return 0;
}

/* Call a statement; `ctx` is two texts: the parameter, and room for 64 bytes of the first value. */
typedef struct asked {
    int which;
    const char *param; /* NULL: none */
    char value[64];
    unsigned n_times; /* it was tried */
} asked;

static gw_status ask(void *ctx, pg_conn *conn, gw_error *err)
{
    asked *self = ctx;
    const pg_call call = {.statement = &statements[self->which],
                          .n_params = self->param != NULL ? 1 : 0,
                          .params = &self->param};
    PGresult *result;
    self->n_times++;
    gw_status st = pg_run(conn, &call, 1, &result, err);
    if (st == GW_OK) {
        snprintf(self->value, sizeof(self->value), "%s", pg_text(conn, result, 0, 0));
        pg_clear(conn, &result, 1);
    }
    return st;
}

static void test_calls(void **state)
{
    (void)state;
    asked it = {.which = 0, .param = "2"};
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(pg_pool_use(pool, ask, &it, NULL, &err), GW_OK);
    assert_string_equal(it.value, "42");
    it.param = "not a number"; /* which the connection survives */
    assert_int_equal(pg_pool_use(pool, ask, &it, NULL, &err), GW_E_INVALID);
    assert_int_equal(it.n_times, 2);
    assert_non_null(strstr(err.text, "invalid input syntax"));
    asked me = {.which = 2};
    assert_int_equal(pg_pool_use(pool, ask, &me, NULL, &err), GW_OK);
    char pid[64];
    memcpy(pid, me.value, sizeof(pid));
    assert_int_equal(pg_pool_use(pool, ask, &me, NULL, &err), GW_OK);
    assert_string_equal(me.value, pid);
}

/* The server itself ends what takes too long, and the connection goes on. */
static void test_timeout(void **state)
{
    (void)state;
    asked slow = {.which = 1, .param = "30"};
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(pg_pool_use(pool, ask, &slow, NULL, &err), GW_E_TIMEOUT);
    assert_int_equal(slow.n_times, 1);
    assert_non_null(strstr(err.text, "statement timeout"));
    asked it = {.which = 0, .param = "2"};
    assert_int_equal(pg_pool_use(pool, ask, &it, NULL, &err), GW_OK);
    assert_string_equal(place_sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE "
                                  "'SELECT pg_sleep%%' AND state = 'active'"),
                        "0");
}

/* What somebody else closed while it was idle is found out, once, and the work done elsewhere. */
static void test_stale(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        asked me = {.which = 2};
        assert_int_equal(pg_pool_use(pool, ask, &me, NULL, NULL), GW_OK);
        char pid[64];
        memcpy(pid, me.value, sizeof(pid));
        assert_string_equal(place_sql("SELECT pg_terminate_backend(%s, 5000)", pid), "t");
        me.n_times = 0;
        assert_int_equal(pg_pool_use(pool, ask, &me, NULL, NULL), GW_OK);
        assert_int_equal(me.n_times, 2);
        assert_string_not_equal(me.value, pid);
    }
    /* Not what may have taken effect. */
    asked me = {.which = 2};
    assert_int_equal(pg_pool_use(pool, ask, &me, NULL, NULL), GW_OK);
    assert_string_equal(place_sql("SELECT pg_terminate_backend(%s, 5000)", me.value), "t");
    bool is_final = true;
    me.n_times = 0;
    assert_int_equal(pg_pool_use(pool, ask, &me, &is_final, NULL), GW_E_UNAVAILABLE);
    assert_int_equal(me.n_times, 1);
}

static gw_status conflict(void *ctx, pg_conn *conn, gw_error *err)
{
    unsigned *n_left = ctx;
    const pg_call calls[] = {
        {.sql = "BEGIN"},
        {.sql = "DO $$ BEGIN RAISE EXCEPTION 'as if' USING ERRCODE = '40P01'; END $$"}};
    return pg_run(conn, calls, (*n_left)-- > 0 ? 2 : 1, NULL, err);
}

/* Deadlocks are tried again, also what was to be done once; and a transaction that is left open is
 * rolled back. */
static void test_conflicts(void **state)
{
    (void)state;
    unsigned n_left = 3;
    bool is_final = true;
    assert_int_equal(pg_pool_use(pool, conflict, &n_left, &is_final, NULL), GW_OK);
    n_left = 1000;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(pg_pool_use(pool, conflict, &n_left, NULL, &err), GW_E_BUSY);
    assert_non_null(strstr(err.text, "as if"));
    while (strcmp(place_sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test' "
                            "AND state LIKE 'idle in transaction%%' AND pid <> pg_backend_pid()"),
                  "0") != 0) { /* the server ends them in its own time */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

typedef struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned n_in;
    bool is_open;
} gate;

static gw_status hold(void *ctx, pg_conn *conn, gw_error *err)
{
    gate *self = ctx;
    (void)conn;
    (void)err;
    pthread_mutex_lock(&self->lock);
    self->n_in++;
    pthread_cond_broadcast(&self->changed);
    while (!self->is_open) {
        pthread_cond_wait(&self->changed, &self->lock);
    }
    pthread_mutex_unlock(&self->lock);
    return GW_OK;
}

static void *holder_main(void *ctx)
{
    assert_int_equal(pg_pool_use(pool, hold, ctx, NULL, NULL), GW_OK);
    return NULL;
}

/* There are no more connections than may be, and nobody waits for one for ever. */
static void test_bounded(void **state)
{
    (void)state;
    gate both = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, holder_main, &both), 0);
    }
    pthread_mutex_lock(&both.lock);
    while (both.n_in < 2) {
        pthread_cond_wait(&both.changed, &both.lock);
    }
    pthread_mutex_unlock(&both.lock);
    asked it = {.which = 0, .param = "2"};
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(pg_pool_use(pool, ask, &it, NULL, &err), GW_E_FULL);
    assert_int_equal(it.n_times, 0);
    assert_non_null(strstr(err.text, "all 2 connections"));
    pthread_mutex_lock(&both.lock);
    both.is_open = true;
    pthread_cond_broadcast(&both.changed);
    pthread_mutex_unlock(&both.lock);
    assert_int_equal(pg_pool_use(pool, ask, &it, NULL, &err), GW_OK);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
}

static int listen_and_say_nothing(unsigned *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void ignore_state(void *ctx, const char *fault)
{
    (void)ctx;
    (void)fault;
}

/* A first host that takes connections and hangs is left for the second, with a watcher or without.
 */
static void test_first_host_hangs(void **state)
{
    (void)state;
    unsigned port;
    int silent = listen_and_say_nothing(&port);
    const char *hosts = strchr(where, '@') + 1;
    char url[2048];
    snprintf(url, sizeof(url), "%.*s127.0.0.1:%u,%s&connect_timeout=1", (int)(hosts - where), where,
             port, hosts);
    for (int is_watched = 0; is_watched < 2; is_watched++) {
        pg_pool_options options = {.url = url,
                                   .application = "test",
                                   .max_connections = 2,
                                   .timeout_ms = 5000,
                                   .statements = statements,
                                   .n_statements = 3,
                                   .create = nothing,
                                   .probe = nothing,
                                   .on_state = is_watched ? ignore_state : NULL};
        pg_pool *both = NULL;
        gw_error err = GW_ERROR_INIT;
        if (pg_pool_new(&options, &both, &err) != GW_OK) {
            fail_msg("%s", err.text);
        }
        assert_true(pg_pool_wait_up(both, 30000));
        asked it = {.which = 0, .param = "2"};
        if (pg_pool_use(both, ask, &it, NULL, &err) != GW_OK) {
            fail_msg("%s", err.text);
        }
        pg_pool_free(both);
    }
    close(silent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stale, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conflicts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_host_hangs, setup, teardown),
    };
    return cmocka_run_group_tests_name("pool of connections", tests, NULL, NULL);
}
