/* SPDX-License-Identifier: MIT */
/*
 * The outbox in memory: accepted messages in order, until the transport says what became of each.
 *
 * Threads put messages in; the transport's publishing thread takes them out through the gw__source.
 * A message stays here while it is on its way, so a lost connection costs nothing but sending
 * again. Writes nothing to disk.
 */
#ifndef GW_MESSAGING_RELAY_H
#define GW_MESSAGING_RELAY_H

#include "messaging/transport.h"

typedef struct gw__relay gw__relay;

/* What became of a message: GW_OK when confirmed. Called on the transport's publishing thread, or
 * on the thread of gw__relay_free() with GW_E_CLOSED; no lock held; must not block. */
typedef void (*gw__done)(void *ctx, gw_status outcome, const gw_error *why);

typedef struct gw__relay_options {
    size_t max_messages;
    size_t max_bytes;
    gw_failed_callback on_failed; /* for messages put without a gw__done; may be NULL */
    void (*wake)(void *ctx);      /* there is something new; called with no lock held */
    void *ctx;
} gw__relay_options;

gw__relay *gw__relay_new(const gw__relay_options *options);

/* What is left is freed, each gw__done called. Returns the number left. */
size_t gw__relay_free(gw__relay *relay);

/* For the transport; valid as long as the relay. */
gw__source gw__relay_source(gw__relay *relay);

/* Accept a message. `msg` is taken on success. GW_E_FULL; GW_E_LIMIT when it is larger than the
 * whole outbox; GW_E_CLOSED; GW_E_NOMEM. */
gw_status gw__relay_put(gw__relay *relay, gw__target *target, gw_message *msg, gw__done done,
                        void *done_ctx, gw_error *err);

/* Accept no more. */
void gw__relay_close(gw__relay *relay);

/* Wait until all that is here now is settled. GW_E_TIMEOUT with the number left. */
gw_status gw__relay_flush(gw__relay *relay, uint64_t deadline_ms, gw_error *err);

#endif
