/* SPDX-License-Identifier: MIT */
/**
 * @file clock.h
 * Time: nanoseconds since an unspecified start for measuring, and RFC 3339 in UTC for people and
 * messages.
 */
#ifndef GODWIT_CLOCK_H
#define GODWIT_CLOCK_H

#include <stdint.h>

#include <godwit/api.h>

GW_BEGIN_DECLS

#define GW_NS_PER_MS 1000000u
#define GW_NS_PER_S  1000000000u

/** Monotonic nanoseconds; for durations and deadlines. */
GW_API uint64_t gw_clock_ns(void);

/** Monotonic milliseconds. */
GW_API uint64_t gw_clock_ms(void);

/** Nanoseconds since 1970-01-01T00:00:00Z. */
GW_API uint64_t gw_clock_unix_ns(void);

/** Characters of "2026-11-22T10:42:13.667108584Z", without the NUL. */
#define GW_TIME_LEN 30

/** Write a time in RFC 3339 form with nanoseconds, in UTC, and a NUL. */
GW_API void gw_time_format(uint64_t unix_ns, char ret_text[GW_TIME_LEN + 1]);

/** Characters of "2026-11-22T10:42:13.667Z", without the NUL. */
#define GW_TIME_MS_LEN 24

/** The same with milliseconds: the form for people, in log lines and health reports. */
GW_API void gw_time_format_ms(uint64_t unix_ns, char ret_text[GW_TIME_MS_LEN + 1]);

GW_END_DECLS

#endif
