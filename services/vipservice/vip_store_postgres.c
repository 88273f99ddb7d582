/* SPDX-License-Identifier: MIT */
/*
 * VIP reads in a PostgreSQL database: the tables godwit_vip_reads, and godwit_vip_messages, the
 * filter of duplicates.
 *
 * A batch is one transaction of two round trips: note the ids of the messages and learn which are
 * new; add what these come to and commit. Ids and accounts come in order, so that several
 * vipservices wait for each other and do not lock each other out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgres/pg_array.h"
#include "postgres/pg_pool.h"
#include "vip_counts.h"
#include "vip_forget.h"

#define TIMEOUT_MS      2000
#define MAX_CONNECTIONS 4
/* How long a batch that failed holds back those behind it while the database is away: they wait at
 * the broker, and do not go through its queues of retries all at once. */
#define HOLD_MS 1000

static const char create_reads[] = "CREATE TABLE IF NOT EXISTS godwit_vip_reads ("
                                   "account_id text COLLATE \"C\" PRIMARY KEY, "
                                   "reads bigint NOT NULL, "
                                   "last_read_at text NOT NULL, "
                                   "last_read_key text NOT NULL, "
                                   "last_message_id bytea NOT NULL)";
/* An id is what its sender made of it, not always text. */
static const char create_messages[] = "CREATE TABLE IF NOT EXISTS godwit_vip_messages ("
                                      "message_id bytea PRIMARY KEY, "
                                      "seen_at timestamptz NOT NULL)";
static const char create_index[] = "CREATE INDEX IF NOT EXISTS godwit_vip_messages_seen_at "
                                   "ON godwit_vip_messages (seen_at)";

enum { NOTE, ADD, GET, LIST, PROBE_READS, PROBE_MESSAGES, N_STATEMENTS };

#define READS_COLUMNS "account_id, reads, last_read_at, encode(last_message_id, 'hex')"
#define IS_LATE                                                                                    \
    "EXCLUDED.last_read_key <> '' AND r.last_read_key <> '' "                                      \
    "AND EXCLUDED.last_read_key < r.last_read_key"

static const pg_statement statements[N_STATEMENTS] = {
    /* An id that is too old to be known is as good as new. */
    [NOTE] = {"godwit_vip_note",
              "INSERT INTO godwit_vip_messages (message_id, seen_at) "
              "SELECT u.message_id, now() FROM unnest($1::bytea[]) AS u(message_id) "
              "ON CONFLICT (message_id) DO UPDATE SET seen_at = EXCLUDED.seen_at "
              "WHERE godwit_vip_messages.seen_at < now() - $2::float8 * interval '1 second' "
              "RETURNING encode(message_id, 'hex')"},
    [ADD] = {"godwit_vip_add",
             "INSERT INTO godwit_vip_reads AS r "
             "(account_id, reads, last_read_at, last_read_key, last_message_id) "
             "SELECT u.a, u.n, u.t, u.k, u.m FROM unnest($1::text[], $2::bigint[], $3::text[], "
             "$4::text[], $5::bytea[]) AS u(a, n, t, k, m) "
             "ON CONFLICT (account_id) DO UPDATE SET reads = r.reads + EXCLUDED.reads, "
             "last_read_at = CASE WHEN " IS_LATE
             " THEN r.last_read_at ELSE EXCLUDED.last_read_at END, "
             "last_read_key = CASE WHEN " IS_LATE
             " THEN r.last_read_key ELSE EXCLUDED.last_read_key END, "
             "last_message_id = CASE WHEN " IS_LATE
             " THEN r.last_message_id ELSE EXCLUDED.last_message_id END"},
    [GET] = {"godwit_vip_get",
             "SELECT " READS_COLUMNS " FROM godwit_vip_reads WHERE account_id = $1::text"},
    [LIST] = {"godwit_vip_list",
              "SELECT " READS_COLUMNS " FROM godwit_vip_reads WHERE account_id > $1::text "
              "ORDER BY account_id LIMIT $2::bigint"},
    [PROBE_READS] = {"godwit_vip_probe_reads", "SELECT 1 FROM godwit_vip_reads LIMIT 1"},
    [PROBE_MESSAGES] = {"godwit_vip_probe_messages", "SELECT 1 FROM godwit_vip_messages LIMIT 1"},
};

typedef struct postgres_store {
    vip_store base;
    pg_pool *pool;
    unsigned timeout_ms; /* of a statement */
    vip_forget forget;
} postgres_store;

static void close_store(vip_store *base)
{
    postgres_store *store = (postgres_store *)base;
    pg_pool_free(store->pool);
    free(store);
}

/* ---- opening ------------------------------------------------------------------------------- */

/* Unless they are there: who may not make tables may well use them. Of several that start at once
 * one makes them; the others fail in one of many ways, and find them when they look again. */
static gw_status create(void *ctx, pg_conn *conn, gw_error *err)
{
    (void)ctx;
    const pg_call look[] = {{.sql = statements[PROBE_READS].sql},
                            {.sql = statements[PROBE_MESSAGES].sql}};
    const pg_call make[] = {{.sql = create_reads}, {.sql = create_messages}, {.sql = create_index}};
    gw_status st = pg_run(conn, look, 2, NULL, err);
    if (st != GW_E_NOT_FOUND || pg_conn_is_broken(conn)) {
        return st;
    }
    st = pg_run(conn, make, 3, NULL, err);
    if (st != GW_OK && !pg_conn_is_broken(conn) && pg_run(conn, look, 2, NULL, NULL) == GW_OK) {
        st = GW_OK;
    }
    return st == GW_OK ? GW_OK : gw_error_prefix(err, st, "cannot make the tables godwit_vip_*");
}

/* ---- looking after it ----------------------------------------------------------------------- */

/* Forgets also what is due to be forgotten. */
static gw_status probe(void *ctx, pg_conn *conn, gw_error *err)
{
    postgres_store *store = ctx;
    const pg_call look[] = {{.statement = &statements[PROBE_READS]},
                            {.statement = &statements[PROBE_MESSAGES]}};
    gw_status st = pg_run(conn, look, 2, NULL, err);
    return st == GW_OK ? vip_forget_due(&store->forget, conn, store->timeout_ms, err) : st;
}

/* ---- counting ------------------------------------------------------------------------------ */

typedef struct commit_work {
    postgres_store *store;
    vip_batch *batch;
    vip_count **sorted; /* by message id, each id once */
    size_t n_sorted;
    vip_sum *sums; /* room for all */
    bool is_final; /* COMMIT was sent */
} commit_work;

static int compare_counts(const void *a, const void *b)
{
    const vip_count *left = *(vip_count *const *)a;
    const vip_count *right = *(vip_count *const *)b;
    int order = strcmp(left->message_id, right->message_id);
    if (order != 0) {
        return order;
    }
    return left < right ? -1 : left > right; /* the first of a batch is the one that counts */
}

static void sort_counts(commit_work *self)
{
    vip_batch *batch = self->batch;
    for (size_t i = 0; i < batch->n; i++) {
        self->sorted[i] = &batch->counts[i];
    }
    qsort(self->sorted, batch->n, sizeof(*self->sorted), compare_counts);
    for (size_t i = 0; i < batch->n; i++) {
        if (i == 0 || strcmp(self->sorted[i]->message_id, self->sorted[i - 1]->message_id) != 0) {
            self->sorted[self->n_sorted++] = self->sorted[i];
        }
    }
}

static int compare_id(const void *id, const void *it)
{
    return strcmp(id, (*(vip_count *const *)it)->message_id);
}

/* Mark those whose ids came back. */
static gw_status mark_new(commit_work *self, pg_conn *conn, const PGresult *result, gw_error *err)
{
    for (size_t i = 0; i < self->batch->n; i++) {
        self->batch->counts[i].is_new = false;
    }
    for (size_t i = 0; i < pg_n_rows(conn, result); i++) {
        char id[VIP_MESSAGE_MAX + 1];
        vip_count **found = NULL;
        if (pg_decode_hex(pg_text(conn, result, i, 0), id, sizeof(id))) {
            found = bsearch(id, self->sorted, self->n_sorted, sizeof(*self->sorted), compare_id);
        }
        if (found == NULL) {
            return gw_error_set(err, GW_E_PROTOCOL, 0,
                                "the database noted an id that was not sent");
        }
        (*found)->is_new = true;
    }
    return GW_OK;
}

/* Note the ids, in a transaction that stays open. */
static gw_status note(commit_work *self, pg_conn *conn, gw_error *err)
{
    gw_buf ids;
    pg_array_init(&ids);
    for (size_t i = 0; i < self->n_sorted; i++) {
        pg_array_add_bytes(&ids, self->sorted[i]->message_id);
    }
    const char *params[] = {pg_array_close(&ids), self->store->forget.age_s};
    const pg_call calls[] = {
        {.sql = "BEGIN"},
        {.statement = &statements[NOTE], .n_params = 2, .params = params},
    };
    PGresult *results[2];
    gw_status st = params[0] != NULL
                       ? pg_run(conn, calls, 2, results, err)
                       : gw_error_set(err, GW_E_NOMEM, 0, "no memory for the ids of a batch");
    if (st == GW_OK) {
        st = mark_new(self, conn, results[1], err);
        pg_clear(conn, results, 2);
    }
    gw_buf_dispose(&ids);
    return st;
}

enum { N_COLUMNS = 5 };

/* The sums of a round as arrays; returns how many there were. */
static size_t fill_columns(const vip_sum *sums, size_t n, gw_buf columns[N_COLUMNS])
{
    for (int i = 0; i < N_COLUMNS; i++) {
        pg_array_init(&columns[i]);
    }
    size_t i = 0;
    for (; i < n && sums[i].round == sums[0].round; i++) {
        pg_array_add_text(&columns[0], sums[i].last->account_id);
        pg_array_add_number(&columns[1], sums[i].n_reads);
        pg_array_add_text(&columns[2], sums[i].last->read_at);
        pg_array_add_text(&columns[3], sums[i].key);
        pg_array_add_bytes(&columns[4], sums[i].last->message_id);
    }
    return i;
}

/* Add the sums, one round after the other, and with the last one commit. */
static gw_status add_sums(commit_work *self, pg_conn *conn, size_t n, gw_error *err)
{
    gw_status st = GW_OK;
    for (size_t at = 0; st == GW_OK && at < n;) {
        gw_buf columns[N_COLUMNS];
        const char *params[N_COLUMNS];
        bool is_whole = true;
        at += fill_columns(self->sums + at, n - at, columns);
        for (int i = 0; i < N_COLUMNS; i++) {
            params[i] = pg_array_close(&columns[i]);
            is_whole = is_whole && params[i] != NULL;
        }
        const pg_call calls[] = {
            {.statement = &statements[ADD], .n_params = N_COLUMNS, .params = params},
            {.sql = "COMMIT"},
        };
        self->is_final = at == n;
        st = is_whole ? pg_run(conn, calls, self->is_final ? 2 : 1, NULL, err)
                      : gw_error_set(err, GW_E_NOMEM, 0, "no memory for the sums of a batch");
        for (int i = 0; i < N_COLUMNS; i++) {
            gw_buf_dispose(&columns[i]);
        }
    }
    return st;
}

static gw_status do_commit(void *ctx, pg_conn *conn, gw_error *err)
{
    commit_work *self = ctx;
    self->is_final = false;
    gw_status st = note(self, conn, err);
    if (st != GW_OK) {
        return st;
    }
    size_t n = vip_sum_up(self->batch, self->sums);
    if (n == 0) { /* all were known; nothing was changed */
        const pg_call rollback = {.sql = "ROLLBACK"};
        return pg_run(conn, &rollback, 1, NULL, err);
    }
    return add_sums(self, conn, n, err);
}

static void count_new(postgres_store *store, const vip_batch *batch)
{
    uint64_t n_new = 0;
    for (size_t i = 0; i < batch->n; i++) {
        n_new += batch->counts[i].is_new ? 1 : 0;
    }
    if (vip_forget_add(&store->forget, n_new)) {
        pg_pool_poke(store->pool);
    }
}

static gw_status commit(vip_batch *batch, gw_error *err)
{
    postgres_store *store = (postgres_store *)batch->store;
    commit_work self = {.store = store,
                        .batch = batch,
                        .sorted = calloc(batch->n, sizeof(*self.sorted)),
                        .sums = calloc(batch->n, sizeof(*self.sums))};
    gw_status st;
    if (self.sorted == NULL || self.sums == NULL) {
        st = gw_error_set(err, GW_E_NOMEM, 0, "no memory for a batch of %zu reads", batch->n);
    } else {
        sort_counts(&self);
        st = pg_pool_use(store->pool, do_commit, &self, &self.is_final, err);
    }
    free(self.sorted);
    free(self.sums);
    if (st != GW_OK) {
        gw_error_prefix(err, st, "cannot count a read");
        pg_pool_wait_up(store->pool, HOLD_MS);
        return st;
    }
    count_new(store, batch);
    return GW_OK;
}

static void abort_batch(vip_batch *batch)
{
    (void)batch; /* nothing is begun before the commit */
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool copy_text(pg_conn *conn, const PGresult *result, size_t row, int column, char *ret_text,
                      size_t size)
{
    const char *text = pg_text(conn, result, row, column);
    size_t len = strlen(text);
    if (len >= size) {
        return false;
    }
    memcpy(ret_text, text, len + 1);
    return true;
}

static gw_status take_reads(pg_conn *conn, const PGresult *result, size_t row, vip_reads *ret_reads,
                            gw_error *err)
{
    bool is_valid =
        copy_text(conn, result, row, 0, ret_reads->account_id, sizeof(ret_reads->account_id)) &&
        copy_text(conn, result, row, 2, ret_reads->last_read_at, sizeof(ret_reads->last_read_at)) &&
        pg_decode_hex(pg_text(conn, result, row, 3), ret_reads->last_message_id,
                      sizeof(ret_reads->last_message_id));
    ret_reads->n_reads = strtoull(pg_text(conn, result, row, 1), NULL, 10);
    return is_valid ? GW_OK
                    : gw_error_set(err, GW_E_IO, 0,
                                   "godwit_vip_reads: the row of account '%.80s' "
                                   "is not one of ours",
                                   pg_text(conn, result, row, 0));
}

typedef struct read_work {
    const char *account_id;
    vip_reads *ret_reads; /* NULL for a list */
    size_t limit;
    vip_store_visitor visitor;
    void *ctx;
} read_work;

static gw_status do_get(void *ctx, pg_conn *conn, gw_error *err)
{
    read_work *self = ctx;
    const char *params[] = {self->account_id};
    const pg_call call = {.statement = &statements[GET], .n_params = 1, .params = params};
    PGresult *result;
    gw_status st = pg_run(conn, &call, 1, &result, err);
    if (st == GW_E_INVALID) {
        return GW_E_NOT_FOUND; /* an id that is no text, which nobody can have counted */
    }
    if (st != GW_OK) {
        return st == GW_E_NOT_FOUND ? GW_E_IO : st; /* of the table */
    }
    st = pg_n_rows(conn, result) == 0 ? GW_E_NOT_FOUND
                                      : take_reads(conn, result, 0, self->ret_reads, err);
    pg_clear(conn, &result, 1);
    return st;
}

static gw_status get(vip_store *base, const char *account_id, vip_reads *ret_reads, gw_error *err)
{
    postgres_store *store = (postgres_store *)base;
    read_work self = {.account_id = account_id, .ret_reads = ret_reads};
    gw_status st = pg_pool_use(store->pool, do_get, &self, NULL, err);
    return st == GW_OK || st == GW_E_NOT_FOUND ? st : gw_error_prefix(err, st, "cannot read");
}

/* Nobody is visited before all were received: the list is made again, if it has to be, from the
 * start. */
static gw_status do_list(void *ctx, pg_conn *conn, gw_error *err)
{
    read_work *self = ctx;
    char limit[24];
    snprintf(limit, sizeof(limit), "%zu", self->limit);
    const char *params[] = {self->account_id, limit};
    const pg_call call = {.statement = &statements[LIST], .n_params = 2, .params = params};
    PGresult *result;
    gw_status st = pg_run(conn, &call, 1, &result, err);
    if (st != GW_OK) {
        return st == GW_E_NOT_FOUND ? GW_E_IO : st;
    }
    for (size_t i = 0; st == GW_OK && i < pg_n_rows(conn, result); i++) {
        vip_reads reads;
        st = take_reads(conn, result, i, &reads, err);
        if (st == GW_OK) {
            self->visitor(self->ctx, &reads);
        }
    }
    pg_clear(conn, &result, 1);
    return st;
}

static gw_status list(vip_store *base, const char *after, size_t limit, vip_store_visitor visitor,
                      void *ctx, gw_error *err)
{
    postgres_store *store = (postgres_store *)base;
    read_work self = {
        .account_id = after != NULL ? after : "", .limit = limit, .visitor = visitor, .ctx = ctx};
    gw_status st = pg_pool_use(store->pool, do_list, &self, NULL, err);
    return st == GW_OK ? st : gw_error_prefix(err, st, "cannot read");
}

static const vip_store_ops ops = {
    .close = close_store, .commit = commit, .abort = abort_batch, .get = get, .list = list};

gw_status vip_store_open_postgres(const vip_store_options *options, vip_store **ret_store,
                                  gw_error *err)
{
    postgres_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the VIP store");
    }
    store->base.ops = &ops;
    store->timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : TIMEOUT_MS;
    vip_forget_init(&store->forget, options->max_seen, options->max_seen_age_s);
    pg_pool_options pool = {
        .url = options->where,
        .password = options->password,
        .application = "vipservice",
        .max_connections =
            options->max_connections != 0 ? options->max_connections : MAX_CONNECTIONS,
        .timeout_ms = store->timeout_ms,
        .statements = statements,
        .n_statements = N_STATEMENTS,
        .create = create,
        .probe = probe,
        .ctx = store,
        .on_state = options->on_state,
        .state_ctx = options->state_ctx,
    };
    gw_status st = pg_pool_new(&pool, &store->pool, err);
    if (st != GW_OK) {
        free(store);
        return st;
    }
    *ret_store = &store->base;
    return GW_OK;
}
