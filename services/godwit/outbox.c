/* SPDX-License-Identifier: MIT */
#include "outbox.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <godwit/clock.h>
#include <godwit/outbox.h>

#include "letter.h"
#include "render.h"
#include "text.h"

#define LIST_LIMIT   1000u
#define RENDERED_MAX ((size_t)1 << 30)
#define CHOSEN_MAX   ((size_t)OPTIONS_LIMIT_MAX)
#define ROW_FORMAT   "%12s  %-7s  %-36s  %-20s  %-20s  %9s  %s\n"

static const gw_outbox_part parts[] = {GW_OUTBOX_DEAD, GW_OUTBOX_WAITING};
#define N_PARTS (sizeof(parts) / sizeof(parts[0]))

/* Numbers of one part that something is to be done with. */
typedef struct chosen {
    uint64_t *items;
    size_t n_items;
    size_t cap;
} chosen;

/* One command at work. */
typedef struct job job;

struct job {
    const options *given;
    FILE *out;
    FILE *err;
    gw_outbox *outbox;
    gw_outbox_summary summary;
    bool (*visit)(job *it, const gw_outbox_entry *entry); /* false: enough */
    size_t limit;                                         /* of messages to visit; 0: none */
    size_t n_visited;
    bool stopped;
    bool failed; /* and said so */
    gw_buf text;
    bool *found; /* of the words on the command line */
    chosen chosen[N_PARTS];
};

static const char *part_name(gw_outbox_part part)
{
    return part == GW_OUTBOX_DEAD ? "dead" : "waiting";
}

/* ---- visiting ----------------------------------------------------------------------- */

static bool on_entry(void *ctx, const gw_outbox_entry *entry)
{
    job *it = ctx;
    if (it->limit != 0 && it->n_visited == it->limit) {
        it->stopped = true;
        return false;
    }
    it->n_visited++;
    gw_buf_clear(&it->text);
    bool go_on = it->visit(it, entry);
    if (gw_buf_status(&it->text) != GW_OK) {
        it->failed = true;
        tool_fail(it->err, TOOL_FAILED, "message %" PRIu64 " cannot be written: %s", entry->number,
                  gw_status_text(gw_buf_status(&it->text)));
    } else if (it->text.len > 0 &&
               fwrite(it->text.data, 1, it->text.len, it->out) != it->text.len) {
        it->failed = true; /* tool_flush() says why */
    }
    it->stopped = !go_on || it->failed;
    return !it->stopped;
}

static bool is_wanted_part(const options *given, gw_outbox_part part)
{
    return given->dead == given->waiting || given->dead == (part == GW_OUTBOX_DEAD);
}

/* The parts that are wanted, those first of which there are fewer. */
static int visit_parts(job *it)
{
    gw_error err = GW_ERROR_INIT;
    gw_status st = GW_OK;
    for (size_t i = 0; i < N_PARTS && st == GW_OK && !it->stopped; i++) {
        if (is_wanted_part(it->given, parts[i])) {
            st = gw_outbox_visit(it->outbox, parts[i], on_entry, it, &err);
        }
    }
    return st != GW_OK  ? tool_fail(it->err, TOOL_FAILED, "%s", err.text)
           : it->failed ? TOOL_FAILED
                        : TOOL_OK;
}

static int begin(job *it, const options *given, FILE *out, FILE *err)
{
    *it = (job){.given = given, .out = out, .err = err};
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw_outbox_open(given->words[0], &it->outbox, &why);
    if (st == GW_OK) {
        st = gw_outbox_summarize(it->outbox, &it->summary, &why);
    }
    if (st != GW_OK) {
        gw_outbox_close(it->outbox);
        return tool_fail(err, TOOL_FAILED, "%s", why.text);
    }
    gw_buf_init(&it->text, RENDERED_MAX);
    it->found = calloc((size_t)given->n_words, sizeof(*it->found));
    if (it->found == NULL) {
        gw_outbox_close(it->outbox);
        return tool_fail(err, TOOL_FAILED, "no memory");
    }
    return TOOL_OK;
}

/* What was written has to be written. */
static int end(job *it, int status)
{
    for (size_t i = 0; i < N_PARTS; i++) {
        free(it->chosen[i].items);
    }
    free(it->found);
    gw_buf_dispose(&it->text);
    gw_outbox_close(it->outbox);
    int flushed = tool_flush(it->out, it->err);
    return status != TOOL_OK ? status : flushed;
}

/* Whether a word of the command line names the message: by its number or its id. */
static bool is_named(job *it, const gw_outbox_entry *entry)
{
    bool named = false;
    for (int i = 1; i < it->given->n_words; i++) {
        const char *word = it->given->words[i];
        uint64_t number = it->given->id ? 0 : options_number(word, UINT64_MAX);
        if (number != 0 ? number == entry->number : letter_has_id(entry->msg, word)) {
            named = it->found[i] = true;
        }
    }
    return named;
}

/* ---- list, export -------------------------------------------------------------------- */

static void format_time(uint64_t unix_ms, char text[GW_TIME_MS_LEN + 1])
{
    text[0] = '\0';
    if (unix_ms != 0 && unix_ms < 253402300800000) { /* up to the year 9999 */
        gw_time_format_ms(unix_ms * GW_NS_PER_MS, text);
    }
}

static const char *target_of(const gw_outbox_entry *entry)
{
    return entry->queue != NULL ? entry->queue : entry->exchange;
}

static bool list_row(job *it, const gw_outbox_entry *entry)
{
    gw_buf *out = &it->text;
    char time[GW_TIME_MS_LEN + 1];
    format_time(entry->accepted_ms, time);
    if (strlen(time) > 20) {
        memcpy(time + 19, "Z", 2); /* seconds are enough here */
    }
    size_t size;
    (void)gw_message_body(entry->msg, &size);
    if (it->n_visited == 1) {
        gw_buf_addf(out, ROW_FORMAT, "NUMBER", "PART", "MESSAGE ID", "TO", "ACCEPTED", "SIZE",
                    "REASON");
    }
    gw_buf_addf(out, "%12" PRIu64 "  %-7s  ", entry->number, part_name(entry->part));
    render_cell(out, gw_message_id(entry->msg), 36);
    gw_buf_add_str(out, "  ");
    render_cell(out, target_of(entry), 20);
    gw_buf_add_str(out, "  ");
    render_cell(out, time, 20);
    gw_buf_addf(out, "  %9zu  ", size);
    render_cell(out, entry->reason, 0);
    gw_buf_add_char(out, '\n');
    return true;
}

/* What is known of a message besides itself; `{` and all up to its end are the caller's. */
static void add_entry_json(gw_buf *out, const gw_outbox_entry *entry)
{
    char time[GW_TIME_MS_LEN + 1];
    bool first = false;
    gw_buf_addf(out, "\"number\":%" PRIu64 ",\"part\":\"%s\"", entry->number,
                part_name(entry->part));
    render_pair_json(out, "queue", entry->queue, &first);
    if (entry->queue == NULL) {
        render_pair_json(out, "exchange", entry->exchange, &first);
        render_pair_json(out, "exchange_type", gw_exchange_type_name(entry->type), &first);
        render_pair_json(out, "routing_key", gw_message_routing_key(entry->msg), &first);
    }
    format_time(entry->accepted_ms, time);
    render_pair_json(out, "accepted", time[0] != '\0' ? time : NULL, &first);
    format_time(entry->part == GW_OUTBOX_DEAD ? entry->died_ms : 0, time);
    render_pair_json(out, "died", time[0] != '\0' ? time : NULL, &first);
    render_pair_json(out, "reason", entry->reason, &first);
}

static bool list_json(job *it, const gw_outbox_entry *entry)
{
    bool first = false;
    size_t size;
    (void)gw_message_body(entry->msg, &size);
    gw_buf_add_char(&it->text, '{');
    add_entry_json(&it->text, entry);
    render_pair_json(&it->text, "id", gw_message_id(entry->msg), &first);
    gw_buf_addf(&it->text, ",\"size\":%zu}\n", size);
    return true;
}

static bool export_json(job *it, const gw_outbox_entry *entry)
{
    gw_buf_add_char(&it->text, '{');
    add_entry_json(&it->text, entry);
    gw_buf_add_char(&it->text, ',');
    render_content_json(&it->text, entry->msg);
    gw_buf_add_str(&it->text, "}\n");
    return true;
}

static void say_summary(const job *it)
{
    const gw_outbox_summary *sum = &it->summary;
    char user[64] = "no process uses it";
    if (sum->pid != 0) {
        snprintf(user, sizeof(user), "process %ld uses it", sum->pid);
    }
    fprintf(it->out, "%zu waiting, %zu dead, %zu damaged; %s\n", sum->n_waiting, sum->n_dead,
            sum->n_damaged, user);
}

static int list_with(job *it, bool (*visit)(job *, const gw_outbox_entry *))
{
    it->visit = visit;
    it->limit = it->given->limit != 0 ? it->given->limit : LIST_LIMIT;
    int status = visit_parts(it);
    if (status == TOOL_OK && it->stopped) {
        tool_fail(it->err, TOOL_OK, "these are the first %zu messages; --limit says how many",
                  it->n_visited);
    }
    return end(it, status);
}

static int run_list(const options *given, FILE *out, FILE *err)
{
    job it;
    int status = begin(&it, given, out, err);
    if (status != TOOL_OK) {
        return status;
    }
    if (!given->json) {
        say_summary(&it);
    }
    return list_with(&it, given->json ? list_json : list_row);
}

static int run_export(const options *given, FILE *out, FILE *err)
{
    job it;
    int status = begin(&it, given, out, err);
    return status != TOOL_OK ? status : list_with(&it, export_json);
}

/* ---- show ------------------------------------------------------------------------------ */

static void add_page(gw_buf *out, const gw_outbox_entry *entry)
{
    char time[GW_TIME_MS_LEN + 1];
    gw_buf_addf(out, "message %" PRIu64 " of the outbox, %s\n\n", entry->number,
                part_name(entry->part));
    render_line(out, entry->queue != NULL ? "queue" : "exchange", target_of(entry));
    if (entry->queue == NULL) {
        render_line(out, "exchange type", gw_exchange_type_name(entry->type));
        render_line(out, "routing_key", gw_message_routing_key(entry->msg));
    }
    format_time(entry->accepted_ms, time);
    render_line(out, "accepted", time);
    if (entry->part == GW_OUTBOX_DEAD) {
        format_time(entry->died_ms, time);
        render_line(out, "died", time);
        render_line(out, "reason", entry->reason);
    }
    render_content(out, entry->msg);
}

static bool show_one(job *it, const gw_outbox_entry *entry)
{
    if (!is_named(it, entry)) {
        return true;
    }
    if (it->given->json) {
        return export_json(it, entry) && false;
    }
    if (!it->given->body) {
        add_page(&it->text, entry);
        return false;
    }
    if (isatty(fileno(it->out)) == 1 && render_body_acts(entry->msg)) {
        it->failed = true;
        tool_fail(it->err, TOOL_FAILED, TOOL_BODY_ACTS);
        return false;
    }
    size_t len;
    const char *body = gw_message_body(entry->msg, &len);
    gw_buf_add(&it->text, body, len);
    return false;
}

/* How many words named nothing; the first few are told. */
static int say_missing(const job *it)
{
    int n = 0;
    for (int i = 1; i < it->given->n_words; i++) {
        if (!it->found[i] && n++ < 10) {
            tool_fail(it->err, TOOL_OK, "no %smessage in the outbox has the number or id '%s'",
                      it->given->dead == it->given->waiting ? ""
                      : it->given->dead                     ? "dead "
                                                            : "waiting ",
                      it->given->words[i]);
        }
    }
    return n;
}

static int run_show(const options *given, FILE *out, FILE *err)
{
    if (given->body && given->json) {
        return tool_fail(err, TOOL_USAGE, "--body and --json exclude each other");
    }
    job it;
    int status = begin(&it, given, out, err);
    if (status != TOOL_OK) {
        return status;
    }
    it.visit = show_one;
    status = visit_parts(&it);
    if (status == TOOL_OK && say_missing(&it) > 0) {
        status = TOOL_FAILED;
    }
    return end(&it, status);
}

/* ---- resend, drop ----------------------------------------------------------------------- */

static bool choose(job *it, const gw_outbox_entry *entry)
{
    if (!it->given->all && !is_named(it, entry)) {
        return true;
    }
    chosen *list = &it->chosen[entry->part == parts[0] ? 0 : 1];
    if (list->n_items == list->cap) {
        size_t cap = list->cap == 0 ? 64 : list->cap * 2;
        uint64_t *items = realloc(list->items, cap * sizeof(*items));
        if (items == NULL) {
            it->failed = true;
            tool_fail(it->err, TOOL_FAILED, "no memory for %zu messages", cap);
            return false;
        }
        list->items = items;
        list->cap = cap;
    }
    list->items[list->n_items++] = entry->number;
    return true;
}

/* Do it, part by part. */
static int apply(job *it, gw_outbox_change change, size_t *ret_n_done)
{
    for (size_t i = 0; i < N_PARTS; i++) {
        const chosen *list = &it->chosen[i];
        size_t n_done = 0;
        gw_error err = GW_ERROR_INIT;
        gw_status st = list->n_items == 0
                           ? GW_OK
                           : gw_outbox_apply(it->outbox, parts[i], change, list->items,
                                             list->n_items, it->given->timeout_ms, &n_done, &err);
        *ret_n_done += n_done;
        if (st != GW_OK) {
            return tool_fail(it->err, TOOL_FAILED, "%s", err.text);
        }
    }
    return TOOL_OK;
}

static int change_with(gw_outbox_change change, const char *verb, const options *given, FILE *out,
                       FILE *err)
{
    job it;
    int status = begin(&it, given, out, err);
    if (status != TOOL_OK) {
        return status;
    }
    it.visit = choose;
    it.limit = given->limit;
    status = visit_parts(&it);
    size_t n_done = 0;
    bool applied = status == TOOL_OK;
    if (applied) {
        status = apply(&it, change, &n_done);
    }
    if (applied && given->json) {
        fprintf(out, "{\"%s\":%zu}\n", verb, n_done);
    } else if (applied) {
        fprintf(out, "%s %zu message%s\n", verb, n_done, n_done == 1 ? "" : "s");
    }
    if (applied && say_missing(&it) > 0) {
        status = TOOL_FAILED;
    }
    return end(&it, status);
}

static int run_resend(const options *given, FILE *out, FILE *err)
{
    if (given->all == (given->n_words > 1)) {
        return tool_fail(err, TOOL_USAGE,
                         "name messages by their numbers or ids, or all dead ones with --all");
    }
    options dead = *given;
    dead.dead = true;
    return change_with(GW_OUTBOX_RESEND, "resent", &dead, out, err);
}

/* What waits would be delivered: to drop all of it takes a word more. */
static int run_drop(const options *given, FILE *out, FILE *err)
{
    if (given->all == (given->n_words > 1)) {
        return tool_fail(
            err, TOOL_USAGE,
            "name messages by their numbers or ids, or --all with --dead or --waiting");
    }
    if (given->all && given->dead == given->waiting) {
        return tool_fail(err, TOOL_USAGE, "all of which part: --dead or --waiting?");
    }
    return change_with(GW_OUTBOX_DROP, "dropped", given, out, err);
}

/* ---- the commands ----------------------------------------------------------------------- */

#define PART_HELP                                                                                  \
    "  --dead            only what was given up\n"                                                 \
    "  --waiting         only what waits for the broker\n"
#define ID_HELP "  --id              each NUMBER|ID is an id, even if it looks like a number\n"

static const command commands[] = {
    {.name = "list",
     .options = OPTION_LIMIT | OPTION_JSON | OPTION_DEAD | OPTION_WAITING,
     .n_words_min = 1,
     .n_words_max = 1,
     .help = "godwit outbox list: a table of what is in an outbox, given up ones first\n"
             "\n"
             "usage: godwit outbox list [option]... DIR\n"
             "\n" PART_HELP "  --limit NUMBER    list the first NUMBER messages (1000)\n"
             "  --json            a JSON object on each line instead of a table\n"
             "\n"
             "DIR is the service's outbox_dir. What it delivers meanwhile may be in the list.\n"
             "\n"
             "example:\n"
             "  godwit outbox list data/accountservice/outbox-6767\n",
     .run = run_list},
    {.name = "show",
     .options = OPTION_JSON | OPTION_DEAD | OPTION_WAITING | OPTION_BODY | OPTION_ID,
     .n_words_min = 2,
     .n_words_max = 2,
     .help = "godwit outbox show: everything about one message\n"
             "\n"
             "usage: godwit outbox show [option]... DIR NUMBER|ID\n"
             "\n" PART_HELP ID_HELP "  --body            write the body alone, as it is\n"
             "  --json            one line of JSON, as of 'godwit outbox export'\n"
             "\n"
             "NUMBER is that of the list, which a message keeps; ID its message id.\n"
             "\n"
             "example:\n"
             "  godwit outbox show data/accountservice/outbox-6767 17\n",
     .run = run_show},
    {.name = "resend",
     .options = OPTION_TIMEOUT | OPTION_LIMIT | OPTION_JSON | OPTION_ALL | OPTION_ID,
     .n_words_min = 1,
     .n_words_max = -1,
     .help = "godwit outbox resend: let dead messages wait for the broker again\n"
             "\n"
             "usage: godwit outbox resend [option]... DIR NUMBER|ID...|--all\n"
             "\n"
             "  --all             all dead ones\n" ID_HELP
             "  --limit NUMBER    look at the first NUMBER messages only\n"
             "  --json            the number of messages as a JSON object\n"
             "  --timeout TIME    longest wait for the service (" OPTIONS_TIMEOUT_TEXT ")\n"
             "\n"
             "They keep their message ids, and are sent by the service: by one that runs at\n"
             "once, otherwise when it starts.\n"
             "\n"
             "example:\n"
             "  godwit outbox resend data/accountservice/outbox-6767 --all\n",
     .run = run_resend},
    {.name = "drop",
     .options = OPTION_TIMEOUT | OPTION_LIMIT | OPTION_JSON | OPTION_ALL | OPTION_ID | OPTION_DEAD |
                OPTION_WAITING,
     .n_words_min = 1,
     .n_words_max = -1,
     .help = "godwit outbox drop: remove messages for good\n"
             "\n"
             "usage: godwit outbox drop [option]... DIR NUMBER|ID...|--all\n"
             "\n"
             "  --all             all of a part, which has to be named\n" PART_HELP ID_HELP
             "  --limit NUMBER    look at the first NUMBER messages only\n"
             "  --json            the number of messages as a JSON object\n"
             "  --timeout TIME    longest wait for the service (" OPTIONS_TIMEOUT_TEXT ")\n"
             "\n"
             "A message that waits is on its way: it may be delivered before it is dropped.\n"
             "\n"
             "example:\n"
             "  godwit outbox drop data/accountservice/outbox-6767 17 18\n",
     .run = run_drop},
    {.name = "export",
     .options = OPTION_LIMIT | OPTION_DEAD | OPTION_WAITING,
     .n_words_min = 1,
     .n_words_max = 1,
     .help = "godwit outbox export: write messages as JSON, one a line\n"
             "\n"
             "usage: godwit outbox export [option]... DIR\n"
             "\n" PART_HELP "  --limit NUMBER    write the first NUMBER messages (1000)\n"
             "\n"
             "Each line has where the message goes, its properties, headers, and the body as\n"
             "\"body\", or as \"body_base64\" if it is not UTF-8. Nothing is removed.\n"
             "\n"
             "example:\n"
             "  godwit outbox export data/accountservice/outbox-6767 >outbox.ndjson\n",
     .run = run_export},
};

const command_group outbox_group = {
    .name = "outbox",
    .help = "godwit outbox: what a service accepted and has not delivered\n"
            "\n"
            "usage: godwit outbox COMMAND [option]... DIR ...\n"
            "\n"
            "  list DIR                       a table of what waits and of what was given up\n"
            "  show DIR NUMBER|ID             everything about one message\n"
            "  resend DIR NUMBER|ID...|--all  let dead ones wait for the broker again\n"
            "  drop DIR NUMBER|ID...|--all    remove them for good\n"
            "  export DIR                     JSON, one message a line\n"
            "\n"
            "DIR is the service's outbox_dir. The service may run: it is asked to make the\n"
            "changes. 'godwit outbox COMMAND --help' has the options.\n"
            "\n"
            "example:\n"
            "  godwit outbox list data/accountservice/outbox-6767\n",
    .commands = commands,
    .n_commands = sizeof(commands) / sizeof(commands[0]),
};
