/* SPDX-License-Identifier: MIT */
/* What tests can do to a broker in memory besides being its clients. */
#ifndef GW_MESSAGING_MEMORY_H
#define GW_MESSAGING_MEMORY_H

#include "messaging/memory_broker.h"

/* Lose every client's connection, which comes back at once: what is unsettled returns to its queue,
 * consumers start a new epoch. */
void gw__memory_disconnect(gw__broker *broker);

#endif
