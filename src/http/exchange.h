/* SPDX-License-Identifier: MIT */
/**
 * @file exchange.h
 * One request and its answer. A connection has one of these and uses it again for each request it
 * brings, so that a request in the steady state allocates nothing here.
 *
 * request.c implements the request's functions of <godwit/http.h>, response.c the answer's, and
 * exchange.c leads from the one to the other. Belongs to the server thread of its connection.
 */
#ifndef GW_HTTP_EXCHANGE_H
#define GW_HTTP_EXCHANGE_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <microhttpd.h>

#include <godwit/buf.h>
#include <godwit/http.h>
#include <godwit/metrics.h>

#include "http/router.h"
#include "http/tally.h"
#include "http/target.h"
#include "http/waits.h"

/** What all connections of a server share. Immutable but for the atomics. */
typedef struct gw__http_site {
    gw__http_router *router;
    gw__http_tally *tallies; /**< one for each route, by its index, and one more for no route */
    size_t n_routes;
    gw_gauge *n_connections;
    gw_gauge *n_waiting;
    size_t max_header_bytes;
    size_t max_body_bytes;
    atomic_bool access_log;
    atomic_bool is_closing; /**< close each connection after its next answer */
} gw__http_site;

/** What the connections of one server thread share. Belongs to that thread. */
typedef struct gw__http_lane {
    gw__http_site *site;
    uint64_t now_ns;   /**< when this turn of its loop began */
    unsigned n_inside; /**< requests whose headers are there and whose answer is not sent */
    gw__http_waits waits;
} gw__http_lane;

struct gw_http_request {
    struct MHD_Connection *mhd;
    const char *method;          /**< borrowed from MHD */
    const char *path;            /**< as sent; borrowed from MHD */
    const gw__http_entry *entry; /**< the route; NULL when none answers it */
    gw__http_target *target;
    const char *pairs; /**< the query, decoded; see target.h */
    size_t pairs_len;
    gw_buf body;
    bool wait_is_over;
    char local_address[INET6_ADDRSTRLEN];
    bool peer_is_loopback;
};

/**
 * MHD's object for the last answer. The next one is sent with the same if it is as long and lies at
 * the same place, which is common: answers of a route are made in the connection's buffer and are
 * alike. Making an object costs seven allocations.
 */
typedef struct gw__http_kept_answer {
    struct MHD_Response *mhd; /**< NULL: none is kept */
    const char *data;
    size_t len;
    const char *type;
    uint64_t second; /**< of its Date */
} gw__http_kept_answer;

struct gw_http_response {
    int status;
    const char *content_type; /**< NULL: application/json if there is a body */
    gw_buf body;
    gw_buf headers;           /**< "name NUL value NUL" pairs */
    bool has_type;            /**< Content-Type is among them */
    gw_http_channel *channel; /**< to wait on, rather than to answer; NULL: answer */
    uint64_t ticket;
    unsigned timeout_ms;
    gw__http_kept_answer kept;
};

typedef enum gw__http_stage {
    GW__HTTP_IDLE,     /**< between two requests */
    GW__HTTP_STARTED,  /**< the request line is there */
    GW__HTTP_BODY,     /**< its headers are; the body comes */
    GW__HTTP_OVERLONG, /**< the body is past the limit; the rest is thrown away */
    GW__HTTP_WAITING,  /**< its handler was called, and will be again */
    GW__HTTP_ANSWERED
} gw__http_stage;

typedef struct gw__http_exchange {
    gw__http_lane *lane;
    gw__http_stage stage;
    bool inside;         /**< counted by its lane */
    uint64_t started_ns; /**< when the request line was there */
    size_t body_seen;    /**< bytes of the body so far, kept or not */
    char *query;         /**< as sent; NULL when there is none; the decoded pairs lie behind it */
    size_t query_len;
    bool lost_query; /**< no memory was left for it */
    gw__http_wait wait;
    uint64_t waits_since_ns; /**< when it waited first; 0: it has not */
    gw__http_target target;
    gw_http_request req;
    gw_http_response res;
} gw__http_exchange;

/** For a new connection; NULL when out of memory. */
gw__http_exchange *gw__http_exchange_new(gw__http_lane *lane, struct MHD_Connection *mhd);
void gw__http_exchange_free(gw__http_exchange *ex);

/** @name The steps, in the order MHD takes them. @{ */

/** The request line is there. `target` still has its query. */
void gw__http_exchange_start(gw__http_exchange *ex, const char *target);

/** MHD's access handler: first with the headers, then for each piece of the body, then to answer.
 */
enum MHD_Result gw__http_exchange_step(gw__http_exchange *ex, const char *path, const char *method,
                                       const char *version, const char *data, size_t *data_len);

/** Go on with the request of `wait`, which waits no more: its handler is called in the next turn.
 */
void gw__http_exchange_resume(gw__http_wait *wait);

/** The answer is sent, or the connection broke. */
void gw__http_exchange_end(gw__http_exchange *ex);

/** @} */

/** In response.c: forget the answer, keep its memory if it is small. */
void gw__http_response_reset(gw_http_response *res);

/** In response.c: give back what is kept of the last answer; for the end of the connection. */
void gw__http_response_forget(gw_http_response *res);

/** In response.c: hand the answer to MHD, which borrows the body until the request ends. */
enum MHD_Result gw__http_response_queue(gw_http_response *res, struct MHD_Connection *mhd,
                                        bool close);

#endif
