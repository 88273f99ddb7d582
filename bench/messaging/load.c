/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define SEQ_MAX     ((uint64_t)1 << 32)
#define THREADS_MAX 256

/* ---- command line --------------------------------------------------------------------------- */

_Noreturn void load_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t parse_number(const char *name, const char *text, uint64_t min, uint64_t max)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || number < min ||
        number > max) {
        load_fail("%s %s: not a number from %llu to %llu", name, text, (unsigned long long)min,
                  (unsigned long long)max);
    }
    return number;
}

static void parse_option(load_options *to, const char *name, const char *value)
{
    if (strcmp(name, "-queue") == 0) {
        to->queue = value;
    } else if (strcmp(name, "-live-queue") == 0) {
        to->live_queue = value;
    } else if (strcmp(name, "-level") == 0) {
        to->level = value;
    } else if (strcmp(name, "-dir") == 0) {
        to->dir = value;
    } else if (strcmp(name, "-count") == 0) {
        to->count = parse_number(name, value, 1, SEQ_MAX);
    } else if (strcmp(name, "-skip") == 0) {
        to->skip = parse_number(name, value, 0, SEQ_MAX);
    } else if (strcmp(name, "-window") == 0) {
        to->window = (unsigned)parse_number(name, value, 1, 65535);
    } else if (strcmp(name, "-prefetch") == 0) {
        to->prefetch = (unsigned)parse_number(name, value, 0, 65535);
    } else if (strcmp(name, "-rate") == 0) {
        to->rate = (unsigned)parse_number(name, value, 1, 1000000);
    } else if (strcmp(name, "-mandatory") == 0) {
        to->mandatory = parse_number(name, value, 0, 1) == 1;
    } else if (strcmp(name, "-quorum") == 0) {
        to->quorum = parse_number(name, value, 0, 1) == 1;
    } else if (strcmp(name, "-clients") == 0) {
        to->clients = (unsigned)parse_number(name, value, 1, 1000);
    } else if (strcmp(name, "-work-us") == 0) {
        to->work_us = (unsigned)parse_number(name, value, 0, 1000000);
    } else if (strcmp(name, "-threads") == 0) {
        to->threads = (unsigned)parse_number(name, value, 1, THREADS_MAX);
    } else if (strcmp(name, "-batch") == 0) {
        to->batch = (unsigned)parse_number(name, value, 1, LOAD_BATCH_MAX);
    } else {
        load_fail("no such option: %s", name);
    }
}

void load_parse(int argc, char **argv, load_options *ret_options)
{
    *ret_options = (load_options){.queue = LOAD_DEFAULT_QUEUE,
                                  .live_queue = LOAD_DEFAULT_QUEUE "_live",
                                  .window = 1000,
                                  .prefetch = 500,
                                  .rate = 5000,
                                  .batch = 1,
                                  .threads = 1,
                                  .clients = 1,
                                  .level = "memory"};
    ret_options->url = getenv("GODWIT_BENCH_URL");
    if (argc < 2 || argc % 2 != 0 || ret_options->url == NULL) {
        load_fail("usage: GODWIT_BENCH_URL=amqp://... %s MODE [-option value]...; see load.h",
                  argv[0]);
    }
    ret_options->mode = argv[1];
    for (int i = 2; i < argc; i += 2) {
        parse_option(ret_options, argv[i], argv[i + 1]);
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

uint64_t load_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void load_sleep_until(uint64_t at_ns)
{
    struct timespec at = {.tv_sec = (time_t)(at_ns / 1000000000),
                          .tv_nsec = (long)(at_ns % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {}
}

/* ---- bodies and what is learnt from them ------------------------------------------------------
 */

void load_body_write(char body[LOAD_BODY_LEN], uint64_t seq, uint64_t total)
{
    uint64_t head[3] = {load_now_ns(), seq, total};
    memcpy(body, head, sizeof(head));
    memset(body + sizeof(head), 'x', LOAD_BODY_LEN - sizeof(head));
}

/* ---- threads ----------------------------------------------------------------------------------
 */

typedef struct share {
    pthread_t thread;
    load_work work;
    void *ctx;
    unsigned number;
    uint64_t from;
    uint64_t to;
} share;

static void *share_main(void *ctx)
{
    share *it = ctx;
    it->work(it->ctx, it->number, it->from, it->to);
    return NULL;
}

void load_in_threads(const load_options *options, load_work work, void *ctx)
{
    static share shares[THREADS_MAX];
    unsigned n = options->threads;
    for (unsigned i = 0; i < n; i++) {
        shares[i] = (share){.work = work,
                            .ctx = ctx,
                            .number = i,
                            .from = options->count * i / n,
                            .to = options->count * (i + 1) / n};
        int rc = n > 1 ? pthread_create(&shares[i].thread, NULL, share_main, &shares[i]) : 0;
        if (rc != 0) {
            load_fail("cannot start a thread: %s", strerror(rc));
        }
    }
    if (n == 1) {
        share_main(&shares[0]);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        pthread_join(shares[i].thread, NULL);
    }
}

/* ---- numbers of which percentiles are wanted --------------------------------------------------
 */

void load_samples_add(load_samples *samples, uint64_t ns)
{
    if (samples->n == samples->size) {
        samples->size = samples->size > 0 ? 2 * samples->size : 4096;
        samples->ns = realloc(samples->ns, samples->size * sizeof(samples->ns[0]));
        if (samples->ns == NULL) {
            load_fail("no memory for %zu samples", samples->size);
        }
    }
    samples->ns[samples->n++] = ns;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

double load_samples_percentile_us(load_samples *samples, double percent)
{
    if (samples->n == 0) {
        return 0;
    }
    qsort(samples->ns, samples->n, sizeof(samples->ns[0]), compare);
    size_t at = (size_t)((double)(samples->n - 1) * percent / 100);
    return (double)samples->ns[at] / 1000;
}

/* Whether the number is seen for the first time. */
static bool mark_seen(load_arrivals *arrivals, uint64_t seq)
{
    size_t byte = (size_t)(seq / 8);
    if (byte >= arrivals->seen_size) {
        size_t size = 2 * byte + 4096;
        arrivals->seen = realloc(arrivals->seen, size);
        if (arrivals->seen == NULL) {
            load_fail("no memory for %llu messages", (unsigned long long)seq);
        }
        memset(arrivals->seen + arrivals->seen_size, 0, size - arrivals->seen_size);
        arrivals->seen_size = size;
    }
    uint8_t bit = (uint8_t)(1 << seq % 8);
    bool is_new = (arrivals->seen[byte] & bit) == 0;
    arrivals->seen[byte] |= bit;
    return is_new;
}

bool load_arrivals_add(load_arrivals *arrivals, const void *body, size_t len)
{
    uint64_t now_ns = load_now_ns();
    uint64_t head[3];
    if (len != LOAD_BODY_LEN) {
        load_fail("a message of %zu bytes is none of ours", len);
    }
    memcpy(head, body, sizeof(head));
    if (head[1] >= SEQ_MAX) {
        load_fail("a message has the number %llu", (unsigned long long)head[1]);
    }
    if (head[2] != 0) {
        arrivals->total = head[2];
    }
    if (!mark_seen(arrivals, head[1])) {
        arrivals->n_duplicates++;
        return false;
    }
    arrivals->n_unique++;
    if (head[1] >= arrivals->skip) {
        load_samples_add(&arrivals->latency, now_ns - head[0]);
    }
    return arrivals->total != 0 && arrivals->n_unique >= arrivals->total;
}

/* ---- what it took ------------------------------------------------------------------------------
 */

static uint64_t cpu_ns(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * 1000000000 +
           ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000;
}

void load_start(load_stopwatch *watch)
{
    watch->start_ns = load_now_ns();
    watch->start_cpu_ns = cpu_ns();
}

void load_stop(load_stopwatch *watch)
{
    watch->end_ns = load_now_ns();
    load_stop_cpu(watch);
}

void load_stop_cpu(load_stopwatch *watch)
{
    watch->cpu_ns = cpu_ns() - watch->start_cpu_ns;
}

void load_ready(void)
{
    fputs("ready\n", stderr);
}

static uint64_t status_kib(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

uint64_t load_resident_kib(uint64_t *ret_anon_kib)
{
    char text[8192];
    FILE *file = fopen("/proc/self/status", "r");
    if (file == NULL) {
        load_fail("/proc/self/status cannot be read");
    }
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    *ret_anon_kib = status_kib(text, "\nRssAnon:");
    return status_kib(text, "\nVmRSS:");
}

void load_report(const load_options *options, const load_stopwatch *watch, uint64_t n_messages,
                 const char *latency_name, load_samples *latency, load_arrivals *arrivals)
{
    uint64_t anon_kib;
    uint64_t rss_kib = load_resident_kib(&anon_kib); /* before the samples are sorted */
    double n = n_messages > 0 ? (double)n_messages : 1;
    double seconds = (double)(watch->end_ns - watch->start_ns) / 1e9;
    printf("{\"mode\":\"%s\",\"messages\":%llu,\"seconds\":%.6f,\"rate\":%.1f,\"cpu_us\":%.4f,"
           "\"start_ns\":%llu,\"end_ns\":%llu,\"rss_kib\":%llu,\"anon_kib\":%llu",
           options->mode, (unsigned long long)n_messages, seconds, (double)n_messages / seconds,
           (double)watch->cpu_ns / 1000 / n, (unsigned long long)watch->start_ns,
           (unsigned long long)watch->end_ns, (unsigned long long)rss_kib,
           (unsigned long long)anon_kib);
    if (latency != NULL) {
        printf(",\"%sp50_us\":%.1f,\"%sp99_us\":%.1f", latency_name,
               load_samples_percentile_us(latency, 50), latency_name,
               load_samples_percentile_us(latency, 99));
    }
    if (arrivals != NULL) {
        uint64_t total = arrivals->total;
        printf(",\"missing\":%llu,\"duplicates\":%llu",
               (unsigned long long)(total > arrivals->n_unique ? total - arrivals->n_unique : 0),
               (unsigned long long)arrivals->n_duplicates);
    }
    printf("}\n");
    fflush(stdout);
    if (latency != NULL) {
        free(latency->ns);
        *latency = (load_samples){.ns = NULL};
    }
    if (arrivals != NULL) {
        free(arrivals->seen);
        arrivals->seen = NULL;
    }
}
