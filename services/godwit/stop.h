/* SPDX-License-Identifier: MIT */
/**
 * @file stop.h
 * Ctrl-C, for commands that have something to finish before they end.
 */
#ifndef GODWIT_TOOL_STOP_H
#define GODWIT_TOOL_STOP_H

#include <stdbool.h>

/** From now on SIGINT and SIGTERM do not end the program by themselves. Call it before any thread
 * is made. @return a descriptor that can be read when one has come; -1. */
int stop_begin(void);

/** Close it, and let signals end the program again. Accepts -1. */
void stop_end(int stop_fd);

/** Wait for one. False when none came in time. */
bool stop_wait(int stop_fd, unsigned timeout_ms);

#endif
