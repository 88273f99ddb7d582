/* SPDX-License-Identifier: MIT */
/* Accounts in a PostgreSQL database: the table godwit_accounts. */
#include <stdlib.h>
#include <string.h>

#include "accounts/account_store_ops.h"
#include "postgres/pg_array.h"
#include "postgres/pg_pool.h"

#define TIMEOUT_MS      30000
#define MAX_CONNECTIONS 4
#define PAGE            1000 /* accounts read at once by each() */

/* The order of ids is that of their bytes, whatever the language of the database. */
static const char create_table[] = "CREATE TABLE IF NOT EXISTS godwit_accounts ("
                                   "account_id text COLLATE \"C\" PRIMARY KEY, "
                                   "name text NOT NULL)";

enum { GET, FIRST, COUNT, PAGE_OF, INSERT, UPDATE, N_STATEMENTS };

static const pg_statement statements[N_STATEMENTS] = {
    [GET] = {"godwit_account_get", "SELECT name FROM godwit_accounts WHERE account_id = $1::text"},
    [FIRST] = {"godwit_account_first", "SELECT 1 FROM godwit_accounts LIMIT 1"},
    [COUNT] = {"godwit_account_count", "SELECT count(*) FROM godwit_accounts"},
    [PAGE_OF] = {"godwit_account_page",
                 "SELECT account_id, name FROM godwit_accounts WHERE account_id > $1::text "
                 "ORDER BY account_id LIMIT $2::bigint"},
    [INSERT] = {"godwit_account_insert",
                "INSERT INTO godwit_accounts (account_id, name) "
                "SELECT u.account_id, u.name FROM unnest($1::text[], $2::text[]) "
                "AS u(account_id, name) ON CONFLICT (account_id) DO NOTHING"},
    [UPDATE] = {"godwit_account_update",
                "UPDATE godwit_accounts SET name = u.name "
                "FROM unnest($1::text[], $2::text[]) AS u(account_id, name) "
                "WHERE godwit_accounts.account_id = u.account_id "
                "AND godwit_accounts.name <> u.name"},
};

typedef struct postgres_store {
    account_store base;
    pg_pool *pool;
    bool wants_seed;
} postgres_store;

static void close_store(account_store *base)
{
    postgres_store *store = (postgres_store *)base;
    pg_pool_free(store->pool);
    free(store);
}

/* ---- opening ------------------------------------------------------------------------------- */

/* Make the table unless it is there: who may not make one may well use it. Of several that start at
 * once one makes it; the others fail in one of many ways, and find it there when they look again.
 */
static gw_status make_table(pg_conn *conn, gw_error *err)
{
    const pg_call look = {.sql = "SELECT 1 FROM godwit_accounts LIMIT 1"};
    const pg_call create = {.sql = create_table};
    gw_status st = pg_run(conn, &look, 1, NULL, err);
    if (st != GW_E_NOT_FOUND || pg_conn_is_broken(conn)) {
        return st;
    }
    st = pg_run(conn, &create, 1, NULL, err);
    if (st != GW_OK && !pg_conn_is_broken(conn) && pg_run(conn, &look, 1, NULL, NULL) == GW_OK) {
        st = GW_OK;
    }
    return st == GW_OK ? GW_OK : gw_error_prefix(err, st, "cannot make the table godwit_accounts");
}

static gw_status insert_seed(pg_conn *conn, gw_error *err)
{
    gw_buf ids;
    gw_buf names;
    pg_array_init(&ids);
    pg_array_init(&names);
    for (int i = 0; i < ACCOUNT_SEED_N; i++) {
        account one;
        account_seed(i, &one);
        pg_array_add_text(&ids, one.id);
        pg_array_add_text(&names, one.name);
    }
    const char *params[] = {pg_array_close(&ids), pg_array_close(&names)};
    const pg_call call = {.sql = statements[INSERT].sql, .n_params = 2, .params = params};
    gw_status st = params[0] != NULL && params[1] != NULL
                       ? pg_run(conn, &call, 1, NULL, err)
                       : gw_error_set(err, GW_E_NOMEM, 0, "no memory for the accounts");
    gw_buf_dispose(&ids);
    gw_buf_dispose(&names);
    return st;
}

static gw_status create(void *ctx, pg_conn *conn, gw_error *err)
{
    postgres_store *store = ctx;
    gw_status st = make_table(conn, err);
    if (st != GW_OK || !store->wants_seed) {
        return st;
    }
    const pg_call look = {.sql = statements[FIRST].sql};
    PGresult *result;
    st = pg_run(conn, &look, 1, &result, err);
    if (st != GW_OK) {
        return st;
    }
    bool is_empty = pg_n_rows(conn, result) == 0;
    pg_clear(conn, &result, 1);
    st = is_empty ? insert_seed(conn, err) : GW_OK;
    /* A service that may only read has its accounts from somebody else. */
    return st == GW_E_DENIED && !pg_conn_is_broken(conn) ? GW_OK : st;
}

static gw_status probe(void *ctx, pg_conn *conn, gw_error *err)
{
    (void)ctx;
    const pg_call call = {.statement = &statements[FIRST]};
    return pg_run(conn, &call, 1, NULL, err);
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool take_name(pg_conn *conn, const PGresult *result, size_t row, int column,
                      account *ret_account)
{
    const char *name = pg_text(conn, result, row, column);
    size_t len = strlen(name);
    if (len > ACCOUNT_NAME_MAX) {
        return false;
    }
    memcpy(ret_account->name, name, len + 1);
    return true;
}

static gw_status bad_row(gw_error *err, const char *id)
{
    return gw_error_set(err, GW_E_IO, 0,
                        "godwit_accounts: account '%.80s' has an id or a name "
                        "that is not valid or too long",
                        id);
}

typedef struct get_work {
    const char *id;
    account *ret_account;
} get_work;

static gw_status do_get(void *ctx, pg_conn *conn, gw_error *err)
{
    get_work *self = ctx;
    const char *params[] = {self->id};
    const pg_call call = {.statement = &statements[GET], .n_params = 1, .params = params};
    PGresult *result;
    gw_status st = pg_run(conn, &call, 1, &result, err);
    if (st != GW_OK) {
        return st == GW_E_NOT_FOUND ? GW_E_IO : st; /* of the table */
    }
    if (pg_n_rows(conn, result) == 0) {
        st = GW_E_NOT_FOUND;
    } else if (!take_name(conn, result, 0, 0, self->ret_account)) {
        st = bad_row(err, self->id);
    } else {
        memcpy(self->ret_account->id, self->id, strlen(self->id) + 1);
    }
    pg_clear(conn, &result, 1);
    return st;
}

static gw_status get(account_store *base, const char *id, account *ret_account, gw_error *err)
{
    postgres_store *store = (postgres_store *)base;
    get_work self = {.id = id, .ret_account = ret_account};
    gw_status st = pg_pool_use(store->pool, do_get, &self, NULL, err);
    return st == GW_OK || st == GW_E_NOT_FOUND ? st : gw_error_prefix(err, st, "cannot read");
}

typedef struct each_work {
    account last; /* the last one that was visited */
    account_visitor visitor;
    void *ctx;
    gw_status visited; /* what the visitor came to */
    bool is_begun;     /* something was visited */
} each_work;

/* The accounts of a page, and whether there are more. */
static gw_status visit_page(each_work *self, pg_conn *conn, const PGresult *page, bool *ret_is_last,
                            gw_error *err)
{
    size_t n = pg_n_rows(conn, page);
    for (size_t i = 0; i < n && self->visited == GW_OK; i++) {
        const char *id = pg_text(conn, page, i, 0);
        account found;
        if (!account_id_is_valid(id) || !take_name(conn, page, i, 1, &found)) {
            return bad_row(err, id);
        }
        memcpy(found.id, id, strlen(id) + 1);
        self->is_begun = true;
        self->visited = self->visitor(self->ctx, &found, err);
        self->last = found;
    }
    *ret_is_last = n < PAGE || self->visited != GW_OK;
    return GW_OK;
}

static gw_status do_each(void *ctx, pg_conn *conn, gw_error *err)
{
    each_work *self = ctx;
    static const pg_call begin = {.sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"};
    static const pg_call commit = {.sql = "COMMIT"};
    const char *params[] = {self->last.id, "1000"};
    _Static_assert(PAGE == 1000, "the number above");
    const pg_call page_of = {.statement = &statements[PAGE_OF], .n_params = 2, .params = params};
    gw_status st = pg_run(conn, &begin, 1, NULL, err);
    bool is_last = false;
    while (st == GW_OK && !is_last) {
        PGresult *page;
        st = pg_run(conn, &page_of, 1, &page, err);
        if (st == GW_OK) {
            st = visit_page(self, conn, page, &is_last, err);
            pg_clear(conn, &page, 1);
        }
    }
    if (st == GW_OK) {
        st = pg_run(conn, &commit, 1, NULL, NULL);
        st = self->visited == GW_OK ? st : GW_OK; /* nothing was written */
    }
    return st == GW_E_BUSY && self->is_begun ? GW_E_IO : st; /* nobody is visited twice */
}

static gw_status each(account_store *base, const char *after, account_visitor visitor, void *ctx,
                      gw_error *err)
{
    postgres_store *store = (postgres_store *)base;
    each_work self = {.visitor = visitor, .ctx = ctx, .visited = GW_OK};
    if (after != NULL) {
        memcpy(self.last.id, after, strlen(after) + 1);
    }
    gw_status st = pg_pool_use(store->pool, do_each, &self, &self.is_begun, err);
    return st == GW_OK ? self.visited : gw_error_prefix(err, st, "cannot read");
}

static gw_status do_count(void *ctx, pg_conn *conn, gw_error *err)
{
    uint64_t *ret_n = ctx;
    const pg_call call = {.statement = &statements[COUNT]};
    PGresult *result;
    gw_status st = pg_run(conn, &call, 1, &result, err);
    if (st == GW_OK) {
        *ret_n = strtoull(pg_text(conn, result, 0, 0), NULL, 10);
        pg_clear(conn, &result, 1);
    }
    return st;
}

static gw_status count(account_store *base, uint64_t *ret_n, gw_error *err)
{
    postgres_store *store = (postgres_store *)base;
    gw_status st = pg_pool_use(store->pool, do_count, ret_n, NULL, err);
    return st == GW_OK ? st : gw_error_prefix(err, st, "cannot read");
}

/* ---- writing ------------------------------------------------------------------------------- */

typedef struct put_work {
    const char *params[2];
    account_put_mode mode;
    uint64_t n_new;
} put_work;

static gw_status do_put(void *ctx, pg_conn *conn, gw_error *err)
{
    put_work *self = ctx;
    const pg_call calls[] = {
        {.sql = "BEGIN"},
        {.statement = &statements[INSERT], .n_params = 2, .params = self->params},
        {.sql = "COMMIT"},
        /* With ACCOUNT_PUT_REPLACE instead of the last one: */
        {.statement = &statements[UPDATE], .n_params = 2, .params = self->params},
        {.sql = "COMMIT"},
    };
    const pg_call replace[] = {calls[0], calls[1], calls[3], calls[4]};
    PGresult *results[4] = {NULL};
    gw_status st = self->mode == ACCOUNT_PUT_NEW ? pg_run(conn, calls, 3, results, err)
                                                 : pg_run(conn, replace, 4, results, err);
    if (st == GW_OK) {
        self->n_new = pg_n_changed(conn, results[1]);
        pg_clear(conn, results, 4);
    }
    return st;
}

typedef struct placed {
    const account *what;
    size_t place; /* in the list of who put it */
} placed;

static int compare(const void *a, const void *b)
{
    const placed *left = a;
    const placed *right = b;
    int order = strcmp(left->what->id, right->what->id);
    if (order != 0) {
        return order;
    }
    return left->place < right->place ? -1 : 1;
}

/* Each id once, in order, so that two who put the same accounts do not wait for each other: of
 * several with one id the first, or the last if they replace. */
static void add_rows(const placed *sorted, size_t n, account_put_mode mode, gw_buf *ids,
                     gw_buf *names)
{
    for (size_t i = 0; i < n; i++) {
        size_t other = mode == ACCOUNT_PUT_NEW ? i - 1 : i + 1;
        if (other < n && strcmp(sorted[i].what->id, sorted[other].what->id) == 0) {
            continue;
        }
        pg_array_add_text(ids, sorted[i].what->id);
        pg_array_add_text(names, sorted[i].what->name);
    }
}

static gw_status put(account_store *base, const account *accounts, size_t n, account_put_mode mode,
                     size_t *ret_n_new, gw_error *err)
{
    postgres_store *store = (postgres_store *)base;
    placed *sorted = calloc(n, sizeof(*sorted));
    if (sorted == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for %zu accounts", n);
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i] = (placed){.what = &accounts[i], .place = i};
    }
    qsort(sorted, n, sizeof(*sorted), compare);
    gw_buf ids;
    gw_buf names;
    pg_array_init(&ids);
    pg_array_init(&names);
    add_rows(sorted, n, mode, &ids, &names);
    free(sorted);
    put_work self = {.params = {pg_array_close(&ids), pg_array_close(&names)}, .mode = mode};
    gw_status st = self.params[0] != NULL && self.params[1] != NULL
                       ? pg_pool_use(store->pool, do_put, &self, NULL, err)
                       : gw_error_set(err, GW_E_NOMEM, 0, "no memory for %zu accounts", n);
    gw_buf_dispose(&ids);
    gw_buf_dispose(&names);
    if (st != GW_OK) {
        return gw_error_prefix(err, st, "cannot put accounts");
    }
    *ret_n_new = (size_t)self.n_new;
    return GW_OK;
}

static const account_store_ops ops = {
    .close = close_store, .get = get, .put = put, .each = each, .count = count};

gw_status account_store_open_postgres(const account_store_options *options,
                                      account_store **ret_store, gw_error *err)
{
    postgres_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the account store");
    }
    store->base.ops = &ops;
    store->wants_seed = options->seed;
    pg_pool_options pool = {
        .url = options->where,
        .password = options->password,
        .application = options->application != NULL ? options->application : "godwit",
        .max_connections =
            options->max_connections != 0 ? options->max_connections : MAX_CONNECTIONS,
        .timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : TIMEOUT_MS,
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
