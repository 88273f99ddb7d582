/* SPDX-License-Identifier: MIT */
/* What a kind of VIP store provides. Arguments were checked by vip_store.c. */
#ifndef VIPSERVICE_VIP_STORE_OPS_H
#define VIPSERVICE_VIP_STORE_OPS_H

#include "vip_store.h"

typedef struct vip_count {
    char account_id[VIP_ID_MAX + 1];
    char read_at[VIP_READ_AT_MAX + 1];
    char message_id[VIP_MESSAGE_MAX + 1];
    bool is_new;
} vip_count;

struct vip_batch {
    vip_store *store;
    vip_count *counts;
    size_t n;
    size_t max;
    bool is_ended;  /* committed: the next count begins anew */
    bool is_broken; /* a count failed, and took the others with it */
    void *txn;      /* of LMDB; NULL: none is open */
};

typedef struct vip_store_ops {
    void (*close)(vip_store *store);
    /* Count now, and set is_new; NULL: all is done by the commit. After a failure there is no
     * transaction. */
    gw_status (*count)(vip_batch *batch, vip_count *it, gw_error *err);
    /* Commit what was counted; n is not 0. */
    gw_status (*commit)(vip_batch *batch, gw_error *err);
    /* End the transaction without its effects. */
    void (*abort)(vip_batch *batch);
    gw_status (*get)(vip_store *store, const char *account_id, vip_reads *ret_reads, gw_error *err);
    gw_status (*list)(vip_store *store, const char *after, size_t limit, vip_store_visitor visitor,
                      void *ctx, gw_error *err);
} vip_store_ops;

/* The first member of each kind's struct. */
struct vip_store {
    const vip_store_ops *ops;
};

/* What a time is compared by: its digits, without the zeros at its end; later times have a key that
 * is greater, byte by byte. Empty for what is no UTC time (RFC 3339): it cannot be compared. */
void vip_time_key(const char *read_at, char ret_key[VIP_READ_AT_MAX + 1]);

/* Whether a read at the one time is older than the last one known: then it is counted, and the last
 * one stays. */
bool vip_key_is_late(const char *key, const char *last_key);

gw_status vip_store_open_lmdb(const vip_store_options *options, vip_store **ret_store,
                              gw_error *err);
gw_status vip_store_open_postgres(const vip_store_options *options, vip_store **ret_store,
                                  gw_error *err);

#endif
