/* SPDX-License-Identifier: MIT */
/**
 * @file target.h
 * A request target taken apart: the segments of its path, decoded once each, and the arguments of
 * its query. Knows nothing of routes or sockets.
 */
#ifndef GW_HTTP_TARGET_H
#define GW_HTTP_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/status.h>

/** Most segments that are kept one by one; a pattern cannot have more, see router.c. */
#define GW__HTTP_SEGMENTS_MAX 32

/** Paths up to this length need no allocation. */
#define GW__HTTP_TARGET_INLINE 128

typedef struct gw__http_segment {
    char *text; /**< decoded, NUL-terminated; holds no NUL and no other control character */
    size_t len;
} gw__http_segment;

/**
 * The path "/a/b/" has the segments "a", "b" and "": what follows a '/' is a segment, empty or not.
 * All bytes of all segments lie one behind the other in `text`, a NUL between two.
 */
typedef struct gw__http_target {
    gw__http_segment segments[GW__HTTP_SEGMENTS_MAX];
    size_t n_segments; /**< all there are, also those past GW__HTTP_SEGMENTS_MAX */
    char *text;        /**< `room`, or from the heap */
    size_t text_len;
    char room[GW__HTTP_TARGET_INLINE];
} gw__http_target;

void gw__http_target_init(gw__http_target *target);

/** Free what parsing allocated; usable again afterwards. */
void gw__http_target_dispose(gw__http_target *target);

/**
 * Take apart `path` (without a query). Disposes what was there before.
 *
 * @return GW_OK; GW_E_INVALID when it does not begin with '/', has a broken escape, a blank,
 * or a control character, encoded or not; GW_E_NOMEM.
 */
gw_status gw__http_target_parse(gw__http_target *target, const char *path);

/**
 * Everything from segment `first` on as one text, with the slashes between the segments. Segments
 * behind `first` are not NUL-terminated any more after this.
 */
const char *gw__http_target_join(gw__http_target *target, size_t first);

/** Bytes that the pairs of a query of `len` bytes can take at most. */
#define GW__HTTP_PAIRS_MAX(len) (2 * (len) + 2)

/**
 * Decode a query into "name NUL value NUL" pairs, one behind the other; '+' is a blank.
 *
 * @param ret_pairs room for GW__HTTP_PAIRS_MAX(len) bytes.
 * @return GW_OK; GW_E_INVALID for a broken escape or an encoded NUL.
 */
gw_status gw__http_query_decode(const char *query, size_t len, char *ret_pairs, size_t *ret_len);

/** The first value of `name` in a decoded query; NULL if there is none. */
const char *gw__http_query_find(const char *pairs, size_t len, const char *name);

#endif
