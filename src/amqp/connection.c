/* SPDX-License-Identifier: MIT */
#include "amqp/connection.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <godwit/clock.h>
#include <godwit/log.h>
#include <godwit/metrics.h>
#include <godwit/secret.h>

#include "amqp/link.h"
#include "amqp/lookup.h"
#include "amqp/recovery.h"
#include "amqp/wake.h"

#define AREA               "amqp"
#define CONNECT_TIMEOUT_MS GW__HANDSHAKE_TIMEOUT_MS
#define CONNECT_LEAST_MS   2000
#define FAILED_LATELY_NS   (60 * (uint64_t)GW_NS_PER_S)
/* The pre-scan of tables keeps librabbitmq's recursion flat, so no more is needed. */
#define STACK_SIZE ((size_t)256 << 10)
/* Patience with a peer that takes no data when no heartbeat is agreed on. */
#define STALL_DEFAULT_MS 20000
#define NAME_MAX_LEN     255

typedef enum phase {
    WAITING, /* for the time of the next try */
    LOOKING_UP,
    CONNECTING,
    TALKING
} phase;

struct gw__connection {
    const gw__endpoint *endpoint;
    gw__connection_role role;
    char name[NAME_MAX_LEN + 1];
    gw__wake wake;
    pthread_t thread;
    atomic_bool stop;
    atomic_uint_least64_t stop_by_ms;

    /* @thread the I/O thread's own from here on. */
    phase phase;
    bool stopping;
    uint64_t now_ns;
    uint64_t now_ms;   /* the same */
    uint64_t until_ms; /* end of WAITING, LOOKING_UP or CONNECTING */
    gw__recovery recovery;
    uint8_t order[GW_URL_HOSTS_MAX];      /* in which the hosts are tried in this round */
    size_t host_at;                       /* in `order` */
    uint64_t failed_ns[GW_URL_HOSTS_MAX]; /* when a host was of no use last; 0: never */
    gw__addresses addresses;              /* of that host */
    size_t address_at;
    gw__lookup *lookup; /* also one that hangs */
    gw__link link;
    char password[GW__PASSWORD_MAX + 1]; /* from its file, until it was used */
    gw__session session;
    bool writable;
    uint64_t progress_ms; /* when the peer last took data, or there was none to take */
    uint64_t up_since_ms; /* 0: not up */
    gw_error logged;      /* the reason that was logged last */
    gw_counter *reconnects;
    bool was_up;
};

static const gw_url_host *host_of(const gw__connection *conn)
{
    return &conn->endpoint->url.hosts[conn->order[conn->host_at]];
}

/* How long a host may take to be found, to accept and to say hello. Where there are others it is
 * left after a heartbeat: the kernel goes on accepting for a process that hangs. */
static unsigned attempt_ms(const gw__connection *conn)
{
    unsigned beat_ms = 1000 * conn->endpoint->heartbeat_s;
    if (conn->endpoint->url.n_hosts < 2 || beat_ms == 0 || beat_ms > CONNECT_TIMEOUT_MS) {
        return CONNECT_TIMEOUT_MS;
    }
    return beat_ms > CONNECT_LEAST_MS ? beat_ms : CONNECT_LEAST_MS;
}

/* 0 when it is long ago. */
static uint64_t failed_lately(const gw__connection *conn, uint32_t at)
{
    uint64_t at_ns = conn->failed_ns[conn->order[at]];
    return conn->now_ns - at_ns < FAILED_LATELY_NS ? at_ns : 0;
}

static void swap_hosts(gw__connection *conn, uint32_t a, uint32_t b)
{
    uint8_t swapped = conn->order[a];
    conn->order[a] = conn->order[b];
    conn->order[b] = swapped;
}

/* Fisher and Yates, so that those who lose a host together spread over the others; but those that
 * failed lately come last, in the order in which they did: they may still take a connection and not
 * answer, or answer and be of no use. */
static void shuffle_hosts(gw__connection *conn)
{
    uint32_t n = (uint32_t)conn->endpoint->url.n_hosts;
    for (uint32_t i = 0; i < n; i++) {
        conn->order[i] = (uint8_t)i;
    }
    for (uint32_t i = n; i > 1; i--) {
        swap_hosts(conn, i - 1, gw__recovery_random(&conn->recovery, i));
    }
    for (uint32_t i = 1; i < n; i++) {
        for (uint32_t j = i; j > 0 && failed_lately(conn, j - 1) > failed_lately(conn, j); j--) {
            swap_hosts(conn, j - 1, j);
        }
    }
}

/* ---- failure ------------------------------------------------------------- */

/* Log a reason once, not at each of the tries that end the same way. */
static void log_failure(gw__connection *conn, const gw_error *why, unsigned wait_ms)
{
    if (strcmp(conn->logged.text, why->text) != 0) {
        conn->logged = *why;
        gw_log_warn(AREA, "%s connection: %s; trying again", conn->role.purpose, why->text);
    } else {
        gw_log_debug(AREA, "%s connection: %s; trying again in %u ms", conn->role.purpose,
                     why->text, wait_ms);
    }
}

static void forget_password(gw__connection *conn)
{
    explicit_bzero(conn->password, sizeof(conn->password));
}

static void wait_for_next_round(gw__connection *conn, const gw_error *why)
{
    unsigned wait_ms = gw__recovery_next_ms(&conn->recovery, why->status);
    log_failure(conn, why, wait_ms);
    conn->phase = WAITING;
    conn->until_ms = conn->now_ms + wait_ms;
    conn->addresses.n_items = 0;
    conn->address_at = 0;
    conn->host_at = conn->endpoint->url.n_hosts; /* begin with a fresh shuffle */
    conn->role.state(conn->role.ctx, GW_CLIENT_CONNECTING, why);
}

/* This address, host or session is of no use: on to what comes next, in the next turn. */
static void give_up(gw__connection *conn, const gw_error *reason)
{
    gw_error why = *reason;
    const gw_url_host *host = host_of(conn);
    gw_error_prefix(&why, why.status, strchr(host->name, ':') != NULL ? "[%s]:%u" : "%s:%u",
                    host->name, host->port);
    conn->failed_ns[conn->order[conn->host_at]] = conn->now_ns;
    bool was_up = conn->up_since_ms != 0;
    if (was_up) {
        gw__recovery_worked(&conn->recovery, conn->now_ms - conn->up_since_ms);
    }
    conn->up_since_ms = 0;
    gw__link_close(&conn->link);
    forget_password(conn);
    conn->phase = WAITING;
    conn->until_ms = conn->now_ms;
    conn->address_at++;
    if (conn->address_at >= conn->addresses.n_items) {
        conn->addresses.n_items = 0;
        conn->address_at = 0;
        conn->host_at++;
    }
    if (was_up || why.status == GW_E_DENIED || conn->host_at >= conn->endpoint->url.n_hosts) {
        wait_for_next_round(conn, &why);
    } else {
        log_failure(conn, &why, 0);
    }
}

/* The session is over. */
static void end_session(gw__connection *conn)
{
    gw_error why = conn->session.why;
    bool was_open = conn->up_since_ms != 0;
    if (conn->session.out.len > 0) {
        /* Perhaps the close-ok that it wants to see; no matter if not. */
        size_t n;
        (void)gw__link_write(&conn->link, &conn->session.out, &n, NULL);
    }
    gw__session_end(&conn->session);
    if (was_open) {
        conn->role.down(conn->role.ctx);
    }
    gw__session_dispose(&conn->session);
    if (conn->stopping) {
        gw__link_close(&conn->link);
        conn->phase = WAITING;
        conn->until_ms = conn->now_ms;
    } else {
        give_up(conn, &why);
    }
}

/* ---- the session's events ------------------------------------------------ */

static unsigned patience_ms(const gw__connection *conn)
{
    return conn->session.heartbeat_ms > 0 ? 2 * conn->session.heartbeat_ms : STALL_DEFAULT_MS;
}

static void on_session_open(void *ctx)
{
    gw__connection *conn = ctx;
    const gw_url_host *host = host_of(conn);
    gw_log_info(AREA, "%s connection: connected to %s:%u, virtual host '%s', as '%s'",
                conn->role.purpose, host->name, host->port, conn->endpoint->vhost, conn->name);
    forget_password(conn);
    conn->logged.text[0] = '\0';
    conn->up_since_ms = conn->now_ms;
    conn->progress_ms = conn->now_ms;
    if (conn->was_up) {
        gw_counter_add(conn->reconnects, 1);
    }
    conn->was_up = true;
    gw__link_set_patience(&conn->link, patience_ms(conn));
    conn->role.up(conn->role.ctx, &conn->session);
    conn->role.state(conn->role.ctx, GW_CLIENT_UP, NULL);
}

static void on_session_blocked(void *ctx, const char *reason)
{
    gw__connection *conn = ctx;
    /* A broker in an alarm does not read, and may be so for hours: that must not look like a dead
     * one. Its heartbeats still tell the difference. */
    gw__link_set_patience(&conn->link, reason != NULL ? 0 : patience_ms(conn));
    conn->progress_ms = conn->now_ms;
    if (reason == NULL) {
        gw_log_info(AREA, "%s connection: the broker takes messages again", conn->role.purpose);
        conn->role.state(conn->role.ctx, GW_CLIENT_UP, NULL);
        return;
    }
    gw_error why;
    gw_error_set(&why, GW_E_UNAVAILABLE, 0, "the broker takes no messages: %s", reason);
    gw_log_warn(AREA, "%s connection: %s", conn->role.purpose, why.text);
    conn->role.state(conn->role.ctx, GW_CLIENT_BLOCKED, &why);
}

/* ---- getting there ------------------------------------------------------- */

static void begin_session(gw__connection *conn)
{
    bool from_file = conn->endpoint->password_file != NULL;
    const gw__login login = {.user = conn->endpoint->user,
                             .password = from_file ? conn->password : conn->endpoint->password,
                             .vhost = conn->endpoint->vhost,
                             .connection_name = conn->name,
                             .heartbeat_s = conn->endpoint->heartbeat_s,
                             .host = conn->order[conn->host_at]};
    const gw__session_events events = {
        .open = on_session_open, .blocked = on_session_blocked, .ctx = conn};
    gw__session_begin(&conn->session, &login, &events, conn->now_ns);
    conn->session.deadline_ms = conn->now_ms + attempt_ms(conn);
    gw__session_set_timer(&conn->session, conn->session.deadline_ms);
    gw__link_set_patience(&conn->link, attempt_ms(conn));
    conn->phase = TALKING;
    conn->writable = true;
    conn->progress_ms = conn->now_ms;
}

static void try_address(gw__connection *conn)
{
    gw_error err;
    const struct sockaddr *address =
        (const struct sockaddr *)&conn->addresses.items[conn->address_at];
    gw_status st =
        gw__link_start(&conn->link, address, conn->addresses.lens[conn->address_at], &err);
    conn->phase = CONNECTING;
    conn->until_ms = conn->now_ms + attempt_ms(conn);
    if (st != GW_OK) {
        give_up(conn, &err);
    }
}

static void check_lookup(gw__connection *conn)
{
    gw_status st = GW_OK;
    gw_error err;
    if (gw__lookup_poll(conn->lookup, &st, &conn->addresses, &err)) {
        gw__lookup_drop(conn->lookup);
        conn->lookup = NULL;
        if (st == GW_OK) {
            conn->address_at = 0;
            try_address(conn);
        } else {
            give_up(conn, &err);
        }
    } else if (conn->now_ms >= conn->until_ms) {
        gw_error_set(&err, GW_E_TIMEOUT, 0, "no answer about its address within %u s",
                     attempt_ms(conn) / 1000);
        give_up(conn, &err);
    }
}

static void try_host(gw__connection *conn)
{
    const gw_url_host *host = host_of(conn);
    if (gw__lookup_numeric(host->name, host->port, &conn->addresses)) {
        try_address(conn);
        return;
    }
    conn->phase = LOOKING_UP;
    conn->until_ms = conn->now_ms + attempt_ms(conn);
    gw_error err;
    if (conn->lookup != NULL && strcmp(gw__lookup_host(conn->lookup), host->name) != 0) {
        gw_status st = GW_OK;
        gw__addresses ignored;
        if (!gw__lookup_poll(conn->lookup, &st, &ignored, NULL)) {
            /* Never more than one thread that hangs. */
            gw_error_set(&err, GW_E_TIMEOUT, 0, "the name service still does not answer about '%s'",
                         gw__lookup_host(conn->lookup));
            give_up(conn, &err);
            return;
        }
        gw__lookup_drop(conn->lookup);
        conn->lookup = NULL;
    }
    if (conn->lookup == NULL &&
        gw__lookup_start(host->name, host->port, conn->wake.fd, &conn->lookup, &err) != GW_OK) {
        give_up(conn, &err);
    }
}

/* Anew for each attempt, and before it: a connection that cannot log in is of no use to the broker.
 */
static bool read_password(gw__connection *conn)
{
    gw_error err;
    const char *path = conn->endpoint->password_file;
    if (path == NULL || gw_secret_read("password_file", path, true, conn->password,
                                       sizeof(conn->password), &err) == GW_OK) {
        return true;
    }
    wait_for_next_round(conn, &err);
    return false;
}

static void try_next(gw__connection *conn)
{
    if (!read_password(conn)) {
        return;
    }
    if (conn->addresses.n_items > 0) {
        try_address(conn);
        return;
    }
    if (conn->host_at >= conn->endpoint->url.n_hosts) {
        shuffle_hosts(conn);
        conn->host_at = 0;
    }
    try_host(conn);
}

static bool may_connect(const gw__connection *conn)
{
    return conn->role.may_connect == NULL || conn->role.may_connect(conn->role.ctx);
}

static void finish_connect(gw__connection *conn, bool ready)
{
    gw_error err;
    if (!ready && conn->now_ms < conn->until_ms) {
        return;
    }
    if (!ready) {
        gw_error_set(&err, GW_E_TIMEOUT, 0, "no connection within %u s", attempt_ms(conn) / 1000);
        give_up(conn, &err);
    } else if (gw__link_finish(&conn->link, &err) == GW_OK) {
        begin_session(conn);
    } else {
        give_up(conn, &err);
    }
}

/* ---- talking ------------------------------------------------------------- */

static void fail_session(gw__connection *conn, const gw_error *err)
{
    gw__session_fail(&conn->session, err->status, err->native, "%s", err->text);
}

static void read_input(gw__connection *conn)
{
    gw_error err;
    size_t n = 0;
    bool eof = false;
    gw_status st = gw__link_read(&conn->link, &n, &eof, &err);
    if (n > 0) {
        gw_buf *in = &conn->link.in;
        size_t used =
            gw__session_input(&conn->session, (const uint8_t *)in->data, in->len, conn->now_ns);
        gw_buf_consume(in, used);
    }
    if (st != GW_OK) {
        fail_session(conn, &err);
    } else if (eof) {
        gw__session_eof(&conn->session);
    }
}

static void write_output(gw__connection *conn)
{
    gw__session *session = &conn->session;
    if (gw__link_unsent(&conn->link, &session->out) == 0) {
        conn->progress_ms = conn->now_ms;
        return;
    }
    if (conn->writable) {
        gw_error err;
        size_t n = 0;
        gw_status st = gw__link_write(&conn->link, &session->out, &n, &err);
        if (n > 0) {
            conn->progress_ms = conn->now_ms;
            gw__session_sent(session);
        }
        if (st != GW_OK) {
            read_input(conn); /* it may have said why it hung up */
            fail_session(conn, &err);
            return;
        }
        conn->writable = session->out.len == 0;
    }
    if (!conn->writable && !session->blocked &&
        conn->now_ms >= conn->progress_ms + patience_ms(conn)) {
        gw__session_fail(session, GW_E_TIMEOUT, 0, "the broker took no data for %u s",
                         patience_ms(conn) / 1000);
    }
}

static bool is_over(const gw__session *session)
{
    return session->state == GW__SESSION_FAILED || session->state == GW__SESSION_CLOSED;
}

static void talk(gw__connection *conn, short revents)
{
    if ((revents & POLLOUT) != 0) {
        conn->writable = true;
    }
    if ((revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        read_input(conn);
    }
    if (!is_over(&conn->session)) {
        gw__session_tick(&conn->session, conn->now_ns);
    }
}

/* ---- the thread ---------------------------------------------------------- */

/* Whether the thread is to end. */
static bool check_stop(gw__connection *conn)
{
    if (!conn->stopping && atomic_load(&conn->stop)) {
        conn->stopping = true;
        if (conn->phase == TALKING && gw__session_is_open(&conn->session)) {
            gw__session_close(&conn->session, atomic_load(&conn->stop_by_ms));
        }
    }
    return conn->stopping && (conn->phase != TALKING || conn->session.state != GW__SESSION_CLOSING);
}

static uint64_t next_timer(const gw__connection *conn, const gw__turn *turn)
{
    uint64_t at = turn->timer_ms;
    if (conn->phase == WAITING && !may_connect(conn)) {
        return at;
    }
    if (conn->phase != TALKING) {
        return conn->until_ms < at ? conn->until_ms : at;
    }
    at = conn->session.timer_ms < at ? conn->session.timer_ms : at;
    if (!conn->writable && !conn->session.blocked) {
        uint64_t stalled_at = conn->progress_ms + patience_ms(conn);
        at = stalled_at < at ? stalled_at : at;
    }
    return at;
}

static void read_clock(gw__connection *conn)
{
    conn->now_ns = gw_clock_ns();
    conn->now_ms = conn->now_ns / GW_NS_PER_MS;
}

/* Wait for something to do, at most until the next timer. */
static short wait_for_work(gw__connection *conn, const gw__turn *turn)
{
    uint64_t at = next_timer(conn, turn);
    uint64_t timeout_ns = 0;
    if (at > conn->now_ms) {
        uint64_t wait_ms = at - conn->now_ms;
        timeout_ns = (wait_ms < 60000 ? wait_ms : 60000) * GW_NS_PER_MS;
    }
    bool doze = turn->doze_ns != 0;
    if (doze && turn->doze_ns < timeout_ns) {
        timeout_ns = turn->doze_ns;
    }
    short events = 0;
    int fd = -1;
    if (conn->phase == CONNECTING) {
        fd = conn->link.fd;
        events = POLLOUT;
    } else if (conn->phase == TALKING && !(doze && turn->deaf && conn->writable)) {
        fd = conn->link.fd;
        events = (short)(conn->writable ? POLLIN : POLLIN | POLLOUT);
    }
    short revents = gw__wake_wait(&conn->wake, fd, events, timeout_ns, doze);
    read_clock(conn);
    return revents;
}

static void advance(gw__connection *conn, short revents)
{
    switch (conn->phase) {
    case WAITING:
        if (conn->now_ms >= conn->until_ms && may_connect(conn)) {
            try_next(conn);
        }
        break;
    case LOOKING_UP: check_lookup(conn); break;
    case CONNECTING: finish_connect(conn, revents != 0); break;
    case TALKING: talk(conn, revents); break;
    }
}

static void *run(void *arg)
{
    gw__connection *conn = arg;
    short revents = 0;
    read_clock(conn);
    conn->role.state(conn->role.ctx, GW_CLIENT_CONNECTING, NULL);
    while (!check_stop(conn)) {
        gw__turn turn = {.timer_ms = UINT64_MAX};
        advance(conn, revents);
        if (!conn->stopping) {
            turn = conn->role.work(conn->role.ctx, conn->now_ns);
        }
        if (conn->phase == TALKING) {
            if (!is_over(&conn->session)) {
                size_t before = conn->session.out.len;
                write_output(conn);
                if (before >= GW__OUT_HIGH_WATER && conn->session.out.len < GW__OUT_HIGH_WATER) {
                    turn.timer_ms = conn->now_ms; /* the role waits for this */
                }
            }
            if (is_over(&conn->session)) {
                end_session(conn);
                revents = 0;
                continue; /* the role is to hear of it before we wait */
            }
        }
        revents = wait_for_work(conn, &turn);
    }
    if (conn->phase == TALKING) {
        end_session(conn);
    }
    return NULL;
}

/* ---- life ---------------------------------------------------------------- */

static void write_name(gw__connection *conn, const char *name)
{
    char host[HOST_NAME_MAX + 1] = "localhost";
    (void)gethostname(host, sizeof(host) - 1);
    host[HOST_NAME_MAX] = '\0';
    snprintf(conn->name, sizeof(conn->name), "%.120s@%.64s:%ld %s", name, host, (long)getpid(),
             conn->role.purpose);
}

/* A thread with a small stack that takes no signals. */
static int start_thread(gw__connection *conn)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    int rc = pthread_create(&conn->thread, &attr, run, conn);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0) {
        char name[16];
        snprintf(name, sizeof(name), "amqp-%s", conn->role.purpose);
        (void)pthread_setname_np(conn->thread, name);
    }
    return rc;
}

gw_status gw__connection_start(const gw__endpoint *endpoint, const char *name,
                               const gw__connection_role *role, gw__connection **ret_connection,
                               gw_error *err)
{
    gw__connection *conn = calloc(1, sizeof(*conn));
    if (conn == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a connection");
    }
    conn->endpoint = endpoint;
    conn->role = *role;
    conn->host_at = endpoint->url.n_hosts;
    write_name(conn, name);
    atomic_init(&conn->stop, false);
    atomic_init(&conn->stop_by_ms, 0);
    gw__recovery_init(&conn->recovery);
    gw__link_init(&conn->link);
    conn->reconnects = gw_metrics_counter("godwit_amqp_reconnects_total",
                                          "Connections to the broker that were made anew.", NULL);
    gw_status st = gw__wake_init(&conn->wake, err);
    if (st == GW_OK) {
        int rc = start_thread(conn);
        if (rc == 0) {
            *ret_connection = conn;
            return GW_OK;
        }
        st = gw_error_set_errno(err, rc, "no thread for the %s connection", role->purpose);
        gw__wake_dispose(&conn->wake);
    }
    free(conn);
    return st;
}

void gw__connection_call(gw__connection *connection, bool urgent)
{
    gw__wake_call(&connection->wake, urgent);
}

void gw__connection_stop(gw__connection *connection, unsigned timeout_ms)
{
    if (connection == NULL) {
        return;
    }
    atomic_store(&connection->stop_by_ms, gw_clock_ms() + timeout_ms);
    atomic_store(&connection->stop, true);
    gw__wake_call(&connection->wake, true);
    pthread_join(connection->thread, NULL);
    forget_password(connection);
    gw__lookup_drop(connection->lookup);
    gw__link_close(&connection->link);
    gw__wake_dispose(&connection->wake);
    free(connection);
}
