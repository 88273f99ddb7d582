/* SPDX-License-Identifier: MIT */
/* What vipservice does: handle a notification, and show what was counted. */
#ifndef VIPSERVICE_VIPS_H
#define VIPSERVICE_VIPS_H

#include <godwit/health.h>
#include <godwit/http.h>
#include <godwit/messaging.h>
#include <godwit/metrics.h>

#include "vip_store.h"

typedef struct vips {
    vip_store *store;
    gw_health *health; /* of the store */
    gw_counter *duplicates;
} vips;

/**
 * A gw_handler; `ctx` is a vips. Counts the read and prints "Got a message: {...}" on standard
 * output, once a message id. What is no notification is rejected; when the store fails the message
 * is tried again.
 */
gw_verdict vips_on_message(void *ctx, const gw_message *msg, gw_error *why);

/** GET /vips?limit=&after= */
void vips_list(void *ctx, const gw_http_request *req, gw_http_response *res);

/** GET /vips/{accountId} */
void vips_get(void *ctx, const gw_http_request *req, gw_http_response *res);

#endif
