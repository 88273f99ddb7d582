/* SPDX-License-Identifier: MIT */
#include "postgres/pg_conn.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>

#include "postgres/pg_error.h"

#define GRACE_MS       500   /* for a server to say itself that a statement took too long */
#define SLICE_MS       100   /* between two looks whether the program stops */
#define IDLE_MIN_MS    10000 /* in a transaction, before the server ends it: locks go with it */
#define STATEMENTS_MAX 16

struct pg_conn {
    const pq_library *pq;
    const pg_place *place;
    PGconn *link;
    const atomic_bool *is_stopping;
    unsigned timeout_ms;
    bool is_broken;
};

static bool is_stopping(const pg_conn *conn)
{
    return conn->is_stopping != NULL && atomic_load(conn->is_stopping);
}

static gw_status broken(pg_conn *conn, gw_status st, const char *message, gw_error *err)
{
    conn->is_broken = true;
    return pg_error_set(err, st, conn->place, message);
}

/* GW_OK when the socket is ready. `doing` is for the error's text. */
static gw_status wait_ready(pg_conn *conn, short events, uint64_t deadline_ms, const char *doing,
                            gw_error *err)
{
    for (;;) {
        uint64_t now_ms = gw_clock_ms();
        if (now_ms >= deadline_ms) {
            return broken(conn, GW_E_TIMEOUT, doing, err);
        }
        if (is_stopping(conn)) {
            return broken(conn, GW_E_CLOSED, "the program stops", err);
        }
        uint64_t left_ms = deadline_ms - now_ms;
        struct pollfd fd = {.fd = conn->pq->socket(conn->link), .events = events};
        int rc = poll(&fd, 1, left_ms < SLICE_MS ? (int)left_ms : SLICE_MS);
        if (rc > 0) {
            return GW_OK;
        }
        if (rc < 0 && errno != EINTR) {
            return broken(conn, GW_E_IO, "poll() failed", err);
        }
    }
}

/* ---- connecting ------------------------------------------------------------------------- */

/* Notices are for people at a prompt. */
static void ignore_notice(void *ctx, const PGresult *result)
{
    (void)ctx;
    (void)result;
}

static PGconn *begin_connecting(const pq_library *pq, const pg_place *place, size_t host)
{
    const char *keywords[PG_PARAMS_MAX + 3] = {"host", "port"};
    char port[16];
    uint16_t number = place->url.hosts[host].port;
    snprintf(port, sizeof(port), "%u", number != 0 ? number : 5432U);
    const char *values[PG_PARAMS_MAX + 3] = {
        place->socket_dir != NULL ? place->socket_dir : place->url.hosts[host].name, port};
    memcpy(keywords + 2, place->keywords, sizeof(place->keywords));
    memcpy(values + 2, place->values, sizeof(place->values));
    return pq->connect_start(keywords, values, 0);
}

/* libpq has no SQLSTATE for a failed start, only words; these are in the language of the server. */
static gw_status refusal_status(const char *message)
{
    return strstr(message, "authentication failed") != NULL ||
                   strstr(message, "no password") != NULL
               ? GW_E_DENIED
               : GW_E_UNAVAILABLE;
}

static gw_status finish_connecting(pg_conn *conn, uint64_t deadline_ms, gw_error *err)
{
    const pq_library *pq = conn->pq;
    PostgresPollingStatusType now = PGRES_POLLING_WRITING;
    while (now != PGRES_POLLING_OK) {
        if (now == PGRES_POLLING_FAILED || pq->status(conn->link) == CONNECTION_BAD) {
            const char *message = pq->error_message(conn->link);
            return broken(conn, refusal_status(message), message, err);
        }
        gw_status st = wait_ready(conn, now == PGRES_POLLING_READING ? POLLIN : POLLOUT,
                                  deadline_ms, "it does not answer while connecting", err);
        if (st != GW_OK) {
            return st;
        }
        now = pq->connect_poll(conn->link);
    }
    return GW_OK;
}

static gw_status check_encoding(pg_conn *conn, gw_error *err)
{
    const char *encoding = conn->pq->parameter_status(conn->link, "server_encoding");
    if (encoding != NULL && strcmp(encoding, "UTF8") != 0) {
        return broken(conn, GW_E_UNSUPPORTED,
                      "its encoding is not UTF8: create it with "
                      "ENCODING 'UTF8' TEMPLATE template0",
                      err);
    }
    return GW_OK;
}

static gw_status connect_to(pg_conn *conn, size_t host, uint64_t deadline_ms, gw_error *err)
{
    conn->is_broken = false;
    conn->link = begin_connecting(conn->pq, conn->place, host);
    if (conn->link == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a connection to the database");
    }
    conn->pq->set_notice_receiver(conn->link, ignore_notice, NULL);
    gw_status st = finish_connecting(conn, deadline_ms, err);
    if (st == GW_OK) {
        st = check_encoding(conn, err);
    }
    if (st == GW_OK && (conn->pq->set_nonblocking(conn->link, 1) != 0 ||
                        conn->pq->enter_pipeline_mode(conn->link) != 1)) {
        st = broken(conn, GW_E_IO, conn->pq->error_message(conn->link), err);
    }
    if (st == GW_OK) {
        st = pg_conn_set_timeout(conn, conn->timeout_ms, err);
    }
    if (st != GW_OK) {
        conn->pq->finish(conn->link);
        conn->link = NULL;
    }
    return st;
}

gw_status pg_conn_open(const pg_conn_options *options, pg_conn **ret_conn, gw_error *err)
{
    const pq_library *pq;
    gw_status st = pq_library_load(&pq, err);
    if (st != GW_OK) {
        return st;
    }
    pg_conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a connection to the database");
    }
    *conn = (pg_conn){.pq = pq,
                      .place = options->place,
                      .is_stopping = options->is_stopping,
                      .timeout_ms = options->timeout_ms};
    size_t n_hosts = pg_place_n_hosts(options->place);
    size_t first = options->host != NULL ? atomic_load(options->host) : 0;
    st = GW_E_UNAVAILABLE;
    for (size_t i = 0; i < n_hosts && st != GW_OK && st != GW_E_CLOSED; i++) {
        uint64_t deadline_ms = gw_clock_ms() + options->place->connect_ms;
        if (deadline_ms > options->deadline_ms) {
            deadline_ms = options->deadline_ms;
        }
        size_t host = (first + i) % n_hosts;
        st = connect_to(conn, host, deadline_ms, err);
        if (st == GW_OK && options->host != NULL) {
            atomic_store(options->host, host);
        }
    }
    if (st != GW_OK) {
        free(conn);
        return st;
    }
    *ret_conn = conn;
    return GW_OK;
}

void pg_conn_close(pg_conn *conn)
{
    if (conn != NULL) {
        conn->pq->finish(conn->link);
        free(conn);
    }
}

bool pg_conn_is_broken(const pg_conn *conn)
{
    return conn->is_broken || conn->pq->status(conn->link) == CONNECTION_BAD;
}

bool pg_conn_is_spent(const pg_conn *conn)
{
    return pg_conn_is_broken(conn) || conn->pq->transaction_status(conn->link) != PQTRANS_IDLE;
}

/* ---- calls -------------------------------------------------------------------------------- */

static uint64_t deadline_of(const pg_conn *conn)
{
    return gw_clock_ms() + conn->timeout_ms + GRACE_MS;
}

static gw_status receive(pg_conn *conn, uint64_t deadline_ms, PGresult **ret_result, gw_error *err)
{
    const pq_library *pq = conn->pq;
    for (;;) {
        int unsent = pq->flush(conn->link);
        if (unsent >= 0 && !pq->is_busy(conn->link)) {
            break;
        }
        gw_status st = unsent < 0
                           ? GW_OK
                           : wait_ready(conn, (short)(unsent > 0 ? POLLIN | POLLOUT : POLLIN),
                                        deadline_ms, "it does not answer", err);
        if (st != GW_OK) {
            return st;
        }
        if (pq->consume_input(conn->link) == 0 || unsent < 0) {
            return broken(conn, GW_E_UNAVAILABLE, pq->error_message(conn->link), err);
        }
    }
    *ret_result = pq->get_result(conn->link);
    return GW_OK;
}

/* The result of a call, and the NULL that ends it. */
static gw_status receive_call(pg_conn *conn, uint64_t deadline_ms, PGresult **ret_result,
                              gw_error *err)
{
    PGresult *result = NULL;
    gw_status st = receive(conn, deadline_ms, &result, err);
    if (st != GW_OK) {
        return st;
    }
    if (result == NULL) {
        return broken(conn, GW_E_PROTOCOL, "it sent no result", err);
    }
    PGresult *end = NULL;
    if (pg_conn_is_broken(conn)) { /* libpq would go on with results of its own making */
        conn->is_broken = true;
        pg_error_of_result(err, conn->place, conn->pq, result);
        conn->pq->clear(result);
        if (err != NULL) {
            err->status = GW_E_UNAVAILABLE;
        }
        return GW_E_UNAVAILABLE;
    }
    st = receive(conn, deadline_ms, &end, err);
    if (st == GW_OK && end != NULL) {
        conn->pq->clear(end);
        st = broken(conn, GW_E_PROTOCOL, "it sent more results than calls were made", err);
    }
    if (st != GW_OK) {
        conn->pq->clear(result);
        return st;
    }
    *ret_result = result;
    return GW_OK;
}

static gw_status receive_sync(pg_conn *conn, uint64_t deadline_ms, gw_error *err)
{
    PGresult *result = NULL;
    gw_status st = receive(conn, deadline_ms, &result, err);
    if (st == GW_OK && conn->pq->result_status(result) != PGRES_PIPELINE_SYNC) {
        st = broken(conn, GW_E_PROTOCOL, "it sent something else than the end of a batch", err);
    }
    conn->pq->clear(result);
    return st;
}

/* Receive what `n` calls came to. The first failure is the one that counts. */
static gw_status receive_all(pg_conn *conn, size_t n, PGresult **results, gw_error *err)
{
    uint64_t deadline_ms = deadline_of(conn);
    gw_status failed = GW_OK;
    for (size_t i = 0; i < n; i++) {
        gw_status st = receive_call(conn, deadline_ms, &results[i], err);
        if (st != GW_OK) {
            return st;
        }
        ExecStatusType is = conn->pq->result_status(results[i]);
        if (failed == GW_OK && is != PGRES_COMMAND_OK && is != PGRES_TUPLES_OK) {
            failed = pg_error_of_result(err, conn->place, conn->pq, results[i]);
        }
    }
    gw_status st = receive_sync(conn, deadline_ms, failed == GW_OK ? err : NULL);
    return failed != GW_OK ? failed : st;
}

static bool send_call(pg_conn *conn, const pg_call *call)
{
    if (call->statement != NULL) {
        return conn->pq->send_query_prepared(conn->link, call->statement->name, call->n_params,
                                             call->params, NULL, NULL, 0) == 1;
    }
    return conn->pq->send_query_params(conn->link, call->sql, call->n_params, NULL, call->params,
                                       NULL, NULL, 0) == 1;
}

gw_status pg_run(pg_conn *conn, const pg_call *calls, size_t n, PGresult **ret_results,
                 gw_error *err)
{
    PGresult **results = calloc(n, sizeof(*results));
    if (results == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for results");
    }
    bool is_sent = true;
    for (size_t i = 0; is_sent && i < n; i++) {
        is_sent = send_call(conn, &calls[i]);
    }
    gw_status st = is_sent && conn->pq->pipeline_sync(conn->link) == 1
                       ? receive_all(conn, n, results, err)
                       : broken(conn, GW_E_UNAVAILABLE, conn->pq->error_message(conn->link), err);
    if (st == GW_OK && ret_results != NULL) {
        memcpy(ret_results, results, n * sizeof(*results));
    } else {
        pg_clear(conn, results, n);
    }
    free(results);
    return st;
}

gw_status pg_conn_prepare(pg_conn *conn, const pg_statement *statements, size_t n, gw_error *err)
{
    PGresult *results[STATEMENTS_MAX] = {NULL};
    if (n > STATEMENTS_MAX) {
        return gw_error_set(err, GW_E_INTERNAL, 0, "more than %d statements", STATEMENTS_MAX);
    }
    bool is_sent = true;
    for (size_t i = 0; is_sent && i < n; i++) {
        is_sent =
            conn->pq->send_prepare(conn->link, statements[i].name, statements[i].sql, 0, NULL) == 1;
    }
    gw_status st = is_sent && conn->pq->pipeline_sync(conn->link) == 1
                       ? receive_all(conn, n, results, err)
                       : broken(conn, GW_E_UNAVAILABLE, conn->pq->error_message(conn->link), err);
    pg_clear(conn, results, n);
    return st;
}

gw_status pg_conn_set_timeout(pg_conn *conn, unsigned timeout_ms, gw_error *err)
{
    char statement[64];
    char idle[80];
    unsigned idle_ms = timeout_ms > IDLE_MIN_MS / 5 ? timeout_ms * 5 : IDLE_MIN_MS;
    snprintf(statement, sizeof(statement), "SET statement_timeout = %u", timeout_ms);
    snprintf(idle, sizeof(idle), "SET idle_in_transaction_session_timeout = %u", idle_ms);
    const pg_call calls[] = {{.sql = statement}, {.sql = idle}};
    gw_status st = pg_run(conn, calls, 2, NULL, err);
    if (st == GW_OK) {
        conn->timeout_ms = timeout_ms;
    }
    return st;
}

/* ---- results -------------------------------------------------------------------------------- */

void pg_clear(pg_conn *conn, PGresult **results, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        conn->pq->clear(results[i]);
    }
}

size_t pg_n_rows(pg_conn *conn, const PGresult *result)
{
    return (size_t)conn->pq->n_tuples(result);
}

const char *pg_text(pg_conn *conn, const PGresult *result, size_t row, int column)
{
    return conn->pq->get_value(result, (int)row, column);
}

uint64_t pg_n_changed(pg_conn *conn, const PGresult *result)
{
    return strtoull(conn->pq->cmd_tuples((PGresult *)(uintptr_t)result), NULL, 10);
}
