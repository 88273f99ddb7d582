/* SPDX-License-Identifier: MIT */
/**
 * @file channel.h
 * A channel of <godwit/http.h> as the server threads see it: a number that grows with each wake,
 * and a bell for each thread whose requests wait for that.
 */
#ifndef GW_HTTP_CHANNEL_H
#define GW_HTTP_CHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>

#include <godwit/http.h>

/** Wakes a server thread. Shareable. */
typedef struct gw__http_bell {
    int fd;              /**< an eventfd, for the thread to wait on */
    atomic_bool is_rung; /**< since the thread last looked */
} gw__http_bell;

/** Whether it was rung. What was done before that is seen after this. @thread the bell's */
bool gw__http_bell_take(gw__http_bell *bell);

/** One whom a channel tells. */
typedef struct gw__http_listener {
    struct gw__http_listener *next;
    gw__http_bell *bell;
} gw__http_listener;

/** From now on each wake rings `listener->bell`. The listener is borrowed until it leaves. */
void gw__http_channel_join(gw_http_channel *channel, gw__http_listener *listener);
void gw__http_channel_leave(gw_http_channel *channel, gw__http_listener *listener);

#endif
