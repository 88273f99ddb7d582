/* SPDX-License-Identifier: MIT */
/*
 * A transport below a subscription and a client above it, both of a test: the broker delivers,
 * loses its connection and notes what is settled; the client takes what is forwarded, dead letters
 * and retries, and says what became of it. Stands in for client.c, whose functions it defines.
 */
#ifndef TESTS_MESSAGING_FAKE_TRANSPORT_H
#define TESTS_MESSAGING_FAKE_TRANSPORT_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <godwit/clock.h>

#include "messaging/client.h"
#include "messaging/subscription.h"

#define WAIT_MS     20000
#define TAGS_MAX    4096
#define LETTERS_MAX 16

typedef struct letter {
    gw_message *msg; /* NULL once it was decided */
    char queue[64];
    unsigned delay_ms; /* of a retry; 0: a dead letter */
    gw__done done;
    void *ctx;
} letter;

typedef struct fixture {
    gw__transport transport; /* first: the subscription's */
    gw__transport_type type;
    gw__consumer consumer;
    gw__sink sink;
    gw_client *client;
    gw__guard *guard; /* may be NULL */
    gw_subscription *sub;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    uint64_t epoch;
    uint64_t last_tag;
    unsigned n_acked[TAGS_MAX]; /* by tag, in the present epoch */
    unsigned n_requeued;
    size_t n_acks;
    size_t n_ack_calls;
    size_t n_stale;    /* settled in an epoch that is lost */
    unsigned prefetch; /* asked for last; 0: none */
    bool cancelled;
    bool released;
    bool settled_late; /* after release */

    letter letters[LETTERS_MAX];
    size_t n_letters;
    unsigned n_full; /* so many publishes find the outbox full */
    bool no_retries; /* none can be published */
    unsigned n_updates;

    gw_verdict verdict; /* the handler's */
    bool silent;        /* gives no reason */
    const char *gated;  /* messages with this body wait for the gate */
    bool gate_open;
    bool one_by_one; /* the gate closes behind each */
    unsigned spin_us;
    char handled[TAGS_MAX][8]; /* bodies, in order */
    unsigned attempts[TAGS_MAX];
    uint64_t at_ms[TAGS_MAX];
    size_t n_handled;
    unsigned n_running;
    unsigned max_running;
} fixture;

/* Wait, with the lock held, until `condition` is true. */
#define wait_locked(fix, condition)                                                                \
    do {                                                                                           \
        struct timespec deadline = in_ms(WAIT_MS);                                                 \
        int rc = 0;                                                                                \
        while (!(condition) && rc == 0) {                                                          \
            rc = pthread_cond_timedwait(&(fix)->changed, &(fix)->lock, &deadline);                 \
        }                                                                                          \
        if (!(condition)) {                                                                        \
            pthread_mutex_unlock(&(fix)->lock);                                                    \
            fail_msg("did not come true: %s", #condition);                                         \
        }                                                                                          \
    } while (0)

#define wait_for(fix, condition)                                                                   \
    do {                                                                                           \
        pthread_mutex_lock(&(fix)->lock);                                                          \
        wait_locked(fix, condition);                                                               \
        pthread_mutex_unlock(&(fix)->lock);                                                        \
    } while (0)

struct timespec in_ms(unsigned ms);

/* Ready for start(). */
void fixture_init(fixture *fix);

/* Subscribe to "q"; NULL for the default options. start_on() can fail. */
void start(fixture *fix, const gw_subscribe_options *options);
gw_status start_on(fixture *fix, const char *queue, const gw_subscribe_options *options,
                   gw_error *err);

/* A message with this body, which is its id, too. A body that starts with D, T or R is answered
 * with GW_DONE, GW_RETRY, GW_REJECT; others with fix->verdict. */
void deliver(fixture *fix, const char *body);

/* The same with a message of one's own, which is taken. */
void deliver_message(fixture *fix, gw_message *msg);

/* Lose the connection, and start a new one. */
void lose(fixture *fix);

/* Say what became of the i-th that was forwarded. */
void decide(fixture *fix, size_t i, gw_status outcome);

void open_gate(fixture *fix);
void stop(fixture *fix, unsigned timeout_ms);

/* Fails for a dead letter that was not decided. */
void fixture_dispose(fixture *fix);

#endif
