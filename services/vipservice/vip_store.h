/* SPDX-License-Identifier: MIT */
/*
 * How often each VIP account was read, in a store that all vipservices of a deployment share: an
 * LMDB directory on one machine, a PostgreSQL database beyond it.
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
    const char *where;       /* a directory, made if it does not exist, or "postgresql://..." */
    uint64_t max_seen;       /* message ids remembered, about; never fewer */
    uint64_t max_seen_age_s; /* how long */
    bool sync_each_commit;   /* LMDB: survive power loss, not only the loss of the process */

    /* Of a database alone. */
    const char *password;     /* for a `where` without one; may be NULL */
    unsigned timeout_ms;      /* of a statement; 0: 2 s */
    unsigned max_connections; /* 0: 4 */
    /* It can be used (NULL), or not, and why; on any thread. With it, the store opens also while
     * the database is away; NULL: only when it is there. */
    void (*on_state)(void *state_ctx, const char *fault);
    void *state_ctx;
} vip_store_options;

/* Options are copied. GW_OK; GW_E_INVALID for a `where` that is neither; GW_E_IO, GW_E_NO_SPACE;
 * GW_E_NOMEM; of a database also those of vip_store_get(). */
gw_status vip_store_open(const vip_store_options *options, vip_store **ret_store, gw_error *err);

/* Accepts NULL. */
void vip_store_close(vip_store *store);

/* Reads that are counted in one transaction. On one thread. */
typedef struct vip_batch vip_batch;

/* NULL: no memory. */
vip_batch *vip_batch_new(vip_store *store);

/* What was not committed is not counted. Accepts NULL. */
void vip_batch_free(vip_batch *batch);

/* Count a read, unless the message was seen before. It lasts when the batch is committed. After a
 * failure nothing of the batch does. GW_E_INVALID, GW_E_NO_SPACE, GW_E_IO, GW_E_NOMEM. */
gw_status vip_batch_count(vip_batch *batch, const char *account_id, const char *read_at,
                          const char *message_id, gw_error *err);

/* End the batch: it can be used again. If it fails, or a count did before, nothing was counted; but
 * when the connection to a database is lost meanwhile (GW_E_UNAVAILABLE, GW_E_TIMEOUT) it may have
 * been: the messages are to be counted again, and those that were are known. */
gw_status vip_batch_commit(vip_batch *batch, gw_error *err);

/* Of the batch that was just committed: whether its read number `i` was new, or its message seen
 * before. Until the next count. */
bool vip_batch_was_new(const vip_batch *batch, size_t i);

/* The id of its message, borrowed for as long; "" when there is no such read. */
const char *vip_batch_message_id(const vip_batch *batch, size_t i);

/* GW_OK; GW_E_NOT_FOUND, without filling in `err`, for an account that was not read; GW_E_IO. Of a
 * database also GW_E_UNAVAILABLE, GW_E_TIMEOUT, GW_E_FULL, GW_E_DENIED. */
gw_status vip_store_get(vip_store *store, const char *account_id, vip_reads *ret_reads,
                        gw_error *err);

/* Called for each account in order of the ids, after `after` (exclusive; NULL: from the first), at
 * most `limit`. */
typedef void (*vip_store_visitor)(void *ctx, const vip_reads *reads);
gw_status vip_store_list(vip_store *store, const char *after, size_t limit,
                         vip_store_visitor visitor, void *ctx, gw_error *err);

#endif
