/* SPDX-License-Identifier: MIT */
/* What a kind of account store provides. Arguments were checked by account_store.c. */
#ifndef ACCOUNTS_ACCOUNT_STORE_OPS_H
#define ACCOUNTS_ACCOUNT_STORE_OPS_H

#include "accounts/account_store.h"

typedef struct account_store_ops {
    void (*close)(account_store *store);
    gw_status (*get)(account_store *store, const char *id, account *ret_account, gw_error *err);
    gw_status (*put)(account_store *store, const account *accounts, size_t n, account_put_mode mode,
                     size_t *ret_n_new, gw_error *err);
    gw_status (*each)(account_store *store, const char *after, account_visitor visitor, void *ctx,
                      gw_error *err);
    gw_status (*count)(account_store *store, uint64_t *ret_n, gw_error *err);
} account_store_ops;

/* The first member of each kind's struct. */
struct account_store {
    const account_store_ops *ops;
};

#define ACCOUNT_SEED_N 100

/* The account number `i` of those that an empty store is seeded with. */
void account_seed(int i, account *ret_account);

gw_status account_store_open_lmdb(const account_store_options *options, account_store **ret_store,
                                  gw_error *err);
gw_status account_store_open_postgres(const account_store_options *options,
                                      account_store **ret_store, gw_error *err);

#endif
