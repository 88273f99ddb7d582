/* SPDX-License-Identifier: MIT */
/* The accounts: id -> name, in an LMDB store or a PostgreSQL database. Shareable between threads.
 */
#ifndef ACCOUNTS_ACCOUNT_STORE_H
#define ACCOUNTS_ACCOUNT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/error.h>

#define ACCOUNT_ID_MAX   64
#define ACCOUNT_NAME_MAX 255

typedef struct account {
    char id[ACCOUNT_ID_MAX + 1];
    char name[ACCOUNT_NAME_MAX + 1];
} account;

typedef struct account_store account_store;

/* Whether this can be the id of an account: letters, digits, '-' and '_', at most ACCOUNT_ID_MAX.
 */
bool account_id_is_valid(const char *id);

/* Whether this can be its name: UTF-8, at most ACCOUNT_NAME_MAX bytes; empty is one too. */
bool account_name_is_valid(const char *name);

/* Whether a `where` names a database, and not a directory. */
bool account_store_is_database(const char *where);

typedef struct account_store_options {
    const char *where; /* a directory, made if it does not exist, or "postgresql://..." */
    bool seed;         /* an empty store gets the accounts 10000 (Person_0) to 10099 (Person_99) */

    /* Of a database alone, all of it optional. */
    const char *password;     /* for a `where` without one */
    const char *application;  /* shown by the server; static; NULL: "godwit" */
    unsigned timeout_ms;      /* of a statement; 0: 30 s */
    unsigned max_connections; /* 0: 4 */
    /* It can be used (NULL), or not, and why; on any thread, without a lock of the caller's in
     * wait. With it, the store opens also while the database is away; without, only when it is
     * there. */
    void (*on_state)(void *state_ctx, const char *fault);
    void *state_ctx;
} account_store_options;

/* Options are copied. GW_OK; GW_E_INVALID for a `where` that is neither; GW_E_IO, GW_E_NO_SPACE;
 * GW_E_NOMEM; of a database also those of account_store_get(). */
gw_status account_store_open(const account_store_options *options, account_store **ret_store,
                             gw_error *err);

/* Accepts NULL. */
void account_store_close(account_store *store);

/* GW_OK; GW_E_NOT_FOUND, without filling in `err`; GW_E_IO. Of a database, here and below, also
 * GW_E_UNAVAILABLE, GW_E_TIMEOUT, GW_E_FULL, GW_E_DENIED. */
gw_status account_store_get(account_store *store, const char *id, account *ret_account,
                            gw_error *err);

typedef enum account_put_mode {
    ACCOUNT_PUT_NEW,    /* those that exist stay as they are */
    ACCOUNT_PUT_REPLACE /* those that exist get the new name */
} account_put_mode;

/* Put `n` accounts, all of them or none. Of two with the same id the first counts as put before the
 * second. `ret_n_new` is how many did not exist; may be NULL. GW_E_INVALID names an account that is
 * not valid; GW_E_NO_SPACE, GW_E_IO. */
gw_status account_store_put(account_store *store, const account *accounts, size_t n,
                            account_put_mode mode, size_t *ret_n_new, gw_error *err);

/* Anything but GW_OK ends the walk, which then returns it, with what the visitor put in `err`. The
 * account is borrowed until the visitor returns. It must not use the store. */
typedef gw_status (*account_visitor)(void *ctx, const account *found, gw_error *err);

/* Visit the accounts in order of their ids (of the bytes), from the first behind `after`; NULL:
 * all. It sees the store as it was at one moment, and needs the same memory for any number. */
gw_status account_store_each(account_store *store, const char *after, account_visitor visitor,
                             void *ctx, gw_error *err);

gw_status account_store_count(account_store *store, uint64_t *ret_n, gw_error *err);

#endif
