/* SPDX-License-Identifier: MIT */
/* A log of its own in a directory, with its state in memory that children share, and records whose
 * contents follow from their numbers. */
#ifndef GW_TEST_LOG_FIXTURE_H
#define GW_TEST_LOG_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/log.h"

#define LOG_MEMBER 7u

extern char log_dir[256];

int log_make_dir(void **state);
int log_remove_dir(void **state);

/* A state for an empty log, shared with children. */
gw__log_state *log_new_state(void);
void log_free_state(gw__log_state *state);

/* Fails the test if it cannot. */
gw__log *log_open(gw__log_state *state);

/* Bytes of record `number`: 16 and up to `spread` more. */
size_t log_record_len(uint64_t number, size_t spread);

/* Append records first, first + 1, ... in one go. */
gw_status log_put(gw__log *log, uint64_t first, size_t n, size_t spread, gw_error *err);
gw_status log_put_until(gw__log *log, uint64_t number, uint64_t expires_ms);

/* The number of a record, whose bytes are checked. */
uint64_t log_number(const gw__log_record *record);

/* Take up to n (at most 256) as LOG_MEMBER and check that they are these numbers and whether
 * redelivered; returns their positions. */
void log_expect(gw__log *log, uint64_t first, size_t n, bool redelivered, uint64_t *ret_positions);
void log_expect_nothing(gw__log *log);
void log_done(gw__log *log, const uint64_t *positions, size_t n);
void log_return(gw__log *log, const uint64_t *positions, size_t n);

/* How many files the log has, and the bytes that they take on the disk. */
size_t log_n_segments(size_t *ret_disk_bytes);

#endif
