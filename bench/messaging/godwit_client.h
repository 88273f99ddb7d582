/* SPDX-License-Identifier: MIT */
/* Godwit's client as the load uses it: connected, publishing bodies, waiting when the outbox is
 * full. A call that fails ends the program with the text of the failure. */
#ifndef BENCH_GODWIT_CLIENT_H
#define BENCH_GODWIT_CLIENT_H

#include <stddef.h>

#include <godwit/messaging.h>

#include "load.h"

/* With the outbox of the command line. Ends the program with LOAD_EXIT_CANNOT for a level that the
 * library does not have. `max_messages` is the outbox's; a bus, "bus:DIR", has none. */
gw_client *godwit_connect(const load_options *options, size_t max_messages);
void godwit_wait_up(gw_client *client, unsigned timeout_ms);
void godwit_flush(gw_client *client, unsigned timeout_ms);
void godwit_close(gw_client *client);

/* A new message each time, as a service does it. Waits while the outbox is full. */
void godwit_publish(gw_client *client, const char *queue, const char body[LOAD_BODY_LEN]);
/* The same for up to LOAD_BATCH_MAX messages with one call. */
void godwit_publish_batch(gw_client *client, const char *queue, const char body[LOAD_BODY_LEN],
                          size_t n_msgs);

/* godwit_backlog.c: messages are accepted while the broker is away, and drained when it is back. */
void run_backlog(const load_options *options);

#endif
