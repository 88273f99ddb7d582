/* SPDX-License-Identifier: MIT */
#include "vip_counting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

vip_store *vips_open(const char *where, uint64_t max_seen, uint64_t max_seen_age_s)
{
    vip_store_options options = {
        .where = where, .max_seen = max_seen, .max_seen_age_s = max_seen_age_s};
    vip_store *store = NULL;
    gw_error err = GW_ERROR_INIT;
    if (vip_store_open(&options, &store, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return store;
}

gw_status vips_count_at(vip_store *store, const char *account_id, const char *read_at,
                        const char *message_id, bool *ret_is_new, gw_error *err)
{
    vip_batch *batch = vip_batch_new(store);
    assert_non_null(batch);
    gw_status st = vip_batch_count(batch, account_id, read_at, message_id, err);
    if (st == GW_OK) {
        st = vip_batch_commit(batch, err);
    }
    *ret_is_new = vip_batch_was_new(batch, 0);
    vip_batch_free(batch);
    return st;
}

bool vips_count(vip_store *store, const char *account_id, const char *message_id)
{
    bool is_new = false;
    gw_error err = GW_ERROR_INIT;
    if (vips_count_at(store, account_id, AT, message_id, &is_new, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return is_new;
}

uint64_t vips_reads_of(vip_store *store, const char *account_id)
{
    vip_reads reads;
    gw_status st = vip_store_get(store, account_id, &reads, NULL);
    assert_true(st == GW_OK || st == GW_E_NOT_FOUND);
    return st == GW_OK ? reads.n_reads : 0;
}
