/* SPDX-License-Identifier: MIT */
/*
 * The publishing side: messages numbered from -first on, to each queue in turn (or to the exchange
 * with each routing key in turn), at a rate.
 *
 * The body is "<name>-<number> xxx..."; the message id is left to the library, so that one sees
 * whether a repeated message has the id it had. The journal has, in this order of events,
 *
 *   A <key> <message id> <queue>   accepted: written as soon as gw_publish*() said so
 *   R <key> <status> <text>        refused; the same number is tried again until it is accepted,
 *                                  but for GW_E_IO, after which the next one is
 *   F <key> <message id> <status>  reported as failed, through on_failed
 */
#ifndef GODWIT_TESTS_FAULT_LOAD_PUBLISH_H
#define GODWIT_TESTS_FAULT_LOAD_PUBLISH_H

#include "load_options.h"

typedef struct publisher publisher;

/* NULL, with a word on stderr, when it cannot be made. `options` is borrowed. */
publisher *publisher_new(const load_options *options, int journal);
void publisher_free(publisher *pub);

/* Publish what is due. Returns the milliseconds until there is more to do; -1: nothing. */
int publisher_run(publisher *pub, gw_client *client);

/* Publishing stops until it is resumed; the rate counts anew from there. */
void publisher_pause(publisher *pub, bool on);

#endif
