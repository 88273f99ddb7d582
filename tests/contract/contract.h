/* SPDX-License-Identifier: MIT */
/*
 * The contract suite: what <godwit/messaging.h> promises, asked of each transport through that
 * header alone. A test gets a fresh fixture; its names are unique, so suites run beside each other
 * on one broker, and what it made is removed behind it.
 */
#ifndef TESTS_CONTRACT_H
#define TESTS_CONTRACT_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/messaging.h>

#define WAIT_MS 20000 /* for what must happen; nothing waits so long unless a test fails */
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---- the transport under test, one file each ---------------------------------- */

typedef struct contract_transport {
    const char *name;
    const char *url;
    const char *full_url; /* of a broker that takes 5 messages, or none, and never more */
    const char *user;     /* who we are to the broker */
    bool unsigned_long;   /* whether integers above INT64_MAX arrive as such, not as text */
    /* Delete these, whichever exist. */
    void (*remove)(const char *const *queues, size_t n_queues, const char *const *exchanges,
                   size_t n_exchanges);
    /* Make, as its operator would, the queue in which messages of another wait for so long; NULL if
     * there is no such thing. One that the library makes itself is not used for some seconds. */
    void (*make_retry_queue)(const char *name, const char *queue, unsigned delay_ms);
} contract_transport;

/* Prepare it; prints why and returns NULL when that is not possible. */
const contract_transport *contract_open(void);

/* ---- received messages ------------------------------------------------------------ */

typedef struct received {
    gw_message *msg; /* a copy */
    char *exchange;
    char *queue;
    bool redelivered;
    unsigned attempt;
    uint64_t at_ms;
} received;

/* Where a handler puts messages, and what it answers. */
typedef struct inbox {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    received *items;
    size_t n_items;
    size_t cap;
    unsigned n_running;   /* handlers at this moment */
    unsigned max_running; /* most of them ever */
    bool gate_closed;     /* handlers wait */
    /* The first `n_failures` calls answer this, with this reason. */
    gw_verdict failure;
    unsigned n_failures;
    const char *reason;
} inbox;

/* The handler of all subscriptions that only collect; `ctx` is an inbox. */
gw_verdict inbox_handler(void *ctx, const gw_message *msg, gw_error *why);

/* Wait until `n` messages came; fails the test with the number that did. */
void inbox_wait(inbox *box, size_t n);

/* Wait until `n` handlers run at once. */
void inbox_wait_running(inbox *box, unsigned n);

size_t inbox_count(inbox *box);
void inbox_close_gate(inbox *box);
void inbox_open_gate(inbox *box);

/* The i-th message; valid until the end of the test. Its body is NUL-terminated. */
const received *inbox_at(inbox *box, size_t i);
const char *inbox_body(inbox *box, size_t i);

/* How many messages have this body. */
size_t inbox_count_of(inbox *box, const char *body);

/* ---- the fixture --------------------------------------------------------------------- */

typedef struct fixture fixture;

fixture *fixture_of(void **state);
const contract_transport *transport_of(fixture *fix);

/* A new name, which lives until the end of the test. What has it is removed then, dead letters
 * included. */
const char *new_queue(fixture *fix, const char *label);
const char *new_exchange(fixture *fix, const char *label);

/* Register a name of one's own making for removal. */
const char *own_queue(fixture *fix, const char *name);
const char *own_exchange(fixture *fix, const char *name);

/* Where messages of the queue wait for their retries: made, and registered for removal. */
void own_retries(fixture *fix, const char *queue, const gw_subscribe_options *options);

inbox *new_inbox(fixture *fix);

/* A client that is up. Closed at the end unless the test did. */
gw_client *new_client(fixture *fix, const char *name);
gw_client *new_client_with(fixture *fix, const char *url, const gw_client_options *options);

/* The test closes it itself. Returns the client. */
gw_client *forget_client(fixture *fix, gw_client *client);

/* Close a client of the fixture. */
gw_status close_client(fixture *fix, gw_client *client, unsigned timeout_ms, gw_error *err);

/* Subscribe, and wait until it consumes. */
gw_subscription *collect_queue(gw_client *client, const char *queue, inbox *box,
                               const gw_subscribe_options *options);
gw_subscription *collect_exchange(gw_client *client, const char *exchange, gw_exchange_type type,
                                  const char *binding_key, inbox *box);

void wait_up(gw_client *client);
void wait_state(gw_client *client, gw_client_state state);

/* Publish a text, which must be accepted. */
void send_text(gw_client *client, const char *queue, const char *text);
void send_number(gw_client *client, const char *queue, int number);
void send_to_exchange(gw_client *client, const char *exchange, gw_exchange_type type,
                      const char *routing_key, const char *text);
void flush(gw_client *client);

/* ---- the tests, by subject ------------------------------------------------------------- */

#define CONTRACT_SUBJECTS(X)                                                                       \
    X(message)                                                                                     \
    X(exchange) X(batch) X(queue) X(verdict) X(retry) X(limit) X(lifecycle) X(threads) X(browse)

typedef struct contract_group {
    const struct CMUnitTest *tests;
    size_t n_tests;
} contract_group;

#define X(subject) contract_group contract_##subject(void);
CONTRACT_SUBJECTS(X)
#undef X

int fixture_setup(void **state);
int fixture_teardown(void **state);

#define CONTRACT_TEST(function)                                                                    \
    cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

#endif
