/* SPDX-License-Identifier: MIT */
/* Chooses the kind of store, and checks what goes in; the kinds are in files of their own. */
#include "accounts/account_store_ops.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <godwit/utf8.h>

#include "postgres/pg_place.h"

#define SEED_FIRST_ID 10000

bool account_id_is_valid(const char *id)
{
    size_t len = 0;
    for (; id[len] != '\0' && len <= ACCOUNT_ID_MAX; len++) {
        unsigned char c = (unsigned char)id[len];
        if (c >= 0x80 || (!isalnum(c) && c != '-' && c != '_')) {
            return false;
        }
    }
    return len > 0 && len <= ACCOUNT_ID_MAX;
}

bool account_name_is_valid(const char *name)
{
    size_t len = strnlen(name, ACCOUNT_NAME_MAX + 1);
    return len <= ACCOUNT_NAME_MAX && gw_utf8_is_valid(name, len);
}

void account_seed(int i, account *ret_account)
{
    snprintf(ret_account->id, sizeof(ret_account->id), "%d", SEED_FIRST_ID + i);
    snprintf(ret_account->name, sizeof(ret_account->name), "Person_%d", i);
}

bool account_store_is_database(const char *where)
{
    return pg_place_is_url(where);
}

gw_status account_store_open(const account_store_options *options, account_store **ret_store,
                             gw_error *err)
{
    return pg_place_is_url(options->where) ? account_store_open_postgres(options, ret_store, err)
                                           : account_store_open_lmdb(options, ret_store, err);
}

void account_store_close(account_store *store)
{
    if (store != NULL) {
        store->ops->close(store);
    }
}

gw_status account_store_get(account_store *store, const char *id, account *ret_account,
                            gw_error *err)
{
    return account_id_is_valid(id) ? store->ops->get(store, id, ret_account, err) : GW_E_NOT_FOUND;
}

gw_status account_store_put(account_store *store, const account *accounts, size_t n,
                            account_put_mode mode, size_t *ret_n_new, gw_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!account_id_is_valid(accounts[i].id)) {
            return gw_error_set(err, GW_E_INVALID, 0,
                                "'%.*s' is no account id: 1 to %d letters, digits, '-' or '_'",
                                ACCOUNT_ID_MAX, accounts[i].id, ACCOUNT_ID_MAX);
        }
        if (!account_name_is_valid(accounts[i].name)) {
            return gw_error_set(err, GW_E_INVALID, 0,
                                "the name of account '%s' is not UTF-8, or longer than %d bytes",
                                accounts[i].id, ACCOUNT_NAME_MAX);
        }
    }
    size_t n_new = 0;
    gw_status st = n > 0 ? store->ops->put(store, accounts, n, mode, &n_new, err) : GW_OK;
    if (st == GW_OK && ret_n_new != NULL) {
        *ret_n_new = n_new;
    }
    return st;
}

gw_status account_store_each(account_store *store, const char *after, account_visitor visitor,
                             void *ctx, gw_error *err)
{
    if (after != NULL && !account_id_is_valid(after)) {
        return gw_error_set(err, GW_E_INVALID, 0, "'after' is not an account id");
    }
    return store->ops->each(store, after, visitor, ctx, err);
}

gw_status account_store_count(account_store *store, uint64_t *ret_n, gw_error *err)
{
    return store->ops->count(store, ret_n, err);
}
