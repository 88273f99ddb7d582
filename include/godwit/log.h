/* SPDX-License-Identifier: MIT */
/**
 * @file log.h
 * Log lines on standard error: text by default, JSON lines on request.
 *
 *   2026-11-22T10:42:13.667Z INFO  accountservice amqp: connected host=127.0.0.1:5672 vhost=/
 *   {"time":"2026-11-22T10:42:13.667Z","level":"info","service":"accountservice","area":"amqp","msg":"..."}
 *
 * Shareable between threads: one line is one write(2) and is never mixed with another. Control
 * characters are escaped, so outside input cannot forge a line. Passwords in anything that looks
 * like a URL with a user (scheme://user:password@host) are masked here too, as a last line of
 * defence.
 */
#ifndef GODWIT_LOG_H
#define GODWIT_LOG_H

#include <stdbool.h>

#include <godwit/api.h>
#include <godwit/status.h>

GW_BEGIN_DECLS

typedef enum gw_log_level {
    GW_LOG_DEBUG,
    GW_LOG_INFO,
    GW_LOG_WARN,
    GW_LOG_ERROR,
    GW_LOG_OFF
} gw_log_level;

/** The name that each line carries; copied, cut at 63 bytes. Before the first call there is none.
 */
GW_API void gw_log_set_service(const char *name);

/** Lines below `level` are not written. GW_LOG_INFO at start. */
GW_API void gw_log_set_level(gw_log_level level);
GW_API gw_log_level gw_log_get_level(void);

/** JSON lines instead of text. */
GW_API void gw_log_set_json(bool on);

/** The level for "debug", "info", "warn", "error" or "off"; GW_E_INVALID for anything else. */
GW_API GW_MUST_CHECK gw_status gw_log_level_parse(const char *text, gw_log_level *ret_level);

/**
 * Write one line. `area` is the module in a word ("amqp", "http", "config").
 * Prefer the macros below: they cost one comparison when the level is off.
 */
GW_API void gw_log_write(gw_log_level level, const char *area, const char *format, ...)
    GW_PRINTF(3, 4);

#define gw_log_at(level, area, ...)                                                                \
    do {                                                                                           \
        if ((level) >= gw_log_get_level())                                                         \
            gw_log_write((level), (area), __VA_ARGS__);                                            \
    } while (0)

#define gw_log_debug(area, ...) gw_log_at(GW_LOG_DEBUG, area, __VA_ARGS__)
#define gw_log_info(area, ...)  gw_log_at(GW_LOG_INFO, area, __VA_ARGS__)
#define gw_log_warn(area, ...)  gw_log_at(GW_LOG_WARN, area, __VA_ARGS__)
#define gw_log_error(area, ...) gw_log_at(GW_LOG_ERROR, area, __VA_ARGS__)

GW_END_DECLS

#endif
