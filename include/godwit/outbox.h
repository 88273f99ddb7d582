/* SPDX-License-Identifier: MIT */
/**
 * @file outbox.h
 * Look into the outbox of a service, from another process: what waits for the broker, and what
 * could not be delivered for good ("dead"), whether the service runs or not.
 *
 * Looking changes nothing. What is to be changed is written down in the outbox and done by the
 * service within about a second, or here when no service uses the directory. Not for the process
 * whose client has the outbox open.
 */
#ifndef GODWIT_OUTBOX_H
#define GODWIT_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/api.h>
#include <godwit/error.h>
#include <godwit/message.h>
#include <godwit/messaging.h>

GW_BEGIN_DECLS

/** One directory that is looked into. One thread at a time. */
typedef struct gw_outbox gw_outbox;

typedef enum gw_outbox_part {
    GW_OUTBOX_WAITING, /**< accepted, not confirmed */
    GW_OUTBOX_DEAD /**< given up: unroutable, or refused in a way that trying again does not mend */
} gw_outbox_part;

/** Everything is borrowed until the visitor returns. */
typedef struct gw_outbox_entry {
    uint64_t number; /**< names it in this outbox */
    gw_outbox_part part;
    const char *queue;    /**< where it goes; NULL: to an exchange */
    const char *exchange; /**< "" for a queue */
    gw_exchange_type type;
    uint64_t accepted_ms; /**< unix milliseconds */
    uint64_t died_ms;     /**< of a dead one */
    const char *reason;   /**< of a dead one */
    const gw_message *msg;
} gw_outbox_entry;

typedef struct gw_outbox_summary {
    long pid; /**< of the process that uses it; 0: none does */
    size_t n_waiting;
    size_t n_dead;
    size_t n_damaged; /**< set aside since their bytes were damaged */
} gw_outbox_summary;

/**
 * Open the outbox in a directory.
 * @return GW_OK; GW_E_NOT_FOUND when there is none; GW_E_UNSUPPORTED for a newer version;
 * GW_E_DENIED, GW_E_IO, GW_E_NOMEM.
 */
GW_API GW_MUST_CHECK gw_status gw_outbox_open(const char *dir, gw_outbox **ret_outbox,
                                              gw_error *err);

/** Accepts NULL. */
GW_API void gw_outbox_close(gw_outbox *outbox);

GW_API GW_MUST_CHECK gw_status gw_outbox_summarize(gw_outbox *outbox,
                                                   gw_outbox_summary *ret_summary, gw_error *err);

/** Returns false to stop. Must not call into the outbox. */
typedef bool (*gw_outbox_visitor)(void *ctx, const gw_outbox_entry *entry);

/**
 * Visit the messages of a part: those that wait in order for each target, dead ones in the order in
 * which they were accepted. Of a service that runs it is a picture of this moment: what is
 * delivered meanwhile may be in it.
 */
GW_API GW_MUST_CHECK gw_status gw_outbox_visit(gw_outbox *outbox, gw_outbox_part part,
                                               gw_outbox_visitor visitor, void *ctx, gw_error *err);

/** What is to become of a message. */
typedef enum gw_outbox_change {
    GW_OUTBOX_DROP,  /**< forget it; any part */
    GW_OUTBOX_RESEND /**< let a dead one wait for the broker again, with its message id */
} gw_outbox_change;

/**
 * Change messages, by their numbers, and wait until that is done.
 *
 * @param ret_n_done how many are; the rest is on its way to the broker at this moment, or the
 * service does not answer; it is done as soon as it can be. A number that names nothing (any more)
 * counts as done.
 * @return GW_OK; GW_E_TIMEOUT when not all are done in time; GW_E_INVALID to resend what is not
 * dead; GW_E_NO_SPACE, GW_E_IO, GW_E_NOMEM.
 */
GW_API GW_MUST_CHECK gw_status gw_outbox_apply(gw_outbox *outbox, gw_outbox_part part,
                                               gw_outbox_change change, const uint64_t *numbers,
                                               size_t n_numbers, unsigned timeout_ms,
                                               size_t *ret_n_done, gw_error *err);

GW_END_DECLS

#endif
