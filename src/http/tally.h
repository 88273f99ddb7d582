/* SPDX-License-Identifier: MIT */
/**
 * @file tally.h
 * The request metrics of one route: godwit_http_requests_total{route,method,status} and
 * godwit_http_request_seconds{route}. A series is looked up in the registry the first time it is
 * needed; after that counting is two atomic additions. Shareable between threads.
 */
#ifndef GW_HTTP_TALLY_H
#define GW_HTTP_TALLY_H

#include <stdint.h>

#include <godwit/metrics.h>

/** Method and status pairs of a route that are remembered; others are looked up each time. */
#define GW__HTTP_TALLY_SLOTS 16

typedef struct gw__http_tally {
    const char *route; /**< borrowed */
    gw_histogram *seconds;
    struct {
        _Atomic uint32_t key; /**< method and status; written after the counter, 0 is free */
        gw_counter *counter;
    } slots[GW__HTTP_TALLY_SLOTS];
} gw__http_tally;

/** @param route the name for the label; borrowed. "" counts what no route answered. */
void gw__http_tally_init(gw__http_tally *tally, const char *route);

/** Count one request. Methods that HTTP does not define are counted as "other". */
void gw__http_tally_add(gw__http_tally *tally, const char *method, int status, uint64_t ns);

#endif
