/* SPDX-License-Identifier: MIT */
/* godwit bus peek, publish, consume: single messages. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <godwit/clock.h>
#include <godwit/messaging.h>

#include "bus_commands.h"
#include "bus_words.h"
#include "render.h"
#include "stop.h"
#include "text.h"

#define PEEK_LIMIT   10u
#define BODY_SHOWN   60u
#define RENDERED_MAX ((size_t)1 << 30)
#define CLOSE_MS     2000

/* One command at work. */
typedef struct job {
    const options *given;
    FILE *out;
    FILE *err;
    gw_buf text;
    size_t number; /* of the message that is shown */
    size_t limit;
    bool stopped; /* at the limit */
    bool failed;  /* and said so */
} job;

static bool write_text(job *it)
{
    if (gw_buf_status(&it->text) != GW_OK) {
        it->failed = true;
        tool_fail(it->err, TOOL_FAILED, "message %zu cannot be written: %s", it->number,
                  gw_status_text(gw_buf_status(&it->text)));
    } else if (it->text.len > 0) {
        fwrite(it->text.data, 1, it->text.len, it->out);
        it->failed = tool_flush(it->out, it->err) != TOOL_OK;
    }
    return !it->failed;
}

/* ---- peek ---------------------------------------------------------------------------- */

static const char *part_name(gw_bus_part part)
{
    return part == GW_BUS_READY ? "ready" : part == GW_BUS_LEASED ? "leased" : "delayed";
}

/* Nothing when it is not delayed. */
static void format_due(const gw_bus_entry *entry, char ret_due[GW_TIME_MS_LEN + 1])
{
    ret_due[0] = '\0';
    if (entry->part == GW_BUS_DELAYED && entry->due_ms < 253402300800000) { /* the year 9999 */
        gw_time_format_ms(entry->due_ms * GW_NS_PER_MS, ret_due);
        memcpy(ret_due + 19, "Z", 2);
    }
}

static void add_row(gw_buf *out, size_t number, const gw_bus_entry *entry)
{
    char due[GW_TIME_MS_LEN + 1];
    format_due(entry, due);
    size_t size;
    const char *body = gw_message_body(entry->msg, &size);
    if (number == 1) {
        gw_buf_addf(out, "%6s  %-7s  %-36s  %9s  %-20s  %s\n", "NUMBER", "STATE", "MESSAGE ID",
                    "SIZE", "DUE", "BODY");
    }
    gw_buf_addf(out, "%6zu  %-7s  ", number, part_name(entry->part));
    render_cell(out, gw_message_id(entry->msg), 36);
    gw_buf_addf(out, "  %9zu  ", size);
    render_cell(out, due, 20);
    gw_buf_add_str(out, "  ");
    size_t shown = size < BODY_SHOWN ? size : BODY_SHOWN;
    while (shown > 0 && shown < size && ((unsigned char)body[shown] & 0xc0) == 0x80) {
        shown--; /* not within a character */
    }
    text_add_safe(out, body, shown, TEXT_LINE);
    gw_buf_add_str(out, shown < size ? "...\n" : "\n");
}

static void add_json(gw_buf *out, size_t number, const gw_bus_entry *entry)
{
    char due[GW_TIME_MS_LEN + 1];
    format_due(entry, due);
    render_json(out, number, entry->msg);
    if (out->len < 2) { /* no memory */
        return;
    }
    out->len -= 2; /* the end of the object and of the line */
    gw_buf_addf(out, ",\"state\":\"%s\"", part_name(entry->part));
    if (due[0] != '\0') {
        gw_buf_addf(out, ",\"due\":\"%s\"", due);
    }
    gw_buf_add_str(out, "}\n");
}

static bool show_entry(void *ctx, const gw_bus_entry *entry)
{
    job *it = ctx;
    if (it->number == it->limit) {
        it->stopped = true;
        return false;
    }
    it->number++;
    gw_buf_clear(&it->text);
    if (it->given->json) {
        add_json(&it->text, it->number, entry);
    } else if (it->given->full) {
        gw_buf_add_str(&it->text, it->number > 1 ? "\n" : "");
        render_page(&it->text, it->number, entry->msg);
    } else {
        add_row(&it->text, it->number, entry);
    }
    return write_text(it);
}

int bus_peek(const options *given, FILE *out, FILE *err)
{
    bus_words words = bus_words_read(given, 1);
    job it = {.given = given, .out = out, .err = err};
    gw_bus *bus;
    gw_error why = GW_ERROR_INIT;
    int status = bus_words_open(words.dir, GW_BUS_LOOK, &bus, err);
    if (status != TOOL_OK) {
        return status;
    }
    it.limit = given->limit != 0 ? given->limit : PEEK_LIMIT;
    gw_buf_init(&it.text, RENDERED_MAX);
    gw_status st = gw_bus_visit(bus, words.rest[0], show_entry, &it, &why);
    gw_buf_dispose(&it.text);
    gw_bus_close(bus);
    if (st != GW_OK) {
        return bus_words_fail(words.dir, st, &why, err);
    }
    if (it.failed) {
        return TOOL_FAILED;
    }
    if (it.number == 0) {
        tool_fail(err, TOOL_OK, "'%s' is empty", words.rest[0]);
    } else if (it.stopped) {
        tool_fail(err, TOOL_OK, "these are the first %zu messages; -n says how many", it.number);
    }
    return TOOL_OK;
}

/* ---- publish ---------------------------------------------------------------------------- */

/* [DIR] QUEUE [BODY], or [DIR] [BODY] with an exchange: the directory is told by what it looks
 * like, since each of the others may be left out. */
typedef struct target {
    const char *dir;
    const char *queue; /* NULL: to an exchange */
    const char *body;  /* NULL: standard input */
    gw_exchange_type type;
} target;

static bool read_type(const char *name, gw_exchange_type *ret_type)
{
    for (int type = GW_EXCHANGE_DIRECT; type <= GW_EXCHANGE_HEADERS; type++) {
        if (strcmp(name, gw_exchange_type_name((gw_exchange_type)type)) == 0) {
            *ret_type = (gw_exchange_type)type;
            return true;
        }
    }
    return false;
}

static int read_target(const options *given, target *ret, FILE *err)
{
    target to = {.dir = BUS_DIR_DEFAULT, .type = GW_EXCHANGE_DIRECT};
    int at = 0;
    int n_most = given->message.exchange != NULL ? 1 : 2;
    if (given->n_words > n_most || (given->n_words > 0 && bus_words_is_dir(given->words[0]))) {
        to.dir = given->words[at++];
    }
    if (given->message.exchange != NULL && at > 0 && !bus_words_is_dir(to.dir)) {
        return tool_fail(err, TOOL_USAGE,
                         "to queue '%s', or to --exchange '%s'? (a directory needs a '/')", to.dir,
                         given->message.exchange);
    }
    if (given->message.exchange == NULL) {
        if (at == given->n_words) {
            return tool_fail(err, TOOL_USAGE, "to which queue, or to which --exchange?");
        }
        if (given->message.type != NULL || given->message.key != NULL) {
            return tool_fail(err, TOOL_USAGE, "--type and --key belong to an --exchange");
        }
        to.queue = given->words[at++];
    }
    to.body = at < given->n_words ? given->words[at++] : NULL;
    if (at < given->n_words) {
        return tool_fail(err, TOOL_USAGE, "too many words: a body with blanks needs quotes");
    }
    if (given->message.type != NULL && !read_type(given->message.type, &to.type)) {
        return tool_fail(err, TOOL_USAGE,
                         "--type '%.64s' is none of direct, fanout, topic, headers",
                         given->message.type);
    }
    *ret = to;
    return TOOL_OK;
}

static int read_stdin(gw_buf *body, FILE *err)
{
    char part[65536];
    size_t n;
    while ((n = fread(part, 1, sizeof(part), stdin)) > 0) {
        gw_buf_add(body, part, n);
    }
    if (ferror(stdin) != 0) {
        return tool_fail(err, TOOL_FAILED, "standard input cannot be read: %s", strerror(errno));
    }
    return gw_buf_status(body) == GW_OK
               ? TOOL_OK
               : tool_fail(err, TOOL_FAILED, "the body from standard input: %s (%zu bytes at most)",
                           gw_status_text(gw_buf_status(body)), GW_MESSAGE_BODY_MAX);
}

static gw_status set_headers(gw_message *msg, const options_message *with)
{
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < with->n_headers; i++) {
        const char *equals = strchr(with->headers[i], '=');
        char *name = strndup(with->headers[i], (size_t)(equals - with->headers[i]));
        st = name != NULL ? gw_message_set_header_text(msg, name, equals + 1) : GW_E_NOMEM;
        free(name);
    }
    return st;
}

static int set_properties(gw_message *msg, const options_message *with, FILE *err)
{
    const struct {
        const char *name;
        const char *text;
        gw_status (*set)(gw_message *into, const char *text);
    } texts[] = {
        {"message-id", with->message_id, gw_message_set_id},
        {"content-type", with->content_type, gw_message_set_content_type},
        {"content-encoding", with->content_encoding, gw_message_set_content_encoding},
        {"correlation-id", with->correlation_id, gw_message_set_correlation_id},
        {"reply-to", with->reply_to, gw_message_set_reply_to},
        {"message-type", with->message_type, gw_message_set_type},
        {"app-id", with->app_id, gw_message_set_app_id},
        {"key", with->key, gw_message_set_routing_key},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        gw_status st = texts[i].text != NULL ? texts[i].set(msg, texts[i].text) : GW_OK;
        if (st != GW_OK) {
            return tool_fail(err, TOOL_USAGE, "--%s: %s (%d bytes at most)", texts[i].name,
                             gw_status_text(st), GW_MESSAGE_TEXT_MAX);
        }
    }
    gw_status st = set_headers(msg, with);
    if (st != GW_OK) {
        return tool_fail(err, TOOL_USAGE, "--header: %s", gw_status_text(st));
    }
    uint64_t priority = 0;
    if (with->priority != NULL && !options_count(with->priority, 255, &priority)) {
        return tool_fail(err, TOOL_USAGE, "--priority '%.64s' is not a number from 0 to 255",
                         with->priority);
    }
    gw_message_set_priority(msg, (uint8_t)priority);
    if (with->expiration_ms != 0) {
        gw_message_set_expiration_ms(msg, with->expiration_ms);
    }
    gw_message_set_mandatory(msg, true); /* nobody looks into a log for it */
    return TOOL_OK;
}

static int make_message(const options *given, const target *to, gw_message **ret_msg, FILE *err)
{
    gw_buf body;
    gw_buf_init(&body, GW_MESSAGE_BODY_MAX);
    if (to->body != NULL) {
        gw_buf_add_str(&body, to->body);
    }
    int status = to->body == NULL ? read_stdin(&body, err) : TOOL_OK;
    gw_message *msg = NULL;
    if (status == TOOL_OK) {
        msg = gw_message_new(body.data != NULL ? body.data : "", body.len);
        status = msg == NULL ? tool_fail(err, TOOL_FAILED, "no memory for the message")
                             : set_properties(msg, &given->message, err);
    }
    gw_buf_dispose(&body);
    if (status != TOOL_OK) {
        gw_message_free(msg);
        return status;
    }
    *ret_msg = msg;
    return TOOL_OK;
}

static void note_failure(void *ctx, const gw_message *msg, const gw_error *why)
{
    (void)msg;
    *(gw_error *)ctx = *why;
}

/* A bus that is named is made if it is missing, as by any client. */
static int connect_to(const target *to, const gw_client_options *how, gw_client **ret_client,
                      FILE *err)
{
    char url[4200];
    gw_error why = GW_ERROR_INIT;
    int len =
        snprintf(url, sizeof(url), "%s%s", strncmp(to->dir, "bus:", 4) == 0 ? "" : "bus:", to->dir);
    if (len < 0 || (size_t)len >= sizeof(url)) {
        return tool_fail(err, TOOL_USAGE, "the name of the directory is too long");
    }
    gw_bus *bus;
    if (strcmp(to->dir, BUS_DIR_DEFAULT) == 0) {
        int status = bus_words_open(to->dir, GW_BUS_CHANGE, &bus, err);
        if (status != TOOL_OK) {
            return status;
        }
        gw_bus_close(bus);
    }
    gw_status st = gw_bus_open(to->dir, GW_BUS_CHANGE, &bus, &why);
    if (st == GW_OK) {
        gw_bus_close(bus);
    }
    if (st == GW_OK || st == GW_E_NOT_FOUND) {
        st = gw_connect(url, how, ret_client, &why);
    }
    return st == GW_OK ? TOOL_OK : bus_words_fail(to->dir, st, &why, err);
}

static int publish(const options *given, const target *to, gw_message *msg, FILE *err)
{
    gw_error failure = GW_ERROR_INIT;
    gw_client_options how = GW_CLIENT_OPTIONS_INIT;
    how.name = "godwit";
    how.on_failed = note_failure;
    how.ctx = &failure;
    gw_error why = GW_ERROR_INIT;
    gw_client *client;
    int status = connect_to(to, &how, &client, err);
    if (status != TOOL_OK) {
        return status;
    }
    gw_status st = to->queue != NULL
                       ? gw_publish_on_queue(client, to->queue, msg, &why)
                       : gw_publish(client, given->message.exchange, to->type, msg, &why);
    (void)gw_close(client, CLOSE_MS, NULL); /* a bus has taken it, or not */
    if (st == GW_OK && failure.status != GW_OK) {
        st = failure.status;
        why = failure;
    }
    return st == GW_OK ? TOOL_OK : bus_words_fail(to->dir, st, &why, err);
}

static void say_published(const options *given, const target *to, const gw_message *msg, FILE *out)
{
    gw_buf text;
    gw_buf_init(&text, 0);
    gw_buf_add_str(&text, "published ");
    render_cell(&text, gw_message_id(msg), 0);
    gw_buf_add_str(&text, to->queue != NULL ? " on queue '" : " to exchange '");
    render_cell(&text, to->queue != NULL ? to->queue : given->message.exchange, 0);
    gw_buf_add_str(&text, "'\n");
    fputs(text.data != NULL ? text.data : "", out);
    gw_buf_dispose(&text);
}

int bus_publish(const options *given, FILE *out, FILE *err)
{
    target to;
    int status = read_target(given, &to, err);
    if (status != TOOL_OK) {
        return status;
    }
    gw_message *msg = NULL;
    status = make_message(given, &to, &msg, err);
    if (status == TOOL_OK) {
        status = publish(given, &to, msg, err);
    }
    if (status == TOOL_OK) {
        say_published(given, &to, msg, out);
        status = tool_flush(out, err);
    }
    gw_message_free(msg);
    return status;
}

/* ---- consume -------------------------------------------------------------------------------- */

static void add_body(job *it, const gw_message *msg)
{
    size_t len;
    const char *body = gw_message_body(msg, &len);
    if (isatty(fileno(it->out)) == 1 && render_body_acts(msg)) {
        it->failed = true;
        tool_fail(it->err, TOOL_FAILED, TOOL_BODY_ACTS);
        return;
    }
    gw_buf_add(&it->text, body, len);
    gw_buf_add_str(&it->text, len > 0 && body[len - 1] == '\n' ? "" : "\n");
}

/* Acknowledged once it is written. */
static bool print_message(void *ctx, const gw_message *msg)
{
    job *it = ctx;
    it->number++;
    gw_buf_clear(&it->text);
    if (it->given->json) {
        render_json(&it->text, it->number, msg);
    } else if (it->given->body) {
        add_body(it, msg);
    } else {
        gw_buf_add_str(&it->text, it->number > 1 ? "\n" : "");
        render_page(&it->text, it->number, msg);
    }
    return !it->failed && write_text(it);
}

int bus_consume(const options *given, FILE *out, FILE *err)
{
    if (given->body && given->json) {
        return tool_fail(err, TOOL_USAGE, "--body and --json exclude each other");
    }
    bus_words words = bus_words_read(given, 1);
    job it = {.given = given, .out = out, .err = err};
    int stop_fd = given->follow ? stop_begin() : -1;
    gw_bus *bus;
    gw_error why = GW_ERROR_INIT;
    int status = bus_words_open(words.dir, GW_BUS_CHANGE, &bus, err);
    if (status == TOOL_OK) {
        gw_bus_consume_options how = {
            .max_messages = given->limit, .follow = given->follow, .stop_fd = stop_fd};
        gw_buf_init(&it.text, RENDERED_MAX);
        gw_status st = gw_bus_consume(bus, words.rest[0], &how, print_message, &it, NULL, &why);
        gw_buf_dispose(&it.text);
        gw_bus_close(bus);
        status = st != GW_OK ? bus_words_fail(words.dir, st, &why, err)
                 : it.failed ? TOOL_FAILED
                             : TOOL_OK;
    }
    stop_end(stop_fd);
    if (status == TOOL_OK && it.number == 0 && !given->follow) {
        tool_fail(err, TOOL_OK, "'%s' is empty", words.rest[0]);
    }
    return status;
}
