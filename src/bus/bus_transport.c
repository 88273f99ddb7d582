/* SPDX-License-Identifier: MIT */
/* The transport for bus: URLs. All transports of a process over one directory share a bus, and its
 * thread calls their clients. */
#include <assert.h>
#include <stdlib.h>

#include "bus/bus_reader.h"

static gw_status bus_open(const char *url, const gw__transport_options *options,
                          const gw__transport_events *events, gw__transport **ret_transport,
                          gw_error *err)
{
    gw__bus_url parsed;
    gw_status st = gw__bus_parse_url(url, &parsed, err);
    if (st != GW_OK) {
        return st;
    }
    gw__bus_client *transport = calloc(1, sizeof(*transport));
    if (transport == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "bus in %s: out of memory", parsed.place.dir);
    }
    transport->head.type = &gw__bus_transport;
    transport->limits = parsed;
    transport->to_disk = options->level == GW_OUTBOX_DISK;
    transport->events = *events;
    transport->news = true;
    st = gw__bus_open(&parsed.place, options->name, &transport->bus, err);
    if (st == GW_OK) {
        st = gw__bus_start_reader(transport->bus, err);
    }
    if (st != GW_OK) {
        gw__bus_close(transport->bus);
        free(transport);
        return st;
    }
    gw__bus *bus = transport->bus;
    *ret_transport = &transport->head; /* before it is told anything */
    pthread_mutex_lock(&bus->lock);
    transport->next = bus->transports;
    bus->transports = transport;
    pthread_mutex_unlock(&bus->lock);
    gw__bus_ring_reader(bus);
    return GW_OK;
}

static gw_status bus_publish(gw__transport *head, const gw__outgoing *item, gw_error *err)
{
    gw__bus_client *transport = (gw__bus_client *)head;
    size_t n_done;
    return gw__bus_publish(transport->bus, item, 1, &transport->limits, transport->to_disk, &n_done,
                           err);
}

static gw_status bus_publish_many(gw__transport *head, const gw__outgoing *items, size_t n_items,
                                  size_t *ret_n_done, gw_error *err)
{
    gw__bus_client *transport = (gw__bus_client *)head;
    gw_status st = GW_OK;
    *ret_n_done = 0;
    while (st == GW_OK && *ret_n_done < n_items) {
        const gw__outgoing *rest = items + *ret_n_done;
        size_t n = 1;
        while (n < n_items - *ret_n_done && rest[n].target == rest[0].target) {
            n++;
        }
        size_t n_done;
        st = gw__bus_publish(transport->bus, rest, n, &transport->limits, transport->to_disk,
                             &n_done, err);
        *ret_n_done += n_done;
    }
    return st;
}

static void bus_close(gw__transport *head, unsigned timeout_ms)
{
    (void)timeout_ms; /* sinks do not block, so nothing here takes time */
    gw__bus_client *transport = (gw__bus_client *)head;
    gw__bus *bus = transport->bus;
    pthread_mutex_lock(&bus->lock);
    gw__bus_client **link = &bus->transports;
    while (*link != transport) {
        link = &(*link)->next;
    }
    *link = transport->next;
    while (transport->busy) {
        pthread_cond_wait(&bus->changed, &bus->lock);
    }
    pthread_mutex_unlock(&bus->lock);
    free(transport);
    gw__bus_close(bus);
}

const gw__transport_type gw__bus_transport = {
    .scheme = "bus",
    .durable = true,
    .open = bus_open,
    .publish = bus_publish,
    .publish_many = bus_publish_many,
    .subscribe = gw__bus_subscribe,
    .settle = gw__bus_settle,
    .set_prefetch = gw__bus_set_prefetch,
    .cancel = gw__bus_cancel,
    .release = gw__bus_release,
    .close = bus_close,
};
