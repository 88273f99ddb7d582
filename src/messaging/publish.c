/* SPDX-License-Identifier: MIT */
#include "messaging/publish.h"

#include <stdlib.h>

#include <godwit/id.h>

#define ITEMS_ON_STACK 64

static gw_status ensure_id(gw_message *msg, gw_error *err)
{
    if (gw_message_id(msg) != NULL) {
        return GW_OK;
    }
    char id[GW_ID_LEN + 1];
    gw_id_new(id);
    gw_status st = gw_message_set_id(msg, id);
    return st == GW_OK ? GW_OK : gw_error_set(err, st, 0, "no memory for a message id");
}

/* ---- to a local transport ---------------------------------------------------------- */

static gw__outgoing outgoing_to(gw__target *target, gw_message *msg)
{
    const char *key = gw_message_routing_key(msg);
    return (gw__outgoing){.msg = msg,
                          .target = target,
                          .routing_key = target->queue != NULL ? target->queue
                                         : key != NULL         ? key
                                                               : target->exchange,
                          .mandatory = target->queue != NULL || gw_message_is_mandatory(msg)};
}

/* What a remote broker would only say once the message was accepted. */
static bool fails_for_good(gw_status st)
{
    return st != GW_OK && !gw_status_is_retriable(st);
}

/* As many as the transport takes in one call. */
static gw_status hand_over(gw__transport *transport, const gw__outgoing *items, size_t n_items,
                           size_t *ret_n, gw_error *err)
{
    if (n_items > 1 && transport->type->publish_many != NULL) {
        return transport->type->publish_many(transport, items, n_items, ret_n, err);
    }
    gw_status st = transport->type->publish(transport, items, err);
    *ret_n = st == GW_OK ? 1 : 0;
    return st;
}

static gw_status hand_over_all(gw__publisher *publisher, const gw__outgoing *items, size_t n_items,
                               size_t *ret_n, gw_error *err)
{
    gw_error why = GW_ERROR_INIT;
    gw_status st = GW_OK;
    size_t n = 0;
    while (st == GW_OK && n < n_items) {
        if (atomic_load_explicit(&publisher->closed, memory_order_relaxed)) {
            st = gw_error_set(&why, GW_E_CLOSED, 0, "the client is closed");
            break;
        }
        size_t n_done = 0;
        st = hand_over(publisher->transport, items + n, n_items - n, &n_done, &why);
        n += n_done;
        if (fails_for_good(st) && n < n_items) {
            publisher->on_failed(publisher->ctx, items[n].msg, &why);
            n++;
            st = GW_OK;
        }
    }
    *ret_n = n;
    return st == GW_OK ? GW_OK : gw_error_set(err, st, why.native, "%s", why.text);
}

static gw_status publish_locally(gw__publisher *publisher, gw__target *target,
                                 gw_message *const *msgs, size_t n_msgs, size_t *ret_n,
                                 gw_error *err)
{
    gw__outgoing on_stack[ITEMS_ON_STACK];
    gw__outgoing *items = on_stack;
    if (n_msgs > ITEMS_ON_STACK && (items = malloc(n_msgs * sizeof(*items))) == NULL) {
        *ret_n = 0;
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory to publish %zu messages", n_msgs);
    }
    gw_status id_st = GW_OK;
    size_t n_items = 0;
    while (n_items < n_msgs && (id_st = ensure_id(msgs[n_items], err)) == GW_OK) {
        items[n_items] = outgoing_to(target, msgs[n_items]);
        n_items++;
    }
    gw_status st = hand_over_all(publisher, items, n_items, ret_n, err);
    if (items != on_stack) {
        free(items);
    }
    return st == GW_OK ? id_st : st;
}

/* ---- into the outbox ------------------------------------------------------------------ */

static gw_status put_one(gw__relay *relay, gw__target *target, gw_message *msg, uint64_t *ret_seq,
                         gw_error *err)
{
    gw_status st = ensure_id(msg, err);
    if (st != GW_OK) {
        return st;
    }
    gw_message *copy = gw_message_dup(msg);
    if (copy == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a message");
    }
    st = gw__relay_put(relay, target, copy, NULL, NULL, ret_seq, err);
    if (st != GW_OK) {
        gw_message_free(copy);
    }
    return st;
}

static gw_status put_all(gw__relay *relay, gw__target *target, gw_message *const *msgs,
                         size_t n_msgs, size_t *ret_n, gw_error *err)
{
    gw_error why = GW_ERROR_INIT;
    gw_status st = GW_OK;
    uint64_t seq = 0;
    size_t n = 0;
    while (n < n_msgs && (st = put_one(relay, target, msgs[n], &seq, &why)) == GW_OK) {
        n++;
    }
    *ret_n = n;
    gw_status disk_st = n > 0 ? gw__relay_wait_disk(relay, seq, err) : GW_OK;
    if (disk_st != GW_OK || st == GW_OK) {
        return disk_st;
    }
    return gw_error_set(err, st, why.native, "%s", why.text);
}

/* ---- both ------------------------------------------------------------------------------- */

gw_status gw__publish(gw__publisher *publisher, gw__target *target, gw_message *const *msgs,
                      size_t n_msgs, size_t *ret_n, gw_error *err)
{
    return publisher->relay != NULL ? put_all(publisher->relay, target, msgs, n_msgs, ret_n, err)
                                    : publish_locally(publisher, target, msgs, n_msgs, ret_n, err);
}

gw_status gw__publish_and_tell(gw__publisher *publisher, gw__target *target, gw_message *msg,
                               gw__done done, void *ctx, gw_error *err)
{
    gw_status st = ensure_id(msg, err);
    if (st != GW_OK) {
        return st;
    }
    if (publisher->relay != NULL) {
        return gw__relay_put(publisher->relay, target, msg, done, ctx, NULL, err);
    }
    gw__outgoing item = outgoing_to(target, msg);
    gw_error why = GW_ERROR_INIT;
    st = publisher->transport->type->publish(publisher->transport, &item, &why);
    if (st == GW_OK || fails_for_good(st)) {
        gw_message_free(msg);
        done(ctx, st, st == GW_OK ? NULL : &why);
        return GW_OK;
    }
    return gw_error_set(err, st, why.native, "%s", why.text);
}
