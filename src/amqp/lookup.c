/* SPDX-License-Identifier: MIT */
#include "amqp/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct gw__lookup {
    pthread_mutex_t lock;
    int event_fd;
    bool done;    /* the lock */
    bool dropped; /* the lock; whoever comes second frees */
    int rc;       /* getaddrinfo's */
    gw__addresses addresses;
    uint16_t port;
    char host[];
};

static void take_addresses(const struct addrinfo *list, gw__addresses *addresses)
{
    addresses->n_items = 0;
    for (; list != NULL && addresses->n_items < GW__ADDRESSES_MAX; list = list->ai_next) {
        memcpy(&addresses->items[addresses->n_items], list->ai_addr, list->ai_addrlen);
        addresses->lens[addresses->n_items] = list->ai_addrlen;
        addresses->n_items++;
    }
}

static int look_up(const char *host, uint16_t port, int flags, gw__addresses *addresses)
{
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(host, service, &hints, &list);
    if (rc == 0) {
        take_addresses(list, addresses);
        freeaddrinfo(list);
    }
    return rc;
}

bool gw__lookup_numeric(const char *host, uint16_t port, gw__addresses *ret_addresses)
{
    return look_up(host, port, AI_NUMERICHOST, ret_addresses) == 0;
}

static void destroy(gw__lookup *lookup)
{
    close(lookup->event_fd);
    pthread_mutex_destroy(&lookup->lock);
    free(lookup);
}

static void *run(void *arg)
{
    gw__lookup *lookup = arg;
    gw__addresses addresses = {.n_items = 0};
    int rc = look_up(lookup->host, lookup->port, AI_ADDRCONFIG, &addresses);
    pthread_mutex_lock(&lookup->lock);
    lookup->rc = rc;
    lookup->addresses = addresses;
    lookup->done = true;
    bool dropped = lookup->dropped;
    if (!dropped) {
        eventfd_write(lookup->event_fd, 1);
    }
    pthread_mutex_unlock(&lookup->lock);
    if (dropped) {
        destroy(lookup);
    }
    return NULL;
}

static int start_thread(gw__lookup *lookup)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    int rc = pthread_create(&thread, &attr, run, lookup);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

gw_status gw__lookup_start(const char *host, uint16_t port, int event_fd, gw__lookup **ret_lookup,
                           gw_error *err)
{
    size_t len = strlen(host);
    gw__lookup *lookup = calloc(1, sizeof(*lookup) + len + 1);
    if (lookup == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory to look up '%s'", host);
    }
    memcpy(lookup->host, host, len + 1);
    lookup->port = port;
    pthread_mutex_init(&lookup->lock, NULL);
    lookup->event_fd = fcntl(event_fd, F_DUPFD_CLOEXEC, 0);
    int rc = lookup->event_fd < 0 ? errno : start_thread(lookup);
    if (rc != 0) {
        if (lookup->event_fd >= 0) {
            close(lookup->event_fd);
        }
        pthread_mutex_destroy(&lookup->lock);
        free(lookup);
        return gw_error_set_errno(err, rc, "no thread to look up '%s'", host);
    }
    *ret_lookup = lookup;
    return GW_OK;
}

bool gw__lookup_poll(gw__lookup *lookup, gw_status *ret_st, gw__addresses *ret_addresses,
                     gw_error *err)
{
    pthread_mutex_lock(&lookup->lock);
    bool done = lookup->done;
    pthread_mutex_unlock(&lookup->lock);
    if (!done) {
        return false;
    }
    if (lookup->rc == 0 && lookup->addresses.n_items > 0) {
        *ret_addresses = lookup->addresses;
        *ret_st = GW_OK;
    } else {
        *ret_st = gw_error_set(err, GW_E_UNAVAILABLE, lookup->rc, "%s",
                               lookup->rc != 0 ? gai_strerror(lookup->rc) : "no address");
    }
    return true;
}

const char *gw__lookup_host(const gw__lookup *lookup)
{
    return lookup->host;
}

void gw__lookup_drop(gw__lookup *lookup)
{
    if (lookup == NULL) {
        return;
    }
    pthread_mutex_lock(&lookup->lock);
    bool done = lookup->done;
    lookup->dropped = true;
    pthread_mutex_unlock(&lookup->lock);
    if (done) {
        destroy(lookup);
    }
}
