/* SPDX-License-Identifier: MIT */
/*
 * Which answers go to the cache file, and the way back. One with which the settings of the program
 * are wrong does not: what the file has is good to start from.
 *
 * One thread at a time, but for gw__kept_note_faulty() and gw__kept_is_faulty().
 */
#ifndef GW_CONFIG_KEPT_H
#define GW_CONFIG_KEPT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/cache.h"
#include "config/environment.h"

typedef struct gw__kept {
    gw__cache cache;
    bool is_failing;      /* the last write did, and that was logged */
    gw_buf left_out;      /* the last answer, if it is not in the file */
    atomic_uint n_faulty; /* users whose settings are wrong in the last answer */
} gw__kept;

/* GW_E_NOMEM. To be disposed of in any case. */
gw_status gw__kept_init(gw__kept *kept, const gw_config_options *options, gw_error *err);
void gw__kept_dispose(gw__kept *kept);

/* The file; NULL when there is to be none. */
const char *gw__kept_path(const gw__kept *kept);

/* One more user's settings are wrong, or right again. */
void gw__kept_note_faulty(gw__kept *kept, bool faulty);
bool gw__kept_is_faulty(const gw__kept *kept);

/* Write the answer if no settings are wrong, else hold it for gw__kept_catch_up(). What cannot be
 * kept is no reason to refuse what is good: that is logged. */
void gw__kept_offer(gw__kept *kept, const gw_buf *body);
void gw__kept_catch_up(gw__kept *kept);

/* What was kept last, and when. The caller drops `ret_env`'s properties. As gw__cache_read() and
 * gw__environment_parse(). */
gw_status gw__kept_read(gw__kept *kept, gw__environment *ret_env,
                        char ret_saved[GW_TIME_MS_LEN + 1], uint64_t *ret_unix_ns, gw_error *err);

#endif
