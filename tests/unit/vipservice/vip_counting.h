/* SPDX-License-Identifier: MIT */
/* Reads counted one by one, as the tests of the VIP stores like to. */
#ifndef TESTS_VIPSERVICE_VIP_COUNTING_H
#define TESTS_VIPSERVICE_VIP_COUNTING_H

#include "vip_store.h"

#define AT "2026-11-22T10:42:13.667108584Z"

/* Fails the test when it cannot be opened. */
vip_store *vips_open(const char *where, uint64_t max_seen, uint64_t max_seen_age_s);

/* A batch of one read. */
gw_status vips_count_at(vip_store *store, const char *account_id, const char *read_at,
                        const char *message_id, bool *ret_is_new, gw_error *err);

/* Whether it was new. Fails the test when it cannot be counted. */
bool vips_count(vip_store *store, const char *account_id, const char *message_id);

uint64_t vips_reads_of(vip_store *store, const char *account_id);

#endif
