/* SPDX-License-Identifier: MIT */
#include "vip_forget.h"

#include <stdio.h>

#include <godwit/clock.h>

/* Ids are forgotten this many at a time, and at most this long in one go; then the database is
 * looked at again. */
#define AT_ONCE     5000
#define GO_MS       3000
#define TIMEOUT_MS  10000 /* of one statement: to find the oldest reads the whole index */
#define INTERVAL_MS 60000
#define AGE_MAX_S   UINT64_C(3000000000) /* 95 years; times have their end */

static const char oldest_known[] = "SELECT seen_at FROM godwit_vip_messages "
                                   "ORDER BY seen_at DESC LIMIT 1 OFFSET $1::bigint";
static const char older_than[] = "DELETE FROM godwit_vip_messages WHERE message_id IN "
                                 "(SELECT message_id FROM godwit_vip_messages "
                                 "WHERE seen_at < now() - $1::float8 * interval '1 second' "
                                 "ORDER BY seen_at LIMIT $2::bigint)";
static const char before[] = "DELETE FROM godwit_vip_messages WHERE message_id IN "
                             "(SELECT message_id FROM godwit_vip_messages "
                             "WHERE seen_at < $1::timestamptz ORDER BY seen_at LIMIT $2::bigint)";

void vip_forget_init(vip_forget *self, uint64_t max_seen, uint64_t max_seen_age_s)
{
    uint64_t age_s = max_seen_age_s < AGE_MAX_S ? max_seen_age_s : AGE_MAX_S;
    *self = (vip_forget){.each = max_seen / 16 + 1, .forgot_ms = gw_clock_ms()};
    snprintf(self->age_s, sizeof(self->age_s), "%llu", (unsigned long long)age_s);
    snprintf(self->last_known, sizeof(self->last_known), "%llu",
             (unsigned long long)(max_seen > 0 ? max_seen - 1 : 0));
}

bool vip_forget_add(vip_forget *self, uint64_t n_new)
{
    uint64_t n_before = atomic_fetch_add(&self->n_new, n_new);
    return n_before < self->each && n_before + n_new >= self->each;
}

/* Delete until there is nothing more, or no more time. */
static gw_status forget(pg_conn *conn, const char *sql, const char *bound, uint64_t until_ms,
                        bool *ret_has_more, gw_error *err)
{
    char at_once[16];
    snprintf(at_once, sizeof(at_once), "%d", AT_ONCE);
    const char *params[] = {bound, at_once};
    const pg_call call = {.sql = sql, .n_params = 2, .params = params};
    uint64_t n = AT_ONCE;
    gw_status st = GW_OK;
    while (st == GW_OK && n == AT_ONCE && gw_clock_ms() < until_ms) {
        PGresult *result;
        st = pg_run(conn, &call, 1, &result, err);
        if (st == GW_OK) {
            n = pg_n_changed(conn, result);
            pg_clear(conn, &result, 1);
        }
    }
    *ret_has_more = *ret_has_more || n == AT_ONCE;
    return st;
}

/* The time of the oldest id that is to be known; "" when there are not more than that. */
static gw_status find_oldest(const vip_forget *self, pg_conn *conn, char *ret_time, size_t size,
                             gw_error *err)
{
    const char *params[] = {self->last_known};
    const pg_call call = {.sql = oldest_known, .n_params = 1, .params = params};
    PGresult *result;
    gw_status st = pg_run(conn, &call, 1, &result, err);
    if (st == GW_OK) {
        bool is_there = pg_n_rows(conn, result) > 0;
        snprintf(ret_time, size, "%s", is_there ? pg_text(conn, result, 0, 0) : "");
        pg_clear(conn, &result, 1);
    }
    return st;
}

static gw_status forget_all(vip_forget *self, pg_conn *conn, gw_error *err)
{
    uint64_t until_ms = gw_clock_ms() + GO_MS;
    char oldest[80] = "";
    self->has_more = false;
    gw_status st = forget(conn, older_than, self->age_s, until_ms, &self->has_more, err);
    if (st == GW_OK) {
        st = find_oldest(self, conn, oldest, sizeof(oldest), err);
    }
    if (st == GW_OK && oldest[0] != '\0') {
        st = forget(conn, before, oldest, until_ms, &self->has_more, err);
    }
    return st;
}

gw_status vip_forget_due(vip_forget *self, pg_conn *conn, unsigned timeout_ms, gw_error *err)
{
    uint64_t now_ms = gw_clock_ms();
    if (!self->has_more && atomic_load(&self->n_new) < self->each &&
        now_ms - self->forgot_ms < INTERVAL_MS) {
        return GW_OK;
    }
    self->forgot_ms = now_ms;
    atomic_store(&self->n_new, 0);
    gw_status st = pg_conn_set_timeout(conn, TIMEOUT_MS, err);
    if (st == GW_OK) {
        st = forget_all(self, conn, err);
    }
    if (pg_conn_is_broken(conn)) {
        return st;
    }
    self->has_more = self->has_more && st == GW_OK; /* what failed has its time again */
    gw_error other = GW_ERROR_INIT;
    gw_status st_back = pg_conn_set_timeout(conn, timeout_ms, &other);
    if (st == GW_OK || st == GW_E_BUSY || st == GW_E_TIMEOUT || st == GW_E_DENIED) {
        return st_back == GW_OK ? GW_OK : gw_error_set(err, st_back, 0, "%s", other.text);
    }
    return st;
}
