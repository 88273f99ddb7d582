/* SPDX-License-Identifier: MIT */
/* Definitions to change and look at, with logs that are numbers only. */
#ifndef GW_TEST_TOPOLOGY_SAMPLE_H
#define GW_TEST_TOPOLOGY_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>

#include "bus/definitions.h"

/* Counts what is made, taken back, and gone. */
typedef struct log_counter {
    uint32_t n_made;
    uint32_t n_undone;
    uint32_t n_gone;
    gw_status status; /* what making one returns */
} log_counter;

gw__log_maker counting_maker(log_counter *counter);
void count_gone(void *ctx, const gw__log_row *log); /* ctx: log_counter */

gw__definitions *open_definitions(const char *dir);

gw__queue_row a_queue(const char *name);
gw__queue_row a_temporary_queue(const char *name, uint32_t member, uint64_t generation);
gw__binding_row a_binding(const char *exchange, const char *queue, const char *key);

/* With GW_OK, or the test fails with the text. */
void declare_queue(gw__definitions *defs, log_counter *counter, const char *name);
void declare_exchange(gw__definitions *defs, const char *name, gw_exchange_type type);
void bind_key(gw__definitions *defs, const char *exchange, const char *queue, const char *key);

const gw__topology *get_topology(gw__definitions *defs);

/* The names of the queues that take it, with a space behind each. */
const char *route(gw__definitions *defs, const char *exchange, const char *key,
                  const gw_message *msg);

#endif
