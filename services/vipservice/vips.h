/* SPDX-License-Identifier: MIT */
/* What vipservice does: handle a notification, and show what was counted. */
#ifndef VIPSERVICE_VIPS_H
#define VIPSERVICE_VIPS_H

#include <godwit/buf.h>
#include <godwit/health.h>
#include <godwit/http.h>
#include <godwit/messaging.h>
#include <godwit/metrics.h>

#include "vip_store.h"

typedef struct vips {
    vip_store *store;
    vip_batch *batch; /* the worker's, as the lines to be printed when it is committed */
    gw_buf lines;
    size_t *line_ends; /* of each count of the batch, in `lines` */
    size_t n_lines;
    size_t max_lines;
    gw_health *health; /* of the store */
    gw_counter *duplicates;
} vips;

/* The store is open, and closed by vips_dispose(); `health` and `duplicates` are the caller's to
 * set. GW_E_NOMEM: the store is still the caller's. */
gw_status vips_init(vips *self, vip_store *store, gw_error *err);
void vips_dispose(vips *self);

/* What a store in a database calls when it can be used, or not; `ctx` is a vips. */
void vips_on_state(void *ctx, const char *fault);

/**
 * A gw_handler; `ctx` is a vips. Counts the read, to last when it is committed. What is no
 * notification is rejected; when the store fails the message is tried again.
 */
gw_verdict vips_on_message(void *ctx, const gw_message *msg, gw_error *why);

/** Its gw_commit, of one worker, since a batch belongs to a thread. Prints "Got a message: {...}"
 * on standard output, once a message id. */
gw_verdict vips_commit(void *ctx, gw_error *why);

/** GET /vips?limit=&after= */
void vips_list(void *ctx, const gw_http_request *req, gw_http_response *res);

/** GET /vips/{accountId} */
void vips_get(void *ctx, const gw_http_request *req, gw_http_response *res);

#endif
