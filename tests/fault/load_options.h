/* SPDX-License-Identifier: MIT */
/* The command line of fault_load: "fault_load ROLE -name value ...". */
#ifndef GODWIT_TESTS_FAULT_LOAD_OPTIONS_H
#define GODWIT_TESTS_FAULT_LOAD_OPTIONS_H

#include <stdbool.h>

#include <godwit/messaging.h>

typedef struct load_options {
    bool publishes; /* otherwise consumes */
    const char *url;
    const char *queue; /* several, with commas between, for a publisher */
    /* Set: published to and subscribed to in place of a queue; -queue has routing keys then, or the
     * key that the subscription's queue is bound with. */
    const char *exchange;
    gw_exchange_type exchange_type;
    const char *name; /* the publisher's or consumer's */
    const char *journal;
    gw_client_options client;

    unsigned rate;  /* of publishing, a second; 0: as fast as it goes */
    unsigned count; /* to publish; 0: without end */
    unsigned first; /* number of the first message, from 1 */
    unsigned size;  /* of a body */

    gw_subscribe_options subscription;
    unsigned every;      /* what follows concerns each so many-th message; 0: all */
    unsigned slow_ms;    /* that it takes to be handled */
    unsigned fail_first; /* attempts that fail */
    bool rejects;
} load_options;

/* Fill in from the command line; says on stderr what is wrong, and returns false. */
bool load_options_parse(int argc, char **argv, load_options *ret_options);

#endif
