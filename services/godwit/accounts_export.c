/* SPDX-License-Identifier: MIT */
/*
 * godwit accounts export: to a file, which gets its name when all of it is on the disk, so that
 * nobody takes half of it for the whole; or to standard output.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accounts_commands.h"
#include "progress.h"
#include "stop.h"
#include "text.h"

#define CHUNK_BYTES ((size_t)64 << 10)

typedef struct export_job {
    const options *given;
    FILE *err;
    const char *path; /* NULL: standard output */
    gw_buf part_path; /* what it is called until it is complete */
    FILE *to;
    int stop_fd;
    account_format format;
    bool is_careful; /* somebody looks at it: nothing may act on the terminal */
    gw_buf text;
    uint64_t n_done;
    uint64_t n_all; /* 0: nobody knows */
    progress progress;
} export_job;

/* ---- the file -------------------------------------------------------------------------- */

/* A device, a pipe or a link would be replaced by a file: none of them is what anybody wants. */
static int check_target(const export_job *it)
{
    struct stat info;
    if (lstat(it->path, &info) != 0) {
        return TOOL_OK; /* opening it tells what is wrong */
    }
    if (!S_ISREG(info.st_mode)) {
        return tool_fail(it->err, TOOL_FAILED,
                         "%s is there, and is no file: to write to it use '>' of the shell",
                         it->path);
    }
    return it->given->accounts.force
               ? TOOL_OK
               : tool_fail(it->err, TOOL_FAILED, "%s is there: --force replaces it", it->path);
}

static int open_target(export_job *it, FILE *out)
{
    if (it->path == NULL) {
        it->to = out;
        return TOOL_OK;
    }
    int status = check_target(it);
    if (status != TOOL_OK) {
        return status;
    }
    gw_buf_addf(&it->part_path, "%s.part-%ld", it->path, (long)getpid());
    if (gw_buf_status(&it->part_path) != GW_OK) {
        return tool_fail(it->err, TOOL_FAILED, "no memory");
    }
    int fd = open(it->part_path.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    it->to = fd >= 0 ? fdopen(fd, "w") : NULL;
    return it->to != NULL ? TOOL_OK
                          : tool_fail(it->err, TOOL_FAILED, "%s cannot be made: %s",
                                      it->part_path.data, strerror(errno));
}

/* Without --force a file that somebody has made meanwhile stays. */
static int give_name(const export_job *it)
{
    unsigned flags = it->given->accounts.force ? 0 : RENAME_NOREPLACE;
    int rc = renameat2(AT_FDCWD, it->part_path.data, AT_FDCWD, it->path, flags);
    if (rc != 0 && errno == EINVAL && flags != 0) { /* a file system that cannot do that */
        rc = access(it->path, F_OK) != 0 ? rename(it->part_path.data, it->path) : rc;
    }
    return rc;
}

static int fail_write(const export_job *it, int code)
{
    return tool_fail(it->err, TOOL_FAILED, "%s cannot be written: %s",
                     it->path != NULL ? it->path : "standard output", strerror(code));
}

/* Complete the file, or remove what there is of it. */
static int close_target(export_job *it, int status)
{
    if (it->to == NULL) {
        return status;
    }
    errno = 0;
    bool is_written = fflush(it->to) == 0 && ferror(it->to) == 0;
    if (it->path == NULL) {
        return is_written || status != TOOL_OK ? status : fail_write(it, errno);
    }
    is_written = is_written && fsync(fileno(it->to)) == 0;
    int code = errno;
    if (fclose(it->to) != 0 && is_written) {
        is_written = false;
        code = errno;
    }
    if (status == TOOL_OK && is_written && give_name(it) != 0) {
        is_written = false;
        code = errno;
    }
    if (status != TOOL_OK || !is_written) {
        unlink(it->part_path.data);
    }
    return status != TOOL_OK || is_written ? status : fail_write(it, code);
}

/* ---- the accounts ---------------------------------------------------------------------- */

static gw_status write_text(export_job *it, gw_error *err)
{
    errno = 0;
    gw_status st = gw_buf_status(&it->text);
    if (st != GW_OK) {
        return gw_error_set(err, st, 0, "no memory for the text");
    }
    if (fwrite(it->text.data, 1, it->text.len, it->to) != it->text.len) {
        return gw_error_set_errno(err, errno, "%s cannot be written",
                                  it->path != NULL ? it->path : "standard output");
    }
    gw_buf_clear(&it->text);
    if (stop_wait(it->stop_fd, 0)) {
        return gw_error_set(err, GW_E_CLOSED, 0, "interrupted: %s was not made", it->path);
    }
    return GW_OK;
}

/* An account_visitor. */
static gw_status on_account(void *ctx, const account *found, gw_error *err)
{
    export_job *it = ctx;
    if (it->is_careful && it->format == ACCOUNT_CSV &&
        !text_is_safe(found->name, strlen(found->name))) {
        return gw_error_set(err, GW_E_REFUSED, 0,
                            "the name of account '%s' has bytes that act on a terminal: write to a "
                            "file or a pipe",
                            found->id);
    }
    accounts_text_add(&it->text, it->format, found);
    it->n_done++;
    progress_say(&it->progress, it->n_done, it->n_done, it->n_all);
    return it->text.len >= CHUNK_BYTES ? write_text(it, err) : GW_OK;
}

static int write_accounts(export_job *it, account_store *store)
{
    gw_error why = GW_ERROR_INIT;
    gw_status st = GW_OK;
    progress_begin(&it->progress, "accounts", !it->is_careful, it->err);
    if (it->progress.is_shown && it->given->accounts.after == NULL) {
        st = account_store_count(store, &it->n_all, &why);
    }
    accounts_text_add_header(&it->text, it->format);
    if (st == GW_OK) {
        st = account_store_each(store, it->given->accounts.after, on_account, it, &why);
    }
    if (st == GW_OK || it->path == NULL) { /* also those above one that was refused */
        gw_status written = it->text.len > 0 ? write_text(it, st == GW_OK ? &why : NULL) : GW_OK;
        st = st == GW_OK ? written : st;
    }
    progress_clear(&it->progress);
    return st == GW_OK ? TOOL_OK : tool_fail(it->err, TOOL_FAILED, "%s", why.text);
}

static int export_to(export_job *it, FILE *out)
{
    account_store *store;
    int status = accounts_open(it->given, true, &store, it->err);
    if (status != TOOL_OK) {
        return status;
    }
    status = open_target(it, out);
    if (status == TOOL_OK) {
        status = close_target(it, write_accounts(it, store));
    }
    account_store_close(store);
    return status;
}

int accounts_export(const options *given, FILE *out, FILE *err)
{
    const char *after = given->accounts.after;
    export_job it = {.given = given, .err = err, .path = accounts_file(given), .stop_fd = -1};
    if (after != NULL && !account_id_is_valid(after)) {
        return tool_fail(err, TOOL_USAGE, "--after '%.80s' is no account id", after);
    }
    int status = accounts_format(given, &it.format, err);
    if (status != TOOL_OK) {
        return status;
    }
    it.is_careful = it.path == NULL && isatty(fileno(out)) == 1;
    it.stop_fd = it.path != NULL ? stop_begin() : -1; /* of a stream there is nothing to remove */
    gw_buf_init(&it.text, 0);
    gw_buf_init(&it.part_path, 0);
    status = export_to(&it, out);
    if (status == TOOL_OK && it.path != NULL) {
        fprintf(out, "%" PRIu64 " account%s\n", it.n_done, it.n_done == 1 ? "" : "s");
        status = tool_flush(out, err);
    } else if (status == TOOL_OK && it.progress.is_shown) {
        fprintf(err, "%" PRIu64 " account%s\n", it.n_done, it.n_done == 1 ? "" : "s");
    }
    gw_buf_dispose(&it.text);
    gw_buf_dispose(&it.part_path);
    stop_end(it.stop_fd);
    return status;
}
