/* SPDX-License-Identifier: MIT */
/**
 * @file probe.h
 * Ask once. Ends the process when the time is up, so that nothing (a name server, a connect, a
 * server that sends a byte a second) can make it last longer.
 */
#ifndef HEALTHCHECKER_PROBE_H
#define HEALTHCHECKER_PROBE_H

#include <stdbool.h>

#include "settings.h"

#define REASON_MAX 512

/**
 * @param ret_reason "answered 200", "connection refused", ...; one line.
 * @return whether the service is healthy. When `timeout_ms` passes, prints the verdict itself and
 * exits with 1.
 */
bool probe(const target *t, unsigned timeout_ms, char ret_reason[REASON_MAX]);

#endif
