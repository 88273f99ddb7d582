/* SPDX-License-Identifier: MIT */
/*
 * The outbox: accepted messages in order, until the transport says what became of each.
 *
 * Threads put messages in; the transport's publishing thread takes them out through the gw__source.
 * A message stays here while it is on its way, so a lost connection costs nothing but sending
 * again. With a journal it is there as well before it counts as accepted, and when there are more
 * than fit the memory given to them, it is only there until its turn comes.
 */
#ifndef GW_MESSAGING_RELAY_H
#define GW_MESSAGING_RELAY_H

#include "messaging/journal.h"
#include "messaging/targets.h"
#include "messaging/transport.h"

typedef struct gw__relay gw__relay;

/* What became of a message: GW_OK when confirmed. Called on the transport's publishing thread, or
 * on the thread of gw__relay_free() with GW_E_CLOSED; no lock held; must not block. */
typedef void (*gw__done)(void *ctx, gw_status outcome, const gw_error *why);

typedef struct gw__relay_options {
    gw_outbox_level level;
    const char *dir; /* of the journal, unless the level is memory */
    size_t max_messages;
    size_t max_bytes;
    gw__targets *targets;         /* lives longer than the relay */
    gw_failed_callback on_failed; /* for messages put without a gw__done; may be NULL */
    void (*wake)(void *ctx);      /* there is something new; called with no lock held */
    void *ctx;
} gw__relay_options;

/* Fails as gw__journal_open(), and with GW_E_NOMEM. */
gw_status gw__relay_open(const gw__relay_options *options, gw__relay **ret_relay, gw_error *err);

/* What is left in memory is freed, each gw__done called; what is in a journal stays there. Accepts
 * NULL. */
void gw__relay_free(gw__relay *relay);

/* For the transport; valid as long as the relay. */
gw__source gw__relay_source(gw__relay *relay);

/* Accept a message. `msg` is taken on success. One with a gw__done is somewhere else until that is
 * called, and kept in memory only. `ret_seq`, unless NULL, is for gw__relay_wait_disk(). Waits for
 * the journal's thread when very much is put at once. GW_E_FULL; GW_E_LIMIT when it is larger than
 * the whole outbox; GW_E_CLOSED; GW_E_NOMEM; GW_E_NO_SPACE and GW_E_IO of the journal. */
gw_status gw__relay_put(gw__relay *relay, gw__target *target, gw_message *msg, gw__done done,
                        void *done_ctx, uint64_t *ret_seq, gw_error *err);

/* At the level disk: wait until the message survives power loss, with all others that are waited
 * for. Nothing at other levels. GW_E_IO: it is not known whether it does, or will be sent. */
gw_status gw__relay_wait_disk(gw__relay *relay, uint64_t seq, gw_error *err);

/* Accept no more. */
void gw__relay_close(gw__relay *relay);

/* Whether what is left would be lost with the process. */
bool gw__relay_is_volatile(const gw__relay *relay);

/* How many messages are here. */
size_t gw__relay_count(gw__relay *relay);

/* Wait until all that is here now is settled. GW_E_TIMEOUT with the number left. */
gw_status gw__relay_flush(gw__relay *relay, uint64_t deadline_ms, gw_error *err);

#endif
