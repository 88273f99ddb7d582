/* SPDX-License-Identifier: MIT */
/* Messages to store, and their records in blocks of exactly their size, for the sanitizers. */
#ifndef GW_TEST_SAMPLE_H
#define GW_TEST_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/message.h>

/* Every property and every kind of value, arrays and tables within each other; a delivery's details
 * as well, which are not stored. */
gw_message *sample_full(void);

/* A header whose arrays and tables, in turn, nest to `depth` levels; depth 0 is an integer. */
void sample_nest(gw_message *msg, const char *name, unsigned depth);

/* Its record, to free(); checks that writing keeps to the size. */
uint8_t *sample_record(const gw_message *msg, size_t *ret_len);

/* What differs, NULL for nothing; a delivery's details are not looked at. */
const char *sample_difference(const gw_message *a, const gw_message *b);

#endif
