/* SPDX-License-Identifier: MIT */
/**
 * @file messaging.h
 * Connect, publish, subscribe, close: messages between services, over RabbitMQ, the
 * embedded bus or in memory.
 *
 * Publishing hands a message to the client's outbox and returns; the client sends it, in order per
 * target (exchange or queue), and keeps it until the broker has confirmed it, across reconnects
 * and, with an outbox on disk, across the end of the process. Subscribing declares an intent; the
 * client makes it true whenever there is a connection. A broker that is away is therefore no error
 * of any call here, it is a state (gw_client_state).
 *
 * Exchanges are declared durable. Work queues are durable, temporary queues belong to one
 * subscription.
 */
#ifndef GODWIT_MESSAGING_H
#define GODWIT_MESSAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/api.h>
#include <godwit/error.h>
#include <godwit/message.h>

GW_BEGIN_DECLS

/** A connection to a broker with everything that is to happen over it. Shareable between threads.
 */
typedef struct gw_client gw_client;

/** One subscription of a client. */
typedef struct gw_subscription gw_subscription;

typedef enum gw_exchange_type {
    GW_EXCHANGE_DIRECT,
    GW_EXCHANGE_FANOUT,
    GW_EXCHANGE_TOPIC,
    GW_EXCHANGE_HEADERS
} gw_exchange_type;

typedef enum gw_queue_type { GW_QUEUE_CLASSIC, GW_QUEUE_QUORUM } gw_queue_type;

typedef enum gw_client_state {
    GW_CLIENT_CONNECTING, /**< no connection yet, or lost; trying for ever with backoff */
    GW_CLIENT_UP,         /**< connected; every subscription is consuming */
    GW_CLIENT_BLOCKED,    /**< connected, but the broker takes no messages at present (an alarm) */
    GW_CLIENT_DEGRADED, /**< connected, but a subscription does not consume; the reason names it */
    GW_CLIENT_CLOSED
} gw_client_state;

/** "connecting", "up", ... Static. */
GW_API const char *gw_client_state_name(gw_client_state state);

/** "direct", ... Static. */
GW_API const char *gw_exchange_type_name(gw_exchange_type type);

/** What becomes of a message after its handler. */
typedef enum gw_verdict {
    GW_DONE,  /**< handled: acknowledge it */
    GW_RETRY, /**< give it to a handler again, of this or another instance, after a delay that
                 doubles; past max_attempts as GW_REJECT */
    GW_REJECT /**< can never be handled: move it to "<queue>.dead" with the reason */
} gw_verdict;

/**
 * Handle one message. Called on a worker thread of the subscription (several at once only if
 * n_workers > 1), with no lock held; may block, publish, subscribe; must not unsubscribe its own
 * subscription or close the client. The message is borrowed until return.
 *
 * @param why to be filled in with gw_error_set() for GW_RETRY and GW_REJECT; goes to the log and
 * the dead letter.
 */
typedef gw_verdict (*gw_handler)(void *ctx, const gw_message *msg, gw_error *why);

/**
 * Make what the handler did last. With it, handlers can share a transaction: each does its part,
 * and this ends it for all of them, before they are acknowledged together. Called on the worker's
 * thread after at most 64 handlers that returned GW_DONE, or half a millisecond of them, and always
 * before the worker waits; with several workers, each calls it for its own.
 *
 * @return GW_DONE; anything else, with `why`: nothing of it lasts, and each of those messages is
 * tried again as if its handler had returned GW_RETRY. (A handler that returns something else than
 * GW_DONE has undone its own part; if that took others' with it, this has to say so.)
 */
typedef gw_verdict (*gw_commit)(void *ctx, gw_error *why);

/** The state changed. Called on a thread of the client, one call at a time, no lock held; must not
 * block or close the client. */
typedef void (*gw_state_callback)(void *ctx, gw_client_state state, const char *reason);

/**
 * An accepted message could not be delivered for good: unroutable (GW_E_UNROUTABLE) or refused by
 * the broker in a way that trying again does not mend. Called as gw_state_callback; `msg` is
 * borrowed.
 */
typedef void (*gw_failed_callback)(void *ctx, const gw_message *msg, const gw_error *why);

/** What an accepted message survives on its way to the broker. On the embedded bus it is in its
 * queue at once: there memory and process both mean that it survives the end of the process. */
typedef enum gw_outbox_level {
    GW_OUTBOX_MEMORY,  /**< lost connections and restarts of the broker; lost with the process */
    GW_OUTBOX_PROCESS, /**< the end of the process too, also by kill -9 */
    GW_OUTBOX_DISK     /**< power loss too: publishing waits for the disk, many callers together */
} gw_outbox_level;

/** "memory", "process", "disk". Static. */
GW_API const char *gw_outbox_level_name(gw_outbox_level level);

typedef struct gw_client_options {
    const char *name; /**< the service's name; operators see it as the connection's name; NULL: the
                         program's */
    gw_outbox_level outbox_level; /**< default GW_OUTBOX_MEMORY */
    /** The directory of the outbox, made if it is missing; for the levels process and disk. One
     * client of one process at a time uses it; what a dead one left there is sent first. It also
     * holds the note of which messages are being handled (gw_subscribe_options.max_crashes). The
     * bus needs no outbox, and uses the directory for that note; what waits there from before,
     * since the service ran with RabbitMQ, is published into the bus by gw_connect(), in order. */
    const char *outbox_dir;
    size_t outbox_max_messages; /**< accepted and not yet confirmed; 0: 100,000 in memory, 10
                                   million on disk */
    size_t outbox_max_bytes;    /**< 0: 64 MiB in memory, 2 GiB on disk */
    unsigned heartbeat_s; /**< default 10; both sides notice a dead peer after about twice that */
    /** Of the work queues that are declared; default classic. A quorum queue moves a message that
     * was delivered more than 20 times without being acknowledged to "<queue>.dead" itself. */
    gw_queue_type queue_type;
    gw_state_callback on_state;   /**< may be NULL */
    gw_failed_callback on_failed; /**< may be NULL: failures are logged and counted in any case */
    void *ctx;                    /**< of the two callbacks */
} gw_client_options;

#define GW_CLIENT_OPTIONS_INIT                                                                     \
    {                                                                                              \
        .name = NULL, .outbox_level = GW_OUTBOX_MEMORY, .outbox_dir = NULL,                        \
        .outbox_max_messages = 0, .outbox_max_bytes = 0, .heartbeat_s = 10,                        \
        .queue_type = GW_QUEUE_CLASSIC, .on_state = NULL, .on_failed = NULL, .ctx = NULL           \
    }

typedef struct gw_subscribe_options {
    const char
        *consumer_name;      /**< operators see it as the consumer's tag; NULL: the client's name */
    const char *binding_key; /**< of an exchange subscription; NULL: the exchange's name, and "#"
                                matches all of a topic exchange */
    /** Of a headers exchange: a message must have all of them, or with match_any one of them, with
     * an equal value of the same kind; GW_VALUE_NULL asks only that it is there. Names that begin
     * with "x-" do not count; without one that does, every message matches. At most 64, each name
     * once, no arrays or tables, 2 KiB together. */
    const gw_header *binding_headers;
    size_t n_binding_headers;
    bool match_any;
    /** Most messages on their way or waiting for the handler. 0, the default: as many as the
     * workers handle in about a quarter of a second, as measured, up to 1000 and to 16 MiB of
     * bodies. They are held in memory: a number of your own is kept, however large the messages
     * are. */
    uint16_t prefetch;
    unsigned n_workers;    /**< threads that call the handler; default 1, which keeps the order */
    gw_commit commit;      /**< NULL: what a handler did lasts when it returns */
    unsigned max_attempts; /**< of handing it to the handler; default 5; UINT_MAX: for ever */
    /** Before the second attempt, doubling with each further one; default 1000. A message of a work
     * queue waits in the broker's queue "<queue>.retry.<delay>", one of the exchange's subscription
     * in memory. */
    unsigned retry_delay_ms;
    unsigned retry_delay_max_ms; /**< the longest delay; default 60,000 */
    /** So often may processes die while they handle a message of a work queue; then it is moved to
     * "<queue>.dead". Default 5; UINT_MAX: for ever. Not counted with GW_OUTBOX_MEMORY. */
    unsigned max_crashes;
} gw_subscribe_options;

#define GW_SUBSCRIBE_OPTIONS_INIT                                                                  \
    {                                                                                              \
        .consumer_name = NULL, .binding_key = NULL, .binding_headers = NULL,                       \
        .n_binding_headers = 0, .match_any = false, .prefetch = 0, .n_workers = 1, .commit = NULL, \
        .max_attempts = 5, .retry_delay_ms = 1000, .retry_delay_max_ms = 60000, .max_crashes = 5   \
    }

/**
 * Make a client and start connecting; does not wait for the broker.
 *
 * @param url amqp://user:password@host:port[,host:port...]/vhost for RabbitMQ, with
 * ?heartbeat=seconds and ?confirm_timeout=seconds, and with ?password_file=/path in place of the
 * password: its one line is read anew for every connection. memory:NAME for an in-process broker
 * that all clients of the process with that NAME share, for tests. bus:DIR for the embedded bus in
 * that directory, which is made if it is missing, for all processes of one machine, without a
 * broker; with ?option=value&...:
 * group=NAME of others who may use it, when it is made; max_messages=N, max_bytes=N and
 * overflow=refuse|drop-oldest|dead-letter of the queues that are declared through this client.
 * @param options copied; NULL for the defaults.
 * @return GW_OK; GW_E_INVALID for a bad URL or option; GW_E_UNSUPPORTED for an unknown scheme, for
 * amqps:// at present, and for an outbox of a newer version or on a network file system; GW_E_BUSY
 * when another process uses the outbox, with its pid; GW_E_NO_SPACE, GW_E_IO, GW_E_DENIED of the
 * outbox's directory; GW_E_NOMEM. On the bus also GW_E_FULL and whatever else it says, when it does
 * not take what an outbox still holds (gw_client_options.outbox_dir): that stays there.
 */
GW_API GW_MUST_CHECK gw_status gw_connect(const char *url, const gw_client_options *options,
                                          gw_client **ret_client, gw_error *err);

/** The state now; `ret_reason`, if not NULL, gets at most `size` bytes of the reason. */
GW_API gw_client_state gw_client_get_state(gw_client *client, char *ret_reason, size_t size);

/** Wait until the state is GW_CLIENT_UP. GW_E_TIMEOUT with the reason it is not; GW_E_CLOSED. */
GW_API GW_MUST_CHECK gw_status gw_wait_up(gw_client *client, unsigned timeout_ms, gw_error *err);

/**
 * Publish to an exchange, which is declared (durable) if it does not exist. Returns once the
 * message is in the outbox; never waits for the network.
 *
 * @param msg borrowed: copied, the caller still frees it. Gets a message id first if it has none,
 * which the caller can then read.
 * @return GW_OK; GW_E_FULL when the outbox has no room (retriable); GW_E_LIMIT for a name above 255
 * bytes and a message larger than the whole outbox; GW_E_CLOSED after gw_close() began; GW_E_NOMEM;
 * GW_E_NO_SPACE when the outbox's disk is full (retriable); GW_E_IO when it failed: it is not known
 * then whether the message will be sent.
 */
GW_API GW_MUST_CHECK gw_status gw_publish(gw_client *client, const char *exchange,
                                          gw_exchange_type type, gw_message *msg, gw_error *err);

/** As gw_publish(), to a work queue, which is declared if it does not exist. Always mandatory: the
 * queue cannot vanish unnoticed. */
GW_API GW_MUST_CHECK gw_status gw_publish_on_queue(gw_client *client, const char *queue,
                                                   gw_message *msg, gw_error *err);

#define GW_PUBLISH_BATCH_MAX 65536 /**< messages of one gw_publish_batch() */

/**
 * Publish many messages to one exchange, in order. As gw_publish() for each, but cheaper: at the
 * level disk all of them wait for the disk once.
 *
 * @param msgs           borrowed, as with gw_publish(); each gets an id if it has none.
 * @param ret_n_accepted set in any case, unless NULL: the first so many were accepted, the others
 * not. It can be `n_msgs` after GW_E_IO: all are in the outbox then, and it is not known whether
 * they survive power loss, or will be sent.
 * @return as gw_publish(), with the reason of the first that was not accepted; GW_E_INVALID and
 * GW_E_LIMIT, with none accepted, if one is NULL and for more than GW_PUBLISH_BATCH_MAX. No message
 * at all is GW_OK.
 */
GW_API GW_MUST_CHECK gw_status gw_publish_batch(gw_client *client, const char *exchange,
                                                gw_exchange_type type, gw_message *const *msgs,
                                                size_t n_msgs, size_t *ret_n_accepted,
                                                gw_error *err);

/** As gw_publish_batch(), to a work queue, as gw_publish_on_queue(). */
GW_API GW_MUST_CHECK gw_status gw_publish_batch_on_queue(gw_client *client, const char *queue,
                                                         gw_message *const *msgs, size_t n_msgs,
                                                         size_t *ret_n_accepted, gw_error *err);

/** Wait until the outbox is empty: everything accepted before the call is confirmed or was reported
 * as failed. GW_E_TIMEOUT. */
GW_API GW_MUST_CHECK gw_status gw_flush(gw_client *client, unsigned timeout_ms, gw_error *err);

/**
 * Subscribe to an exchange with a queue of one's own: every instance gets every message. The queue
 * lives as long as the subscription (and a minute longer, should the process die).
 *
 * @param options copied; NULL for the defaults.
 * @param ret_sub may be NULL; the subscription then lasts until gw_close().
 * @return GW_OK, also while the broker is away; GW_E_INVALID; GW_E_LIMIT; GW_E_CLOSED; GW_E_NOMEM.
 */
GW_API GW_MUST_CHECK gw_status gw_subscribe(gw_client *client, const char *exchange,
                                            gw_exchange_type type,
                                            const gw_subscribe_options *options, gw_handler handler,
                                            void *ctx, gw_subscription **ret_sub, gw_error *err);

/** Subscribe to a work queue, which instances share: each message goes to one of them. As
 * gw_subscribe(); GW_E_LIMIT for a name above 238 bytes, since "<queue>.retry.<delay>" must fit
 * too.
 */
GW_API GW_MUST_CHECK gw_status gw_subscribe_to_queue(gw_client *client, const char *queue,
                                                     const gw_subscribe_options *options,
                                                     gw_handler handler, void *ctx,
                                                     gw_subscription **ret_sub, gw_error *err);

/**
 * End a subscription: no new messages, those at the handler are finished and acknowledged, the rest
 * goes back to the queue. When it returns, the handler is not running and will not be called. Frees
 * the subscription. Accepts NULL. Not from a handler of the same subscription: that is logged, and
 * the subscription stays as it is.
 */
GW_API void gw_unsubscribe(gw_subscription *sub);

/**
 * Close: stop consuming, finish the handlers, acknowledge, send what is in the outbox, disconnect,
 * within the deadline. Frees the client and its subscriptions, whatever is returned. Accepts NULL.
 * Not from a callback.
 *
 * @return GW_OK, also when messages stay in an outbox on disk: they are sent at the next start.
 * GW_E_TIMEOUT when messages were left in an outbox in memory and are lost, with their number.
 */
GW_API gw_status gw_close(gw_client *client, unsigned timeout_ms, gw_error *err);

GW_END_DECLS

#endif
