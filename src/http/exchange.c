/* SPDX-License-Identifier: MIT */
/* From the request line to the end of the answer, in the steps in which MHD calls us. An answer
 * queued on MHD's first call for a request makes it close the connection (measured: 26 us a request
 * instead of 6), so that is done for refusals that should close it, and for nothing else. */
#include "http/exchange.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "http/framing.h"

#define KEEP_MAX     4096  /* memory of a body kept for the connection's next request */
#define SWALLOW_MORE 65536 /* see swallow_limit() */

static void read_local_address(int fd, char *text, size_t size)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof(addr);
    text[0] = '\0';
    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0) {
        return;
    }
    if (addr.ss_family == AF_INET) {
        inet_ntop(AF_INET, &((struct sockaddr_in *)&addr)->sin_addr, text, (socklen_t)size);
        return;
    }
    const struct in6_addr *in6 = &((struct sockaddr_in6 *)&addr)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(in6)) {
        inet_ntop(AF_INET, in6->s6_addr + 12, text, (socklen_t)size);
    } else {
        inet_ntop(AF_INET6, in6, text, (socklen_t)size);
    }
}

static bool is_loopback_v4(const void *address)
{
    return *(const unsigned char *)address == 127;
}

static bool is_peer_loopback(int fd)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof(addr);
    if (getpeername(fd, (struct sockaddr *)&addr, &len) != 0) {
        return false;
    }
    if (addr.ss_family == AF_INET) {
        return is_loopback_v4(&((struct sockaddr_in *)&addr)->sin_addr);
    }
    const struct in6_addr *in6 = &((struct sockaddr_in6 *)&addr)->sin6_addr;
    return addr.ss_family == AF_INET6 &&
           (IN6_IS_ADDR_LOOPBACK(in6) ||
            (IN6_IS_ADDR_V4MAPPED(in6) && is_loopback_v4(in6->s6_addr + 12)));
}

gw__http_exchange *gw__http_exchange_new(gw__http_lane *lane, struct MHD_Connection *mhd)
{
    gw__http_exchange *ex = calloc(1, sizeof(*ex));
    if (ex == NULL) {
        return NULL;
    }
    ex->lane = lane;
    ex->req.mhd = mhd;
    ex->req.target = &ex->target;
    gw__http_target_init(&ex->target);
    gw_buf_init(&ex->req.body, lane->site->max_body_bytes);
    gw_buf_init(&ex->res.body, 0);
    gw_buf_init(&ex->res.headers, 0);
    gw__http_response_reset(&ex->res);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info != NULL) {
        read_local_address(info->connect_fd, ex->req.local_address, sizeof(ex->req.local_address));
        ex->req.peer_is_loopback = is_peer_loopback(info->connect_fd);
    }
    gw_gauge_add(lane->site->n_connections, 1);
    return ex;
}

void gw__http_exchange_free(gw__http_exchange *ex)
{
    if (ex == NULL) {
        return;
    }
    gw__http_exchange_end(ex);
    gw_gauge_add(ex->lane->site->n_connections, -1);
    gw__http_target_dispose(&ex->target);
    gw__http_response_forget(&ex->res);
    gw_buf_dispose(&ex->req.body);
    gw_buf_dispose(&ex->res.body);
    gw_buf_dispose(&ex->res.headers);
    free(ex);
}

void gw__http_exchange_start(gw__http_exchange *ex, const char *target)
{
    gw__http_exchange_end(ex); /* of a request that MHD refused before it came to us */
    ex->stage = GW__HTTP_STARTED;
    ex->started_ns = ex->lane->now_ns;
    const char *mark = strchr(target, '?');
    if (mark == NULL) {
        return;
    }
    /* MHD takes the query apart in place, and a redirect needs it as it was sent. */
    size_t len = strlen(mark + 1);
    ex->query = malloc(len + 1 + GW__HTTP_PAIRS_MAX(len));
    ex->lost_query = ex->query == NULL;
    if (ex->query != NULL) {
        memcpy(ex->query, mark + 1, len + 1);
        ex->query_len = len;
    }
}

/* The path of a target that may be a whole URL, as sent to proxies. */
static const char *path_of(const char *target)
{
    if (target[0] == '/' || strncasecmp(target, "http://", 7) != 0) {
        return target;
    }
    const char *path = strchr(target + 7, '/');
    return path != NULL ? path : "/";
}

static void redirect(gw__http_exchange *ex)
{
    const char *path = ex->req.path;
    size_t len = strlen(path);
    gw_buf location;
    gw_buf_init(&location, 1024);
    bool has_slash = path[len - 1] == '/';
    gw_buf_add(&location, path, has_slash ? len - 1 : len);
    gw_buf_add_str(&location, has_slash ? "" : "/");
    if (ex->query != NULL) {
        gw_buf_add_char(&location, '?');
        gw_buf_add(&location, ex->query, ex->query_len);
    }
    bool is_get = strcmp(ex->req.method, "GET") == 0 || strcmp(ex->req.method, "HEAD") == 0;
    if (gw_buf_status(&location) != GW_OK) {
        gw_http_problem(&ex->res, 414, "the target is too long for a redirect");
    } else if (strchr(path, '\\') != NULL) {
        /* Browsers take it for a slash, and "/\host" for another server. */
        gw_http_problem(&ex->res, 404, "there is nothing at this path");
    } else {
        gw_http_set_status(&ex->res, is_get ? 301 : 308);
        gw_http_set_header(&ex->res, "Location", location.data);
    }
    gw_buf_dispose(&location);
}

static void answer_options_or_405(gw__http_exchange *ex, uint32_t allow)
{
    gw_buf methods;
    gw_buf_init(&methods, 1024);
    gw__http_router_allow(ex->lane->site->router, allow, &methods);
    if (strcmp(ex->req.method, "OPTIONS") == 0) {
        gw_http_set_status(&ex->res, 204);
    } else {
        gw_http_problem(&ex->res, 405, "%.32s is not among the methods of this path: %s",
                        ex->req.method, methods.data != NULL ? methods.data : "");
    }
    if (methods.data != NULL) {
        gw_http_set_header(&ex->res, "Allow", methods.data);
    }
    gw_buf_dispose(&methods);
}

/* Decode the query. False when an answer is made because that was not possible. */
static bool decode_query(gw__http_exchange *ex)
{
    if (ex->query == NULL) {
        return true;
    }
    char *pairs = ex->query + ex->query_len + 1;
    if (gw__http_query_decode(ex->query, ex->query_len, pairs, &ex->req.pairs_len) != GW_OK) {
        gw_http_problem(&ex->res, 400, "the query has a broken escape or an encoded NUL");
        return false;
    }
    ex->req.pairs = pairs;
    return true;
}

static bool is_closing(gw__http_exchange *ex)
{
    return atomic_load_explicit(&ex->lane->site->is_closing, memory_order_relaxed);
}

/* Let the request wait as its handler asked. False when it may not, or not any longer. MHD must not
 * be stopped while a connection is suspended: none is once the site is closing, see worker.c. */
static bool set_aside(gw__http_exchange *ex)
{
    uint64_t now_ns = gw_clock_ns();
    if (ex->waits_since_ns == 0) {
        ex->waits_since_ns = now_ns;
    }
    uint64_t until_ns = ex->waits_since_ns + (uint64_t)ex->res.timeout_ms * GW_NS_PER_MS;
    if (is_closing(ex) || until_ns <= now_ns ||
        gw__http_waits_add(&ex->lane->waits, &ex->wait, ex->res.channel, ex->res.ticket,
                           until_ns) != GW_OK) {
        return false;
    }
    gw__http_response_reset(&ex->res);
    ex->stage = GW__HTTP_WAITING;
    MHD_suspend_connection(ex->req.mhd);
    return true;
}

/* Call the route's handler. False when the request waits and will be handled again. */
static bool handle(gw__http_exchange *ex)
{
    const gw_http_route *route = &ex->req.entry->route;
    route->handler(route->ctx, &ex->req, &ex->res);
    if (ex->res.channel == NULL) {
        return true;
    }
    if (!ex->req.wait_is_over) {
        if (set_aside(ex)) {
            return false;
        }
        ex->req.wait_is_over = true;
        gw__http_response_reset(&ex->res);
        route->handler(route->ctx, &ex->req, &ex->res);
    }
    if (ex->res.channel != NULL) {
        gw_http_problem(&ex->res, 500, "the handler waits on when its wait is over");
    }
    return true;
}

/* False when the request waits. */
static bool answer(gw__http_exchange *ex)
{
    gw_http_response *res = &ex->res;
    if (ex->lost_query) {
        gw_http_problem(res, 503, "out of memory");
        return true;
    }
    if (ex->stage == GW__HTTP_OVERLONG) {
        gw_http_problem(res, 413, "the body is larger than %zu bytes",
                        ex->lane->site->max_body_bytes);
        return true;
    }
    if (strcmp(ex->req.path, "*") == 0 && strcmp(ex->req.method, "OPTIONS") == 0) {
        answer_options_or_405(ex, UINT32_MAX);
        return true;
    }
    gw_status st = gw__http_target_parse(&ex->target, ex->req.path);
    if (st == GW_E_NOMEM) {
        gw_http_problem(res, 503, "out of memory");
        return true;
    }
    if (st != GW_OK) {
        gw_http_problem(res, 400, "the path has a broken escape, a blank or a control character");
        return true;
    }
    gw__http_match match =
        gw__http_router_match(ex->lane->site->router, ex->req.method, &ex->target);
    switch (match.found) {
    case GW__HTTP_FOUND: ex->req.entry = match.entry; return !decode_query(ex) || handle(ex);
    case GW__HTTP_FOUND_REDIRECT: redirect(ex); break;
    case GW__HTTP_FOUND_OTHER: answer_options_or_405(ex, match.allow); break;
    case GW__HTTP_FOUND_NOTHING: gw_http_problem(res, 404, "there is nothing at this path"); break;
    }
    return true;
}

static enum MHD_Result send_answer(gw__http_exchange *ex)
{
    enum MHD_Result ok = gw__http_response_queue(&ex->res, ex->req.mhd, is_closing(ex));
    ex->stage = ok == MHD_YES ? GW__HTTP_ANSWERED : GW__HTTP_IDLE;
    return ok;
}

/* A body past the limit is read on for a while and thrown away, for a client that sends all of it
 * before it looks at the answer would see only a reset. Past this, the connection is closed. */
static size_t swallow_limit(const gw__http_site *site)
{
    return 2 * site->max_body_bytes + SWALLOW_MORE;
}

static bool has_long_header(gw__http_exchange *ex)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(ex->req.mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info != NULL && info->header_size > ex->lane->site->max_header_bytes;
}

/* The headers are there. Refuse what needs no body to be refused; true when that was done. */
static bool refuse_early(gw__http_exchange *ex, const char *version)
{
    gw__http_site *site = ex->lane->site;
    gw__http_framing framing = gw__http_framing_of(ex->req.mhd, version);
    if (framing.fault != NULL) {
        gw_http_problem(&ex->res, 400, "%s", framing.fault);
    } else if (has_long_header(ex)) {
        bool is_target = strlen(ex->req.path) + ex->query_len > site->max_header_bytes / 2;
        gw_http_problem(&ex->res, is_target ? 414 : 431,
                        "request line and headers are larger than %zu bytes",
                        site->max_header_bytes);
    } else if (framing.body_len > swallow_limit(site)) {
        gw_http_problem(&ex->res, 413, "the body is larger than %zu bytes", site->max_body_bytes);
    } else {
        if (framing.body_len > site->max_body_bytes) {
            ex->stage = GW__HTTP_OVERLONG;
        } else if (framing.body_len > 0) {
            gw_buf_reserve(&ex->req.body, framing.body_len);
        }
        return false;
    }
    return true;
}

static enum MHD_Result take_body(gw__http_exchange *ex, const char *data, size_t len)
{
    ex->body_seen += len;
    if (ex->stage == GW__HTTP_BODY) {
        gw_buf_add(&ex->req.body, data, len);
        if (gw_buf_status(&ex->req.body) == GW_E_NOMEM) {
            return MHD_NO;
        }
        if (gw_buf_status(&ex->req.body) == GW_E_LIMIT) {
            ex->stage = GW__HTTP_OVERLONG;
            gw_buf_dispose(&ex->req.body);
        }
    }
    return ex->body_seen > swallow_limit(ex->lane->site) ? MHD_NO : MHD_YES;
}

enum MHD_Result gw__http_exchange_step(gw__http_exchange *ex, const char *path, const char *method,
                                       const char *version, const char *data, size_t *data_len)
{
    if (ex->stage == GW__HTTP_STARTED) {
        ex->req.method = method;
        ex->req.path = path_of(path);
        ex->inside = true;
        ex->lane->n_inside++;
        ex->stage = GW__HTTP_BODY;
        return refuse_early(ex, version) ? send_answer(ex) : MHD_YES;
    }
    if (*data_len > 0) {
        enum MHD_Result ok = take_body(ex, data, *data_len);
        *data_len = 0;
        return ok;
    }
    bool is_answered = false;
    switch (ex->stage) {
    case GW__HTTP_BODY:
    case GW__HTTP_OVERLONG: is_answered = answer(ex); break;
    case GW__HTTP_WAITING: is_answered = handle(ex); break;
    default: return MHD_NO;
    }
    return is_answered ? send_answer(ex) : MHD_YES;
}

void gw__http_exchange_resume(gw__http_wait *wait)
{
    gw__http_exchange *ex = (void *)((char *)wait - offsetof(gw__http_exchange, wait));
    ex->req.wait_is_over = wait->is_over;
    MHD_resume_connection(ex->req.mhd);
}

static void record(gw__http_exchange *ex)
{
    gw__http_site *site = ex->lane->site;
    const gw__http_entry *entry = ex->req.entry;
    uint64_t ns = gw_clock_ns() - ex->started_ns;
    gw__http_tally *tally = &site->tallies[entry != NULL ? entry->index : site->n_routes];
    gw__http_tally_add(tally, ex->req.method, ex->res.status, ns);
    if (atomic_load_explicit(&site->access_log, memory_order_relaxed)) {
        gw_log_info("http", "%.32s %.512s %d %.3f ms route=%s", ex->req.method, ex->req.path,
                    ex->res.status, (double)ns / GW_NS_PER_MS,
                    entry != NULL ? entry->route.name : "");
    }
}

void gw__http_exchange_end(gw__http_exchange *ex)
{
    if (ex->stage == GW__HTTP_IDLE && !ex->inside) {
        return;
    }
    if (ex->stage == GW__HTTP_ANSWERED) {
        record(ex);
    }
    ex->stage = GW__HTTP_IDLE;
    ex->body_seen = 0;
    free(ex->query);
    ex->query = NULL;
    ex->query_len = 0;
    ex->lost_query = false;
    ex->req.pairs = NULL;
    ex->req.pairs_len = 0;
    ex->req.entry = NULL;
    if (ex->waits_since_ns != 0) {
        gw__http_waits_remove(&ex->lane->waits, &ex->wait);
        ex->waits_since_ns = 0;
        ex->req.wait_is_over = false;
    }
    if (ex->req.body.cap > KEEP_MAX) {
        gw_buf_dispose(&ex->req.body);
    }
    gw_buf_clear(&ex->req.body);
    gw__http_target_dispose(&ex->target);
    gw__http_response_reset(&ex->res);
    if (ex->inside) {
        ex->inside = false;
        ex->lane->n_inside--;
    }
}
