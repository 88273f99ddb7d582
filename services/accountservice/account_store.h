/* SPDX-License-Identifier: MIT */
/* The accounts, in an LMDB store of this service's own: id -> name. Shareable between threads. */
#ifndef ACCOUNTSERVICE_ACCOUNT_STORE_H
#define ACCOUNTSERVICE_ACCOUNT_STORE_H

#include <stdbool.h>

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

/* Open the store in `dir`. An empty one gets the accounts 10000 (Person_0) to 10099 (Person_99). */
gw_status account_store_open(const char *dir, account_store **ret_store, gw_error *err);

/* Accepts NULL. */
void account_store_close(account_store *store);

/* GW_OK; GW_E_NOT_FOUND, without filling in `err`; GW_E_IO. */
gw_status account_store_get(account_store *store, const char *id, account *ret_account,
                            gw_error *err);

#endif
