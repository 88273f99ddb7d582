/* SPDX-License-Identifier: MIT */
/**
 * @file bus.h
 * Look at an embedded bus and take care of it, from any process: what `godwit bus` is made of.
 *
 * Services need none of this: they use messaging.h with the URL "bus:DIR". All that is done here is
 * done beside them, while they run, unless it says otherwise.
 */
#ifndef GODWIT_BUS_H
#define GODWIT_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/api.h>
#include <godwit/error.h>
#include <godwit/message.h>

GW_BEGIN_DECLS

/** A bus that is open. One thread at a time. */
typedef struct gw_bus gw_bus;

typedef enum gw_bus_mode {
    GW_BUS_LOOK,  /**< change nothing: also where we may not write */
    GW_BUS_CHANGE /**< be one of its processes */
} gw_bus_mode;

/**
 * Open a bus that is there.
 *
 * @param where its directory, or its URL "bus:DIR".
 * @return GW_OK; GW_E_NOT_FOUND when there is none; GW_E_DENIED when we may not; GW_E_UNSUPPORTED
 * for one of a newer version, or on a network file system; GW_E_PROTOCOL, GW_E_IO for a damaged
 * one, which gw_bus_recover() repairs; GW_E_NO_SPACE, GW_E_LIMIT, GW_E_NOMEM.
 */
GW_API GW_MUST_CHECK gw_status gw_bus_open(const char *where, gw_bus_mode mode, gw_bus **ret_bus,
                                           gw_error *err);

/** Accepts NULL. */
GW_API void gw_bus_close(gw_bus *bus);

/** Its directory; borrowed. */
GW_API const char *gw_bus_dir(const gw_bus *bus);

/** @name Looking @{ */

typedef struct gw_bus_summary {
    unsigned version;     /**< of its format */
    unsigned n_processes; /**< that have it open, without this one */
    size_t n_queues;
    size_t n_temporary; /**< of them */
    size_t n_exchanges;
    size_t n_bindings;
    uint64_t n_ready;
    uint64_t n_leased;   /**< at consumers */
    uint64_t n_delayed;  /**< until they are tried again */
    uint64_t n_damaged;  /**< set aside since their bytes were damaged */
    uint64_t n_bytes;    /**< of all messages, about */
    uint64_t disk_bytes; /**< what the directory takes on the disk */
} gw_bus_summary;

GW_API GW_MUST_CHECK gw_status gw_bus_summarize(gw_bus *bus, gw_bus_summary *ret_summary,
                                                gw_error *err);

/** A process that has the bus open. Borrowed until the visitor returns. */
typedef struct gw_bus_process {
    int64_t pid;       /**< as the process sees itself: in a container that is another number */
    const char *name;  /**< of its client */
    uint64_t since_ms; /**< unix milliseconds */
} gw_bus_process;

/** Returns false to stop. As all visitors here, it must not call into the bus. */
typedef bool (*gw_bus_process_visitor)(void *ctx, const gw_bus_process *process);

/** Visit the processes, without this one. */
GW_API void gw_bus_visit_processes(gw_bus *bus, gw_bus_process_visitor visitor, void *ctx);

/** What becomes of a message for which a queue's limits leave no room. */
typedef enum gw_bus_overflow {
    GW_BUS_REFUSE,      /**< publishing fails with GW_E_FULL */
    GW_BUS_DROP_OLDEST, /**< the oldest are dropped */
    GW_BUS_DEAD_LETTER  /**< the oldest move to "<queue>.dead" */
} gw_bus_overflow;

/** "refuse", "drop-oldest", "dead-letter". Static. */
GW_API const char *gw_bus_overflow_name(gw_bus_overflow overflow);

typedef struct gw_bus_limits {
    uint64_t max_messages; /**< 0: no limit */
    uint64_t max_bytes;    /**< 0: no limit */
    gw_bus_overflow overflow;
} gw_bus_limits;

/** A queue at this moment. Borrowed until the visitor returns. */
typedef struct gw_bus_queue {
    const char *name;
    bool temporary; /**< goes with its subscription */
    uint64_t n_ready;
    uint64_t n_leased;
    uint64_t n_delayed;
    uint64_t n_bytes; /**< of all of them, about */
    uint32_t n_consumers;
    gw_bus_limits limits;
    uint64_t n_in;  /**< since the queue was made: came in, those that were tried again included */
    uint64_t n_out; /**< were acknowledged, ... */
    uint64_t n_expired;
    uint64_t n_dropped; /**< by a limit or a purge */
    uint64_t n_redelivered;
    uint64_t n_damaged;
} gw_bus_queue;

typedef bool (*gw_bus_queue_visitor)(void *ctx, const gw_bus_queue *queue);

/** Visit the queues in order of their names. */
GW_API GW_MUST_CHECK gw_status gw_bus_visit_queues(gw_bus *bus, gw_bus_queue_visitor visitor,
                                                   void *ctx, gw_error *err);

typedef enum gw_bus_part {
    GW_BUS_READY,
    GW_BUS_LEASED, /**< at a consumer */
    GW_BUS_DELAYED /**< until it is tried again */
} gw_bus_part;

/** A message in a queue. Borrowed until the visitor returns. */
typedef struct gw_bus_entry {
    gw_bus_part part;
    uint64_t due_ms; /**< of a delayed one: when it is ready, unix milliseconds */
    const gw_message *msg;
} gw_bus_entry;

typedef bool (*gw_bus_visitor)(void *ctx, const gw_bus_entry *entry);

/** Visit the messages of a queue without taking them, in the order in which they will be taken; the
 * delayed ones last. What comes and goes meanwhile may be missed or shown. GW_E_NOT_FOUND. */
GW_API GW_MUST_CHECK gw_status gw_bus_visit(gw_bus *bus, const char *queue, gw_bus_visitor visitor,
                                            void *ctx, gw_error *err);

/** @} @name Changing: a bus that is open to GW_BUS_CHANGE @{ */

/** Drop what is ready or delayed in a queue. What consumers have stays. GW_E_NOT_FOUND. */
GW_API GW_MUST_CHECK gw_status gw_bus_purge(gw_bus *bus, const char *queue, uint64_t *ret_n_dropped,
                                            gw_error *err);

/** Limit a queue. What is in it stays, also when it is more. GW_E_NOT_FOUND. */
GW_API GW_MUST_CHECK gw_status gw_bus_set_limits(gw_bus *bus, const char *queue,
                                                 const gw_bus_limits *limits, gw_error *err);

/** Deals with a message. Returns false to leave it in the queue, and to end. Called on the thread
 * of gw_bus_consume(); may block. */
typedef bool (*gw_bus_consumer)(void *ctx, const gw_message *msg);

typedef struct gw_bus_consume_options {
    size_t max_messages; /**< 0: no limit */
    bool follow;         /**< wait for more when the queue is empty */
    int stop_fd;         /**< with `follow`: end when this can be read; -1: none */
} gw_bus_consume_options;

/**
 * Take messages from a queue, one after the other; each is acknowledged when the consumer has
 * returned true, and comes again if this process ends before.
 *
 * @param ret_n may be NULL; how many were acknowledged, also on failure.
 * @return GW_OK; GW_E_NOT_FOUND without the queue; GW_E_PROTOCOL at a damaged message.
 */
GW_API GW_MUST_CHECK gw_status gw_bus_consume(gw_bus *bus, const char *queue,
                                              const gw_bus_consume_options *options,
                                              gw_bus_consumer consumer, void *ctx, size_t *ret_n,
                                              gw_error *err);

/**
 * Copy the bus as it is at one moment, while others work with it, into a directory which is made;
 * that is a bus. When this fails, nothing is left there.
 *
 * @param stop_fd when this can be read, it ends with GW_E_CLOSED; -1: none.
 * @return GW_OK; GW_E_EXISTS when `to` exists; GW_E_BUSY when queues come and go too fast;
 * GW_E_NO_SPACE, GW_E_DENIED, GW_E_IO, GW_E_NOMEM.
 */
GW_API GW_MUST_CHECK gw_status gw_bus_backup(gw_bus *bus, const char *to, int stop_fd,
                                             gw_error *err);

/** How far a queue is moved. Borrowed until the function returns. */
typedef struct gw_bus_moving {
    const char *queue;
    bool temporary;     /**< it is left out */
    uint64_t n_waiting; /**< ready and delayed, when it began with this queue */
    uint64_t n_moved;
    bool ended; /**< this was the last call for this queue */
} gw_bus_moving;

typedef struct gw_bus_move_options {
    bool dry_run;        /**< connect and count only */
    unsigned timeout_ms; /**< longest time without anything happening; 0: 10,000 */
    /** Called at the beginning and the end of each queue and about five times a second; may be
     * NULL. */
    void (*progress)(void *ctx, const gw_bus_moving *moving);
    void *ctx;
} gw_bus_move_options;

/**
 * Move all messages of all queues to the queues of the same names of a broker, which are declared.
 * Each is removed when the broker has confirmed it. The order stays, and so do properties and
 * headers; a user id that is not the connection's user is left out, since RabbitMQ would refuse the
 * message. Delayed ones go to their queue at once. Temporary queues are left out.
 *
 * What was on its way when this was cut off may be in both; it can be called again.
 *
 * @param url as for gw_connect(), amqp://.
 * @param ret_n_moved may be NULL; set on failure too.
 * @return GW_OK when nothing is left but what temporary queues have; GW_E_BUSY when the rest is at
 * consumers; GW_E_TIMEOUT; GW_E_INVALID; GW_E_UNSUPPORTED; what became of the first message that
 * the broker did not take.
 */
GW_API GW_MUST_CHECK gw_status gw_bus_move(gw_bus *bus, const char *url,
                                           const gw_bus_move_options *options,
                                           uint64_t *ret_n_moved, gw_error *err);

/** @} @name Repairing @{ */

/** What was found of a queue. Borrowed until the function returns. */
typedef struct gw_bus_recovered {
    const char *queue;    /**< NULL: of files that do not tell */
    uint64_t n_recovered; /**< messages */
    uint64_t n_damaged;   /**< places that could not be read, each of one message or more */
    uint64_t n_damaged_bytes;
} gw_bus_recovered;

typedef struct gw_bus_recovery {
    bool definitions_lost; /**< exchanges, bindings and limits: queues were found by their files */
    uint64_t n_recovered;
    uint64_t n_damaged;
    char moved_to[4224]; /**< where the damaged bus is now */
} gw_bus_recovery;

/**
 * Make a new bus of what can be read of a damaged one, in its place; the old one is moved aside.
 * Temporary queues are left out. When this fails, the old one is as it was.
 *
 * @param found called for each queue; may be NULL.
 * @return GW_OK; GW_E_BUSY while processes use it; GW_E_NOT_FOUND; GW_E_UNSUPPORTED for a newer
 * version; GW_E_NO_SPACE, GW_E_DENIED, GW_E_IO, GW_E_NOMEM.
 */
GW_API GW_MUST_CHECK gw_status
gw_bus_recover(const char *where, void (*found)(void *ctx, const gw_bus_recovered *queue),
               void *ctx, gw_bus_recovery *ret_recovery, gw_error *err);

/** @} */

GW_END_DECLS

#endif
