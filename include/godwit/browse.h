/* SPDX-License-Identifier: MIT */
/**
 * @file browse.h
 * Look at the messages that wait in a queue, and remove or move some of them: for tools, not for
 * services, which subscribe.
 *
 * What is left goes back to its place, marked as redelivered; a quorum queue counts it as a
 * delivery. Meanwhile no other consumer gets it. Messages that are at other consumers are not seen,
 * nor are those that come while it lasts.
 */
#ifndef GODWIT_BROWSE_H
#define GODWIT_BROWSE_H

#include <stddef.h>

#include <godwit/api.h>
#include <godwit/error.h>
#include <godwit/message.h>
#include <godwit/messaging.h>

GW_BEGIN_DECLS

typedef enum gw_browse_verdict {
    GW_BROWSE_LEAVE,  /**< leave it where it is */
    GW_BROWSE_REMOVE, /**< remove it for good */
    GW_BROWSE_MOVE,   /**< publish a copy on a queue, and remove it once the broker has confirmed
                         that one: at every moment it is in one of the two queues, or in both */
    GW_BROWSE_STOP    /**< leave it, and look at no more */
} gw_browse_verdict;

/** What a visitor that says GW_BROWSE_MOVE asks for. */
typedef struct gw_browse_move {
    const char *queue; /**< read before the next message is visited; declared if it is missing */
    gw_message *msg;   /**< taken */
} gw_browse_move;

/**
 * Look at one message, in the order of the queue. Called on the thread of gw_browse(); may block
 * and use the client, but not close it.
 *
 * @param msg borrowed until return.
 * @param move to be filled in for GW_BROWSE_MOVE.
 */
typedef gw_browse_verdict (*gw_browse_visitor)(void *ctx, const gw_message *msg,
                                               gw_browse_move *move);

typedef struct gw_browse_options {
    /** Look at no more than so many; 0: all that wait. The broker keeps in memory those that are
     * left, until it is over. */
    size_t max_messages;
    /** Longest time without anything happening: a connection, a message, a confirm. */
    unsigned timeout_ms;
} gw_browse_options;

#define GW_BROWSE_OPTIONS_INIT                                                                     \
    {                                                                                              \
        .max_messages = 1000, .timeout_ms = 10000                                                  \
    }

typedef struct gw_browse_result {
    size_t n_waiting; /**< in the queue when it began; those at other consumers are not counted */
    size_t n_visited;
    size_t n_removed; /**< those that were moved included */
} gw_browse_result;

/**
 * Visit the messages that wait in a queue. Shareable; blocks until it is done. gw_close() has to
 * wait for it. Not from a callback of the client.
 *
 * @param options copied; NULL for the defaults.
 * @param ret_result filled in on failure too, as far as it came; may be NULL.
 * @return GW_OK; GW_E_NOT_FOUND when there is no such queue, which is not made; GW_E_TIMEOUT, with
 * the state of the connection while there is none; GW_E_BUSY when messages wait and the broker
 * gives none of them to us; GW_E_UNAVAILABLE when the connection was lost meanwhile: what was
 * removed last may be in the queue again; what became of a copy that could not be published, whose
 * original stays in the queue; GW_E_DENIED; GW_E_INVALID; GW_E_LIMIT; GW_E_CLOSED; GW_E_NOMEM.
 */
GW_API GW_MUST_CHECK gw_status gw_browse(gw_client *client, const char *queue,
                                         const gw_browse_options *options,
                                         gw_browse_visitor visitor, void *ctx,
                                         gw_browse_result *ret_result, gw_error *err);

GW_END_DECLS

#endif
