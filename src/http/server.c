/* SPDX-License-Identifier: MIT */
/* Start and stop of a server: its site, its socket, and its workers, see worker.h. */
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <godwit/http.h>

#include "http/exchange.h"
#include "http/listen.h"
#include "http/resident.h"
#include "http/worker.h"

#define THREADS_MAX     8
#define THREADS_MAX_SET 64 /* when asked for */

struct gw_http_server {
    gw__http_site site;
    gw__http_gate gate;
    int listen_fd;
    uint16_t port;
    unsigned n_workers;
    gw__http_worker *workers[THREADS_MAX_SET];
};

static unsigned n_threads_for(const gw_http_options *options)
{
    unsigned n = options->n_threads;
    if (n == 0) {
        /* The cores this process may use, which taskset and containers narrow. */
        cpu_set_t cores;
        n = sched_getaffinity(0, sizeof(cores), &cores) == 0 ? (unsigned)CPU_COUNT(&cores) : 1;
        n = n > THREADS_MAX ? THREADS_MAX : n;
    }
    /* The connections are divided among the threads, and each needs one. */
    return n > options->max_connections ? options->max_connections : n;
}

static gw_status check_options(const gw_http_options *options, gw_error *err)
{
    const char *fault = NULL;
    if (options->max_connections == 0) {
        fault = "max_connections is 0";
    } else if (options->n_threads > THREADS_MAX_SET) {
        fault = "n_threads is more than 64";
    } else if (options->max_header_bytes < 1024 || options->max_header_bytes > 1 << 20) {
        fault = "max_header_bytes is not between 1 KiB and 1 MiB";
    } else if (options->max_body_bytes == 0 || options->max_body_bytes > (size_t)1 << 30) {
        fault = "max_body_bytes is not between 1 and 1 GiB";
    } else if (options->idle_timeout_s == 0) {
        fault = "idle_timeout_s is 0";
    }
    return fault == NULL ? GW_OK : gw_error_set(err, GW_E_INVALID, 0, "HTTP server: %s", fault);
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
    site->n_waiting = gw_metrics_gauge(
        "godwit_http_waiting", "Requests that wait for a change before they are answered.", NULL);
    site->max_header_bytes = options->max_header_bytes;
    site->max_body_bytes = options->max_body_bytes;
    atomic_init(&site->access_log, options->access_log);
    return GW_OK;
}

static gw_status start_workers(gw_http_server *server, const gw_http_options *options, bool ipv6,
                               gw_error *err)
{
    unsigned n = n_threads_for(options);
    for (unsigned i = 0; i < n; i++) {
        gw_http_options own = *options;
        own.max_connections = (options->max_connections + i) / n; /* they add up to the whole */
        gw_status st = gw__http_worker_start(&server->site, &server->gate, server->listen_fd, ipv6,
                                             &own, &server->workers[i], err);
        if (st != GW_OK) {
            return gw_error_prefix(err, st, "port %u", server->port);
        }
        server->n_workers++;
    }
    return GW_OK;
}

/* GnuTLS and what it stands on: linked by libmicrohttpd, initialized at load, not used here. */
static void drop_unused_libraries(void)
{
    static const char *const names[] = {"libgnutls.so",  "libp11-kit.so",   "libnettle.so",
                                        "libhogweed.so", "libunistring.so", "libgmp.so",
                                        "libtasn1.so",   "libidn2.so",      NULL};
    gw__resident_drop(names);
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
    if (server == NULL || gw__http_gate_init(&server->gate) != GW_OK) {
        free(server);
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the HTTP server");
    }
    server->listen_fd = -1;
    bool ipv6 = false;
    drop_unused_libraries();
    st = fill_site(&server->site, options, routes, n_routes, err);
    if (st == GW_OK) {
        st = gw__http_listen(options->address, options->port, &server->listen_fd, &ipv6,
                             &server->port, err);
    }
    if (st == GW_OK) {
        st = start_workers(server, options, ipv6, err);
    }
    if (st != GW_OK) {
        gw_http_server_stop(server, 0);
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
    atomic_store(&server->site.is_closing, true);
    gw__http_gate_add(&server->gate, (int)server->n_workers);
    for (unsigned i = 0; i < server->n_workers; i++) {
        gw__http_worker_quiesce(server->workers[i]);
    }
    if (server->listen_fd >= 0) {
        /* For all workers, also one whose handler is busy: the kernel refuses from now on. */
        shutdown(server->listen_fd, SHUT_RDWR);
        close(server->listen_fd);
    }
    gw__http_gate_wait(&server->gate, timeout_ms);
    for (unsigned i = 0; i < server->n_workers; i++) {
        gw__http_worker_stop(server->workers[i]);
    }
    gw__http_router_free(server->site.router);
    free(server->site.tallies);
    gw__http_gate_dispose(&server->gate);
    free(server);
}
