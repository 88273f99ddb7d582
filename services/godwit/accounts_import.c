/* SPDX-License-Identifier: MIT */
/*
 * godwit accounts import: batches of accounts, each committed as a whole, so that whatever ends it
 * (a bad line, a full disk, Ctrl-C, kill -9) leaves whole batches, and it can be run again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accounts_commands.h"
#include "progress.h"
#include "stop.h"

#define BAD_TOLD_MAX 20

typedef struct import_job {
    const options *given;
    FILE *out;
    FILE *err;
    const char *name; /* of the file, for people */
    int fd;
    int stop_fd;
    bool is_stopped;       /* by Ctrl-C */
    bool is_complete;      /* the file was read to its end */
    uint64_t n_file_bytes; /* 0: nobody knows */
    account_reader *reader;
    account_store *store; /* NULL: of --dry-run */
    account *batch;
    size_t n_batch;
    size_t batch_max;
    uint64_t n_read; /* without those in the batch */
    uint64_t n_new;
    uint64_t n_bad;
    progress progress;
} import_job;

/* ---- the file -------------------------------------------------------------------------- */

/* A line_source. Ctrl-C does not wait for who writes into the pipe. */
static gw_status read_file(void *ctx, char *ret_bytes, size_t size, size_t *ret_n, gw_error *err)
{
    import_job *it = ctx;
    struct pollfd fds[] = {{.fd = it->stop_fd, .events = POLLIN}, {.fd = it->fd, .events = POLLIN}};
    ssize_t n;
    do {
        if (poll(fds, 2, -1) >= 0 && fds[0].revents != 0) {
            it->is_stopped = true;
            return GW_E_CLOSED;
        }
        n = read(it->fd, ret_bytes, size);
    } while (n < 0 && (errno == EINTR || errno == EAGAIN));
    if (n < 0) {
        return gw_error_set_errno(err, errno, "%s cannot be read", it->name);
    }
    *ret_n = (size_t)n;
    return GW_OK;
}

static int open_file(import_job *it)
{
    const char *path = accounts_file(it->given);
    it->name = path != NULL ? path : "standard input";
    it->fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    struct stat info;
    if (it->fd < 0 || fstat(it->fd, &info) != 0) {
        return tool_fail(it->err, TOOL_FAILED, "%s cannot be opened: %s", it->name,
                         strerror(errno));
    }
    if (S_ISDIR(info.st_mode)) {
        return tool_fail(it->err, TOOL_FAILED, "%s is a directory", it->name);
    }
    it->n_file_bytes = S_ISREG(info.st_mode) && info.st_size > 0 ? (uint64_t)info.st_size : 0;
    return TOOL_OK;
}

/* ---- the accounts ---------------------------------------------------------------------- */

static int fail(import_job *it, const char *text)
{
    progress_clear(&it->progress);
    return tool_fail(it->err, TOOL_FAILED, "%s", text);
}

static int commit(import_job *it)
{
    size_t n_new = 0;
    gw_error why = GW_ERROR_INIT;
    account_put_mode mode = it->given->accounts.replace ? ACCOUNT_PUT_REPLACE : ACCOUNT_PUT_NEW;
    gw_status st = it->store == NULL
                       ? GW_OK
                       : account_store_put(it->store, it->batch, it->n_batch, mode, &n_new, &why);
    if (st != GW_OK) {
        return fail(it, why.text);
    }
    it->n_read += it->n_batch;
    it->n_new += n_new;
    it->n_batch = 0;
    it->is_stopped = it->is_stopped || stop_wait(it->stop_fd, 0);
    return TOOL_OK;
}

/* @return TOOL_OK: it may go on behind it. */
static int on_bad(import_job *it, gw_status st, const gw_error *why)
{
    bool is_line = st == GW_E_INVALID || st == GW_E_UNSUPPORTED;
    it->n_bad += st == GW_E_INVALID ? 1 : 0;
    if (it->n_bad <= BAD_TOLD_MAX) {
        progress_clear(&it->progress);
        if (is_line) {
            tool_fail(it->err, TOOL_FAILED, "%s:%" PRIu64 ": %s", it->name,
                      account_reader_line(it->reader), why->text);
        } else {
            tool_fail(it->err, TOOL_FAILED, "%s", why->text);
        }
    }
    return st == GW_E_INVALID && it->given->accounts.keep_going ? TOOL_OK : TOOL_FAILED;
}

static int read_accounts(import_job *it)
{
    int status = TOOL_OK;
    while (status == TOOL_OK && !it->is_stopped && !it->is_complete) {
        gw_error why = GW_ERROR_INIT;
        gw_status st = account_reader_next(it->reader, &it->batch[it->n_batch], &why);
        if (st == GW_OK) {
            it->n_batch++;
            status = it->n_batch == it->batch_max ? commit(it) : TOOL_OK;
        } else if (st == GW_E_NOT_FOUND) {
            it->is_complete = true;
        } else if (!it->is_stopped) {
            status = on_bad(it, st, &why);
        }
        progress_say(&it->progress, it->n_read + it->n_batch, account_reader_bytes(it->reader),
                     it->n_file_bytes);
    }
    /* What stands above a bad line is imported, but not what the store has just refused. */
    if (it->n_batch > 0 && it->n_batch < it->batch_max) {
        int committed = commit(it);
        status = status != TOOL_OK ? status : committed;
    }
    it->is_complete = it->is_complete && status == TOOL_OK;
    progress_clear(&it->progress);
    return it->is_complete && it->n_bad == 0 ? TOOL_OK : TOOL_FAILED;
}

/* ---- what came of it --------------------------------------------------------------------- */

static void say_json(const import_job *it)
{
    fprintf(it->out, "{\"accounts\":%" PRIu64, it->n_read);
    if (it->store != NULL) {
        fprintf(it->out, ",\"new\":%" PRIu64 ",\"known\":%" PRIu64, it->n_new,
                it->n_read - it->n_new);
    }
    fprintf(it->out, ",\"bad\":%" PRIu64 ",\"complete\":%s}\n", it->n_bad,
            it->is_complete ? "true" : "false");
}

static void say_done(const import_job *it)
{
    const char *s = it->n_read == 1 ? "" : "s";
    if (it->store == NULL) {
        fprintf(it->out, "%" PRIu64 " account%s could be imported", it->n_read, s);
    } else {
        fprintf(it->out, "%" PRIu64 " account%s: %" PRIu64 " new, %" PRIu64 " %s", it->n_read, s,
                it->n_new, it->n_read - it->n_new,
                it->given->accounts.replace ? "replaced" : "there before");
    }
    if (it->n_bad > 0) {
        fprintf(it->out, ", %" PRIu64 " bad", it->n_bad);
    }
    fprintf(it->out, "%s\n",
            it->is_complete  ? ""
            : it->is_stopped ? "; interrupted, run it again for the rest"
                             : "; the rest was not imported");
}

/* ---- the whole ------------------------------------------------------------------------- */

static int import(import_job *it)
{
    account_format format;
    int status = accounts_format(it->given, &format, it->err);
    if (status == TOOL_OK) {
        status = open_file(it);
    }
    if (status == TOOL_OK && !it->given->dry_run) {
        status = accounts_open(it->given, false, &it->store, it->err);
    }
    if (status != TOOL_OK) {
        return status;
    }
    it->batch = calloc(it->batch_max, sizeof(*it->batch));
    it->reader = account_reader_new(format, read_file, it);
    if (it->batch == NULL || it->reader == NULL) {
        return tool_fail(it->err, TOOL_FAILED, "no memory for %zu accounts", it->batch_max);
    }
    progress_begin(&it->progress, "accounts", true, it->err);
    status = read_accounts(it);
    if (it->given->json) {
        say_json(it);
    } else {
        say_done(it);
    }
    int flushed = tool_flush(it->out, it->err);
    return status != TOOL_OK ? status : flushed;
}

int accounts_import(const options *given, FILE *out, FILE *err)
{
    size_t batch_max = given->accounts.batch != 0 ? given->accounts.batch : ACCOUNTS_BATCH;
    if (batch_max > ACCOUNTS_BATCH_MAX) {
        return tool_fail(err, TOOL_USAGE, "--batch %zu is more than %d", batch_max,
                         ACCOUNTS_BATCH_MAX);
    }
    import_job it = {.given = given,
                     .out = out,
                     .err = err,
                     .fd = -1,
                     .stop_fd = stop_begin(),
                     .batch_max = batch_max};
    int status = import(&it);
    account_store_close(it.store);
    account_reader_free(it.reader);
    free(it.batch);
    if (it.fd > STDIN_FILENO) {
        close(it.fd);
    }
    stop_end(it.stop_fd);
    return status;
}
