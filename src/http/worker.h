/* SPDX-License-Identifier: MIT */
/**
 * @file worker.h
 * One server thread: an MHD daemon with its own epoll set, run by a thread of ours.
 *
 * Not MHD's own threads (MHD_USE_INTERNAL_POLLING_THREAD), for two reasons found in 0.9.75. When
 * 128 events come at once, its loop waits for more before it looks at them: under 128 connections
 * whose clients wait for their answers it stands still (measured: 60 requests/s instead of
 * 190,000). MHD_run(), which never waits, has no such trouble. And MHD_quiesce_daemon() from
 * another thread races with a thread at its connection limit over the same epoll set.
 */
#ifndef GW_HTTP_WORKER_H
#define GW_HTTP_WORKER_H

#include <godwit/error.h>

#include "http/exchange.h"
#include "http/gate.h"

typedef struct gw__http_worker gw__http_worker;

/**
 * Start a thread that accepts and serves.
 *
 * @param site      borrowed for the worker's life.
 * @param gate      borrowed as well; told about this worker's requests once it is quiesced.
 * @param listen_fd borrowed: duplicated, so that several workers listen on it.
 * @param options   for max_connections (this worker's), max_header_bytes and idle_timeout_s.
 */
gw_status gw__http_worker_start(gw__http_site *site, gw__http_gate *gate, int listen_fd, bool ipv6,
                                const gw_http_options *options, gw__http_worker **ret_worker,
                                gw_error *err);

/**
 * Accept no more. Returns at once. The worker counts as busy at the gate from the caller's
 * gw__http_gate_add() until it has no request.
 */
void gw__http_worker_quiesce(gw__http_worker *worker);

/** Close all connections, wait for the thread, and free. Accepts NULL. */
void gw__http_worker_stop(gw__http_worker *worker);

#endif
