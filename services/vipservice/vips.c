/* SPDX-License-Identifier: MIT */
#include "vips.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <godwit/log.h>

#include "notification.h"

#define LIST_DEFAULT 100
#define LIST_MAX     1000

/* Of a batch, which has at most 64 notifications. */
#define LINES_MAX ((size_t)64 * (NOTIFICATION_MAX + 64))

/* What a pipe takes in one piece, so that lines of several processes do not mix. */
#define PIECE_MAX PIPE_BUF

gw_status vips_init(vips *self, vip_store *store, gw_error *err)
{
    self->batch = vip_batch_new(store);
    if (self->batch == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a batch of reads");
    }
    self->store = store;
    gw_buf_init(&self->lines, LINES_MAX);
    return GW_OK;
}

void vips_dispose(vips *self)
{
    vip_batch_free(self->batch);
    self->batch = NULL;
    free(self->line_ends);
    self->line_ends = NULL;
    self->n_lines = self->max_lines = 0;
    gw_buf_dispose(&self->lines);
    vip_store_close(self->store);
    self->store = NULL;
}

void vips_on_state(void *ctx, const char *fault)
{
    vips *self = ctx;
    if (fault != NULL) {
        gw_health_down(self->health, "%s", fault);
        gw_log_error("vips", "the store cannot be used: %s", fault);
    } else {
        gw_health_up(self->health);
        gw_log_info("vips", "the store can be used");
    }
}

static void write_line(gw_buf *lines, const char *body, size_t len)
{
    size_t before = lines->len;
    gw_buf_add_str(lines, "Got a message: ");
    size_t start = lines->len;
    gw_buf_add(lines, body, len);
    for (size_t i = start; i < lines->len; i++) {
        unsigned char c = (unsigned char)lines->data[i];
        unsigned char next = i + 1 < lines->len ? (unsigned char)lines->data[i + 1] : 0;
        if (c == 0xc2 && next >= 0x80 && next <= 0x9f) { /* U+009B is a terminal's escape */
            lines->data[i++] = ' ';
            lines->data[i] = ' ';
        } else if (c < 0x20 || c == 0x7f) { /* JSON allows line breaks between its tokens */
            lines->data[i] = ' ';
        }
    }
    gw_buf_add_char(lines, '\n');
    if (gw_buf_status(lines) != GW_OK) {
        lines->len = before; /* a lost line is no reason to refuse the message */
    }
}

/* For the line of one more count. False: no memory. */
static bool make_room(vips *self)
{
    if (self->n_lines == self->max_lines) {
        size_t max = self->max_lines == 0 ? 64 : self->max_lines * 2;
        size_t *ends = realloc(self->line_ends, max * sizeof(*ends));
        if (ends == NULL) {
            return false;
        }
        self->line_ends = ends;
        self->max_lines = max;
    }
    return true;
}

/* Leave the lines of what was new, which is known once the batch is committed; returns how many
 * counts were duplicates. */
static size_t drop_duplicates(vips *self)
{
    size_t n_duplicates = 0;
    size_t kept = 0;
    size_t start = 0;
    for (size_t i = 0; i < self->n_lines; i++) {
        size_t len = self->line_ends[i] - start;
        if (!vip_batch_was_new(self->batch, i)) {
            n_duplicates++;
            gw_log_debug("vips", "message %s was counted before",
                         vip_batch_message_id(self->batch, i));
        } else if (len > 0) {
            memmove(self->lines.data + kept, self->lines.data + start, len);
            kept += len;
        }
        start += len;
    }
    self->lines.len = kept;
    return n_duplicates;
}

/* As many whole lines at once as fit a piece; a longer line alone. */
static void print_lines(gw_buf *lines)
{
    size_t at = 0;
    while (at < lines->len) {
        size_t len = lines->len - at;
        if (len > PIECE_MAX) {
            const char *end = memrchr(lines->data + at, '\n', PIECE_MAX);
            end = end != NULL ? end : memchr(lines->data + at, '\n', len);
            len = (size_t)(end - (lines->data + at)) + 1;
        }
        ssize_t n = write(STDOUT_FILENO, lines->data + at, len);
        (void)n;
        at += len;
    }
    lines->len = 0;
}

/* The id that makes a message unique: its own, or what it says if its sender gave it none. */
static const char *unique_id(const gw_message *msg, const notification *note, char *buf,
                             size_t size)
{
    const char *id = gw_message_id(msg);
    if (id != NULL && id[0] != '\0') {
        return id;
    }
    snprintf(buf, size, "%s@%s", note->account_id, note->read_at);
    return buf;
}

gw_verdict vips_on_message(void *ctx, const gw_message *msg, gw_error *why)
{
    vips *self = ctx;
    size_t len;
    const char *body = gw_message_body(msg, &len);
    notification note;
    gw_status st = notification_parse(body, len, &note, why);
    if (st != GW_OK) {
        return gw_status_is_retriable(st) ? GW_RETRY : GW_REJECT;
    }
    char buf[VIP_MESSAGE_MAX + 1];
    const char *id = unique_id(msg, &note, buf, sizeof(buf));
    if (!make_room(self)) {
        gw_error_set(why, GW_E_NOMEM, 0, "no memory for a notification");
        return GW_RETRY;
    }
    st = vip_batch_count(self->batch, note.account_id, note.read_at, id, why);
    if (st == GW_E_INVALID) {
        return GW_REJECT; /* it is the message's fault, not the store's */
    }
    if (st != GW_OK) {
        gw_health_down(self->health, "%s", why != NULL ? why->text : gw_status_text(st));
        return GW_RETRY;
    }
    write_line(&self->lines, body, len);
    self->line_ends[self->n_lines++] = self->lines.len;
    return GW_DONE;
}

gw_verdict vips_commit(void *ctx, gw_error *why)
{
    vips *self = ctx;
    gw_status st = vip_batch_commit(self->batch, why);
    if (st != GW_OK) {
        self->lines.len = 0; /* they come again */
        self->n_lines = 0;
        gw_health_down(self->health, "%s", why->text);
        return GW_RETRY;
    }
    size_t n_duplicates = drop_duplicates(self);
    self->n_lines = 0;
    gw_counter_add(self->duplicates, n_duplicates);
    gw_health_up(self->health);
    print_lines(&self->lines);
    return GW_DONE;
}

static void add_text(gw_buf *out, const char *name, const char *text)
{
    gw_buf_addf(out, "\"%s\":", name);
    gw_buf_add_json(out, text, strlen(text));
}

static void write_reads(gw_buf *out, const vip_reads *reads)
{
    gw_buf_add_char(out, '{');
    add_text(out, "accountId", reads->account_id);
    gw_buf_addf(out, ",\"reads\":%llu,", (unsigned long long)reads->n_reads);
    add_text(out, "lastReadAt", reads->last_read_at);
    gw_buf_add_char(out, ',');
    add_text(out, "lastMessageId", reads->last_message_id);
    gw_buf_add_char(out, '}');
}

/* What passes is in the log once, when it begins (see vips_on_state()); a store that is damaged
 * each time. */
static void refuse(gw_http_response *res, gw_status st, const gw_error *why)
{
    gw_http_set_header(res, "Retry-After", "1");
    if (st == GW_E_IO) {
        gw_log_error("vips", "%s", why->text);
        gw_http_problem(res, 503, "the VIP store cannot be read: the log says why");
    } else {
        gw_http_problem(res, 503, "the VIP store cannot be read at present: %s", why->text);
    }
}

void vips_get(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    vips *self = ctx;
    const char *id = gw_http_var(req, "accountId");
    vip_reads reads;
    gw_error err = GW_ERROR_INIT;
    gw_status st = vip_store_get(self->store, id, &reads, &err);
    if (st == GW_E_NOT_FOUND) {
        gw_http_problem(res, 404, "no read of account '%.64s' was counted", id);
    } else if (st != GW_OK) {
        refuse(res, st, &err);
    } else {
        write_reads(gw_http_response_body(res), &reads);
    }
}

/* False, with the answer made, for a limit that is none. */
static bool read_limit(const gw_http_request *req, gw_http_response *res, size_t *ret_limit)
{
    *ret_limit = LIST_DEFAULT;
    const char *text = gw_http_query(req, "limit");
    if (text == NULL) {
        return true;
    }
    char *end;
    unsigned long limit = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || limit < 1 || limit > LIST_MAX) {
        gw_http_problem(res, 400, "limit is a number from 1 to %d", LIST_MAX);
        return false;
    }
    *ret_limit = limit;
    return true;
}

static void add_to_list(void *ctx, const vip_reads *reads)
{
    gw_buf *out = ctx;
    if (out->len > 1) {
        gw_buf_add_char(out, ',');
    }
    write_reads(out, reads);
}

void vips_list(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    vips *self = ctx;
    size_t limit;
    if (!read_limit(req, res, &limit)) {
        return;
    }
    const char *after = gw_http_query(req, "after");
    gw_buf *out = gw_http_response_body(res);
    gw_error err = GW_ERROR_INIT;
    gw_buf_add_char(out, '[');
    gw_status st = vip_store_list(self->store, after, limit, add_to_list, out, &err);
    gw_buf_add_char(out, ']');
    if (st == GW_E_INVALID) {
        gw_http_problem(res, 400, "%s", err.text);
    } else if (st != GW_OK) {
        refuse(res, st, &err);
    }
}
