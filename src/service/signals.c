/* SPDX-License-Identifier: MIT */
#include "service/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <godwit/clock.h>
#include <godwit/log.h>

/* Sent to the thread itself: look again at what the other threads asked for. */
#define SIGNAL_WAKE SIGUSR1
#define STACK_LEN   ((size_t)128 << 10)

/* A second signal this soon belongs to the first: timeout(1) signals the child and then its group,
 * and a terminal a whole group whose members pass it on. */
#define SAME_STOP_MS 500

struct gw__signals {
    gw__signals_options options;
    pthread_t thread;
    sigset_t taken;
    _Atomic uint64_t deadline_ms; /* 0: none */
    _Atomic bool stop_raised;
    _Atomic bool ended;
};

/* The next signal; 0 when the deadline has passed. */
static int next_signal(gw__signals *signals)
{
    uint64_t deadline_ms = atomic_load(&signals->deadline_ms);
    int signum;
    if (deadline_ms == 0) {
        return sigwait(&signals->taken, &signum) == 0 ? signum : SIGNAL_WAKE;
    }
    uint64_t now_ms = gw_clock_ms();
    uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    struct timespec left = {.tv_sec = (time_t)(left_ms / 1000),
                            .tv_nsec = (long)(left_ms % 1000) * (long)GW_NS_PER_MS};
    signum = sigtimedwait(&signals->taken, NULL, &left);
    if (signum < 0) {
        return errno == EAGAIN ? 0 : SIGNAL_WAKE;
    }
    return signum;
}

static void *signals_main(void *ctx)
{
    gw__signals *signals = ctx;
    bool stopping = false;
    uint64_t stopped_ms = 0;
    while (!atomic_load(&signals->ended)) {
        int signum = next_signal(signals);
        if (signum == SIGHUP) {
            signals->options.on_reload(signals->options.ctx);
        } else if (signum == 0) {
            gw_log_error("service", "not stopped within the shutdown timeout: giving up");
            _exit(1);
        } else if (signum != SIGNAL_WAKE && stopping &&
                   gw_clock_ms() - stopped_ms >= SAME_STOP_MS) {
            gw_log_warn("service", "second %s: exiting at once", strsignal(signum));
            _exit(128 + signum);
        }
        bool stop = signum == SIGTERM || signum == SIGINT || atomic_load(&signals->stop_raised);
        if (stop && !stopping) {
            stopping = true;
            stopped_ms = gw_clock_ms();
            signals->options.on_stop(signals->options.ctx, signum == SIGNAL_WAKE ? 0 : signum);
        }
    }
    return NULL;
}

gw_status gw__signals_start(const gw__signals_options *options, gw__signals **ret_signals,
                            gw_error *err)
{
    gw__signals *signals = calloc(1, sizeof(*signals));
    if (signals == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the signal thread");
    }
    signals->options = *options;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals->taken);
    sigaddset(&signals->taken, SIGTERM);
    sigaddset(&signals->taken, SIGINT);
    sigaddset(&signals->taken, SIGHUP);
    sigaddset(&signals->taken, SIGNAL_WAKE);
    pthread_sigmask(SIG_BLOCK, &signals->taken, NULL);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_LEN);
    int rc = pthread_create(&signals->thread, &attr, signals_main, signals);
    pthread_attr_destroy(&attr);
    if (rc != 0) {
        free(signals);
        return gw_error_set_errno(err, rc, "cannot start the signal thread");
    }
    *ret_signals = signals;
    return GW_OK;
}

void gw__signals_raise_stop(gw__signals *signals)
{
    atomic_store(&signals->stop_raised, true);
    pthread_kill(signals->thread, SIGNAL_WAKE);
}

void gw__signals_set_deadline(gw__signals *signals, unsigned timeout_ms)
{
    atomic_store(&signals->deadline_ms, gw_clock_ms() + timeout_ms);
    pthread_kill(signals->thread, SIGNAL_WAKE);
}

void gw__signals_stop(gw__signals *signals)
{
    if (signals == NULL) {
        return;
    }
    atomic_store(&signals->ended, true);
    pthread_kill(signals->thread, SIGNAL_WAKE);
    pthread_join(signals->thread, NULL);
    free(signals);
}
