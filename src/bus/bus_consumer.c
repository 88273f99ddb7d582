/* SPDX-License-Identifier: MIT */
/* What a client does with a consumer of a bus, on any thread. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus_reader.h"

#define SETTLE_MAX 128

/* ---- making one ---------------------------------------------------------------------------- */

static bool copy_name(char to[GW__BUS_NAME_MAX + 1], const char *name)
{
    size_t len = name != NULL ? strlen(name) : 0;
    if (len > GW__BUS_NAME_MAX) {
        return false;
    }
    if (len > 0) {
        memcpy(to, name, len);
    }
    to[len] = '\0';
    return true;
}

static gw_status copy_headers(gw__bus_consumer *consumer)
{
    gw__consumer_spec *spec = &consumer->spec;
    if (spec->n_binding_headers == 0) {
        return GW_OK;
    }
    consumer->headers = gw_message_new("", 0);
    gw_status st = consumer->headers != NULL ? GW_OK : GW_E_NOMEM;
    for (size_t i = 0; st == GW_OK && i < spec->n_binding_headers; i++) {
        const gw_header *header = &spec->binding_headers[i];
        st = gw_message_set_header(consumer->headers, header->name, &header->value);
    }
    if (st == GW_OK) {
        spec->n_binding_headers = gw_message_n_headers(consumer->headers);
        spec->binding_headers =
            spec->n_binding_headers > 0 ? gw_message_header_at(consumer->headers, 0) : NULL;
    }
    return st;
}

static void free_consumer(gw__bus_consumer *consumer)
{
    gw_message_free(consumer->headers);
    pthread_mutex_destroy(&consumer->lock);
    free(consumer);
}

static gw_status new_consumer(gw__transport *head, const gw__consumer_spec *spec,
                              const gw__sink *sink, gw__bus_consumer **ret_consumer, gw_error *err)
{
    gw__bus_consumer *consumer = calloc(1, sizeof(*consumer));
    if (consumer == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "subscription to '%s': out of memory", spec->queue);
    }
    consumer->head.transport = head;
    consumer->bus = ((gw__bus_client *)head)->bus;
    consumer->sink = *sink;
    consumer->spec = *spec;
    consumer->epoch = 1;
    consumer->prefetch = spec->prefetch;
    consumer->entry = GW__LOG_NOBODY;
    consumer->due_ms = UINT64_MAX;
    consumer->handed_at = UINT64_MAX;
    consumer->news = true;
    pthread_mutex_init(&consumer->lock, NULL);
    gw_status st = GW_OK;
    if (!copy_name(consumer->queue_name, spec->queue) ||
        !copy_name(consumer->exchange, spec->exchange) ||
        !copy_name(consumer->binding_key, spec->binding_key) ||
        !copy_name(consumer->name, spec->consumer_name)) {
        st = gw_error_set(err, GW_E_LIMIT, 0, "subscription: a name is longer than %d bytes",
                          GW__BUS_NAME_MAX);
    } else if (copy_headers(consumer) != GW_OK) {
        st = gw_error_set(err, GW_E_NOMEM, 0, "subscription to '%s': out of memory", spec->queue);
    }
    if (st != GW_OK) {
        free_consumer(consumer);
        return st;
    }
    consumer->spec.queue = consumer->queue_name;
    consumer->spec.exchange = spec->exchange != NULL ? consumer->exchange : NULL;
    consumer->spec.binding_key = consumer->binding_key;
    consumer->spec.consumer_name = consumer->name;
    *ret_consumer = consumer;
    return GW_OK;
}

gw_status gw__bus_subscribe(gw__transport *head, const gw__consumer_spec *spec,
                            const gw__sink *sink, gw__consumer **ret_consumer, gw_error *err)
{
    gw__bus_consumer *consumer = NULL;
    gw_status st = new_consumer(head, spec, sink, &consumer, err);
    if (st != GW_OK) {
        return st;
    }
    gw__bus *bus = consumer->bus;
    gw__bus_attach(consumer);
    *ret_consumer = &consumer->head;
    pthread_mutex_lock(&bus->lock);
    consumer->prev = bus->last;
    *(bus->last == NULL ? &bus->first : &bus->last->next) = consumer;
    bus->last = consumer;
    pthread_mutex_unlock(&bus->lock);
    gw__bus_ring_reader(bus);
    return GW_OK;
}

/* ---- settling ------------------------------------------------------------------------------- */

/* The slot of a delivery that is not settled; NULL if there is none. @locks consumer->lock */
static gw__bus_slot *find_slot(gw__bus_consumer *consumer, const gw__delivery *delivery)
{
    size_t place = delivery->tag & ((UINT64_C(1) << GW__BUS_SLOT_BITS) - 1);
    return delivery->epoch == consumer->epoch && place < consumer->n_slots && delivery->tag != 0 &&
                   consumer->slots[place].tag == delivery->tag
               ? &consumer->slots[place]
               : NULL;
}

/* @locks consumer->lock */
static void free_slot(gw__bus_consumer *consumer, gw__bus_slot *slot)
{
    slot->tag = 0;
    slot->next_free = consumer->first_free;
    consumer->first_free = (uint32_t)(slot - consumer->slots) + 1;
    consumer->n_unsettled--;
}

typedef struct settling {
    gw__bus_consumer *consumer;
    gw__log_settle_how how;
    uint32_t log;
    uint64_t positions[SETTLE_MAX];
    size_t n;
} settling;

/* @locks consumer->lock */
static void settle_gathered(settling *it)
{
    if (it->n > 0) {
        gw__log_settle(it->consumer->logs[it->log]->log, it->consumer->bus->member, it->positions,
                       it->n, it->how);
    }
    it->n = 0;
}

/* @locks consumer->lock */
static void gather(settling *it, gw__bus_slot *slot)
{
    if (it->n == SETTLE_MAX || (it->n > 0 && it->log != slot->log)) {
        settle_gathered(it);
    }
    it->log = slot->log;
    it->positions[it->n++] = slot->position;
    free_slot(it->consumer, slot);
}

void gw__bus_settle(gw__consumer *head, const gw__delivery *deliveries, size_t n_deliveries,
                    gw__settlement how)
{
    gw__bus_consumer *consumer = (gw__bus_consumer *)head;
    settling it;
    it.consumer = consumer;
    it.how = how == GW__REQUEUE ? GW__LOG_RETURN : GW__LOG_DONE;
    it.n = 0;
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < n_deliveries; i++) {
        gw__bus_slot *slot = find_slot(consumer, &deliveries[i]);
        if (slot != NULL) {
            gather(&it, slot);
        }
    }
    gw__log_state *main = it.n > 0 && how == GW__REQUEUE ? consumer->main : NULL;
    settle_gathered(&it);
    bool wanted = consumer->wants_room && consumer->n_unsettled < consumer->prefetch;
    consumer->wants_room = consumer->wants_room && !wanted;
    pthread_mutex_unlock(&consumer->lock);
    if (main != NULL) {
        gw__log_wake_one(consumer->bus->file.control, main);
    }
    if (wanted) {
        gw__bus_ring_reader(consumer->bus);
    }
}

void gw__bus_set_prefetch(gw__consumer *head, uint16_t prefetch)
{
    gw__bus_consumer *consumer = (gw__bus_consumer *)head;
    pthread_mutex_lock(&consumer->lock);
    consumer->prefetch = prefetch;
    bool wanted = consumer->wants_room && consumer->n_unsettled < prefetch;
    consumer->wants_room = consumer->wants_room && !wanted;
    pthread_mutex_unlock(&consumer->lock);
    if (wanted) {
        gw__bus_ring_reader(consumer->bus);
    }
}

/* ---- leaving ------------------------------------------------------------------------------------
 */

/* @locks bus->lock */
static void unlist(gw__bus *bus, gw__bus_consumer *consumer)
{
    if (bus->cursor == consumer) {
        bus->cursor = consumer->next;
    }
    *(consumer->prev == NULL ? &bus->first : &consumer->prev->next) = consumer->next;
    *(consumer->next == NULL ? &bus->last : &consumer->next->prev) = consumer->prev;
    consumer->prev = consumer->next = NULL;
}

void gw__bus_cancel(gw__consumer *head, unsigned timeout_ms)
{
    (void)timeout_ms; /* a running call to the sink ends soon, since sinks do not block */
    gw__bus_consumer *consumer = (gw__bus_consumer *)head;
    gw__bus *bus = consumer->bus;
    pthread_mutex_lock(&bus->lock);
    bool first = !consumer->ended;
    if (first) {
        consumer->ended = true;
        unlist(bus, consumer);
    }
    while (consumer->busy) {
        pthread_cond_wait(&bus->changed, &bus->lock);
    }
    pthread_mutex_unlock(&bus->lock);
    if (first && consumer->main != NULL) {
        gw__bus_detach(consumer);
        /* It may have been rung for what it will not take any more. */
        gw__log_wake_all(bus->file.control, consumer->main);
    }
}

/* What was not settled goes back. */
static void return_all(gw__bus_consumer *consumer)
{
    settling it;
    it.consumer = consumer;
    it.how = GW__LOG_RETURN;
    it.n = 0;
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < consumer->n_slots; i++) {
        if (consumer->slots[i].tag != 0) {
            gather(&it, &consumer->slots[i]);
        }
    }
    settle_gathered(&it);
    pthread_mutex_unlock(&consumer->lock);
}

void gw__bus_release(gw__consumer *head, unsigned timeout_ms)
{
    gw__bus_cancel(head, timeout_ms); /* nothing to do if that was before */
    gw__bus_consumer *consumer = (gw__bus_consumer *)head;
    gw__bus *bus = consumer->bus;
    if (consumer->main != NULL) {
        bool any = consumer->n_unsettled > 0;
        return_all(consumer);
        if (any) {
            gw__log_wake_all(bus->file.control, consumer->main);
        }
    }
    /* Also one that it could not bind; but not another's of the same name. */
    if (consumer->spec.temporary && consumer->refusal.status != GW_E_EXISTS) {
        (void)gw__bus_delete_queue(bus, consumer->queue_name, NULL);
    }
    gw__bus_forget_queue(consumer);
    free_consumer(consumer);
}
