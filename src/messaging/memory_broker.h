/* SPDX-License-Identifier: MIT */
/*
 * The broker behind memory: URLs: exchanges, bindings and queues of this process, as RabbitMQ has
 * them as far as a client can tell, and the registry that finds a broker by its name.
 *
 * Left out: surviving the last client.
 *
 * Everything named _locked needs broker->lock held. The registry's own lock is taken before it.
 */
#ifndef GW_MESSAGING_MEMORY_BROKER_H
#define GW_MESSAGING_MEMORY_BROKER_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "messaging/memory_queue.h"
#include "messaging/transport.h"

#define GW__BROKER_NAME_MAX     255
#define GW__BROKER_MAX_MESSAGES ((size_t)1000000)
#define GW__BROKER_MAX_BYTES    ((size_t)256 << 20)
#define GW__BROKER_MAX_OBJECTS  ((size_t)10000) /* queues, exchanges and bindings, each */

typedef struct gw__broker_limits {
    size_t max_messages;
    size_t max_bytes;
} gw__broker_limits;

typedef struct gw__broker {
    struct gw__broker *next; /* of the registry, ... */
    size_t refs;             /* ... and under its lock */
    char name[GW__BROKER_NAME_MAX + 1];
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something was published or returned, or a consumer came to rest */
    gw__broker_limits limits;
    gw__load load;
    struct gw__exchange *exchanges;
    gw__queue *queues;
    size_t n_exchanges;
    size_t n_queues;
    size_t n_bindings;
    uint64_t n_published;
    uint64_t next_due_ms; /* of what is delayed in any queue; UINT64_MAX: nothing is */
    struct gw__memory_transport *transports; /* kept by memory.c */
} gw__broker;

/* Name and limits of "memory:NAME" or "memory:NAME?max_messages=N&max_bytes=N". */
gw_status gw__broker_parse_url(const char *url, char ret_name[GW__BROKER_NAME_MAX + 1],
                               gw__broker_limits *ret_limits, gw_error *err);

/* The broker of the URL, with a reference. Made if there is none, and then with the URL's limits.
 */
gw_status gw__broker_open(const char *url, gw__broker **ret_broker, gw_error *err);

/* The broker of the URL, with a reference; GW_E_NOT_FOUND when no client has it open. */
gw_status gw__broker_find(const char *url, gw__broker **ret_broker, gw_error *err);

/* Give a reference back; the last one frees it with all it holds. */
void gw__broker_close(gw__broker *broker);

/* Declare the target and route the message, now or once it is due. When the broker is full, no
 * queue gets it. Takes the lock. */
gw_status gw__broker_publish(gw__broker *broker, const gw__outgoing *item, gw_error *err);

/* Declare what a consumer needs, and bind it. GW_E_EXISTS when something exists and is of another
 * kind; GW_E_NOT_FOUND when it is only to be looked up and is missing. */
gw_status gw__broker_declare_locked(gw__broker *broker, const gw__consumer_spec *spec,
                                    gw__queue **ret_queue, gw_error *err);

/* Put what is due into its queues; returns when the next is, UINT64_MAX for never. */
uint64_t gw__broker_ripen_locked(gw__broker *broker);

/* NULL if there is none. */
gw__queue *gw__broker_queue_locked(gw__broker *broker, const char *name);

/* Delete a queue with its messages and bindings. It has no takers. */
void gw__broker_delete_queue_locked(gw__broker *broker, gw__queue *queue);

#endif
