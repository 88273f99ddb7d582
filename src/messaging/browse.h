/* SPDX-License-Identifier: MIT */
/* The bounds of gw_browse(), which tests set lower. */
#ifndef GW_MESSAGING_BROWSE_H
#define GW_MESSAGING_BROWSE_H

#include <godwit/browse.h>

typedef struct gw__browse_bounds {
    size_t first_round; /* messages that the broker may have out at first, ... */
    size_t max_round;   /* ... and later, as long as they are small; at most UINT16_MAX */
    size_t round_bytes; /* about how many bytes a round may have */
    size_t max_bytes;   /* of delivered messages in memory; what comes above goes back at once */
    size_t max_moving;  /* copies that are not confirmed yet */
    unsigned quiet_ms;  /* nothing came for so long: ask the broker anew how many there are */
} gw__browse_bounds;

gw_status gw__browse(gw_client *client, const char *queue, const gw_browse_options *options,
                     const gw__browse_bounds *bounds, gw_browse_visitor visitor, void *ctx,
                     gw_browse_result *ret_result, gw_error *err);

#endif
