/* SPDX-License-Identifier: MIT */
/* GET /accounts/{accountId}, and the notification that a VIP account was read. */
#ifndef ACCOUNTSERVICE_ACCOUNTS_H
#define ACCOUNTSERVICE_ACCOUNTS_H

#include <stdatomic.h>
#include <stdint.h>

#include <godwit/health.h>
#include <godwit/http.h>
#include <godwit/messaging.h>

#include "accounts/account_store.h"
#include "settings.h"
#include "vip_list.h"

/* What the routes work with; wired by main.c, borrowed. */
typedef struct accounts {
    account_store *store;
    gw_health *health; /* of the store */
    vip_list *vips;
    gw_client *client;
    const account_settings *settings; /* those of the start */
    char served_by[64];               /* this instance's address, which the original shows too */
    _Atomic uint64_t refusal_logged_ms;
    _Atomic uint64_t n_refused; /* since that line */
} accounts;

/* The first address of this host that is not loopback; 127.0.0.1 if there is none. */
void accounts_find_address(char *ret_address, size_t size);

/* What a store in a database calls when it can be used, or not; `ctx` is an accounts. */
void accounts_on_state(void *ctx, const char *fault);

/**
 * Answer with the account. A VIP account is answered with 200 only once the library has accepted
 * the notification; 503 with Retry-After when its outbox is full, and when the
 * store cannot be read at present. `ctx` is an accounts.
 */
void accounts_get(void *ctx, const gw_http_request *req, gw_http_response *res);

#endif
