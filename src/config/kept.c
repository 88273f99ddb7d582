/* SPDX-License-Identifier: MIT */
#include "config/kept.h"

#include <time.h>

#include <godwit/log.h>

gw_status gw__kept_init(gw__kept *kept, const gw_config_options *options, gw_error *err)
{
    gw_buf_init(&kept->left_out, GW__CACHE_MAX);
    atomic_init(&kept->n_faulty, 0);
    kept->is_failing = false;
    return gw__cache_init(&kept->cache, options, err);
}

void gw__kept_dispose(gw__kept *kept)
{
    gw__cache_dispose(&kept->cache);
    gw_buf_dispose(&kept->left_out);
}

const char *gw__kept_path(const gw__kept *kept)
{
    return kept->cache.path;
}

void gw__kept_note_faulty(gw__kept *kept, bool faulty)
{
    if (faulty) {
        atomic_fetch_add(&kept->n_faulty, 1);
    } else {
        atomic_fetch_sub(&kept->n_faulty, 1);
    }
}

bool gw__kept_is_faulty(const gw__kept *kept)
{
    return atomic_load(&kept->n_faulty) > 0;
}

/* ---- writing ------------------------------------------------------------------ */

static void keep(gw__kept *kept, const gw_buf *body)
{
    gw_error err = GW_ERROR_INIT;
    gw_status st =
        gw__cache_write(&kept->cache, body->data != NULL ? body->data : "", body->len, &err);
    if (st != GW_OK && !kept->is_failing) {
        gw_log_error("config", "the configuration is not kept for a start without its server: %s",
                     err.text);
    }
    kept->is_failing = st != GW_OK;
}

void gw__kept_offer(gw__kept *kept, const gw_buf *body)
{
    gw_buf_dispose(&kept->left_out);
    if (!gw__kept_is_faulty(kept)) {
        keep(kept, body);
    } else if (kept->cache.path != NULL) {
        gw_buf_add(&kept->left_out, body->data, body->len);
    }
}

void gw__kept_catch_up(gw__kept *kept)
{
    bool is_whole = gw_buf_status(&kept->left_out) == GW_OK && kept->left_out.len > 0;
    if (!gw__kept_is_faulty(kept) && is_whole) {
        keep(kept, &kept->left_out);
        gw_buf_dispose(&kept->left_out);
    }
}

/* ---- reading ------------------------------------------------------------------- */

/* To the second; 0 for what is no time. */
static uint64_t unix_ns_of(const char *saved)
{
    struct tm tm = {.tm_sec = 0};
    time_t at = strptime(saved, "%Y-%m-%dT%H:%M:%S", &tm) != NULL ? timegm(&tm) : 0;
    return at > 0 ? (uint64_t)at * GW_NS_PER_S : 0;
}

gw_status gw__kept_read(gw__kept *kept, gw__environment *ret_env,
                        char ret_saved[GW_TIME_MS_LEN + 1], uint64_t *ret_unix_ns, gw_error *err)
{
    gw_buf body;
    gw_buf_init(&body, GW__CACHE_MAX);
    gw_status st = gw__cache_read(&kept->cache, &body, ret_saved, err);
    if (st == GW_OK) {
        st = gw__environment_parse(body.data != NULL ? body.data : "", body.len, ret_env, err);
    }
    if (st == GW_OK) {
        ret_env->from_cache = true;
        *ret_unix_ns = unix_ns_of(ret_saved);
    }
    gw_buf_dispose(&body);
    return st;
}
