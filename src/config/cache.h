/* SPDX-License-Identifier: MIT */
/*
 * The last good answer of the config server, in a file: for a start while no server answers. What
 * is encrypted in the answer stays so; still, the file is for its owner alone. It says whose it is,
 * and one of another program, profile or label, a torn or a foreign one is refused.
 *
 *   godwit-config-cache 1 <checksum of all that follows, 16 hex digits>
 *   app: accountservice
 *   profile: test
 *   label: main
 *   saved: 2026-11-22T10:42:13.667Z
 *
 *   <the body>
 */
#ifndef GW_CONFIG_CACHE_H
#define GW_CONFIG_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include <godwit/clock.h>
#include <godwit/config.h>

#define GW__CACHE_MAX ((size_t)9 << 20) /* more than the largest answer that is taken */

typedef struct gw__cache {
    char *path;     /* NULL: there is no cache */
    char *owner;    /* the lines "app: " to "label: " */
    uint64_t known; /* checksum of the body that is in the file already; 0: not known */
} gw__cache;

/* GW_E_NOMEM. To be disposed of in any case. */
gw_status gw__cache_init(gw__cache *cache, const gw_config_options *options, gw_error *err);
void gw__cache_dispose(gw__cache *cache);

/* Replace the file, whole or not at all; it is on the disk when this returns. Does nothing when the
 * body is what was written or read last. GW_E_IO and the like, with the file's name. */
gw_status gw__cache_write(gw__cache *cache, const char *body, size_t len, gw_error *err);

/* Append the body. GW_E_NOT_FOUND when there is no file; GW_E_DENIED when it is another user's, or
 * others can write it; GW_E_LIMIT; GW_E_INVALID when it is damaged, or of another program; GW_E_IO;
 * GW_E_NOMEM. */
gw_status gw__cache_read(gw__cache *cache, gw_buf *ret_body, char ret_saved[GW_TIME_MS_LEN + 1],
                         gw_error *err);

#endif
