/* SPDX-License-Identifier: MIT */
/* Binding keys of topic exchanges. */
#ifndef GW_MESSAGING_TOPIC_H
#define GW_MESSAGING_TOPIC_H

#include <stdbool.h>

/*
 * Whether a binding key takes a routing key, as RabbitMQ has it: both are words between dots, `*`
 * is exactly one word and `#` any number of them, none included. The empty key has no words; "a."
 * has two.
 */
bool gw__topic_matches(const char *binding_key, const char *routing_key);

#endif
