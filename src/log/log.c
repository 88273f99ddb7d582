/* SPDX-License-Identifier: MIT */
/*
 * Log lines. A line is put together on the stack of the thread that logs and handed to the kernel
 * with one write(2): no buffer that a crash could lose, no thread of its own, no allocation. A line
 * that the kernel does not take (a full disk, a reader that is gone or too slow) is dropped: a
 * service does not stop because nobody reads its log. Whether SIGPIPE is ignored is the program's
 * decision.
 */
#include <godwit/log.h>

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <godwit/buf.h>
#include <godwit/clock.h>
#include <godwit/url.h>

#include "base/text.h"
#include "base/utf8.h"

#define LINE_MAX_LEN  4096 /* with its newline; as much as a pipe takes in one piece */
#define MESSAGE_MAX   (2 * LINE_MAX_LEN) /* so a password that is cut is past the end of the line */
#define TAIL_MAX      6                  /* what ends any line: ..."}\n */
#define SERVICE_SIZE  64
#define MASKED_FACTOR 2 /* masking ":x@ " makes it longer, by less than twice */

typedef struct log_line {
    char text[LINE_MAX_LEN];
    size_t len;
    bool json;
    bool cut; /* something did not fit; nothing is added after that */
} log_line;

static _Atomic gw_log_level threshold = GW_LOG_INFO;
static atomic_bool json_lines;

static pthread_mutex_t service_lock = PTHREAD_MUTEX_INITIALIZER;
static char service[SERVICE_SIZE]; /* @locks service_lock */

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};
static const char *const level_words[] = {"DEBUG ", "INFO  ", "WARN  ", "ERROR "};

#define N_LEVELS (sizeof(level_names) / sizeof(level_names[0]))

void gw_log_set_service(const char *name)
{
    char tidy[SERVICE_SIZE];
    name = name != NULL ? name : "";
    size_t len = strlen(name);
    len = len < SERVICE_SIZE ? len : gw__utf8_cut(name, SERVICE_SIZE - 1);
    memcpy(tidy, name, len);
    tidy[len] = '\0';
    gw__text_tidy(tidy);
    pthread_mutex_lock(&service_lock);
    memcpy(service, tidy, sizeof(service));
    pthread_mutex_unlock(&service_lock);
}

void gw_log_set_level(gw_log_level level)
{
    if ((unsigned)level < N_LEVELS) {
        atomic_store_explicit(&threshold, level, memory_order_relaxed);
    }
}

gw_log_level gw_log_get_level(void)
{
    return atomic_load_explicit(&threshold, memory_order_relaxed);
}

void gw_log_set_json(bool on)
{
    atomic_store_explicit(&json_lines, on, memory_order_relaxed);
}

gw_status gw_log_level_parse(const char *text, gw_log_level *ret_level)
{
    for (size_t i = 0; text != NULL && i < N_LEVELS; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *ret_level = (gw_log_level)i;
            return GW_OK;
        }
    }
    return GW_E_INVALID;
}

/* Add bytes that must not be split. */
static void add(log_line *line, const char *bytes, size_t len)
{
    if (line->cut || len > sizeof(line->text) - TAIL_MAX - line->len) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->len, bytes, len);
    line->len += len;
}

static void add_str(log_line *line, const char *str)
{
    add(line, str, strlen(str));
}

/* The code point of a valid sequence of 2 or 3 bytes; longer ones need no escape. */
static unsigned code_point(const unsigned char *p, size_t n)
{
    return n == 2   ? (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu)
           : n == 3 ? (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu)
                    : 0xffff;
}

/* Add one character that a line cannot carry as it is. `n`: its bytes, 0 when they are not UTF-8.
 */
static void add_escape(log_line *line, const unsigned char *p, size_t n)
{
    char escape[8];
    if (n == 0 && line->json) {
        add_str(line, "\xef\xbf\xbd");
        return;
    }
    switch (*p) {
    case '\n': add_str(line, "\\n"); return;
    case '\r': add_str(line, "\\r"); return;
    case '\t': add_str(line, "\\t"); return;
    case '"': add_str(line, "\\\""); return;
    case '\\': add_str(line, "\\\\"); return;
    default: break;
    }
    if (n > 1 || line->json) {
        snprintf(escape, sizeof(escape), "\\u%04x", n > 1 ? code_point(p, n) : *p);
    } else {
        snprintf(escape, sizeof(escape), "\\x%02x", *p);
    }
    add_str(line, escape);
}

/* Whether a character would end the line, steer a terminal or break the JSON string. */
static bool needs_escape(const log_line *line, const unsigned char *p, size_t n)
{
    if (n <= 1) {
        return n == 0 || *p < 0x20 || *p == 0x7f || (line->json && (*p == '"' || *p == '\\'));
    }
    unsigned code = code_point(p, n);
    return code <= 0x9f || code == 0x2028 || code == 0x2029;
}

static void add_escaped(log_line *line, const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len && !line->cut;) {
        const unsigned char *p = (const unsigned char *)text + i;
        size_t n = *p < 0x80 ? 1 : gw_utf8_sequence_len(text + i, len - i);
        if (needs_escape(line, p, n)) {
            add_escape(line, p, n);
        } else {
            add(line, text + i, n);
        }
        i += n > 0 ? n : 1;
    }
}

/* Kept out of line: its arrays are needed only where a message names a URL. */
static __attribute__((noinline)) void add_masked(log_line *line, const char *text)
{
    char room[MASKED_FACTOR * MESSAGE_MAX];
    gw_buf masked = {.data = room, .cap = sizeof(room), .limit = sizeof(room) - 1};
    room[0] = '\0';
    gw_url_mask(&masked, text);
    add_escaped(line, gw_buf_status(&masked) == GW_OK ? room : "(a URL that could not be masked)");
}

static void add_message(log_line *line, const char *text)
{
    if (strchr(text, '@') != NULL || strstr(text, "://") != NULL) {
        add_masked(line, text);
    } else {
        add_escaped(line, text);
    }
}

static void add_service(log_line *line)
{
    char name[SERVICE_SIZE];
    pthread_mutex_lock(&service_lock);
    memcpy(name, service, sizeof(name));
    pthread_mutex_unlock(&service_lock);
    if (name[0] == '\0') {
        return;
    }
    if (line->json) {
        add_str(line, ",\"service\":\"");
        add_escaped(line, name);
        add_str(line, "\"");
    } else {
        add_escaped(line, name);
        add_str(line, " ");
    }
}

static void build(log_line *line, gw_log_level level, const char *area, const char *message)
{
    char time[GW_TIME_MS_LEN + 1];
    gw_time_format_ms(gw_clock_unix_ns(), time);
    if (line->json) {
        add_str(line, "{\"time\":\"");
        add_str(line, time);
        add_str(line, "\",\"level\":\"");
        add_str(line, level_names[level]);
        add_str(line, "\"");
        add_service(line);
        add_str(line, ",\"area\":\"");
        add_escaped(line, area);
        add_str(line, "\",\"msg\":\"");
    } else {
        add_str(line, time);
        add_str(line, " ");
        add_str(line, level_words[level]);
        add_service(line);
        add_escaped(line, area);
        add_str(line, ": ");
    }
    add_message(line, message);

    /* What ends a line goes into the room that add() never gives away. */
    const char *tail =
        line->cut ? (line->json ? "...\"}\n" : "...\n") : (line->json ? "\"}\n" : "\n");
    size_t tail_len = strlen(tail);
    memcpy(line->text + line->len, tail, tail_len);
    line->len += tail_len;
}

/* One write(2), unless the kernel takes a line only in part or is interrupted before it took any.
 */
static void write_out(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, text, len);
        if (n < 0 && errno != EINTR) {
            return;
        }
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

void gw_log_write(gw_log_level level, const char *area, const char *format, ...)
{
    if ((unsigned)level >= GW_LOG_OFF || level < gw_log_get_level()) {
        return;
    }
    int saved_errno = errno; /* callers log between a failing call and the reading of errno */
    char message[MESSAGE_MAX];
    message[0] = '\0';
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);

    log_line line;
    line.len = 0;
    line.cut = false;
    line.json = atomic_load_explicit(&json_lines, memory_order_relaxed);
    build(&line, level, area != NULL ? area : "-", message);
    write_out(line.text, line.len);
    errno = saved_errno;
}
