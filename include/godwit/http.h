/* SPDX-License-Identifier: MIT */
/**
 * @file http.h
 * An HTTP/1.1 server for a service's routes: a table of method, pattern and handler.
 *
 * The server answers on its own what is not in the table: 404, 405 with Allow, OPTIONS (204 with
 * Allow), HEAD for every GET route, 301/308 to the form with or without the trailing slash that the
 * table has ("strict slash"), 400 for a malformed target, 413, 414, 431, and 503 while it drains.
 * Errors have a body of the type application/problem+json (RFC 9457). Paths are percent-decoded
 * once, segment by segment; an encoded NUL, other control character or bad escape is a 400, and an
 * encoded slash stays inside its segment. Dot segments ("..") have no meaning here and match no
 * literal: a handler that makes file names of variables must refuse them.
 *
 * A few answers are libmicrohttpd's own, with a short HTML body, and are not counted: 400 for what
 * is no HTTP request or has no number as its Content-Length (0.9.75 sends the head of that one
 * twice), 431 and 414 when request line and headers do not even fit into max_header_bytes and 4 KiB
 * more, 505. Each of them closes the connection. A NUL in the request line ends the target.
 */
#ifndef GODWIT_HTTP_H
#define GODWIT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/api.h>
#include <godwit/buf.h>
#include <godwit/error.h>

GW_BEGIN_DECLS

typedef struct gw_http_server gw_http_server;

/** A request, valid until its handler returns. What its functions return is borrowed from it. */
typedef struct gw_http_request gw_http_request;

/** The answer being made, valid until the handler returns. */
typedef struct gw_http_response gw_http_response;

/**
 * Answer one request. Called on one of the server's threads, several at once; may block for short
 * times only, since other connections of that thread wait. A handler that sets nothing answers 200
 * with an empty body.
 */
typedef void (*gw_http_handler)(void *ctx, const gw_http_request *req, gw_http_response *res);

typedef struct gw_http_route {
    const char *name;   /**< for metrics and the access log, such as "GetAccount" */
    const char *method; /**< "GET", "POST", ... */
    /**
     * "/accounts/{accountId}": a variable takes exactly one non-empty segment; "{rest...}" as the
     * last segment takes all that is left, including slashes. A literal segment wins over a
     * variable, whatever the method: with POST "/monitor" and GET "/{name}" in the table, GET
     * /monitor is a 405. Strings of a route are borrowed for the server's life.
     */
    const char *pattern;
    gw_http_handler handler;
    void *ctx;
} gw_http_route;

typedef struct gw_http_options {
    const char *address;      /**< an IP address or "localhost"; NULL for all, IPv6 and IPv4 */
    uint16_t port;            /**< 0: the kernel chooses, see gw_http_server_port() */
    unsigned n_threads;       /**< 0: one a core that the process may use, at most 8 */
    unsigned max_connections; /**< more wait in the kernel's queue; default 1024 */
    size_t max_header_bytes;  /**< request line and headers; default 8 KiB */
    size_t max_body_bytes;    /**< default 1 MiB */
    unsigned idle_timeout_s;  /**< a connection without traffic is closed; default 30 */
    bool access_log;          /**< one info line a request; off by default */
} gw_http_options;

#define GW_HTTP_OPTIONS_INIT                                                                       \
    {                                                                                              \
        .address = NULL, .port = 0, .n_threads = 0, .max_connections = 1024,                       \
        .max_header_bytes = 8192, .max_body_bytes = 1048576, .idle_timeout_s = 30,                 \
        .access_log = false                                                                        \
    }

/**
 * Listen and serve. Counts godwit_http_requests_total{route,method,status},
 * godwit_http_request_seconds{route} and godwit_http_connections in the metrics registry; the route
 * is "" for what the server answers on its own.
 *
 * @param routes copied; patterns are checked.
 * @param options copied; NULL for the defaults.
 * @return GW_OK; GW_E_INVALID for a bad option, a bad or a double pattern; GW_E_BUSY when the port
 * is taken; GW_E_DENIED.
 */
GW_API GW_MUST_CHECK gw_status gw_http_server_start(const gw_http_options *options,
                                                    const gw_http_route *routes, size_t n_routes,
                                                    gw_http_server **ret_server, gw_error *err);

/** The port listened on. */
GW_API uint16_t gw_http_server_port(const gw_http_server *server);

/** Turn the access log on or off while running. */
GW_API void gw_http_server_set_access_log(gw_http_server *server, bool on);

/**
 * Stop accepting, answer what is in flight (with "Connection: close"), wait for it up to
 * `timeout_ms`, close. A request that still comes in on an open connection is answered, one each:
 * every answer closes its connection. Requests that wait are handled once more and answered. A
 * handler that is running is waited for, however long it takes. Frees the server. Accepts NULL. Not
 * from a handler.
 */
GW_API void gw_http_server_stop(gw_http_server *server, unsigned timeout_ms);

/** @name The request @{ */

GW_API const char *gw_http_method(const gw_http_request *req);

/** The path as sent, without the query, not decoded. */
GW_API const char *gw_http_path(const gw_http_request *req);

/** A variable of the pattern, percent-decoded, NUL-terminated (it holds no NUL); NULL if there is
 * none of the name. */
GW_API const char *gw_http_var(const gw_http_request *req, const char *name);

/** A query argument, decoded ('+' is a blank); NULL if absent, "" if it has no value. */
GW_API const char *gw_http_query(const gw_http_request *req, const char *name);

/** A header's value; the name in any case; NULL if absent. */
GW_API const char *gw_http_header(const gw_http_request *req, const char *name);

/** The whole body; `ret_len` is 0 when there is none. Never NULL. */
GW_API const char *gw_http_body(const gw_http_request *req, size_t *ret_len);

/** The address of this machine that the request came in on, as text: "127.0.0.1", "2001:db8::1". */
GW_API const char *gw_http_local_address(const gw_http_request *req);

/** Whether the other end of the connection is this machine itself, over its loopback interface. A
 * proxy on this machine is that too, whoever asks it. */
GW_API bool gw_http_peer_is_loopback(const gw_http_request *req);

/** @} @name The response @{ */

GW_API void gw_http_set_status(gw_http_response *res, int status);

/**
 * Set a header; name and value are copied. One with control characters in its value is refused and
 * left out, and so are Content-Length, Transfer-Encoding, Connection and Date. All of them together
 * may take 2 KiB; more makes a 500 of the answer.
 */
GW_API void gw_http_set_header(gw_http_response *res, const char *name, const char *value);

#define GW_HTTP_DATE_SIZE 32 /**< of a date as HTTP writes it, with its NUL */

/** A time as HTTP writes it (RFC 9110 section 5.6.7), "Sun, 06 Nov 1994 08:49:37 GMT", in English
 * in every locale; "" for one that has no such form. */
GW_API void gw_http_format_date(int64_t unix_s, char ret_date[GW_HTTP_DATE_SIZE]);

/** "text/plain" and the like; a static string. Without it a body is application/json. */
GW_API void gw_http_set_content_type(gw_http_response *res, const char *content_type);

/** The buffer to append the body to. If an append fails, the client gets a 500 problem instead. */
GW_API gw_buf *gw_http_response_body(gw_http_response *res);

/**
 * Answer with a problem: {"type":"about:blank","title":"Not Found","status":404,"detail":"..."};
 * drops what was in the body. The detail is formatted, made valid UTF-8 and cut at 1 KiB.
 */
GW_API void gw_http_problem(gw_http_response *res, int status, const char *format, ...)
    GW_PRINTF(3, 4);

/** @} @name Answering later @{ */

/**
 * What requests wait on, such as the state of something that changes. Shareable; outlives every
 * server whose requests may wait on it.
 */
typedef struct gw_http_channel gw_http_channel;

GW_API gw_http_channel *gw_http_channel_new(void);          /**< NULL when out of memory */
GW_API void gw_http_channel_free(gw_http_channel *channel); /**< accepts NULL */

/** What gw_http_wait() needs: take it before looking at the state that is waited for, so that a
 * change in between is not missed. */
GW_API uint64_t gw_http_channel_ticket(gw_http_channel *channel);

/** The state has changed: the handlers of all requests that wait are called again. Any thread, also
 * a handler; does not block. */
GW_API void gw_http_channel_wake(gw_http_channel *channel);

/**
 * In a handler: do not answer yet. What is in the response is dropped, the connection is set aside,
 * and the handler is called again for the same request, on the same thread, when the channel is
 * woken after `ticket` was taken (at once, if it was already), after `timeout_ms`, or when the
 * server stops; then gw_http_wait_is_over() tells which. May be called each time until the wait is
 * over; the time counts from the request's first wait. A request that waits costs its connection
 * and no thread; a client that goes away is noticed when it ends.
 *
 * Of eight connections seven may wait: where more would, which is logged, the wait is over at once.
 */
GW_API void gw_http_wait(gw_http_response *res, gw_http_channel *channel, uint64_t ticket,
                         unsigned timeout_ms);

/** Whether the request has waited as long as it may: answer now; waiting on is a 500. False on the
 * first call. */
GW_API bool gw_http_wait_is_over(const gw_http_request *req);

/** @} */

GW_END_DECLS

#endif
