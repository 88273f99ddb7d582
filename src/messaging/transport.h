/* SPDX-License-Identifier: MIT */
/*
 * What carries messages: the interface between the client above and a broker's protocol below.
 *
 * A transport knows no handlers, no retries and no outbox. It keeps a connection (or what stands
 * for one) alive for ever, makes its consumers and its publisher work whenever there is one, and
 * says what became of each message.
 *
 * Two kinds of publishing. A *remote* transport pulls from a gw__source, which keeps messages until
 * they are settled: after a lost connection the transport says rewind() and is handed everything
 * undecided again, in order. A *local* transport has publish(), which is done when it returns.
 */
#ifndef GW_MESSAGING_TRANSPORT_H
#define GW_MESSAGING_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/error.h>
#include <godwit/message.h>
#include <godwit/messaging.h>
#include <godwit/url.h>

typedef struct gw__transport gw__transport;
typedef struct gw__consumer gw__consumer;

/* Where messages are published: an exchange with its type, or a queue through the default exchange.
 * Made once a client and name, lives as long as the client, so a pointer identifies it. */
typedef struct gw__target {
    const char *exchange; /* "" for a queue */
    gw_exchange_type type;
    const char *queue; /* NULL for an exchange */
    gw_queue_type queue_type;
    unsigned delay_ms; /* of a queue: it gets the message so much later; 0: at once */
    /* With a delay, the broker's queue in which it waits: "<queue>.retry.<delay_ms>"; else NULL. A
     * transport that needs no such queue ignores it. */
    const char *waiting_queue;
    uint64_t declared_epoch; /* the transport's: the connection in which it was declared last, 0 for
                                none */
    uint64_t trusted_at_ms;  /* the transport's: when a queue for waiting that it made is old enough
                                to be used; 0: at once */
    unsigned n_timeouts;     /* the transport's: how often in a row it did not answer in time */
    uint64_t nacked_since_ns; /* the transport's: since when it has refused all messages; 0: not */
    unsigned n_renewals;      /* the transport's: how often a new channel was tried for that */
    _Atomic(struct gw__lane *) lane; /* the relay's */
} gw__target;

/* One message on its way out. Owned by the source; the transport borrows it from next() until
 * settle() or rewind(). */
typedef struct gw__outgoing {
    gw_message *msg; /* not to be changed */
    gw__target *target;
    const char *routing_key; /* never NULL */
    bool mandatory;
} gw__outgoing;

/* What a remote transport publishes from. Called only on the transport's publishing thread, with no
 * lock of the transport held. */
typedef struct gw__source {
    /* Hand out up to `max` messages in order. Called when there is room, after wake(), and at least
     * once a second. */
    size_t (*next)(void *ctx, gw__outgoing **ret_items, size_t max);
    /* Done with these, all with the same outcome: GW_OK confirmed; GW_E_REFUSED nacked, to be
     * handed out again later; GW_E_UNROUTABLE returned (the confirm that follows a return is not
     * reported); anything else: cannot be sent, for good. `why` is NULL for GW_OK. */
    void (*settle)(void *ctx, gw__outgoing *const *items, size_t n_items, gw_status outcome,
                   const gw_error *why);
    /* Everything handed out and not settled is undecided and to be handed out again, before newer
     * ones. */
    void (*rewind)(void *ctx);
    void *ctx;
} gw__source;

/* What a subscription needs of the broker. Strings and headers are copied by subscribe(). */
typedef struct gw__consumer_spec {
    const char *queue; /* its name, made by the client for a temporary queue */
    bool temporary;    /* of this subscription alone: not durable, deleted with it, expires a minute
                          after its last consumer */
    gw_queue_type queue_type; /* of a work queue */
    const char *exchange;     /* to declare and bind to; NULL for none */
    gw_exchange_type exchange_type;
    const char *binding_key; /* with an exchange */
    /* With a headers exchange: those that a message must have, or with `match_any` one of them, as
     * gw__headers_match() has it. */
    const gw_header *binding_headers;
    size_t n_binding_headers;
    bool match_any;
    const char *consumer_name;
    uint16_t prefetch; /* 1 or more; 0 with `passive`: only look it up */
    bool passive;      /* only if the queue exists, of whichever kind; without an exchange */
} gw__consumer_spec;

/* A delivery that is to be settled. Epochs count the times that the consumer was (re)started;
 * settling one of an old epoch does nothing. */
typedef struct gw__delivery {
    uint64_t epoch;
    uint64_t tag;
} gw__delivery;

/* Where deliveries go. Called on the transport's consuming thread, no lock held; must not block. */
typedef struct gw__sink {
    void (*deliver)(void *ctx, gw_message *msg /* taken */, gw__delivery delivery);
    /* Those are all for the moment: called after the last of a batch, so that whoever is woken for
     * them is woken once. */
    void (*delivered)(void *ctx);
    /* Deliveries of this epoch and before that are not settled will be delivered again by the
     * broker. */
    void (*lost)(void *ctx, uint64_t epoch);
    /* Whether the broker has confirmed this consumer; `why` is NULL when it has, and when it only
     * waits for the connection. */
    void (*state)(void *ctx, bool consuming, const gw_error *why);
    /* Of a passive consumer, and before it consumes: so many messages wait in the queue, and so
     * many others consume from it. NULL with one that is not passive. */
    void (*found)(void *ctx, uint64_t n_waiting, uint64_t n_consumers);
    void *ctx;
} gw__sink;

typedef enum gw__settlement { GW__ACK, GW__REQUEUE } gw__settlement;

/* Told the client. Called on a thread of the transport, no lock held; must not block. */
typedef struct gw__transport_events {
    /* `why`: NULL when up; the reason of CONNECTING and BLOCKED. DEGRADED is made by the client
     * from the sinks' states. */
    void (*state)(void *ctx, gw_client_state state, const gw_error *why);
    void *ctx;
} gw__transport_events;

typedef struct gw__transport_options {
    const char *name; /* for the operator; copied */
    unsigned heartbeat_s;
    gw_outbox_level level; /* what a durable local transport keeps messages through */
    gw__source source;     /* of a remote transport; zeroed for a local one */
} gw__transport_options;

typedef struct gw__transport_type {
    const char *scheme; /* of its URLs */

    /* Of a local transport: what was published survives the process, and at the level disk power
     * loss, before publish() returns. */
    bool durable;

    /* Check the URL, make the transport and start connecting in the background. `url` is the whole
     * text, since each scheme has its own form; borrowed. Fails for what no time will mend. */
    gw_status (*open)(const char *url, const gw__transport_options *options,
                      const gw__transport_events *events, gw__transport **ret_transport,
                      gw_error *err);

    /* Remote: there is something new in the source. Any thread; cheap when the publisher is busy.
     * NULL for a local transport. */
    void (*wake)(gw__transport *transport);

    /* Local: publish and be done. Any thread. GW_E_UNROUTABLE for a mandatory message that no queue
     * takes. NULL for a remote transport. */
    gw_status (*publish)(gw__transport *transport, const gw__outgoing *item, gw_error *err);

    /* Local: publish all in order, and wait for the disk, where that is due, once. They can be for
     * different targets. On failure the first `*ret_n_done` are published, the status is that of
     * the next one, and those behind it were not tried; set in any case. NULL: publish() is called
     * for each. */
    gw_status (*publish_many)(gw__transport *transport, const gw__outgoing *items, size_t n_items,
                              size_t *ret_n_done, gw_error *err);

    /* Consume, now or once there is a connection, until release(). Any thread. Deliveries can come
     * before it returns. */
    gw_status (*subscribe)(gw__transport *transport, const gw__consumer_spec *spec,
                           const gw__sink *sink, gw__consumer **ret_consumer, gw_error *err);

    /* Settle deliveries. Any thread; does not wait. Batches are welcome. */
    void (*settle)(gw__consumer *consumer, const gw__delivery *deliveries, size_t n_deliveries,
                   gw__settlement how);

    /* From now on so many deliveries may be out unsettled, 1 or more. Any thread; does not wait
     * and does not call back. Nothing that is out changes hands, nothing is lost, the order stays.
     * NULL: it cannot. */
    void (*set_prefetch)(gw__consumer *consumer, uint16_t prefetch);

    /* Ask the broker for no more; waits for its answer, for the loss of the connection, or for
     * `timeout_ms`. deliver() can be called until it returns, not after; deliveries can still be
     * settled. Not on a thread of the transport. */
    void (*cancel)(gw__consumer *consumer, unsigned timeout_ms);

    /* After cancel(): write out the settlements, delete a temporary queue, free the consumer. What
     * was not settled goes back to the queue. No call to the sink is running or will come when it
     * returns. Waits as cancel() does. */
    void (*release)(gw__consumer *consumer, unsigned timeout_ms);

    /* After all consumers are released: say goodbye, end the threads, free. The source is not
     * called after it returns. */
    void (*close)(gw__transport *transport, unsigned timeout_ms);
} gw__transport_type;

/* The head of every transport's struct. */
struct gw__transport {
    const gw__transport_type *type;
};

/* The head of every consumer's struct. */
struct gw__consumer {
    gw__transport *transport;
};

/* The transports of the library; the table in transports.c finds one by the URL's scheme. A scheme
 * that is known to be missing has a clear error there. */
extern const gw__transport_type gw__amqp_transport;
extern const gw__transport_type gw__bus_transport;
extern const gw__transport_type gw__memory_transport;

gw_status gw__transport_find(const char *url, const gw__transport_type **ret_type, gw_error *err);

#endif
