/* SPDX-License-Identifier: MIT */
/*
 * When the ids of messages in the table godwit_vip_messages are forgotten: once they are too old,
 * or too many. Every vipservice does it, each for all; it does no harm when several do it at once.
 */
#ifndef VIPSERVICE_VIP_FORGET_H
#define VIPSERVICE_VIP_FORGET_H

#include <stdatomic.h>

#include "postgres/pg_conn.h"

/* The thread that looks after the database forgets; any thread adds. */
typedef struct vip_forget {
    char age_s[32];      /* how long ids are known */
    char last_known[32]; /* the offset of the oldest that is to be known */
    uint64_t each;       /* forget when there are so many new ones */
    atomic_ullong n_new; /* since ids were forgotten */
    uint64_t forgot_ms;  /* when */
    bool has_more;       /* to forget */
} vip_forget;

void vip_forget_init(vip_forget *self, uint64_t max_seen, uint64_t max_seen_age_s);

/* So many ids are new. Whether it is time to forget. */
bool vip_forget_add(vip_forget *self, uint64_t n_new);

/* Forget if it is time, with more time for a statement than a count has; `timeout_ms` is what it
 * has afterwards. Not having the right, and a conflict with who counts, are no failures. */
gw_status vip_forget_due(vip_forget *self, pg_conn *conn, unsigned timeout_ms, gw_error *err);

#endif
