/* SPDX-License-Identifier: MIT */
/* godwit bus purge, limit, backup, recover, move: what an operator does once in a while. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "broker_url.h"
#include "bus_commands.h"
#include "bus_words.h"
#include "render.h"
#include "stop.h"

#define MANY(n) ((n) == 1 ? "" : "s")

/* Names of strangers in front of a line. */
static void print_name(FILE *out, const char *name, const char *rest)
{
    gw_buf safe;
    gw_buf_init(&safe, 0);
    render_cell(&safe, name, 0);
    fprintf(out, "%s%s", safe.data != NULL ? safe.data : "", rest);
    gw_buf_dispose(&safe);
}

static int end(gw_bus *bus, const char *dir, gw_status st, const gw_error *why, FILE *out,
               FILE *err)
{
    gw_bus_close(bus);
    int status = st == GW_OK ? TOOL_OK : bus_words_fail(dir, st, why, err);
    int flushed = tool_flush(out, err);
    return status != TOOL_OK ? status : flushed;
}

/* ---- purge, limit ------------------------------------------------------------------- */

int bus_purge(const options *given, FILE *out, FILE *err)
{
    bus_words words = bus_words_read(given, 1);
    if (!given->yes) {
        return tool_fail(err, TOOL_USAGE,
                         "purge removes all messages of '%s' for good: say --yes if that is meant",
                         words.rest[0]);
    }
    gw_bus *bus;
    int status = bus_words_open(words.dir, GW_BUS_CHANGE, &bus, err);
    if (status != TOOL_OK) {
        return status;
    }
    uint64_t n = 0;
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw_bus_purge(bus, words.rest[0], &n, &why);
    if (st == GW_OK && given->json) {
        fprintf(out, "{\"purged\":%" PRIu64 "}\n", n);
    } else if (st == GW_OK) {
        fprintf(out, "purged %" PRIu64 " message%s\n", n, MANY(n));
    }
    return end(bus, words.dir, st, &why, out, err);
}

typedef struct lookup {
    const char *name;
    gw_bus_limits limits;
} lookup;

static bool note_limits(void *ctx, const gw_bus_queue *queue)
{
    lookup *it = ctx;
    if (strcmp(queue->name, it->name) == 0) {
        it->limits = queue->limits;
        return false;
    }
    return true;
}

static bool read_overflow(const char *name, gw_bus_overflow *ret)
{
    static const gw_bus_overflow all[] = {GW_BUS_REFUSE, GW_BUS_DROP_OLDEST, GW_BUS_DEAD_LETTER};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(name, gw_bus_overflow_name(all[i])) == 0) {
            *ret = all[i];
            return true;
        }
    }
    return false;
}

/* Change those that were given. */
static int read_limits(const options *given, gw_bus_limits *limits, FILE *err)
{
    if (given->max_messages == NULL && given->max_bytes == NULL && given->overflow == NULL) {
        return tool_fail(err, TOOL_USAGE,
                         "which limit: --max-messages, --max-bytes or --overflow? (0: none)");
    }
    if (given->max_messages != NULL &&
        !options_count(given->max_messages, UINT64_MAX, &limits->max_messages)) {
        return tool_fail(err, TOOL_USAGE, "--max-messages '%.64s' is not a number",
                         given->max_messages);
    }
    if (given->max_bytes != NULL &&
        !options_count(given->max_bytes, UINT64_MAX, &limits->max_bytes)) {
        return tool_fail(err, TOOL_USAGE, "--max-bytes '%.64s' is not a number", given->max_bytes);
    }
    if (given->overflow != NULL && !read_overflow(given->overflow, &limits->overflow)) {
        return tool_fail(err, TOOL_USAGE,
                         "--overflow '%.64s' is none of refuse, drop-oldest, dead-letter",
                         given->overflow);
    }
    return TOOL_OK;
}

int bus_limit(const options *given, FILE *out, FILE *err)
{
    bus_words words = bus_words_read(given, 1);
    lookup found = {.name = words.rest[0]};
    int status = read_limits(given, &found.limits, err); /* before the bus is touched */
    gw_bus *bus;
    if (status == TOOL_OK) {
        status = bus_words_open(words.dir, GW_BUS_CHANGE, &bus, err);
    }
    if (status != TOOL_OK) {
        return status;
    }
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw_bus_visit_queues(bus, note_limits, &found, &why);
    if (st == GW_OK) {
        (void)read_limits(given, &found.limits, err);
        st = gw_bus_set_limits(bus, words.rest[0], &found.limits, &why);
    }
    if (st == GW_OK) {
        print_name(out, words.rest[0], ": ");
        fprintf(out, "max-messages %" PRIu64 ", max-bytes %" PRIu64 ", overflow %s (0: no limit)\n",
                found.limits.max_messages, found.limits.max_bytes,
                gw_bus_overflow_name(found.limits.overflow));
    }
    return end(bus, words.dir, st, &why, out, err);
}

/* ---- backup, recover --------------------------------------------------------------------- */

int bus_backup(const options *given, FILE *out, FILE *err)
{
    bus_words words = bus_words_read(given, 1);
    int stop_fd = stop_begin(); /* a backup that is cut off is removed */
    gw_bus *bus;
    int status = bus_words_open(words.dir, GW_BUS_CHANGE, &bus, err);
    if (status != TOOL_OK) {
        stop_end(stop_fd);
        return status;
    }
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw_bus_backup(bus, words.rest[0], stop_fd, &why);
    stop_end(stop_fd);
    if (st == GW_OK) {
        fputs("backup of ", out);
        print_name(out, gw_bus_dir(bus), " in ");
        print_name(out, words.rest[0], "\n");
    }
    return end(bus, words.dir, st, &why, out, err);
}

static void say_recovered(void *ctx, const gw_bus_recovered *queue)
{
    FILE *out = ctx;
    print_name(out, queue->queue != NULL ? queue->queue : "(files that name no queue)", ": ");
    fprintf(out, "recovered %" PRIu64 " message%s", queue->n_recovered, MANY(queue->n_recovered));
    if (queue->n_damaged > 0) {
        fprintf(out, ", lost what was in %" PRIu64 " damaged place%s (%" PRIu64 " bytes)",
                queue->n_damaged, MANY(queue->n_damaged), queue->n_damaged_bytes);
    }
    fputc('\n', out);
}

int bus_recover(const options *given, FILE *out, FILE *err)
{
    bus_words words = bus_words_read(given, 0);
    gw_bus_recovery done;
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw_bus_recover(words.dir, say_recovered, out, &done, &why);
    if (st != GW_OK) {
        return tool_fail(err, TOOL_FAILED, "%s", why.text);
    }
    fprintf(out, "recovered %" PRIu64 " messages in all, %" PRIu64 " damaged places\n",
            done.n_recovered, done.n_damaged);
    if (done.definitions_lost) {
        fputs("exchanges, bindings and limits could not be read: services declare them again when "
              "they start\n",
              out);
    }
    fputs("the damaged bus is in ", out);
    print_name(out, done.moved_to, "\n");
    return tool_flush(out, err);
}

/* ---- move ----------------------------------------------------------------------------------- */

typedef struct moving {
    const options *given;
    FILE *out;
    FILE *err;
    bool show_progress; /* on a terminal */
    uint64_t n_waiting; /* of all queues that are moved */
} moving;

static void show_moving(void *ctx, const gw_bus_moving *now)
{
    moving *it = ctx;
    if (!now->ended) {
        if (it->show_progress && !now->temporary) {
            fputs("\r\x1b[K", it->err);
            print_name(it->err, now->queue, ": ");
            fprintf(it->err, "moved %" PRIu64 " of %" PRIu64, now->n_moved, now->n_waiting);
            fflush(it->err);
        }
        return;
    }
    fputs(it->show_progress ? "\r\x1b[K" : "", it->err);
    it->n_waiting += now->temporary ? 0 : now->n_waiting;
    if (it->given->json) {
        return;
    }
    if (now->temporary && now->n_waiting > 0) {
        print_name(it->out, now->queue, ": ");
        fprintf(it->out, "temporary, left out with %" PRIu64 " message%s\n", now->n_waiting,
                MANY(now->n_waiting));
    } else if (it->given->dry_run && !now->temporary) {
        print_name(it->out, now->queue, ": ");
        fprintf(it->out, "would move %" PRIu64 "\n", now->n_waiting);
    } else if (now->n_moved > 0) {
        print_name(it->out, now->queue, ": ");
        fprintf(it->out, "moved %" PRIu64 "\n", now->n_moved);
    }
}

static void say_moved(const moving *it, uint64_t n_moved)
{
    bool dry_run = it->given->dry_run;
    uint64_t n = dry_run ? it->n_waiting : n_moved;
    if (it->given->json) {
        fprintf(it->out, "{\"%s\":%" PRIu64 "}\n", dry_run ? "would_move" : "moved", n);
    } else {
        fprintf(it->out, "%s %" PRIu64 " message%s in all\n", dry_run ? "would move" : "moved", n,
                MANY(n));
    }
}

int bus_move(const options *given, FILE *out, FILE *err)
{
    bus_words words = bus_words_read(given, 0);
    if (given->url == NULL || given->url[0] == '\0') {
        return tool_fail(
            err, TOOL_USAGE,
            "to which broker? Give --to amqp://user@host:5672/vhost?password_file=..., "
            "or set " OPTIONS_URL_ENV);
    }
    moving it = {.given = given,
                 .out = out,
                 .err = err,
                 .show_progress = isatty(fileno(err)) == 1 && isatty(fileno(out)) == 1};
    gw_bus *bus;
    gw_buf url;
    gw_buf_init(&url, 0);
    int status = broker_url_make(given->url, &url, err);
    status = status == TOOL_OK ? bus_words_open(words.dir, GW_BUS_CHANGE, &bus, err) : status;
    if (status != TOOL_OK) {
        broker_url_dispose(&url);
        return status;
    }
    gw_bus_move_options how = {.dry_run = given->dry_run,
                               .timeout_ms = given->timeout_ms,
                               .progress = show_moving,
                               .ctx = &it};
    gw_error why = GW_ERROR_INIT;
    uint64_t n_moved = 0;
    gw_status st = gw_bus_move(bus, url.data, &how, &n_moved, &why);
    broker_url_dispose(&url);
    if (st == GW_OK || n_moved > 0) {
        say_moved(&it, n_moved);
    }
    return end(bus, words.dir, st, &why, out, err);
}
