/* SPDX-License-Identifier: MIT */
/*
 * The consuming side: a handler that writes down what it gets before it answers, and behaves as
 * the flags say. A line of the journal is
 *
 *   H <key> <message id> <redelivered> <attempt> <x-godwit-attempt> <verdict> <thread> <queue>
 *
 * where the verdict is D (done), T (retry), J (reject), or C: the body is poison, and the process
 * is about to abort. "B <key> <length>" says that a body is not as the publisher made it.
 */
#ifndef GODWIT_TESTS_FAULT_LOAD_CONSUME_H
#define GODWIT_TESTS_FAULT_LOAD_CONSUME_H

#include "load_options.h"

typedef struct consumer {
    const load_options *options;
    int journal;
    gw_subscription *sub; /* NULL: not subscribed */
} consumer;

gw_status consumer_subscribe(consumer *con, gw_client *client, gw_error *err);
void consumer_unsubscribe(consumer *con);

#endif
