/* SPDX-License-Identifier: MIT */
/* godwit bus status, list: numbers, once or again and again. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <godwit/clock.h>

#include "bus_commands.h"
#include "bus_words.h"
#include "render.h"
#include "stop.h"

#define RENDERED_MAX ((size_t)64 << 20)
#define SAMPLE_MS    300 /* for the rates of a list that is printed once */

/* On a terminal: another screen, which leaves what was there before untouched, and where lines that
 * are too long are cut. */
#define SCREEN_BEGIN "\x1b[?1049h\x1b[?7l\x1b[?25l"
#define SCREEN_HOME  "\x1b[H"
#define LINE_END     "\x1b[K\n"
#define SCREEN_REST  "\x1b[J"
#define SCREEN_END   "\x1b[?25h\x1b[?7h\x1b[?1049l"

/* ---- status ------------------------------------------------------------------------ */

static void add_time(gw_buf *out, uint64_t unix_ms)
{
    char text[GW_TIME_MS_LEN + 1] = "-";
    if (unix_ms > 0 && unix_ms < 253402300800000) { /* up to the year 9999 */
        gw_time_format_ms(unix_ms * GW_NS_PER_MS, text);
        memcpy(text + 19, "Z", 2); /* seconds are enough here */
    }
    gw_buf_add_str(out, text);
}

static bool add_process(void *ctx, const gw_bus_process *process)
{
    gw_buf *out = ctx;
    gw_buf_addf(out, "%10" PRId64 "  ", process->pid);
    add_time(out, process->since_ms);
    gw_buf_add_str(out, "  ");
    render_cell(out, process->name, 0);
    gw_buf_add_char(out, '\n');
    return true;
}

typedef struct json_list {
    gw_buf *out;
    bool first;
} json_list;

static bool add_process_json(void *ctx, const gw_bus_process *process)
{
    json_list *list = ctx;
    bool first = false;
    gw_buf_addf(list->out, "%s{\"pid\":%" PRId64, list->first ? "" : ",", process->pid);
    list->first = false;
    render_pair_json(list->out, "name", process->name, &first);
    gw_buf_add_str(list->out, ",\"since\":\"");
    add_time(list->out, process->since_ms);
    gw_buf_add_str(list->out, "\"}");
    return true;
}

static void add_status_json(gw_buf *out, gw_bus *bus, const gw_bus_summary *sum)
{
    bool first = true;
    gw_buf_add_char(out, '{');
    render_pair_json(out, "directory", gw_bus_dir(bus), &first);
    gw_buf_addf(out,
                ",\"version\":%u,\"healthy\":%s,\"queues\":%zu,\"temporary\":%zu,\"exchanges\":%zu,"
                "\"bindings\":%zu,\"ready\":%" PRIu64 ",\"leased\":%" PRIu64 ",\"delayed\":%" PRIu64
                ",\"damaged\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"disk_bytes\":%" PRIu64
                ",\"processes\":[",
                sum->version, sum->n_damaged == 0 ? "true" : "false", sum->n_queues,
                sum->n_temporary, sum->n_exchanges, sum->n_bindings, sum->n_ready, sum->n_leased,
                sum->n_delayed, sum->n_damaged, sum->n_bytes, sum->disk_bytes);
    json_list list = {.out = out, .first = true};
    gw_bus_visit_processes(bus, add_process_json, &list);
    gw_buf_add_str(out, "]}\n");
}

static void add_status(gw_buf *out, gw_bus *bus, const gw_bus_summary *sum)
{
    gw_buf_add_str(out, "bus ");
    render_cell(out, gw_bus_dir(bus), 0);
    gw_buf_addf(out, ", format version %u, ", sum->version);
    if (sum->n_damaged == 0) {
        gw_buf_add_str(out, "healthy\n");
    } else {
        gw_buf_addf(out, "%" PRIu64 " damaged messages were set aside\n", sum->n_damaged);
    }
    gw_buf_addf(out, "%zu queues (%zu temporary), %zu exchanges, %zu bindings\n", sum->n_queues,
                sum->n_temporary, sum->n_exchanges, sum->n_bindings);
    gw_buf_addf(out,
                "%" PRIu64 " messages ready, %" PRIu64 " at consumers, %" PRIu64
                " delayed; %" PRIu64 " bytes\n",
                sum->n_ready, sum->n_leased, sum->n_delayed, sum->n_bytes);
    gw_buf_addf(out, "%" PRIu64 " bytes on the disk\n", sum->disk_bytes);
    if (sum->n_processes == 0) {
        gw_buf_add_str(out, "no process uses it\n");
        return;
    }
    gw_buf_addf(out, "\n%10s  %-20s  %s\n", "PROCESS", "SINCE", "NAME");
    gw_bus_visit_processes(bus, add_process, out);
}

static int write_text(gw_buf *text, FILE *out, FILE *err)
{
    if (gw_buf_status(text) != GW_OK) {
        return tool_fail(err, TOOL_FAILED, "%s", gw_status_text(gw_buf_status(text)));
    }
    if (text->len > 0) {
        fwrite(text->data, 1, text->len, out); /* tool_flush() says why it failed */
    }
    return tool_flush(out, err);
}

int bus_status(const options *given, FILE *out, FILE *err)
{
    bus_words words = bus_words_read(given, 0);
    gw_bus *bus;
    int status = bus_words_open(words.dir, GW_BUS_LOOK, &bus, err);
    if (status != TOOL_OK) {
        return status;
    }
    gw_bus_summary sum;
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw_bus_summarize(bus, &sum, &why);
    if (st != GW_OK) {
        status = bus_words_fail(words.dir, st, &why, err);
    } else {
        gw_buf text;
        gw_buf_init(&text, RENDERED_MAX);
        (given->json ? add_status_json : add_status)(&text, bus, &sum);
        status = write_text(&text, out, err);
        gw_buf_dispose(&text);
    }
    gw_bus_close(bus);
    return status;
}

/* ---- list --------------------------------------------------------------------------------- */

typedef struct row {
    char *name;
    gw_bus_queue queue; /* its name is ours */
    double in_rate;     /* a second */
    double out_rate;
} row;

typedef struct table {
    row *rows; /* in order of names */
    size_t n_rows;
    uint64_t at_ms;
    bool failed; /* no memory */
} table;

static void table_dispose(table *it)
{
    for (size_t i = 0; i < it->n_rows; i++) {
        free(it->rows[i].name);
    }
    free(it->rows);
    *it = (table){.rows = NULL};
}

static bool table_add(void *ctx, const gw_bus_queue *queue)
{
    table *it = ctx;
    row *rows = realloc(it->rows, (it->n_rows + 1) * sizeof(*rows));
    it->rows = rows != NULL ? rows : it->rows;
    char *name = rows != NULL ? strdup(queue->name) : NULL;
    if (name == NULL) {
        it->failed = true;
        return false;
    }
    row *one = &it->rows[it->n_rows++];
    *one = (row){.name = name, .queue = *queue};
    one->queue.name = name;
    return true;
}

static double rate(uint64_t now, uint64_t before, uint64_t ms)
{
    return now > before && ms > 0 ? (double)(now - before) * 1000.0 / (double)ms : 0;
}

/* Both are in order of names. */
static void table_add_rates(table *now, const table *before)
{
    uint64_t ms = now->at_ms - before->at_ms;
    for (size_t i = 0, k = 0; i < now->n_rows; i++) {
        while (k < before->n_rows && strcmp(before->rows[k].name, now->rows[i].name) < 0) {
            k++;
        }
        if (k < before->n_rows && strcmp(before->rows[k].name, now->rows[i].name) == 0) {
            const gw_bus_queue *old = &before->rows[k].queue;
            now->rows[i].in_rate = rate(now->rows[i].queue.n_in, old->n_in, ms);
            now->rows[i].out_rate = rate(now->rows[i].queue.n_out, old->n_out, ms);
        }
    }
}

static int table_read(table *ret, gw_bus *bus, const char *dir, FILE *err)
{
    gw_error why = GW_ERROR_INIT;
    *ret = (table){.at_ms = gw_clock_ms()};
    gw_status st = gw_bus_visit_queues(bus, table_add, ret, &why);
    if (st == GW_OK && !ret->failed) {
        return TOOL_OK;
    }
    bool failed = ret->failed;
    table_dispose(ret);
    return failed ? tool_fail(err, TOOL_FAILED, "no memory for the list")
                  : bus_words_fail(dir, st, &why, err);
}

static void add_limits(gw_buf *out, const gw_bus_limits *limits)
{
    if (limits->max_messages == 0 && limits->max_bytes == 0) {
        gw_buf_add_char(out, '-');
        return;
    }
    if (limits->max_messages > 0) {
        gw_buf_addf(out, "%" PRIu64 " messages, ", limits->max_messages);
    }
    if (limits->max_bytes > 0) {
        gw_buf_addf(out, "%" PRIu64 " bytes, ", limits->max_bytes);
    }
    gw_buf_add_str(out, gw_bus_overflow_name(limits->overflow));
}

/* As wide as the longest name, within reason. */
static int name_width(const table *it)
{
    size_t width = 16;
    for (size_t i = 0; i < it->n_rows; i++) {
        size_t len = strlen(it->rows[i].name);
        width = len > width ? len : width;
    }
    return width < 100 ? (int)width : 100;
}

static void add_head(gw_buf *out, int width, const char *line_end)
{
    gw_buf_addf(out, "%-*s  %9s  %7s  %7s  %9s  %12s  %9s  %9s  %s%s", width, "QUEUE", "READY",
                "LEASED", "DELAYED", "CONSUMERS", "BYTES", "IN/S", "OUT/S", "LIMITS", line_end);
}

static void add_row(gw_buf *out, const row *one, int width, const char *line_end)
{
    const gw_bus_queue *queue = &one->queue;
    render_cell(out, queue->name, (size_t)width);
    gw_buf_addf(out,
                "  %9" PRIu64 "  %7" PRIu64 "  %7" PRIu64 "  %9" PRIu32 "  %12" PRIu64
                "  %9.0f  %9.0f  ",
                queue->n_ready, queue->n_leased, queue->n_delayed, queue->n_consumers,
                queue->n_bytes, one->in_rate, one->out_rate);
    add_limits(out, &queue->limits);
    gw_buf_add_str(out, queue->temporary ? ", temporary" : "");
    gw_buf_add_str(out, line_end);
}

static void add_row_json(gw_buf *out, const row *one)
{
    const gw_bus_queue *queue = &one->queue;
    bool first = true;
    gw_buf_add_char(out, '{');
    render_pair_json(out, "queue", queue->name, &first);
    gw_buf_addf(out,
                ",\"temporary\":%s,\"ready\":%" PRIu64 ",\"leased\":%" PRIu64
                ",\"delayed\":%" PRIu64 ",\"consumers\":%" PRIu32 ",\"bytes\":%" PRIu64,
                queue->temporary ? "true" : "false", queue->n_ready, queue->n_leased,
                queue->n_delayed, queue->n_consumers, queue->n_bytes);
    gw_buf_addf(out, ",\"max_messages\":%" PRIu64 ",\"max_bytes\":%" PRIu64 ",\"overflow\":\"%s\"",
                queue->limits.max_messages, queue->limits.max_bytes,
                gw_bus_overflow_name(queue->limits.overflow));
    gw_buf_addf(out,
                ",\"in\":%" PRIu64 ",\"out\":%" PRIu64 ",\"expired\":%" PRIu64
                ",\"dropped\":%" PRIu64 ",\"redelivered\":%" PRIu64 ",\"damaged\":%" PRIu64,
                queue->n_in, queue->n_out, queue->n_expired, queue->n_dropped, queue->n_redelivered,
                queue->n_damaged);
    gw_buf_addf(out, ",\"in_rate\":%.1f,\"out_rate\":%.1f}\n", one->in_rate, one->out_rate);
}

/* How many lines a terminal has; SIZE_MAX when it does not say. */
static size_t lines_of(FILE *out)
{
    struct winsize size;
    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_row > 2 ? size.ws_row : SIZE_MAX;
}

static void add_table(gw_buf *out, const table *it, bool json, bool screen, size_t n_lines)
{
    const char *line_end = screen ? LINE_END : "\n";
    int width = name_width(it);
    gw_buf_add_str(out, screen ? SCREEN_HOME : "");
    if (!json) {
        add_head(out, width, line_end);
    }
    size_t n_shown = it->n_rows + 2 <= n_lines ? it->n_rows : n_lines - 3;
    for (size_t i = 0; i < (screen ? n_shown : it->n_rows); i++) {
        if (json) {
            add_row_json(out, &it->rows[i]);
        } else {
            add_row(out, &it->rows[i], width, line_end);
        }
    }
    if (screen && n_shown < it->n_rows) {
        gw_buf_addf(out, "... %zu more queues" LINE_END, it->n_rows - n_shown);
    }
    gw_buf_add_str(out, screen ? SCREEN_REST : "");
}

static int print_table(const table *it, const options *given, bool screen, FILE *out, FILE *err)
{
    gw_buf text;
    gw_buf_init(&text, RENDERED_MAX);
    add_table(&text, it, given->json, screen, screen ? lines_of(out) : SIZE_MAX);
    int status = write_text(&text, out, err);
    gw_buf_dispose(&text);
    return status;
}

/* The list until a signal comes: tables one after the other, or one that changes in its place. */
static int watch(const options *given, gw_bus *bus, const char *dir, int stop_fd, FILE *out,
                 FILE *err)
{
    bool screen = isatty(fileno(out)) == 1 && !given->json;
    table before;
    int status = table_read(&before, bus, dir, err);
    if (status != TOOL_OK) {
        return status;
    }
    fputs(screen ? SCREEN_BEGIN : "", out);
    status = print_table(&before, given, screen, out, err);
    while (status == TOOL_OK && !stop_wait(stop_fd, given->watch_ms)) {
        table now;
        status = table_read(&now, bus, dir, err);
        if (status == TOOL_OK) {
            table_add_rates(&now, &before);
            table_dispose(&before);
            before = now;
            fputs(screen || given->json ? "" : "\n", out);
            status = print_table(&before, given, screen, out, err);
        }
    }
    fputs(screen ? SCREEN_END : "", out);
    table_dispose(&before);
    int flushed = tool_flush(out, err);
    return status != TOOL_OK ? status : flushed;
}

static int list_once(const options *given, gw_bus *bus, const char *dir, FILE *out, FILE *err)
{
    table before;
    table now;
    int status = table_read(&before, bus, dir, err);
    if (status != TOOL_OK) {
        return status;
    }
    if (before.n_rows > 0) {
        usleep(SAMPLE_MS * 1000);
    }
    status = table_read(&now, bus, dir, err);
    if (status == TOOL_OK) {
        table_add_rates(&now, &before);
        status = print_table(&now, given, false, out, err);
        if (now.n_rows == 0) {
            tool_fail(err, TOOL_OK, "the bus in %s has no queues", gw_bus_dir(bus));
        }
        table_dispose(&now);
    }
    table_dispose(&before);
    return status;
}

int bus_list(const options *given, FILE *out, FILE *err)
{
    bus_words words = bus_words_read(given, 0);
    int stop_fd = given->watch_ms > 0 ? stop_begin() : -1;
    gw_bus *bus;
    int status = bus_words_open(words.dir, GW_BUS_LOOK, &bus, err);
    if (status == TOOL_OK) {
        status = given->watch_ms > 0 ? watch(given, bus, words.dir, stop_fd, out, err)
                                     : list_once(given, bus, words.dir, out, err);
        gw_bus_close(bus);
    }
    stop_end(stop_fd);
    return status;
}
