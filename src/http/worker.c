/* SPDX-License-Identifier: MIT */
#include "http/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <microhttpd.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#define STACK_SIZE ((size_t)256 << 10)

/* What MHD needs of a connection's memory besides request line and headers: an entry for each
 * header, and the head of the answer. It also clears this memory before each further request, so
 * more is not better. */
#define MEMORY_SPARE 4096

/* So many requests in one turn, and the next turn follows without asking the kernel first whether
 * there is anything to do: there will be. */
#define BUSY_STEPS 4

/* So many requests that have waited go on in one turn, so that a wake of thousands does not keep
 * the others from theirs. */
#define RESUMED_MAX 256

/* Of eight connections one is kept from waiting, for those who must be answered: probes, pushes. */
#define NEVER_WAIT(max_connections) ((max_connections) / 8)

#define COMPLAIN_EVERY_NS           (60 * (uint64_t)1000 * GW_NS_PER_MS)

typedef enum phase { PHASE_SERVE, PHASE_QUIESCE, PHASE_STOP } phase;

struct gw__http_worker {
    gw__http_lane lane;
    gw__http_gate *gate;
    struct MHD_Daemon *daemon;
    pthread_t thread;
    int wake_fd;      /* an eventfd: the phase changed, or a channel was woken */
    atomic_int phase; /* of enum phase; only grows */
    unsigned n_steps; /* @thread the worker's, as all that follow */
    bool has_closed;  /* a connection was closed in this turn */
    unsigned n_connections;
    unsigned max_connections;
    uint64_t complained_ns; /* when it was last logged that all of them are in use */
};

/* Clients beyond the limit wait in the kernel's queue, and nobody would know why. */
static void complain_when_full(gw__http_worker *worker)
{
    uint64_t now_ns = worker->lane.now_ns;
    if (worker->n_connections < worker->max_connections ||
        (worker->complained_ns != 0 && now_ns - worker->complained_ns < COMPLAIN_EVERY_NS)) {
        return;
    }
    worker->complained_ns = now_ns;
    gw_log_warn("http",
                "all %u connections of this server thread are in use (%zu of them wait for a "
                "change): further clients wait until one is closed",
                worker->max_connections, worker->lane.waits.n);
}

static void on_connection(void *ctx, struct MHD_Connection *mhd, void **socket_ctx,
                          enum MHD_ConnectionNotificationCode what)
{
    gw__http_worker *worker = ctx;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_ctx = gw__http_exchange_new(&worker->lane, mhd);
        worker->n_connections++;
        complain_when_full(worker);
    } else {
        worker->n_connections--;
        gw__http_exchange_free(*socket_ctx);
        *socket_ctx = NULL;
        worker->has_closed = true;
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
    (void)mhd;
    gw__http_worker *worker = ctx;
    gw__http_exchange *ex = *request_ctx;
    worker->n_steps++;
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

/* Takes `listen_fd` on success. */
static gw_status start_daemon(gw__http_worker *worker, int listen_fd, bool ipv6,
                              const gw_http_options *options, gw_error *err)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_USE_SUPPRESS_DATE_NO_CLOCK |
                     MHD_ALLOW_SUSPEND_RESUME | (ipv6 ? MHD_USE_DUAL_STACK : 0u);
    size_t memory = options->max_header_bytes + MEMORY_SPARE;
    struct MHD_OptionItem items[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)log_message, NULL}, /* first, for the others */
        {MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL},
        {MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL}, /* blocked in our thread */
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, worker},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_end, NULL},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)options->max_connections, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)memory, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)options->idle_timeout_s, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    errno = 0;
    worker->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_step, worker, MHD_OPTION_ARRAY,
                                      items, MHD_OPTION_END);
    if (worker->daemon == NULL) {
        return gw_error_set_errno(err, errno != 0 ? errno : EIO, "cannot start libmicrohttpd");
    }
    return GW_OK;
}

/* How long nothing has to be done if nothing happens; -1 for ever. */
static int idle_ms(gw__http_worker *worker)
{
    uint64_t idle = 60000;
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    /* MHD counts whole milliseconds and is never late by asking twice. */
    bool has_timeout = MHD_get_timeout(worker->daemon, &timeout_ms) == MHD_YES;
    if (has_timeout && timeout_ms < idle) {
        idle = timeout_ms;
    }
    uint64_t next_ns = gw__http_waits_next_ns(&worker->lane.waits);
    if (next_ns == UINT64_MAX) {
        return has_timeout ? (int)idle : -1;
    }
    uint64_t now_ns = gw_clock_ns();
    uint64_t until_ms = next_ns <= now_ns ? 0 : (next_ns - now_ns) / GW_NS_PER_MS + 1;
    return (int)(until_ms < idle ? until_ms : idle);
}

/* Wait until a socket, a channel or the phase has something for us, or somebody's time is up. */
static void wait_for_work(gw__http_worker *worker, int epoll_fd)
{
    struct pollfd fds[] = {{.fd = epoll_fd, .events = POLLIN},
                           {.fd = worker->wake_fd, .events = POLLIN}};
    poll(fds, 2, idle_ms(worker));
    uint64_t count = 0;
    if (fds[1].revents != 0 && read(worker->wake_fd, &count, sizeof(count)) < 0) {
        return; /* the phase and the bell are looked at in any case */
    }
}

/* Let requests go on that need wait no longer, `n_max` of them. MHD_run() calls their handlers. */
static void resume_due(gw__http_worker *worker, size_t n_max)
{
    gw__http_waits *waits = &worker->lane.waits;
    gw__http_waits_look(waits, worker->lane.now_ns);
    gw__http_wait *wait = NULL;
    for (size_t n = 0; n < n_max && (wait = gw__http_waits_take(waits)) != NULL; n++) {
        gw__http_exchange_resume(wait);
    }
}

/* One turn. The number of steps that requests took in it. */
static unsigned take_turn(gw__http_worker *worker, size_t n_resumed_max)
{
    unsigned before = worker->n_steps;
    worker->has_closed = false;
    worker->lane.now_ns = gw_clock_ns();
    resume_due(worker, n_resumed_max);
    MHD_run(worker->daemon);
    return worker->n_steps - before;
}

/* @thread the worker's, as the last it does. MHD must not be stopped with suspended connections. */
static void close_all(gw__http_worker *worker)
{
    gw__http_waits_end(&worker->lane.waits);
    take_turn(worker, SIZE_MAX);     /* nothing is set aside any more */
    MHD_stop_daemon(worker->daemon); /* closes its socket too, if it still has it */
    gw__http_waits_dispose(&worker->lane.waits);
}

static void *run(void *ctx)
{
    gw__http_worker *worker = ctx;
    int epoll_fd = MHD_get_daemon_info(worker->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    bool is_quiesced = false;
    bool is_busy = true; /* as the gate knows it */
    int now = PHASE_SERVE;
    while ((now = atomic_load(&worker->phase)) != PHASE_STOP) {
        if (now == PHASE_QUIESCE && !is_quiesced) {
            is_quiesced = true;
            close(MHD_quiesce_daemon(worker->daemon));
            gw__http_waits_end(&worker->lane.waits);
        }
        unsigned n_steps = take_turn(worker, RESUMED_MAX);
        if (is_quiesced && is_busy != (worker->lane.n_inside > 0)) {
            is_busy = !is_busy;
            gw__http_gate_add(worker->gate, is_busy ? 1 : -1);
        }
        /* At its limit of connections MHD stops listening, and only its next turn starts again. */
        if (n_steps < BUSY_STEPS && !worker->has_closed) {
            wait_for_work(worker, epoll_fd);
        }
    }
    close_all(worker);
    return NULL;
}

static int start_thread(gw__http_worker *worker)
{
    pthread_attr_t attr;
    int failed = pthread_attr_init(&attr);
    if (failed != 0) {
        return failed;
    }
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    /* It must not take the signals that the program waits for, and needs no SIGPIPE. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&worker->thread, &attr, run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (failed == 0) {
        pthread_setname_np(worker->thread, "http");
    }
    return failed;
}

gw_status gw__http_worker_start(gw__http_site *site, gw__http_gate *gate, int listen_fd, bool ipv6,
                                const gw_http_options *options, gw__http_worker **ret_worker,
                                gw_error *err)
{
    gw__http_worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the HTTP server");
    }
    worker->lane.site = site;
    worker->gate = gate;
    worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int own_fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, 0);
    gw_status st = GW_OK;
    if (worker->wake_fd < 0 || own_fd < 0) {
        st = gw_error_set_errno(err, errno, "no descriptor for the HTTP server");
    } else {
        worker->max_connections = options->max_connections;
        gw__http_waits_init(&worker->lane.waits, worker->wake_fd,
                            options->max_connections - NEVER_WAIT(options->max_connections),
                            site->n_waiting);
        st = start_daemon(worker, own_fd, ipv6, options, err);
    }
    if (st == GW_OK) {
        own_fd = -1;
        int failed = start_thread(worker);
        if (failed != 0) {
            MHD_stop_daemon(worker->daemon);
            st = gw_error_set_errno(err, failed, "no thread for the HTTP server");
        }
    }
    if (st == GW_OK) {
        *ret_worker = worker;
        return GW_OK;
    }
    if (own_fd >= 0) {
        close(own_fd);
    }
    if (worker->wake_fd >= 0) {
        close(worker->wake_fd);
    }
    free(worker);
    return st;
}

static void set_phase(gw__http_worker *worker, phase next)
{
    atomic_store(&worker->phase, (int)next);
    uint64_t one = 1;
    while (write(worker->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR) {}
}

void gw__http_worker_quiesce(gw__http_worker *worker)
{
    set_phase(worker, PHASE_QUIESCE);
}

void gw__http_worker_stop(gw__http_worker *worker)
{
    if (worker == NULL) {
        return;
    }
    set_phase(worker, PHASE_STOP);
    pthread_join(worker->thread, NULL);
    close(worker->wake_fd);
    free(worker);
}
