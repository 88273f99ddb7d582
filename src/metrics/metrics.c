/* SPDX-License-Identifier: MIT */
/*
 * The registry of metrics. A family is a name with its type and help; its series differ in their
 * labels. Both stay for ever, so counting takes no lock and no look-up. What would break the
 * written page for a scraper (a name or labels of the wrong form, one name with two types) gets the
 * hidden series, as does what comes too late.
 */
#include <godwit/metrics.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>

#include "base/utf8.h"
#include "metrics/process.h"

#define LABELS_MAX 1024 /* most bytes of the labels of one series */
#define CACHE_LINE                                                                                 \
    64 /* series do not share one, so that counting in one thread does not slow another */
#define N_BUCKETS 17

struct gw_counter {
    _Atomic uint64_t value;
};

struct gw_gauge {
    _Atomic int64_t value;
};

struct gw_histogram {
    _Atomic uint64_t
        counts[N_BUCKETS + 1]; /* each observation is in one; the last is past all bounds */
    _Atomic uint64_t sum_ns;
};

/* The bounds of histograms: the texts are exact, and no locale can turn their '.' into a ','. */
static const struct {
    uint64_t ns;
    const char *seconds;
} bounds[N_BUCKETS] = {
    {50000, "0.00005"},   {100000, "0.0001"},  {250000, "0.00025"},  {500000, "0.0005"},
    {1000000, "0.001"},   {2500000, "0.0025"}, {5000000, "0.005"},   {10000000, "0.01"},
    {25000000, "0.025"},  {50000000, "0.05"},  {100000000, "0.1"},   {250000000, "0.25"},
    {500000000, "0.5"},   {1000000000, "1"},   {2500000000u, "2.5"}, {5000000000u, "5"},
    {10000000000u, "10"},
};

typedef union metric {
    gw_counter counter;
    gw_gauge gauge;
    gw_histogram histogram;
} metric;

typedef struct series {
    metric metric;
    struct series *next;
    char labels[]; /* empty for none */
} series;

typedef enum metric_kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM } metric_kind;

typedef struct family {
    const char *name;
    const char *help;
    metric_kind kind;
    series *series; /* in the order of registration */
    struct family *next;

    /* For a family that is read from the kernel instead of counted; such a one has no series. */
    bool (*read)(uint64_t *ret_value);
    bool is_time; /* read() answers nanoseconds, written in seconds */
} family;

static family process_start = {.name = "process_start_time_seconds",
                               .help = "Start time of the process since the Unix epoch in seconds.",
                               .kind = KIND_GAUGE,
                               .read = gw__process_start_ns,
                               .is_time = true};
static family process_resident = {.name = "process_resident_memory_bytes",
                                  .help = "Resident memory size in bytes.",
                                  .kind = KIND_GAUGE,
                                  .next = &process_start,
                                  .read = gw__process_resident_bytes};
static family process_fds = {.name = "process_open_fds",
                             .help = "Number of open file descriptors.",
                             .kind = KIND_GAUGE,
                             .next = &process_resident,
                             .read = gw__process_open_fds};
static family process_cpu = {.name = "process_cpu_seconds_total",
                             .help = "Total user and system CPU time spent in seconds.",
                             .kind = KIND_COUNTER,
                             .next = &process_fds,
                             .read = gw__process_cpu_ns,
                             .is_time = true};

static struct {
    pthread_mutex_t lock;
    family *families; /* sorted by name */
    size_t n_series;
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER, .families = &process_cpu};

static metric hidden;

static bool is_name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

static bool is_metric_name(const char *name)
{
    const char *p = name;
    while (is_name_char(*p, p == name) || *p == ':') {
        p++;
    }
    return p != name && *p == '\0';
}

/* The end of a label value that begins after its first quote: its last quote; NULL when it has the
 * wrong form. */
static const char *value_end(const char *p)
{
    while (*p != '"') {
        if (*p == '\\') {
            p++;
            if (*p != '\\' && *p != '"' && *p != 'n') {
                return NULL;
            }
        }
        if (*p == '\0' || *p == '\n') {
            return NULL;
        }
        p++;
    }
    return p;
}

/* Whether a label of this name comes before `end`. Only called for labels that are known to have
 * the right form. */
static bool has_label(const char *labels, const char *end, const char *name, size_t name_len)
{
    for (const char *p = labels; p < end;) {
        size_t len = strcspn(p, "=");
        if (len == name_len && memcmp(p, name, len) == 0) {
            return true;
        }
        p = value_end(p + len + 2) + 2; /* past the quote and the comma */
    }
    return false;
}

/* Whether `labels` is `key="value",...` as a scraper reads it, each key once. */
static bool are_labels(const char *labels, metric_kind kind)
{
    if (*labels == '\0') {
        return true;
    }
    const char *p = labels;
    for (;;) {
        const char *name = p;
        while (is_name_char(*p, p == name)) {
            p++;
        }
        size_t len = (size_t)(p - name);
        bool reserved = (len >= 2 && name[0] == '_' && name[1] == '_') ||
                        (kind == KIND_HISTOGRAM && len == 2 && memcmp(name, "le", 2) == 0);
        if (len == 0 || reserved || p[0] != '=' || p[1] != '"' ||
            has_label(labels, name, name, len)) {
            return false;
        }
        p = value_end(p + 2);
        if (p == NULL || p[1] == '\0') {
            return p != NULL;
        }
        if (p[1] != ',') {
            return false;
        }
        p += 2;
    }
}

/* The family of this name; added if there is none yet. NULL for one of another kind or when out of
 * memory. */
static family *get_family_locked(const char *name, const char *help, metric_kind kind)
{
    family **link = &registry.families;
    int order = -1;
    while (*link != NULL && (order = strcmp((*link)->name, name)) < 0) {
        link = &(*link)->next;
    }
    if (*link != NULL && order == 0) {
        return (*link)->kind == kind && (*link)->read == NULL ? *link : NULL;
    }
    family *fam = registry.n_series < GW_METRICS_MAX ? calloc(1, sizeof(*fam)) : NULL;
    if (fam != NULL) {
        *fam = (family){.name = name, .help = help, .kind = kind, .next = *link};
        *link = fam;
    }
    return fam;
}

static series *get_series_locked(family *fam, const char *labels)
{
    series **link = &fam->series;
    while (*link != NULL) {
        if (strcmp((*link)->labels, labels) == 0) {
            return *link;
        }
        link = &(*link)->next;
    }
    if (registry.n_series == GW_METRICS_MAX) {
        return NULL;
    }
    size_t labels_size = strlen(labels) + 1;
    size_t size = (sizeof(series) + labels_size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    series *added = aligned_alloc(CACHE_LINE, size);
    if (added != NULL) {
        memset(added, 0, size);
        memcpy(added->labels, labels, labels_size);
        *link = added;
        registry.n_series++;
    }
    return added;
}

static metric *get_metric(const char *name, const char *help, const char *labels, metric_kind kind)
{
    labels = labels != NULL ? labels : "";
    if (name == NULL || !is_metric_name(name) || strnlen(labels, LABELS_MAX + 1) > LABELS_MAX ||
        !gw_utf8_is_valid(labels, strlen(labels)) || !are_labels(labels, kind)) {
        return &hidden;
    }
    pthread_mutex_lock(&registry.lock);
    family *fam = get_family_locked(name, help != NULL ? help : "", kind);
    series *s = fam != NULL ? get_series_locked(fam, labels) : NULL;
    pthread_mutex_unlock(&registry.lock);
    return s != NULL ? &s->metric : &hidden;
}

gw_counter *gw_metrics_counter(const char *name, const char *help, const char *labels)
{
    return &get_metric(name, help, labels, KIND_COUNTER)->counter;
}

gw_gauge *gw_metrics_gauge(const char *name, const char *help, const char *labels)
{
    return &get_metric(name, help, labels, KIND_GAUGE)->gauge;
}

gw_histogram *gw_metrics_histogram(const char *name, const char *help, const char *labels)
{
    return &get_metric(name, help, labels, KIND_HISTOGRAM)->histogram;
}

void gw_counter_add(gw_counter *counter, uint64_t n)
{
    atomic_fetch_add_explicit(&counter->value, n, memory_order_relaxed);
}

uint64_t gw_counter_get(const gw_counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

void gw_gauge_set(gw_gauge *gauge, int64_t value)
{
    atomic_store_explicit(&gauge->value, value, memory_order_relaxed);
}

void gw_gauge_add(gw_gauge *gauge, int64_t n)
{
    atomic_fetch_add_explicit(&gauge->value, n, memory_order_relaxed);
}

int64_t gw_gauge_get(const gw_gauge *gauge)
{
    return atomic_load_explicit(&gauge->value, memory_order_relaxed);
}

void gw_histogram_observe(gw_histogram *histogram, uint64_t ns)
{
    size_t i = 0;
    while (i < N_BUCKETS && ns > bounds[i].ns) {
        i++;
    }
    atomic_fetch_add_explicit(&histogram->counts[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_ns, ns, memory_order_relaxed);
}

static void add_label_value(gw_buf *out, const char *value)
{
    size_t len = strlen(value);
    for (size_t i = 0; i < len;) {
        size_t n = gw_utf8_sequence_len(value + i, len - i);
        switch (value[i]) {
        case '\\': gw_buf_add(out, "\\\\", 2); break;
        case '"': gw_buf_add(out, "\\\"", 2); break;
        case '\n': gw_buf_add(out, "\\n", 2); break;
        default:
            if (n == 0) {
                gw_buf_add_str(out, "\xef\xbf\xbd");
            } else {
                gw_buf_add(out, value + i, n);
            }
        }
        i += n > 0 ? n : 1;
    }
}

void gw_metrics_label(gw_buf *labels, const char *key, const char *value)
{
    if (labels->len > 0) {
        gw_buf_add_char(labels, ',');
    }
    gw_buf_add_str(labels, key);
    gw_buf_add(labels, "=\"", 2);
    add_label_value(labels, value);
    gw_buf_add_char(labels, '"');
}

static void write_header(gw_buf *out, const family *fam)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    gw_buf_addf(out, "# HELP %s ", fam->name);
    for (const char *p = fam->help; *p != '\0'; p++) {
        switch (*p) {
        case '\\': gw_buf_add(out, "\\\\", 2); break;
        case '\n': gw_buf_add(out, "\\n", 2); break;
        default: gw_buf_add_char(out, *p); break;
        }
    }
    gw_buf_addf(out, "\n# TYPE %s %s\n", fam->name, types[fam->kind]);
}

/* `name{labels,le="..."} `: what stands before a value. `le` is NULL outside of buckets. */
static void write_key(gw_buf *out, const char *name, const char *suffix, const char *labels,
                      const char *le)
{
    gw_buf_add_str(out, name);
    gw_buf_add_str(out, suffix);
    if (*labels != '\0' || le != NULL) {
        gw_buf_add_char(out, '{');
        gw_buf_add_str(out, labels);
        if (le != NULL) {
            gw_buf_addf(out, "%sle=\"%s\"", *labels != '\0' ? "," : "", le);
        }
        gw_buf_add_char(out, '}');
    }
    gw_buf_add_char(out, ' ');
}

static void write_seconds(gw_buf *out, uint64_t ns)
{
    gw_buf_addf(out, "%" PRIu64 ".%09" PRIu64 "\n", ns / GW_NS_PER_S, ns % GW_NS_PER_S);
}

/* The count is the sum of the buckets that were read, so that a page agrees with itself while
 * others observe. */
static void write_histogram(gw_buf *out, const char *name, const series *s)
{
    const gw_histogram *histogram = &s->metric.histogram;
    uint64_t total = 0;
    for (size_t i = 0; i <= N_BUCKETS; i++) {
        total += atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
        write_key(out, name, "_bucket", s->labels, i < N_BUCKETS ? bounds[i].seconds : "+Inf");
        gw_buf_addf(out, "%" PRIu64 "\n", total);
    }
    write_key(out, name, "_sum", s->labels, NULL);
    write_seconds(out, atomic_load_explicit(&histogram->sum_ns, memory_order_relaxed));
    write_key(out, name, "_count", s->labels, NULL);
    gw_buf_addf(out, "%" PRIu64 "\n", total);
}

static void write_series(gw_buf *out, const family *fam, const series *s)
{
    switch (fam->kind) {
    case KIND_COUNTER:
        write_key(out, fam->name, "", s->labels, NULL);
        gw_buf_addf(out, "%" PRIu64 "\n", gw_counter_get(&s->metric.counter));
        break;
    case KIND_GAUGE:
        write_key(out, fam->name, "", s->labels, NULL);
        gw_buf_addf(out, "%" PRId64 "\n", gw_gauge_get(&s->metric.gauge));
        break;
    case KIND_HISTOGRAM: write_histogram(out, fam->name, s); break;
    }
}

static void write_read(gw_buf *out, const family *fam)
{
    uint64_t value;
    if (!fam->read(&value)) {
        return;
    }
    write_header(out, fam);
    write_key(out, fam->name, "", "", NULL);
    if (fam->is_time) {
        write_seconds(out, value);
    } else {
        gw_buf_addf(out, "%" PRIu64 "\n", value);
    }
}

void gw_metrics_write(gw_buf *out)
{
    pthread_mutex_lock(&registry.lock);
    for (const family *fam = registry.families; fam != NULL; fam = fam->next) {
        if (fam->read != NULL) {
            write_read(out, fam);
            continue;
        }
        if (fam->series != NULL) { /* none when there was no memory for its first */
            write_header(out, fam);
        }
        for (const series *s = fam->series; s != NULL; s = s->next) {
            write_series(out, fam, s);
        }
    }
    pthread_mutex_unlock(&registry.lock);
}
