/* SPDX-License-Identifier: MIT */
/**
 * @file url.h
 * URLs (RFC 3986) as brokers and servers are named: scheme, user, several hosts, path, query.
 */
#ifndef GODWIT_URL_H
#define GODWIT_URL_H

#include <stddef.h>
#include <stdint.h>

#include <godwit/api.h>
#include <godwit/buf.h>
#include <godwit/error.h>

GW_BEGIN_DECLS

#define GW_URL_MAX       4096 /**< longest URL that is parsed */
#define GW_URL_HOSTS_MAX 16   /**< most hosts in one URL */

typedef struct gw_url_host {
    const char *name; /**< without the brackets of an IPv6 address */
    uint16_t port;    /**< 0 when the URL names none */
} gw_url_host;

/** The parts of a URL, percent-decoded. Strings are borrowed from `storage`. Immutable once parsed.
 */
typedef struct gw_url {
    const char *scheme;   /**< lower case */
    const char *user;     /**< NULL when absent */
    const char *password; /**< NULL when absent; never log it */
    gw_url_host hosts[GW_URL_HOSTS_MAX];
    size_t n_hosts;
    const char *path;   /**< with its leading '/', percent-decoded; NULL when absent */
    const char *query;  /**< without '?', not decoded; NULL when absent */
    char *storage;      /**< private */
    size_t storage_len; /**< private */
} gw_url;

/**
 * Parse "scheme://[user[:password]@]host[:port][,host[:port]...][/path][?query]".
 * The last '@' before the path ends the user. Blanks, control characters (also as percent escapes),
 * bad percent escapes and fragments are refused; so are host names with other characters than
 * letters, digits, "-._~" and those beyond ASCII.
 *
 * @return GW_OK; GW_E_INVALID with a text that shows the URL masked; GW_E_LIMIT; GW_E_NOMEM.
 */
GW_API GW_MUST_CHECK gw_status gw_url_parse(const char *text, gw_url *ret_url, gw_error *err);

/** Free what gw_url_parse() allocated, after overwriting it. Accepts NULL and a zeroed struct. */
GW_API void gw_url_dispose(gw_url *url);

/**
 * The value of `key` in the query, percent-decoded into the `size` bytes at `ret_value` with a NUL;
 * the first, when there are several. A key without '=' is none.
 * @return GW_OK; GW_E_NOT_FOUND; GW_E_LIMIT when it does not fit; GW_E_INVALID for bad escapes;
 *         GW_E_NOMEM.
 */
GW_API GW_MUST_CHECK gw_status gw_url_query(const gw_url *url, const char *key, char *ret_value,
                                            size_t size);

/**
 * Append `text` with the password of each URL in it replaced by "***", as in
 * amqp://guest:***@127.0.0.1:5672. Works on whole lines with several URLs and on malformed ones,
 * also on one that lacks its scheme. Where it is not clear what is password it masks too much: up
 * to the last '@' before a blank, and without any '@' what stands in the place of a port and is no
 * number.
 */
GW_API void gw_url_mask(gw_buf *out, const char *text);

/**
 * Append `url` with `password`, percent-encoded, behind the user that it names without one. A URL
 * that names no user, that has a password, or a `password_file` in its query, is appended as it is.
 * What is no URL is, too. Never log the result.
 */
GW_API void gw_url_add_password(gw_buf *out, const char *url, const char *password);

/**
 * Decode percent escapes of `len` bytes at `text` into `out`. '+' stays '+'.
 * @return GW_OK; GW_E_INVALID for a broken escape or an encoded NUL; the buffer's own failures.
 */
GW_API GW_MUST_CHECK gw_status gw_url_decode(gw_buf *out, const char *text, size_t len);

/** Append `len` bytes with everything but RFC 3986's unreserved characters percent-encoded. */
GW_API void gw_url_encode(gw_buf *out, const char *text, size_t len);

GW_END_DECLS

#endif
