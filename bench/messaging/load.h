/* SPDX-License-Identifier: MIT */
/*
 * What the load programs in C share: the command line, the body that tells when it was sent, the
 * pace, and the line of results. bench/peers/amqp091 has the same for Go; the form of the command
 * line, of the body and of the line is one.
 *
 *   PROGRAM publish -queue Q -count N [-window W] [-batch B] [-threads T]
 *               as fast as it goes, until all are confirmed
 *   PROGRAM consume -queue Q -count N [-prefetch P]
 *               as fast as it goes, until all are acknowledged
 *   PROGRAM pace    -queue Q -count N -rate R
 *               R messages a second; each says when it left
 *   PROGRAM listen  -queue Q [-count N] [-skip S]
 *               until all of `pace` came: how long they took
 *   PROGRAM idle    -queue Q
 *               waits for messages until it is killed
 *
 * The broker's URL comes from the environment, GODWIT_BENCH_URL: every user sees a command line.
 * Results are one line of JSON on standard output. What receives says "ready" on standard error
 * first.
 * Exit status 3: this program cannot do that, and says on standard error why.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_BODY_LEN      100
#define LOAD_ACK_EVERY     64 /* handled messages that are acknowledged together */
#define LOAD_IDLE_S        20 /* `listen` and `consume` give up when nothing came for so long */
#define LOAD_EXIT_CANNOT   3
#define LOAD_DEFAULT_QUEUE "bench"
#define LOAD_BATCH_MAX     1024

typedef struct load_options {
    const char *url;
    const char *mode;
    const char *queue;
    uint64_t count; /* 0 with `listen`: the last message says how many there are */
    unsigned window;
    unsigned prefetch;
    unsigned rate;
    uint64_t skip;          /* latencies of the first ones that do not count */
    bool mandatory;         /* librabbitmq_loop only: and with a message id, as Godwit sends */
    unsigned batch;         /* messages that are published together; not librabbitmq_loop */
    unsigned threads;       /* that publish, each with a connection of its own if it needs one; not
                               librabbitmq_loop; all that follow are of Godwit's programs */
    bool quorum;            /* the queue that is declared is one of those */
    unsigned clients;       /* of many_clients, as the next */
    unsigned work_us;       /* that a handler takes */
    const char *level;      /* of the outbox */
    const char *dir;        /* of the outbox */
    const char *live_queue; /* of `backlog` */
} load_options;

/* Read the command line; ends the program with a text when it is wrong. */
void load_parse(int argc, char **argv, load_options *ret_options);

/* Say it on standard error and end with status 1. */
_Noreturn void load_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* CLOCK_MONOTONIC, which is the same in all processes of a machine. */
uint64_t load_now_ns(void);
void load_sleep_until(uint64_t at_ns);

/* ---- the body: when it was sent, its number, and with the last one how many there are ---- */

/* `total` is 0 for "not the last". The time is now. */
void load_body_write(char body[LOAD_BODY_LEN], uint64_t seq, uint64_t total);

/* ---- threads ------------------------------------------------------------------------------ */

/* Call `work(ctx, thread, from, to)` on options->threads threads, which share the messages 0 to
 * options->count - 1: each has a range. */
typedef void (*load_work)(void *ctx, unsigned thread, uint64_t from, uint64_t to);
void load_in_threads(const load_options *options, load_work work, void *ctx);

/* ---- numbers of which percentiles are wanted ---------------------------------------------- */

typedef struct load_samples {
    uint64_t *ns;
    size_t n;
    size_t size;
} load_samples;

void load_samples_add(load_samples *samples, uint64_t ns);
/* The percentile in microseconds; 0 without samples. Sorts them. */
double load_samples_percentile_us(load_samples *samples, double percent);

/* ---- what `listen` received ---------------------------------------------------------------- */

typedef struct load_arrivals {
    load_samples latency;
    uint8_t *seen; /* a bit for each sequence number */
    size_t seen_size;
    uint64_t skip;
    uint64_t total; /* 0: not known yet */
    uint64_t n_unique;
    uint64_t n_duplicates;
} load_arrivals;

/* Note a message. True when all have come. */
bool load_arrivals_add(load_arrivals *arrivals, const void *body, size_t len);

/* ---- what it took ------------------------------------------------------------------------ */

typedef struct load_stopwatch {
    uint64_t start_ns;
    uint64_t start_cpu_ns;
    uint64_t end_ns;
    uint64_t cpu_ns;
} load_stopwatch;

void load_start(load_stopwatch *watch);
/* The time is over here; CPU counts on to the next call, or is that of the first. */
void load_stop(load_stopwatch *watch);
void load_stop_cpu(load_stopwatch *watch);

/* Say "ready" on standard error: the script may begin. */
void load_ready(void);

/* Resident memory now; `ret_anon_kib` is the part that no file stands behind. */
uint64_t load_resident_kib(uint64_t *ret_anon_kib);

/* The line of results, and the end of the samples, which are freed. `latency` may be NULL, as
 * `arrivals`; its percentiles are called p50_us and so on, after `latency_name`. */
void load_report(const load_options *options, const load_stopwatch *watch, uint64_t n_messages,
                 const char *latency_name, load_samples *latency, load_arrivals *arrivals);

#endif
