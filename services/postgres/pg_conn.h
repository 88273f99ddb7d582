/* SPDX-License-Identifier: MIT */
/*
 * A connection to a database. Every wait has an end: libpq's blocking calls are not used, since
 * none of them ends when a server hangs. One thread at a time.
 */
#ifndef POSTGRES_PG_CONN_H
#define POSTGRES_PG_CONN_H

#include <stdatomic.h>

#include "postgres/pg_place.h"
#include "postgres/pq_library.h"

typedef struct pg_statement {
    const char *name;
    const char *sql;
} pg_statement;

/* One call of a batch. */
typedef struct pg_call {
    const pg_statement *statement; /* prepared; NULL: `sql` */
    const char *sql;
    int n_params;
    const char *const *params; /* text; NULL is SQL's */
} pg_call;

typedef struct pg_conn pg_conn;

typedef struct pg_conn_options {
    const pg_place *place;          /* borrowed as long as the connection lives */
    unsigned timeout_ms;            /* of a statement, at the server; half a second later here */
    uint64_t deadline_ms;           /* of connecting, by gw_clock_ms() */
    const atomic_bool *is_stopping; /* ends every wait soon; may be NULL */
    atomic_size_t *host;            /* the one to begin with, set to the one that was taken; may be
                                       NULL: the place's first */
} pg_conn_options;

/**
 * Connect to the first host that can be reached, and to the one that can be written to if there are
 * several. With `host`, one that hangs holds up the first connection and not those after it.
 *
 * @return GW_OK; GW_E_UNAVAILABLE, GW_E_TIMEOUT; GW_E_DENIED; GW_E_UNSUPPORTED without libpq or
 *         with a database that is not UTF-8; GW_E_NOMEM.
 */
gw_status pg_conn_open(const pg_conn_options *options, pg_conn **ret_conn, gw_error *err);

/* Does not wait for the server, which rolls back what was not committed. Accepts NULL. */
void pg_conn_close(pg_conn *conn);

/* Prepare statements, which are borrowed as long as the connection lives. */
gw_status pg_conn_prepare(pg_conn *conn, const pg_statement *statements, size_t n, gw_error *err);

/**
 * Make `n` calls in one round trip. If one fails those behind it are not made, and all of them are
 * undone unless they are within BEGIN and COMMIT.
 *
 * @param ret_results one for each call, to be freed with pg_clear(); set on success only. NULL: not
 *                    wanted.
 * @return GW_OK; what pg_error_status() says. GW_E_TIMEOUT, GW_E_UNAVAILABLE: also when the server
 *         did not answer; then the connection is broken, and what became of the calls not known.
 */
gw_status pg_run(pg_conn *conn, const pg_call *calls, size_t n, PGresult **ret_results,
                 gw_error *err);

/* Change the time that a statement may take. */
gw_status pg_conn_set_timeout(pg_conn *conn, unsigned timeout_ms, gw_error *err);

/* Whether it is of no more use: broken, or in the middle of a transaction. */
bool pg_conn_is_spent(const pg_conn *conn);

/* Whether it was the server, the network or the time, not the statement. */
bool pg_conn_is_broken(const pg_conn *conn);

/* ---- results ------------------------------------------------------------------------- */

void pg_clear(pg_conn *conn, PGresult **results, size_t n); /* accepts NULL in them */
size_t pg_n_rows(pg_conn *conn, const PGresult *result);
const char *pg_text(pg_conn *conn, const PGresult *result, size_t row, int column);
uint64_t pg_n_changed(pg_conn *conn, const PGresult *result);

#endif
