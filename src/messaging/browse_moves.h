/* SPDX-License-Identifier: MIT */
/*
 * Messages that are moved while one looks through a queue: a copy is published, and the original
 * acknowledged when the broker has confirmed it. All on the thread that looks, but for the
 * broker's answers.
 */
#ifndef GW_MESSAGING_BROWSE_MOVES_H
#define GW_MESSAGING_BROWSE_MOVES_H

#include "messaging/browse_turn.h"

/* Publish wanted->msg, which is taken in any case. Waits for room. */
gw_status gw__moves_add(gw__look *it, gw__turn *of, gw__delivery delivery, gw_browse_move *wanted,
                        gw_error *err);

/* Acknowledge the originals of the copies that are confirmed. */
void gw__moves_settle(gw__look *it);

/* Wait for a copy to be decided, or for `ms`, and settle. */
void gw__moves_pause(gw__look *it, unsigned ms);

/* Wait until at most `n_most` copies are on their way, or the originals are lost, and settle.
 * GW_E_TIMEOUT when none was decided for too long. */
gw_status gw__moves_wait(gw__look *it, size_t n_most, gw_error *err);

#endif
