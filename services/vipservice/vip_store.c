/* SPDX-License-Identifier: MIT */
/* Chooses the kind of store, keeps batches, and says which of two times is the later. */
#include "vip_store.h"

#include <stdlib.h>
#include <string.h>

#include "postgres/pg_place.h"
#include "vip_store_ops.h"

/* ---- times ----------------------------------------------------------------------------- */

/* RFC 3339 in UTC, as accountservice writes it: 2026-11-22T10:42:13[.fraction]Z. */
static bool is_utc_time(const char *text)
{
    static const char form[] = "0000-00-00T00:00:00";
    size_t i = 0;
    for (; form[i] != '\0'; i++) {
        bool fits = form[i] == '0' ? text[i] >= '0' && text[i] <= '9' : text[i] == form[i];
        if (!fits) {
            return false;
        }
    }
    if (text[i] == '.') {
        i += 1 + strspn(text + i + 1, "0123456789");
    }
    return text[i] == 'Z' && text[i + 1] == '\0';
}

void vip_time_key(const char *read_at, char ret_key[VIP_READ_AT_MAX + 1])
{
    size_t len = 0;
    size_t whole = sizeof("0000-00-00T00:00:00") - 1;
    if (is_utc_time(read_at)) {
        for (const char *from = read_at; *from != 'Z'; from++) {
            if (*from != '.') {
                ret_key[len++] = *from;
            }
        }
        while (len > whole && ret_key[len - 1] == '0') {
            len--;
        }
    }
    ret_key[len] = '\0';
}

bool vip_key_is_late(const char *key, const char *last_key)
{
    return key[0] != '\0' && last_key[0] != '\0' && strcmp(key, last_key) < 0;
}

/* ---- stores ---------------------------------------------------------------------------- */

gw_status vip_store_open(const vip_store_options *options, vip_store **ret_store, gw_error *err)
{
    return pg_place_is_url(options->where) ? vip_store_open_postgres(options, ret_store, err)
                                           : vip_store_open_lmdb(options, ret_store, err);
}

void vip_store_close(vip_store *store)
{
    if (store != NULL) {
        store->ops->close(store);
    }
}

gw_status vip_store_get(vip_store *store, const char *account_id, vip_reads *ret_reads,
                        gw_error *err)
{
    size_t len = strnlen(account_id, VIP_ID_MAX + 1);
    return len == 0 || len > VIP_ID_MAX ? GW_E_NOT_FOUND
                                        : store->ops->get(store, account_id, ret_reads, err);
}

gw_status vip_store_list(vip_store *store, const char *after, size_t limit,
                         vip_store_visitor visitor, void *ctx, gw_error *err)
{
    if (after != NULL && (after[0] == '\0' || strnlen(after, VIP_ID_MAX + 1) > VIP_ID_MAX)) {
        return gw_error_set(err, GW_E_INVALID, 0, "'after' is not an account id");
    }
    return store->ops->list(store, after, limit, visitor, ctx, err);
}

/* ---- batches --------------------------------------------------------------------------- */

vip_batch *vip_batch_new(vip_store *store)
{
    vip_batch *batch = calloc(1, sizeof(*batch));
    if (batch != NULL) {
        batch->store = store;
    }
    return batch;
}

void vip_batch_free(vip_batch *batch)
{
    if (batch != NULL) {
        batch->store->ops->abort(batch);
        free(batch->counts);
        free(batch);
    }
}

static vip_count *next_count(vip_batch *batch)
{
    if (batch->is_ended) {
        batch->n = 0;
        batch->is_ended = false;
    }
    if (batch->n == batch->max) {
        size_t max = batch->max == 0 ? 64 : batch->max * 2;
        vip_count *counts = realloc(batch->counts, max * sizeof(*counts));
        if (counts == NULL) {
            return NULL;
        }
        batch->counts = counts;
        batch->max = max;
    }
    return &batch->counts[batch->n];
}

static gw_status check(const char *account_id, const char *read_at, const char *message_id,
                       gw_error *err)
{
    size_t id_len = strnlen(account_id, VIP_ID_MAX + 1);
    size_t message_len = strnlen(message_id, VIP_MESSAGE_MAX + 1);
    if (id_len == 0 || id_len > VIP_ID_MAX || message_len == 0 || message_len > VIP_MESSAGE_MAX ||
        strnlen(read_at, VIP_READ_AT_MAX + 1) > VIP_READ_AT_MAX) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "account id, message id or time is empty or too long");
    }
    return GW_OK;
}

gw_status vip_batch_count(vip_batch *batch, const char *account_id, const char *read_at,
                          const char *message_id, gw_error *err)
{
    gw_status st = check(account_id, read_at, message_id, err);
    if (st != GW_OK) {
        return st;
    }
    vip_count *it = next_count(batch);
    if (it == NULL) {
        st = gw_error_set(err, GW_E_NOMEM, 0, "no memory for a batch of %zu reads", batch->n + 1);
    } else {
        strcpy(it->account_id, account_id); /* their lengths were checked */
        strcpy(it->read_at, read_at);
        strcpy(it->message_id, message_id);
        it->is_new = false;
        st = batch->store->ops->count != NULL ? batch->store->ops->count(batch, it, err) : GW_OK;
    }
    if (st != GW_OK) {
        batch->store->ops->abort(batch);
        batch->is_broken = batch->n > 0;
        return st;
    }
    batch->n++;
    return GW_OK;
}

/* The ids and the reads, or nothing of either. */
gw_status vip_batch_commit(vip_batch *batch, gw_error *err)
{
    bool is_broken = batch->is_broken;
    batch->is_broken = false;
    if (is_broken) {
        batch->store->ops->abort(batch);
        batch->n = 0;
        return gw_error_set(err, GW_E_IO, 0, "another read of the same transaction failed");
    }
    if (batch->is_ended || batch->n == 0) {
        batch->n = 0;
        return GW_OK;
    }
    gw_status st = batch->store->ops->commit(batch, err);
    batch->is_ended = true;
    if (st != GW_OK) {
        batch->n = 0;
    }
    return st;
}

bool vip_batch_was_new(const vip_batch *batch, size_t i)
{
    return i < batch->n && batch->counts[i].is_new;
}

const char *vip_batch_message_id(const vip_batch *batch, size_t i)
{
    return i < batch->n ? batch->counts[i].message_id : "";
}
