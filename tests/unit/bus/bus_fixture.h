/* SPDX-License-Identifier: MIT */
/* A bus in a directory of its own, clients of it, and what they receive. */
#ifndef TESTS_BUS_FIXTURE_H
#define TESTS_BUS_FIXTURE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <godwit/messaging.h>

#include "bus/bus.h"

#define BUS_WAIT_MS 20000

/* Of the test that runs. */
extern char bus_dir[256];

int bus_make_dir(void **state);
int bus_remove_dir(void **state);

/* A client, with options of the URL such as "?max_messages=5" or "". */
gw_client *bus_client(const char *url_options);
void bus_close_client(gw_client *client);

/* Publish a text; the status. */
gw_status bus_send(gw_client *client, const char *queue, const char *text, gw_error *err);
gw_status bus_send_with(gw_client *client, const char *queue, const char *text, uint8_t priority,
                        int64_t expiration_ms);

/* What handlers get. */
typedef struct bus_box {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t n;
    char texts[4000][32];
    bool redelivered[4000];
    char reason[256]; /* of the last dead letter */
} bus_box;

bus_box *bus_new_box(void);
void bus_free_box(bus_box *box);
gw_subscription *bus_collect(gw_client *client, const char *queue, uint16_t prefetch, bus_box *box);
void bus_wait(bus_box *box, size_t n);

/* The handler; its context is the box. */
gw_verdict bus_keep(void *ctx, const gw_message *msg, gw_error *why);

/* The texts, with spaces between, are these. */
void bus_assert_texts(bus_box *box, const char *texts);

/* The bus itself, once more open. */
gw__bus *bus_open(void);

#endif
