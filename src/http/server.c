/* SPDX-License-Identifier: MIT */
/* Start and stop of a server. libmicrohttpd runs the sockets: its threads wait on epoll, each for
 * the connections it accepted, and call the steps of exchange.c. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include <godwit/http.h>
#include <godwit/log.h>

#include "http/exchange.h"
#include "http/listen.h"

#define THREADS_MAX 8
#define STACK_SIZE  ((size_t)256 << 10)

/* What MHD needs of a connection's memory besides request line and headers: an entry for each
 * header, and the head of the answer. It also clears this memory before each further request, so
 * more is not better. */
#define MEMORY_SPARE 4096

struct gw_http_server {
    gw__http_site site;
    struct MHD_Daemon *daemon;
    uint16_t port;
};

/* @thread: MHD's. */
static void on_connection(void *ctx, struct MHD_Connection *mhd, void **socket_ctx,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_ctx = gw__http_exchange_new(ctx, mhd);
    } else {
        gw__http_exchange_free(*socket_ctx);
        *socket_ctx = NULL;
    }
}

/* The request line is there. What this returns is the request's context from now on. */
static void *on_target(void *ctx, const char *target, struct MHD_Connection *mhd)
{
    (void)ctx;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    gw__http_exchange *ex = info != NULL ? info->socket_context : NULL;
    if (ex != NULL) {
        gw__http_exchange_start(ex, target);
    }
    return ex;
}

static enum MHD_Result on_step(void *ctx, struct MHD_Connection *mhd, const char *path,
                               const char *method, const char *version, const char *data,
                               size_t *data_len, void **request_ctx)
{
    (void)ctx;
    (void)mhd;
    gw__http_exchange *ex = *request_ctx;
    return ex == NULL ? MHD_NO : gw__http_exchange_step(ex, path, method, version, data, data_len);
}

static void on_end(void *ctx, struct MHD_Connection *mhd, void **request_ctx,
                   enum MHD_RequestTerminationCode why)
{
    (void)ctx;
    (void)mhd;
    (void)why;
    if (*request_ctx != NULL) {
        gw__http_exchange_end(*request_ctx);
        *request_ctx = NULL;
    }
}

/* Leave the target as it was sent: it is decoded in target.c, segment by segment. */
static size_t keep_escapes(void *ctx, struct MHD_Connection *mhd, char *text)
{
    (void)ctx;
    (void)mhd;
    return strlen(text);
}

static void GW_PRINTF(2, 0) log_message(void *ctx, const char *format, va_list args)
{
    (void)ctx;
    if (gw_log_get_level() > GW_LOG_DEBUG) {
        return;
    }
    char text[512];
    vsnprintf(text, sizeof(text), format, args);
    text[strcspn(text, "\n")] = '\0';
    gw_log_debug("http", "%s", text);
}

static unsigned n_threads_for(const gw_http_options *options)
{
    unsigned n = options->n_threads;
    if (n == 0) {
        /* The cores this process may use, which taskset and containers narrow. */
        cpu_set_t cores;
        n = sched_getaffinity(0, sizeof(cores), &cores) == 0 ? (unsigned)CPU_COUNT(&cores) : 1;
        n = n > THREADS_MAX ? THREADS_MAX : n;
    }
    /* MHD divides the connections among the threads, and each needs one. */
    return n > options->max_connections ? options->max_connections : n;
}

static gw_status start_daemon(gw_http_server *server, const gw_http_options *options, int fd,
                              bool ipv6, gw_error *err)
{
    unsigned n_threads = n_threads_for(options);
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG |
                     (ipv6 ? MHD_USE_DUAL_STACK : 0u);
    size_t memory = options->max_header_bytes + MEMORY_SPARE;
    struct MHD_OptionItem items[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)log_message, NULL}, /* first, for the others */
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, &server->site},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_end, NULL},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)options->max_connections, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)memory, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)options->idle_timeout_s, NULL},
        {MHD_OPTION_THREAD_STACK_SIZE, (intptr_t)STACK_SIZE, NULL},
        {n_threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)n_threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    /* The threads must not take the signals that the program waits for. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = 0;
    server->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_step, NULL, MHD_OPTION_ARRAY, items,
                                      MHD_OPTION_END);
    int errnum = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (server->daemon == NULL) {
        return gw_error_set_errno(err, errnum != 0 ? errnum : EIO,
                                  "cannot start the HTTP server on port %u", server->port);
    }
    return GW_OK;
}

static void server_free(gw_http_server *server)
{
    if (server == NULL) {
        return;
    }
    gw__http_router_free(server->site.router);
    free(server->site.tallies);
    gw__http_gate_dispose(&server->site.gate);
    free(server);
}

static gw_status fill_site(gw__http_site *site, const gw_http_options *options,
                           const gw_http_route *routes, size_t n_routes, gw_error *err)
{
    gw_status st = gw__http_router_new(routes, n_routes, &site->router, err);
    if (st != GW_OK) {
        return st;
    }
    site->tallies = calloc(n_routes + 1, sizeof(site->tallies[0]));
    if (site->tallies == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the HTTP server");
    }
    for (size_t i = 0; i < n_routes; i++) {
        gw__http_tally_init(&site->tallies[i], routes[i].name);
    }
    gw__http_tally_init(&site->tallies[n_routes], "");
    site->n_routes = n_routes;
    site->n_connections =
        gw_metrics_gauge("godwit_http_connections", "Open HTTP connections.", NULL);
    site->max_header_bytes = options->max_header_bytes;
    site->max_body_bytes = options->max_body_bytes;
    atomic_init(&site->access_log, options->access_log);
    return GW_OK;
}

static gw_status check_options(const gw_http_options *options, gw_error *err)
{
    const char *fault = NULL;
    if (options->max_connections == 0) {
        fault = "max_connections is 0";
    } else if (options->max_header_bytes < 1024 || options->max_header_bytes > 1 << 20) {
        fault = "max_header_bytes is not between 1 KiB and 1 MiB";
    } else if (options->max_body_bytes == 0 || options->max_body_bytes > (size_t)1 << 30) {
        fault = "max_body_bytes is not between 1 and 1 GiB";
    } else if (options->idle_timeout_s == 0) {
        fault = "idle_timeout_s is 0";
    }
    return fault == NULL ? GW_OK : gw_error_set(err, GW_E_INVALID, 0, "HTTP server: %s", fault);
}

gw_status gw_http_server_start(const gw_http_options *options, const gw_http_route *routes,
                               size_t n_routes, gw_http_server **ret_server, gw_error *err)
{
    gw_http_options defaults = GW_HTTP_OPTIONS_INIT;
    options = options != NULL ? options : &defaults;
    if (ret_server == NULL || (routes == NULL && n_routes > 0)) {
        return gw_error_set(err, GW_E_INVALID, 0, "HTTP server: an argument is NULL");
    }
    gw_status st = check_options(options, err);
    if (st != GW_OK) {
        return st;
    }
    gw_http_server *server = calloc(1, sizeof(*server));
    if (server == NULL || gw__http_gate_init(&server->site.gate) != GW_OK) {
        free(server);
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the HTTP server");
    }
    int fd = -1;
    bool ipv6 = false;
    st = fill_site(&server->site, options, routes, n_routes, err);
    if (st == GW_OK) {
        st = gw__http_listen(options->address, options->port, &fd, &ipv6, &server->port, err);
    }
    if (st == GW_OK) {
        st = start_daemon(server, options, fd, ipv6, err);
    }
    if (st != GW_OK) {
        if (fd >= 0) {
            close(fd);
        }
        server_free(server);
        return st;
    }
    *ret_server = server;
    return GW_OK;
}

uint16_t gw_http_server_port(const gw_http_server *server)
{
    return server->port;
}

void gw_http_server_set_access_log(gw_http_server *server, bool on)
{
    atomic_store_explicit(&server->site.access_log, on, memory_order_relaxed);
}

void gw_http_server_stop(gw_http_server *server, unsigned timeout_ms)
{
    if (server == NULL) {
        return;
    }
    gw__http_gate_close(&server->site.gate);
    MHD_socket fd = MHD_quiesce_daemon(server->daemon);
    if (fd != MHD_INVALID_SOCKET) {
        /* A thread may still be in accept(), so the number must not be free for reuse yet; this
         * already makes the kernel refuse connections. */
        shutdown(fd, SHUT_RDWR);
    }
    gw__http_gate_wait(&server->site.gate, timeout_ms);
    MHD_stop_daemon(server->daemon);
    if (fd != MHD_INVALID_SOCKET) {
        close(fd);
    }
    server_free(server);
}
