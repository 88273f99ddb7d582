/* SPDX-License-Identifier: MIT */
/*
 * How often each VIP account was read, in an LMDB store that all vipservices of a deployment share.
 *
 * A read is counted and its message id remembered in one transaction, so a message that is
 * delivered again, to this instance or another, counts once. Ids are remembered up to a number and
 * an age. Shareable between threads and processes.
 */
#ifndef VIPSERVICE_VIP_STORE_H
#define VIPSERVICE_VIP_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/error.h>

#define VIP_ID_MAX      64  /* bytes of an account id */
#define VIP_READ_AT_MAX 64  /* bytes of a time */
#define VIP_MESSAGE_MAX 255 /* bytes of a message id */

typedef struct vip_reads {
    char account_id[VIP_ID_MAX + 1];
    uint64_t n_reads;
    char last_read_at[VIP_READ_AT_MAX + 1];
    char last_message_id[VIP_MESSAGE_MAX + 1];
} vip_reads;

typedef struct vip_store vip_store;

typedef struct vip_store_options {
    const char *dir;
    bool sync_each_commit; /* survive power loss, not only the loss of the process */
    uint64_t max_seen;     /* message ids remembered, at most */
    uint64_t max_seen_age_s;
} vip_store_options;

gw_status vip_store_open(const vip_store_options *options, vip_store **ret_store, gw_error *err);

/* Accepts NULL. */
void vip_store_close(vip_store *store);

/* Reads that are counted in one transaction. On one thread; while it is open, others that count
 * wait. Starts as zeros with a store. */
typedef struct vip_batch {
    vip_store *store;
    struct MDB_txn *txn; /* NULL: none is open */
    size_t n_counted;
    bool is_broken; /* one failed, and took the others with it */
} vip_batch;

/* Count a read, unless the message was seen before; `ret_is_new` says which. It lasts when the
 * batch is committed. After a failure nothing of the batch does. GW_E_NO_SPACE, GW_E_IO. */
gw_status vip_batch_count(vip_batch *batch, const char *account_id, const char *read_at,
                          const char *message_id, bool *ret_is_new, gw_error *err);

/* End the batch: it can be used again. Nothing was counted, if this fails, or a count did before.
 */
gw_status vip_batch_commit(vip_batch *batch, gw_error *err);

/* The same for a single read. */
gw_status vip_store_count(vip_store *store, const char *account_id, const char *read_at,
                          const char *message_id, bool *ret_is_new, gw_error *err);

/* GW_OK; GW_E_NOT_FOUND, without filling in `err`, for an account that was not read; GW_E_IO. */
gw_status vip_store_get(vip_store *store, const char *account_id, vip_reads *ret_reads,
                        gw_error *err);

/* Called for each account in order of the ids, after `after` (exclusive; NULL: from the first), at
 * most `limit`. */
typedef void (*vip_store_visitor)(void *ctx, const vip_reads *reads);
gw_status vip_store_list(vip_store *store, const char *after, size_t limit,
                         vip_store_visitor visitor, void *ctx, gw_error *err);

#endif
