/* SPDX-License-Identifier: MIT */
/*
 * What a batch of new reads adds to each account: the sums that a database is told, instead of each
 * read. Counting them gives what counting one read after the other gives.
 */
#ifndef VIPSERVICE_VIP_COUNTS_H
#define VIPSERVICE_VIP_COUNTS_H

#include "vip_store_ops.h"

/* Some of an account's reads, and the last of them. */
typedef struct vip_sum {
    const vip_count *last;         /* borrowed from the batch */
    char key[VIP_READ_AT_MAX + 1]; /* of its time, see vip_time_key() */
    uint64_t n_reads;
    /* A time that cannot be compared takes the place of any other, so that the sum before it and
     * the one behind it cannot be one. An account has at most one sum in each round. */
    size_t round;
} vip_sum;

/* Sum up the reads of the batch that are new. `sums` has room for as many as the batch has reads.
 * Returns how many there are, in order of rounds, and of account ids in each. */
size_t vip_sum_up(const vip_batch *batch, vip_sum *sums);

#endif
