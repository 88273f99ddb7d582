/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <godwit/version.h>

#define ANSWER_MAX  4096 /* as much as is read of an answer */
#define EXCERPT_MAX 200  /* as much as is shown of its body */

/* What the alarm prints. Written while no alarm can come. */
static char verdict[URL_MAX + REASON_MAX + 128];
static size_t verdict_len;

static void on_alarm(int signal_number)
{
    (void)signal_number;
    if (write(STDOUT_FILENO, verdict, verdict_len) < 0) {
        _exit(1); /* nobody reads it; the exit status is the same */
    }
    _exit(1);
}

static void set_verdict(const target *t, const char *reason)
{
    int len = snprintf(verdict, sizeof(verdict), "unhealthy: %s: %s\n", t->text, reason);
    verdict_len = (size_t)len < sizeof(verdict) ? (size_t)len : sizeof(verdict) - 1;
}

static void block_alarm(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(how, &set, NULL);
}

static void start_alarm(const target *t, unsigned timeout_ms)
{
    char reason[64];
    snprintf(reason, sizeof(reason), "no answer within %u ms", timeout_ms);
    set_verdict(t, reason);
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    block_alarm(SIG_UNBLOCK);
    struct itimerval timer = {.it_value = {.tv_sec = timeout_ms / 1000,
                                           .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void set_reason_errno(char reason[REASON_MAX], int errnum)
{
    snprintf(reason, REASON_MAX, "%s", strerror(errnum));
    reason[0] = (char)tolower((unsigned char)reason[0]);
}

/* A connected socket, or -1 and a reason. */
static int connect_to(const target *t, char reason[REASON_MAX])
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int failed = getaddrinfo(t->host, t->port, &hints, &list);
    if (failed != 0) {
        snprintf(reason, REASON_MAX, "cannot look up '%.200s': %s", t->host, gai_strerror(failed));
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            set_reason_errno(reason, errno);
            if (fd >= 0) {
                close(fd);
            }
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

static bool send_request(int fd, const target *t, char reason[REASON_MAX])
{
    static char request[2 * URL_MAX + 256];
    int len = snprintf(request, sizeof(request),
                       strchr(t->host, ':') != NULL
                           ? "GET %s HTTP/1.1\r\nHost: [%s]:%s\r\nUser-Agent: %s\r\n%s\r\n"
                           : "GET %s HTTP/1.1\r\nHost: %s:%s\r\nUser-Agent: %s\r\n%s\r\n",
                       t->path, t->host, t->port, "godwit-healthchecker/" GW_VERSION,
                       "Accept: */*\r\nConnection: close\r\n");
    for (int sent = 0; sent < len;) {
        ssize_t n = send(fd, request + sent, (size_t)(len - sent), MSG_NOSIGNAL);
        if (n < 0) {
            set_reason_errno(reason, errno);
            return false;
        }
        sent += (int)n;
    }
    return true;
}

/* The status of a complete status line (RFC 9112 section 4), or 0. */
static int parse_status(const char *line, size_t len)
{
    static const char form[] = "HTTP/1.x 000";
    const size_t n = sizeof(form) - 1;
    if (len < n + 1 || memcmp(line, form, 7) != 0 || (line[7] != '0' && line[7] != '1') ||
        line[8] != ' ' || line[len - 1] != '\r' || (len > n + 1 && line[n] != ' ')) {
        return 0;
    }
    for (size_t i = 0; i < len - 1; i++) {
        bool is_digit = line[i] >= '0' && line[i] <= '9';
        bool is_control = ((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f;
        if (is_control || (i >= 9 && i < n && !is_digit)) {
            return 0;
        }
    }
    int status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    return status >= 100 && status <= 599 ? status : 0;
}

/* Read on until `answer` is full or ends, or, if `line`, has a whole line. False on an error. */
static bool read_more(int fd, char *answer, size_t *len, bool line, char reason[REASON_MAX])
{
    while (*len < ANSWER_MAX && !(line && memchr(answer, '\n', *len) != NULL)) {
        ssize_t n = recv(fd, answer + *len, ANSWER_MAX - *len, 0);
        if (n < 0) {
            set_reason_errno(reason, errno);
            return false;
        }
        if (n == 0) {
            break;
        }
        *len += (size_t)n;
    }
    return true;
}

/* Add the beginning of the body, where a service says what is wrong with it. */
static void add_excerpt(const char *answer, size_t len, char reason[REASON_MAX])
{
    const char *body = memmem(answer, len, "\r\n\r\n", 4);
    if (body == NULL || body + 4 == answer + len) {
        return;
    }
    body += 4;
    size_t body_len = (size_t)(answer + len - body);
    int n = (int)(body_len < EXCERPT_MAX ? body_len : EXCERPT_MAX);
    size_t at = strlen(reason);
    at += (size_t)snprintf(reason + at, REASON_MAX - at, ": ");
    for (int i = 0; i < n && at < REASON_MAX - 1; i++) {
        bool is_plain = (unsigned char)body[i] >= 0x20 && body[i] != 0x7f;
        reason[at++] = is_plain ? body[i] : ' ';
    }
    reason[at] = '\0';
}

static bool ask(int fd, const target *t, char reason[REASON_MAX])
{
    static char answer[ANSWER_MAX];
    size_t len = 0;
    if (!send_request(fd, t, reason) || !read_more(fd, answer, &len, true, reason)) {
        return false;
    }
    if (len == 0) {
        snprintf(reason, REASON_MAX, "closed the connection without an answer");
        return false;
    }
    const char *end = memchr(answer, '\n', len);
    int status = end != NULL ? parse_status(answer, (size_t)(end - answer)) : 0;
    if (status == 0) {
        snprintf(reason, REASON_MAX, "the answer is not HTTP");
        return false;
    }
    snprintf(reason, REASON_MAX, "answered %d", status);
    if (status >= 200 && status <= 299) {
        return true;
    }
    block_alarm(SIG_BLOCK);
    set_verdict(t, reason); /* that much is known when the time is up while the body comes */
    block_alarm(SIG_UNBLOCK);
    char ignored[REASON_MAX];
    if (read_more(fd, answer, &len, false, ignored)) {
        add_excerpt(answer, len, reason);
    }
    return false;
}

bool probe(const target *t, unsigned timeout_ms, char ret_reason[REASON_MAX])
{
    start_alarm(t, timeout_ms);
    int fd = connect_to(t, ret_reason);
    bool is_healthy = fd >= 0 && ask(fd, t, ret_reason);
    block_alarm(SIG_BLOCK); /* one verdict is enough */
    if (fd >= 0) {
        close(fd);
    }
    return is_healthy;
}
