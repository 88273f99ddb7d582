/* SPDX-License-Identifier: MIT */
/* No wake is lost: a thread joins before it compares a ticket, so a wake that comes after the
 * comparison rings its bell; and a wake counts before it rings, so who hears it sees the count. */
#include "http/channel.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct gw_http_channel {
    _Atomic uint64_t n_wakes;
    pthread_mutex_t lock;
    gw__http_listener *listeners;
};

/* Any thread; does not block. */
static void ring(gw__http_bell *bell)
{
    if (atomic_exchange(&bell->is_rung, true)) {
        return; /* and not looked at yet */
    }
    uint64_t one = 1;
    while (write(bell->fd, &one, sizeof(one)) < 0 && errno == EINTR) {}
}

bool gw__http_bell_take(gw__http_bell *bell)
{
    return atomic_load_explicit(&bell->is_rung, memory_order_relaxed) &&
           atomic_exchange(&bell->is_rung, false);
}

gw_http_channel *gw_http_channel_new(void)
{
    gw_http_channel *channel = calloc(1, sizeof(*channel));
    if (channel != NULL) {
        atomic_init(&channel->n_wakes, 1);
        pthread_mutex_init(&channel->lock, NULL);
    }
    return channel;
}

void gw_http_channel_free(gw_http_channel *channel)
{
    if (channel != NULL) {
        assert(channel->listeners == NULL);
        pthread_mutex_destroy(&channel->lock);
        free(channel);
    }
}

uint64_t gw_http_channel_ticket(gw_http_channel *channel)
{
    return atomic_load(&channel->n_wakes);
}

void gw_http_channel_wake(gw_http_channel *channel)
{
    pthread_mutex_lock(&channel->lock);
    atomic_fetch_add(&channel->n_wakes, 1);
    for (gw__http_listener *l = channel->listeners; l != NULL; l = l->next) {
        ring(l->bell);
    }
    pthread_mutex_unlock(&channel->lock);
}

void gw__http_channel_join(gw_http_channel *channel, gw__http_listener *listener)
{
    pthread_mutex_lock(&channel->lock);
    listener->next = channel->listeners;
    channel->listeners = listener;
    pthread_mutex_unlock(&channel->lock);
}

void gw__http_channel_leave(gw_http_channel *channel, gw__http_listener *listener)
{
    pthread_mutex_lock(&channel->lock);
    gw__http_listener **slot = &channel->listeners;
    while (*slot != listener) {
        slot = &(*slot)->next;
    }
    *slot = listener->next;
    pthread_mutex_unlock(&channel->lock);
}
