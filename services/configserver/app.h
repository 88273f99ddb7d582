/* SPDX-License-Identifier: MIT */
/* What the handlers need; filled in before the server starts, and not changed while it runs. */
#ifndef CS_APP_H
#define CS_APP_H

#include <godwit/http.h>

#include "access.h"
#include "answer/lookup.h"
#include "crypt_routes.h"
#include "event.h"
#include "repo/estate.h"
#include "webhook.h"

typedef struct cs_app {
    cs_estate *estate;
    cs_lookup *lookup;
    gw_http_channel *channel;           /* woken when a view is in force */
    const cs_access *access;            /* NULL: everybody may do everything */
    const cs_webhook_rules *hook_rules; /* NULL: every push is heard */
    cs_crypt crypt;
    cs_bus bus;
} cs_app;

#endif
