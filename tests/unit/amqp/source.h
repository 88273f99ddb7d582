/* SPDX-License-Identifier: MIT */
/* A gw__source that the test fills and whose settlements it waits for; and the transport around it,
 * with its states. */
#ifndef TESTS_AMQP_SOURCE_H
#define TESTS_AMQP_SOURCE_H

#include <pthread.h>

#include "messaging/transport.h"

#define SOURCE_MAX 4096

typedef struct source_item {
    gw__outgoing out; /* first: the transport hands back its address */
    char id[256];
    bool handed_out;
    bool settled;
    gw_status outcome;
    int native;
    char why[GW_ERROR_TEXT_MAX];
    unsigned n_handed_out;
} source_item;

typedef struct source {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    source_item items[SOURCE_MAX];
    size_t n_items;
    unsigned n_rewinds;
    gw__transport *transport;
    gw_client_state state;
    char reason[GW_ERROR_TEXT_MAX];
    unsigned n_states;
} source;

source *source_new(void);

/* For what is tested without a transport. */
gw__source source_callbacks(source *src);

/* Open the transport on `url`. */
void source_open(source *src, const char *url);
gw_status source_try_open(source *src, const char *url, gw_error *err);

/* Close the transport if it is open, and free. */
void source_free(source *src);
void source_close(source *src, unsigned timeout_ms);

/* Add a message and wake the transport. Returns its number. `body_len` bytes of body. */
size_t source_add(source *src, gw__target *target, const char *id, size_t body_len);
/* The same with a message of the test's, which is taken. */
size_t source_add_message(source *src, gw__target *target, gw_message *msg, bool mandatory);

/* Wait until the n-th is settled so; fails the test otherwise. */
void source_wait(source *src, size_t n, gw_status outcome);
bool source_is_settled(source *src, size_t n);
/* The reason it was settled for; good until the end of the test. */
const char *source_why(source *src, size_t n);
unsigned source_handed_out(source *src, size_t n);

void source_wait_rewinds(source *src, unsigned n);

/* Wait for a state whose reason contains `text`. */
void source_wait_state(source *src, gw_client_state state, const char *text);

/* For a consumer of which only the conversation with the broker matters. */
extern const gw__sink sink_that_ignores;

#endif
