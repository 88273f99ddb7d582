/* SPDX-License-Identifier: MIT */
/**
 * @file http_client.h
 * One HTTP call, with a deadline and a limit on everything. For configuration, probes and the like;
 * not for moving bulk. Any thread; blocks. Each call is a connection of its own, and loads libcurl
 * for its time if no other call has it loaded (about 3 ms), so that a service is not larger for it.
 */
#ifndef GODWIT_HTTP_CLIENT_H
#define GODWIT_HTTP_CLIENT_H

#include <stddef.h>

#include <godwit/api.h>
#include <godwit/buf.h>
#include <godwit/error.h>

GW_BEGIN_DECLS

typedef struct gw_http_call {
    const char *method; /**< NULL: GET */
    const char *url;    /**< http:// or https://; other schemes are refused, also in redirects */
    const char *const *headers; /**< "Name: value" lines, ending in NULL; may be NULL */
    const char *body;           /**< may be NULL */
    size_t body_len;
    unsigned connect_timeout_ms; /**< 0: 3000 */
    unsigned timeout_ms;         /**< of the whole call; 0: 10000 */
    size_t max_body_bytes;       /**< of the answer; 0: 8 MiB */
    const char *keep_header;     /**< name of one more header of the answer to keep; may be NULL */
    /** A file descriptor, such as an eventfd, that ends the call at once with GW_E_CLOSED when it
     * can be read from; it is not read from. 0: none. */
    int cancel_fd;
} gw_http_call;

typedef struct gw_http_reply {
    int status;             /**< 200, 404, ... */
    char content_type[128]; /**< "" when the server sent none */
    char etag[128];         /**< "" when the server sent none */
    char kept[128];         /**< value of call->keep_header; "" when the server sent none */
    gw_buf body;
} gw_http_reply;

/**
 * Make the call. Any status of the server is GW_OK here. Redirects are not followed. It returns
 * within `timeout_ms`; a signal does not end it sooner, `cancel_fd` does. Proxies are taken from
 * the environment (http_proxy, https_proxy, no_proxy), except for localhost, 127.x.x.x and ::1.
 *
 * @param ret_reply zeroed by the caller or used before; filled in on success; free it with
 * gw_http_reply_dispose().
 * @return GW_OK; GW_E_INVALID for a bad URL, method or header; GW_E_UNAVAILABLE when nobody answers
 * there; GW_E_TIMEOUT; GW_E_LIMIT when the answer is too large (body, or 64 KiB of headers);
 * GW_E_PROTOCOL when it is not HTTP, or TLS fails; GW_E_CLOSED when it was cancelled;
 * GW_E_UNSUPPORTED when libcurl is not installed. The text names scheme, host, port and path; never
 * the user, the password or the query.
 */
GW_API GW_MUST_CHECK gw_status gw_http_perform(const gw_http_call *call, gw_http_reply *ret_reply,
                                               gw_error *err);

GW_API void gw_http_reply_dispose(gw_http_reply *reply);

GW_END_DECLS

#endif
