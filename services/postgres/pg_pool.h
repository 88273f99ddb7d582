/* SPDX-License-Identifier: MIT */
/*
 * A small number of connections to a database, shared between threads, and whether it can be used.
 *
 * A pool with `on_state` has a thread that looks after the database. Once it is found to be away,
 * who asks is refused at once, with the reason, until that thread has reached it again: when a
 * database hangs, the threads of a server wait for it once, and not for each request.
 */
#ifndef POSTGRES_PG_POOL_H
#define POSTGRES_PG_POOL_H

#include "postgres/pg_conn.h"

typedef struct pg_pool pg_pool;

/* Something done with a connection. What is left of an open transaction is rolled back. */
typedef gw_status (*pg_work)(void *ctx, pg_conn *conn, gw_error *err);

typedef struct pg_pool_options {
    const char *url; /* see pg_place.h; copied, as the password is */
    const char *password;
    const char *application;        /* static */
    unsigned max_connections;       /* beside that of the thread that looks after the database */
    unsigned timeout_ms;            /* of a statement, and of waiting for a connection */
    const pg_statement *statements; /* prepared on each connection; static */
    size_t n_statements;
    pg_work create; /* makes the tables, on a first connection */
    pg_work probe;  /* sees whether they can be used, and cares for them, every few seconds */
    void *ctx;      /* of both */
    /* The database can be used (NULL), or not, and why. Called when that changes, under the pool's
     * lock; must not call it. NULL: nobody looks after it, and each call tries anew. */
    void (*on_state)(void *state_ctx, const char *fault);
    void *state_ctx;
} pg_pool_options;

/**
 * Waits for the first attempt to connect, at most as long as connecting may take. Not being able to
 * is no failure with `on_state`, unless libpq is missing.
 */
gw_status pg_pool_new(const pg_pool_options *options, pg_pool **ret_pool, gw_error *err);

/* When no other thread uses it. Accepts NULL. */
void pg_pool_free(pg_pool *pool);

/**
 * Do `work`. Again, if it failed on a connection that had gone stale while it was idle, and for a
 * deadlock or conflict (GW_E_BUSY).
 *
 * @param is_final set by `work` when it must not be done again on another connection, because what
 *                 it did may have taken effect; NULL: it may always.
 * @return as `work`, and as pg_conn_open(); GW_E_FULL when all connections are in use too long.
 */
gw_status pg_pool_use(pg_pool *pool, pg_work work, void *ctx, const bool *is_final, gw_error *err);

/* Wait until the database can be used; false after that time, or when the pool is closing. */
bool pg_pool_wait_up(pg_pool *pool, unsigned timeout_ms);

/* Let the probe run now, not only when its time has come. */
void pg_pool_poke(pg_pool *pool);

#endif
