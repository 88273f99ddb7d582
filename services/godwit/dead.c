/* SPDX-License-Identifier: MIT */
#include "dead.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <godwit/browse.h>
#include <godwit/clock.h>
#include <godwit/messaging.h>

#include "broker_url.h"
#include "letter.h"
#include "render.h"
#include "text.h"

#define LIST_LIMIT      1000u   /* looked at without --limit, ... */
#define ID_LIMIT        100000u /* ... and where messages are sought by their ids */
#define RENDERED_MAX    ((size_t)1 << 30)
#define PROGRESS_MS     200
#define CLOSE_MS        2000
#define QUEUE_MAX_LEN   (GW_MESSAGE_TEXT_MAX - sizeof(LETTER_SUFFIX) + 1)
#define MANY(n, suffix) ((n) == 1 ? "" : (suffix))

/* One command at work. */
typedef struct job job;

struct job {
    const options *given;
    FILE *out;
    FILE *err;
    const char *queue;                        /* the work queue */
    char dead_queue[GW_MESSAGE_TEXT_MAX + 1]; /* its dead letters */
    gw_browse_verdict (*visit)(job *it, const gw_message *msg, gw_browse_move *move);
    size_t number; /* of the message that is visited */
    gw_buf text;
    bool *found;        /* of the ids on the command line: whether it was seen */
    size_t wanted;      /* the number that is sought; 0 for none */
    size_t n_foreign;   /* left, since they are another queue's */
    bool failed;        /* and said so */
    bool show_progress; /* on a terminal */
    uint64_t progress_ms;
    bool has_progress; /* it has shown some */
    gw_browse_result result;
};

/* ---- looking ------------------------------------------------------------------------- */

static void say_progress(job *it)
{
    uint64_t now_ms = gw_clock_ms();
    if (it->show_progress && now_ms - it->progress_ms >= PROGRESS_MS) {
        it->progress_ms = now_ms;
        it->has_progress = true;
        fprintf(it->err, "\r%zu messages looked at ", it->number);
        fflush(it->err);
    }
}

static void end_progress(job *it)
{
    if (it->has_progress) {
        fprintf(it->err, "\r%40s\r", "");
    }
}

static gw_browse_verdict on_message(void *ctx, const gw_message *msg, gw_browse_move *move)
{
    job *it = ctx;
    it->number++;
    gw_buf_clear(&it->text);
    gw_browse_verdict verdict = it->visit(it, msg, move);
    if (gw_buf_status(&it->text) != GW_OK) {
        it->failed = true;
        tool_fail(it->err, TOOL_FAILED, "message %zu cannot be written: %s", it->number,
                  gw_status_text(gw_buf_status(&it->text)));
        return GW_BROWSE_STOP;
    }
    if (it->text.len > 0 && fwrite(it->text.data, 1, it->text.len, it->out) != it->text.len) {
        it->failed = true; /* tool_flush() says why */
        return GW_BROWSE_STOP;
    }
    say_progress(it);
    return verdict;
}

static int fail_look(const job *it, gw_status st, const gw_error *why)
{
    return st == GW_E_NOT_FOUND
               ? tool_fail(it->err, TOOL_FAILED,
                           "there is no queue '%s' on the broker: no message of '%s' was given up "
                           "yet, or the queue has another name or virtual host",
                           it->dead_queue, it->queue)
               : tool_fail(it->err, TOOL_FAILED, "%s", why->text);
}

static int connect_to_broker(const job *it, gw_client **ret_client)
{
    gw_client_options client_options = GW_CLIENT_OPTIONS_INIT;
    client_options.name = "godwit";
    gw_error err = GW_ERROR_INIT;
    gw_buf url;
    gw_buf_init(&url, 0);
    int status = broker_url_make(it->given->url, &url, it->err);
    if (status == TOOL_OK && gw_connect(url.data, &client_options, ret_client, &err) != GW_OK) {
        status = tool_fail(it->err, TOOL_FAILED, "%s", err.text);
    }
    broker_url_dispose(&url);
    return status;
}

/* Look at up to `limit` letters (0: all). What was done is in it->result, also after a failure. */
static int look(job *it, size_t limit)
{
    gw_error err = GW_ERROR_INIT;
    gw_client *client;
    int status = connect_to_broker(it, &client);
    if (status != TOOL_OK) {
        return status;
    }
    gw_browse_options how = {.max_messages = limit, .timeout_ms = it->given->timeout_ms};
    gw_status st = gw_wait_up(client, how.timeout_ms, &err);
    if (st == GW_OK) {
        gw_buf_init(&it->text, RENDERED_MAX);
        st = gw_browse(client, it->dead_queue, &how, on_message, it, &it->result, &err);
        gw_buf_dispose(&it->text);
        end_progress(it);
    }
    (void)gw_close(client, CLOSE_MS, NULL); /* what is lost with it was reported above */
    return st != GW_OK ? fail_look(it, st, &err) : it->failed ? TOOL_FAILED : TOOL_OK;
}

static int begin(job *it, const options *given, FILE *out, FILE *err)
{
    *it = (job){.given = given,
                .out = out,
                .err = err,
                .queue = given->words[0],
                .progress_ms = gw_clock_ms()};
    size_t len = strlen(it->queue);
    if (len == 0 || len > QUEUE_MAX_LEN) {
        return tool_fail(err, TOOL_USAGE, "a queue's name has 1 to %zu bytes", QUEUE_MAX_LEN);
    }
    snprintf(it->dead_queue, sizeof(it->dead_queue), "%s" LETTER_SUFFIX, it->queue);
    if (given->url == NULL || given->url[0] == '\0') {
        return tool_fail(err, TOOL_USAGE,
                         "which broker? Set " OPTIONS_URL_ENV
                         ", such as amqp://user:password@host:5672/ or bus:run/bus, or give --url "
                         "without a password");
    }
    it->show_progress = isatty(fileno(err)) == 1 && isatty(fileno(out)) != 1;
    return TOOL_OK;
}

/* More waits than was looked at. */
static void say_rest(const job *it)
{
    if (it->result.n_visited < it->result.n_waiting) {
        tool_fail(it->err, TOOL_OK,
                  "these are the first %zu of %zu messages; --limit says how many",
                  it->result.n_visited, it->result.n_waiting);
    }
}

/* ---- list, export --------------------------------------------------------------------- */

static gw_browse_verdict visit_list(job *it, const gw_message *msg, gw_browse_move *move)
{
    (void)move;
    if (it->given->json) {
        render_row_json(&it->text, it->number, msg);
        return GW_BROWSE_LEAVE;
    }
    if (it->number == 1) {
        render_head(&it->text);
    }
    render_row(&it->text, it->number, msg);
    return GW_BROWSE_LEAVE;
}

static gw_browse_verdict visit_export(job *it, const gw_message *msg, gw_browse_move *move)
{
    (void)move;
    render_json(&it->text, it->number, msg);
    return GW_BROWSE_LEAVE;
}

static int list_with(gw_browse_verdict (*visit)(job *, const gw_message *, gw_browse_move *),
                     const options *given, FILE *out, FILE *err)
{
    job it;
    int status = begin(&it, given, out, err);
    if (status != TOOL_OK) {
        return status;
    }
    it.visit = visit;
    status = look(&it, given->limit != 0 ? given->limit : LIST_LIMIT);
    int flushed = tool_flush(out, err);
    if (status != TOOL_OK || flushed != TOOL_OK) {
        return TOOL_FAILED;
    }
    if (it.number == 0) {
        tool_fail(err, TOOL_OK, "'%s' is empty", it.dead_queue);
    }
    say_rest(&it);
    return TOOL_OK;
}

static int run_list(const options *given, FILE *out, FILE *err)
{
    return list_with(visit_list, given, out, err);
}

static int run_export(const options *given, FILE *out, FILE *err)
{
    return list_with(visit_export, given, out, err);
}

/* ---- show ------------------------------------------------------------------------------ */

static void add_body(job *it, const gw_message *msg)
{
    if (isatty(fileno(it->out)) == 1 && render_body_acts(msg)) {
        it->failed = true;
        tool_fail(it->err, TOOL_FAILED, TOOL_BODY_ACTS);
        return;
    }
    size_t len;
    const char *body = gw_message_body(msg, &len);
    gw_buf_add(&it->text, body, len);
}

static gw_browse_verdict visit_show(job *it, const gw_message *msg, gw_browse_move *move)
{
    (void)move;
    bool wanted =
        it->wanted != 0 ? it->number == it->wanted : letter_has_id(msg, it->given->words[1]);
    if (!wanted) {
        return GW_BROWSE_LEAVE;
    }
    it->found[0] = true;
    if (it->given->body) {
        add_body(it, msg);
    } else if (it->given->json) {
        render_json(&it->text, it->number, msg);
    } else {
        render_page(&it->text, it->number, msg);
    }
    return GW_BROWSE_STOP;
}

static int run_show(const options *given, FILE *out, FILE *err)
{
    job it;
    int status = begin(&it, given, out, err);
    if (status != TOOL_OK) {
        return status;
    }
    if (given->body && given->json) {
        return tool_fail(err, TOOL_USAGE, "--body and --json exclude each other");
    }
    bool found = false;
    it.found = &found;
    it.wanted = given->id ? 0 : (size_t)options_number(given->words[1], OPTIONS_LIMIT_MAX);
    it.visit = visit_show;
    size_t limit = given->limit != 0 ? given->limit : ID_LIMIT;
    status = look(&it, it.wanted != 0 ? it.wanted : limit);
    int flushed = tool_flush(out, err);
    if (status != TOOL_OK || flushed != TOOL_OK) {
        return TOOL_FAILED;
    }
    if (found) {
        return TOOL_OK;
    }
    return it.wanted != 0
               ? tool_fail(err, TOOL_FAILED,
                           "'%s' has no message number %zu, but %zu in all (for an id that is a "
                           "number: --id)",
                           it.dead_queue, it.wanted, it.result.n_waiting)
               : tool_fail(err, TOOL_FAILED,
                           "no message with the id '%s' is among the first %zu of %zu in '%s'",
                           given->words[1], it.result.n_visited, it.result.n_waiting,
                           it.dead_queue);
}

/* ---- putback, drop --------------------------------------------------------------------- */

static bool is_chosen(job *it, const gw_message *msg)
{
    bool chosen = it->given->all;
    for (int i = 1; i < it->given->n_words; i++) {
        if (letter_has_id(msg, it->given->words[i])) {
            it->found[i] = true;
            chosen = true;
        }
    }
    return chosen;
}

static gw_browse_verdict visit_drop(job *it, const gw_message *msg, gw_browse_move *move)
{
    (void)move;
    return is_chosen(it, msg) ? GW_BROWSE_REMOVE : GW_BROWSE_LEAVE;
}

/* What says that it comes from another queue is not put where it was never meant to be: anybody who
 * may publish can write such a header. */
static bool is_foreign(job *it, const gw_message *msg)
{
    const char *from = letter_read(msg).queue;
    if (it->given->to != NULL || from == NULL || strcmp(from, it->queue) == 0) {
        return false;
    }
    it->n_foreign++;
    if (it->n_foreign == 1) {
        tool_fail(it->err, TOOL_OK,
                  "message %zu says that it comes from queue '%s', and stays: --to names the queue "
                  "for such ones",
                  it->number, from);
    }
    return true;
}

static gw_browse_verdict visit_putback(job *it, const gw_message *msg, gw_browse_move *move)
{
    if (!is_chosen(it, msg) || is_foreign(it, msg)) {
        return GW_BROWSE_LEAVE;
    }
    move->queue = it->given->to != NULL ? it->given->to : it->queue;
    move->msg = letter_restore(msg);
    if (move->msg == NULL) {
        it->failed = true;
        tool_fail(it->err, TOOL_FAILED, "no memory for message %zu", it->number);
        return GW_BROWSE_STOP;
    }
    return GW_BROWSE_MOVE;
}

/* How many of the ids were not seen; they are named, the first few. */
static int say_missing(const job *it)
{
    int n = 0;
    for (int i = 1; i < it->given->n_words; i++) {
        if (!it->found[i] && n++ < 10) {
            tool_fail(it->err, TOOL_OK,
                      "no message with the id '%s' is among the first %zu of %zu in '%s'",
                      it->given->words[i], it->result.n_visited, it->result.n_waiting,
                      it->dead_queue);
        }
    }
    return n;
}

static void say_removed(const job *it, const char *verb, const char *key)
{
    const gw_browse_result *result = &it->result;
    size_t n_left =
        result->n_waiting > result->n_removed ? result->n_waiting - result->n_removed : 0;
    if (it->given->json) {
        fprintf(it->out, "{\"%s\":%zu,\"left\":%zu}\n", key, result->n_removed, n_left);
    } else {
        fprintf(it->out, "%s %zu message%s, %zu left in '", verb, result->n_removed,
                MANY(result->n_removed, "s"), n_left);
        gw_buf name;
        gw_buf_init(&name, 0);
        text_add_safe(&name, it->dead_queue, strlen(it->dead_queue), TEXT_LINE);
        fprintf(it->out, "%s'\n", name.data != NULL ? name.data : "");
        gw_buf_dispose(&name);
    }
}

static int remove_with(gw_browse_verdict (*visit)(job *, const gw_message *, gw_browse_move *),
                       const char *verb, const char *key, const options *given, FILE *out,
                       FILE *err)
{
    job it;
    int status = begin(&it, given, out, err);
    if (status != TOOL_OK) {
        return status;
    }
    if (given->all == (given->n_words > 1)) {
        return tool_fail(err, TOOL_USAGE, "name messages by their ids, or all of them with --all");
    }
    it.found = calloc((size_t)given->n_words, sizeof(*it.found));
    if (it.found == NULL) {
        return tool_fail(err, TOOL_FAILED, "no memory");
    }
    it.visit = visit;
    it.show_progress = isatty(fileno(err)) == 1; /* nothing else is written meanwhile */
    status = look(&it, given->limit != 0 ? given->limit : given->all ? 0 : ID_LIMIT);
    if (status == TOOL_OK || it.result.n_removed > 0) {
        say_removed(&it, verb, key);
    }
    if (status == TOOL_OK && (say_missing(&it) > 0 || it.n_foreign > 0)) {
        status = TOOL_FAILED;
    }
    free(it.found);
    int flushed = tool_flush(out, err);
    return status != TOOL_OK ? status : flushed;
}

static int run_putback(const options *given, FILE *out, FILE *err)
{
    return remove_with(visit_putback, "put back", "put_back", given, out, err);
}

static int run_drop(const options *given, FILE *out, FILE *err)
{
    return remove_with(visit_drop, "dropped", "dropped", given, out, err);
}

/* ---- the commands ----------------------------------------------------------------------- */

#define BROKER_HELP                                                                                \
    "  --url URL         the broker, without a password: amqp://host:5672/vhost\n"                 \
    "                      or " OPTIONS_URL_ENV ", with user and password\n"                       \
    "  --timeout TIME    longest wait for an answer: 500ms, 3s, 1m (" OPTIONS_TIMEOUT_TEXT ")\n"

static const command commands[] = {
    {.name = "list",
     .options = OPTION_URL | OPTION_TIMEOUT | OPTION_LIMIT | OPTION_JSON,
     .n_words_min = 1,
     .n_words_max = 1,
     .help = "godwit dead list: a table of the messages that were given up\n"
             "\n"
             "usage: godwit dead list [option]... QUEUE\n"
             "\n"
             "  --limit NUMBER    look at the first NUMBER messages (1000)\n"
             "  --json            a JSON object on each line instead of a table\n" BROKER_HELP "\n"
             "QUEUE is the work queue: its dead letters are in QUEUE.dead. They stay there, in\n"
             "their order; while it looks, others cannot have them.\n"
             "\n"
             "example:\n"
             "  godwit dead list vip_queue\n",
     .run = run_list},
    {.name = "show",
     .options = OPTION_URL | OPTION_TIMEOUT | OPTION_LIMIT | OPTION_JSON | OPTION_BODY | OPTION_ID,
     .n_words_min = 2,
     .n_words_max = 2,
     .help =
         "godwit dead show: everything about one message\n"
         "\n"
         "usage: godwit dead show [option]... QUEUE ID|NUMBER\n"
         "\n"
         "  --id              ID|NUMBER is an id, even if it looks like a number\n"
         "  --body            write the body alone, as it is\n"
         "  --json            one line of JSON, as of 'godwit dead export'\n"
         "  --limit NUMBER    look for it among the first NUMBER messages (100000)\n" BROKER_HELP
         "\n"
         "ID is a message id; NUMBER its place in 'godwit dead list'. A body that is not\n"
         "UTF-8 is shown in hexadecimal, control characters as \\x1b.\n"
         "\n"
         "examples:\n"
         "  godwit dead show vip_queue 1\n"
         "  godwit dead show vip_queue 01a20448-4a8e-7113-9cdf-26103e000141 --body >body\n",
     .run = run_show},
    {.name = "putback",
     .options = OPTION_URL | OPTION_TIMEOUT | OPTION_LIMIT | OPTION_JSON | OPTION_ALL | OPTION_TO,
     .n_words_min = 1,
     .n_words_max = -1,
     .help = "godwit dead putback: have messages handled again\n"
             "\n"
             "usage: godwit dead putback [option]... QUEUE ID...|--all\n"
             "\n"
             "  --all             all of them instead of those with these message ids\n"
             "  --to QUEUE        put them on this queue instead of the one they come from\n"
             "  --limit NUMBER    look at the first NUMBER messages only\n"
             "  --json            the numbers as a JSON object\n" BROKER_HELP "\n"
             "A message goes back as it was sent, with its id, without the headers that say\n"
             "why it was given up. It leaves QUEUE.dead when the broker has confirmed it on\n"
             "the other queue: at every moment it is in one of the two, or in both.\n"
             "\n"
             "example:\n"
             "  godwit dead putback vip_queue --all\n",
     .run = run_putback},
    {.name = "drop",
     .options = OPTION_URL | OPTION_TIMEOUT | OPTION_LIMIT | OPTION_JSON | OPTION_ALL,
     .n_words_min = 1,
     .n_words_max = -1,
     .help = "godwit dead drop: remove messages for good\n"
             "\n"
             "usage: godwit dead drop [option]... QUEUE ID...|--all\n"
             "\n"
             "  --all             all of them instead of those with these message ids\n"
             "  --limit NUMBER    look at the first NUMBER messages only\n"
             "  --json            the numbers as a JSON object\n" BROKER_HELP "\n"
             "The others stay, in their order. To keep a copy: 'godwit dead export'.\n"
             "\n"
             "example:\n"
             "  godwit dead drop vip_queue 01a20448-4a8e-7113-9cdf-26103e000141\n",
     .run = run_drop},
    {.name = "export",
     .options = OPTION_URL | OPTION_TIMEOUT | OPTION_LIMIT,
     .n_words_min = 1,
     .n_words_max = 1,
     .help = "godwit dead export: write messages as JSON, one a line\n"
             "\n"
             "usage: godwit dead export [option]... QUEUE\n"
             "\n"
             "  --limit NUMBER    look at the first NUMBER messages (1000)\n" BROKER_HELP "\n"
             "Each line has the properties, the headers, and the body as \"body\", or as\n"
             "\"body_base64\" if it is not UTF-8. The messages stay in QUEUE.dead.\n"
             "\n"
             "example:\n"
             "  godwit dead export vip_queue --limit 100000 >dead.ndjson\n",
     .run = run_export},
};

const command_group dead_group = {
    .name = "dead",
    .help =
        "godwit dead: the messages that a service gave up\n"
        "\n"
        "usage: godwit dead COMMAND [option]... QUEUE ...\n"
        "\n"
        "  list QUEUE                   a table: number, id, time, attempts, size, reason\n"
        "  show QUEUE ID|NUMBER         everything about one\n"
        "  putback QUEUE ID...|--all    have them handled again\n"
        "  drop QUEUE ID...|--all       remove them for good\n"
        "  export QUEUE                 JSON, one message a line\n"
        "\n"
        "'godwit dead COMMAND --help' has the options. The broker is the one of\n" OPTIONS_URL_ENV
        ", or of --url without a password.\n"
        "\n"
        "example:\n"
        "  godwit dead list vip_queue\n",
    .commands = commands,
    .n_commands = sizeof(commands) / sizeof(commands[0]),
};
