/* SPDX-License-Identifier: MIT */
/**
 * @file metrics.h
 * A registry of counters, gauges and histograms, written in the Prometheus text format (version
 * 0.0.4).
 *
 * One registry a process, which modules fill. Metrics are never removed: the pointers stay valid
 * until the process ends. Registering the same name and labels again returns the same metric.
 * Everything here is shareable between threads; counting is one relaxed atomic addition.
 */
#ifndef GODWIT_METRICS_H
#define GODWIT_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include <godwit/api.h>
#include <godwit/buf.h>
#include <godwit/status.h>

GW_BEGIN_DECLS

typedef struct gw_counter gw_counter;
typedef struct gw_gauge gw_gauge;
typedef struct gw_histogram gw_histogram;

/** Most series that a process can register; later ones share one hidden series that is never
 * written out. */
#define GW_METRICS_MAX 1024

/**
 * @param name   such as "godwit_http_requests_total"; a static string.
 * @param help   one line; a static string. The first registration of a name decides.
 * @param labels `key="value",key2="value2"` with values escaped by gw_metrics_label(), or NULL;
 * copied.
 * @return never NULL.
 */
GW_API gw_counter *gw_metrics_counter(const char *name, const char *help, const char *labels);
GW_API gw_gauge *gw_metrics_gauge(const char *name, const char *help, const char *labels);

/** A histogram of durations with buckets from 50 us to 10 s (1-2.5-5 steps); observed in
 * nanoseconds, written in seconds. */
GW_API gw_histogram *gw_metrics_histogram(const char *name, const char *help, const char *labels);

GW_API void gw_counter_add(gw_counter *counter, uint64_t n);
GW_API uint64_t gw_counter_get(const gw_counter *counter);
GW_API void gw_gauge_set(gw_gauge *gauge, int64_t value);
GW_API void gw_gauge_add(gw_gauge *gauge, int64_t n);
GW_API int64_t gw_gauge_get(const gw_gauge *gauge);
GW_API void gw_histogram_observe(gw_histogram *histogram, uint64_t ns);

/** Append `key="value"` with the value escaped, and a comma first if `labels` is not empty. */
GW_API void gw_metrics_label(gw_buf *labels, const char *key, const char *value);

/**
 * Append all metrics, families sorted by name, each with HELP and TYPE. Adds the process metrics
 * process_resident_memory_bytes, process_cpu_seconds_total, process_open_fds,
 * process_start_time_seconds.
 */
GW_API void gw_metrics_write(gw_buf *out);

GW_END_DECLS

#endif
