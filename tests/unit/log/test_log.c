/* SPDX-License-Identifier: MIT */
/* Standard error is a socket that keeps packets apart here: one packet is one write(2). */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include <godwit/log.h>

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define LINE_LIMIT  4096
#define TIME_LEN    24 /* of "2026-11-22T10:42:13.667Z" */

static int real_stderr;
static int reader = -1;

static void redirect_to(int fd)
{
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
}

static int setup(void **state)
{
    (void)state;
    int ends[2];
    real_stderr = dup(STDERR_FILENO);
    if (real_stderr < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0) {
        return -1;
    }
    reader = ends[0];
    redirect_to(ends[1]);
    close(ends[1]);
    gw_log_set_level(GW_LOG_INFO);
    gw_log_set_json(false);
    gw_log_set_service("");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    redirect_to(real_stderr);
    close(real_stderr);
    close(reader);
    return 0;
}

/* The next line, without its newline, in a static buffer; NULL when nothing was written. */
static char *next_line(void)
{
    static char text[2 * LINE_LIMIT];
    ssize_t n = recv(reader, text, sizeof(text) - 1, MSG_DONTWAIT);
    if (n <= 0) {
        return NULL;
    }
    if (n > LINE_LIMIT || text[n - 1] != '\n' || memchr(text, '\0', (size_t)n) != NULL) {
        fail_msg("a write of %zd bytes that is no line", n);
    }
    text[n - 1] = '\0';
    if (strchr(text, '\n') != NULL) {
        fail_msg("more than one line in a write: %s", text);
    }
    return text;
}

/* What follows the time of the next line, after a look at the time. */
static const char *next_text(void)
{
    const char *line = next_line();
    assert_non_null(line);
    for (size_t i = 0; i < TIME_LEN; i++) {
        char form = "0000-00-00T00:00:00.000Z"[i];
        if (form == '0' ? line[i] < '0' || line[i] > '9' : line[i] != form) {
            fail_msg("no time at the start of: %s", line);
        }
    }
    assert_int_equal(line[TIME_LEN], ' ');
    return line + TIME_LEN + 1;
}

static void text_lines_have_their_form(void **state)
{
    (void)state;
    gw_log_info("amqp", "connected host=%s vhost=%s", "127.0.0.1:5672", "/");
    assert_string_equal(next_text(), "INFO  amqp: connected host=127.0.0.1:5672 vhost=/");
    gw_log_set_service("accountservice");
    gw_log_warn("http", "slow");
    assert_string_equal(next_text(), "WARN  accountservice http: slow");
    gw_log_error("config", "%d%%", 5);
    assert_string_equal(next_text(), "ERROR accountservice config: 5%");
    gw_log_write(GW_LOG_INFO, NULL, "%s", "");
    assert_string_equal(next_text(), "INFO  accountservice -: ");
    assert_null(next_line());
}

static void json_lines_have_their_form(void **state)
{
    (void)state;
    gw_log_set_json(true);
    gw_log_info("amqp", "say \"%s\"", "hi");
    char *line = next_line();
    assert_non_null(line);
    memset(line + 9, 't', TIME_LEN);
    assert_string_equal(line, "{\"time\":\"tttttttttttttttttttttttt\",\"level\":\"info\","
                              "\"area\":\"amqp\",\"msg\":\"say \\\"hi\\\"\"}");
    gw_log_set_service("a\"b");
    gw_log_error("x\\y", "z");
    json_t *root = json_loads(next_line(), 0, NULL);
    assert_non_null(root);
    assert_int_equal(json_object_size(root), 5);
    assert_string_equal(json_string_value(json_object_get(root, "level")), "error");
    assert_string_equal(json_string_value(json_object_get(root, "service")), "a\"b");
    assert_string_equal(json_string_value(json_object_get(root, "area")), "x\\y");
    assert_string_equal(json_string_value(json_object_get(root, "msg")), "z");
    json_decref(root);
}

static void lines_below_the_level_are_not_written(void **state)
{
    (void)state;
    for (int level = GW_LOG_DEBUG; level <= GW_LOG_OFF; level++) {
        gw_log_set_level((gw_log_level)level);
        assert_int_equal(gw_log_get_level(), level);
        for (int of_line = GW_LOG_DEBUG; of_line <= GW_LOG_OFF; of_line++) {
            gw_log_at((gw_log_level)of_line, "x", "through the macro");
            bool want = of_line >= level && of_line != GW_LOG_OFF;
            if ((next_line() != NULL) != want) {
                fail_msg("level %d, line %d: want %d", level, of_line, want);
            }
            gw_log_write((gw_log_level)of_line, "x", "past it");
            assert_int_equal(next_line() != NULL, want);
        }
    }
    gw_log_set_level(GW_LOG_WARN);
    gw_log_set_level((gw_log_level)(GW_LOG_OFF + 1)); /* ignored */
    assert_int_equal(gw_log_get_level(), GW_LOG_WARN);
}

static void arguments_of_unwritten_lines_are_not_evaluated(void **state)
{
    (void)state;
    int n = 0;
    gw_log_debug("x", "%d", ++n);
    assert_int_equal(n, 0);
}

static void level_names_are_read(void **state)
{
    (void)state;
    static const char *const names[] = {"debug", "info", "warn", "error", "off"};
    gw_log_level level = GW_LOG_OFF;
    for (size_t i = 0; i < N_OF(names); i++) {
        assert_int_equal(gw_log_level_parse(names[i], &level), GW_OK);
        assert_int_equal(level, i);
    }
    static const char *const bad[] = {"", "INFO", "warning", "info ", "1"};
    for (size_t i = 0; i < N_OF(bad); i++) {
        assert_int_equal(gw_log_level_parse(bad[i], &level), GW_E_INVALID);
        assert_int_equal(level, GW_LOG_OFF);
    }
    assert_int_equal(gw_log_level_parse(NULL, &level), GW_E_INVALID);
}

static void outside_input_cannot_forge_a_line(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *text;
        const char *json; /* of the value, once a JSON parser has read it */
    } cases[] = {
        {"a\nb\r\tc", "a\\nb\\r\\tc", "a\nb\r\tc"},
        {"\x1b[2J\x7f\x01", "\\x1b[2J\\x7f\\x01", "\x1b[2J\x7f\x01"},
        {"q\"\\", "q\"\\", "q\"\\"},
        {"gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\xa6", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\xa6",
         "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\xa6"},
        {"\xff\xc3", "\\xff\\xc3", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc2\x9b\xc2\x85", "\\u009b\\u0085", "\xc2\x9b\xc2\x85"}, /* C1: a terminal's commands */
        {"\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029", "\xe2\x80\xa8\xe2\x80\xa9"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_log_set_json(false);
        gw_log_info("x", "%s", cases[i].in);
        assert_string_equal(next_text() + strlen("INFO  x: "), cases[i].text);
        gw_log_set_json(true);
        gw_log_info("x", "%s", cases[i].in);
        const char *line = next_line();
        for (const char *p = line; *p != '\0'; p++) {
            assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
        }
        json_t *root = json_loads(line, 0, NULL);
        assert_non_null(root);
        assert_string_equal(json_string_value(json_object_get(root, "msg")), cases[i].json);
        json_decref(root);
    }
}

static void names_are_tidied_and_cut(void **state)
{
    (void)state;
    gw_log_set_service("evil\nservice");
    gw_log_info("a\nb", "x");
    assert_string_equal(next_text(), "INFO  evil?service a\\nb: x");
    char name[200];
    memset(name, 'n', sizeof(name));
    memcpy(name + 62, "\xc3\xbc", 2); /* across the limit */
    name[199] = '\0';
    gw_log_set_service(name);
    gw_log_info("a", "x");
    const char *text = next_text();
    assert_int_equal(strspn(text + 6, "n"), 62);
    assert_string_equal(text + 6 + 62, " a: x");
    memset(name, 'n', 100);
    gw_log_set_service(name);
    gw_log_info("a", "x");
    assert_int_equal(strspn(next_text() + 6, "n"), 63);
}

static void long_lines_end_in_dots(void **state)
{
    (void)state;
    static char in[3 * LINE_LIMIT];
    static const char *const units[] = {"x",  "\xe2\x82\xac",     "\n",
                                        "\"", "\xf0\x9f\x90\xa6", "\xff"};
    for (size_t i = 0; i < N_OF(units); i++) {
        for (size_t offset = 0; offset < 8; offset++) {
            size_t len = offset;
            size_t unit_len = strlen(units[i]);
            memset(in, 'o', offset);
            while (len + unit_len < sizeof(in)) {
                memcpy(in + len, units[i], unit_len);
                len += unit_len;
            }
            in[len] = '\0';
            gw_log_set_json(false);
            gw_log_info("x", "%s", in);
            const char *line = next_line();
            size_t line_len = strlen(line);
            assert_in_range(line_len, LINE_LIMIT - 16, LINE_LIMIT - 1);
            assert_string_equal(line + line_len - 3, "...");

            gw_log_set_json(true);
            gw_log_info("x", "%s", in);
            line = next_line();
            line_len = strlen(line);
            assert_in_range(line_len, LINE_LIMIT - 16, LINE_LIMIT - 1);
            json_t *root = json_loads(line, 0, NULL);
            assert_non_null(root);
            const char *msg = json_string_value(json_object_get(root, "msg"));
            assert_string_equal(msg + strlen(msg) - 3, "...");
            json_decref(root);
        }
    }
}

static void a_line_that_just_fits_is_whole(void **state)
{
    (void)state;
    static char in[LINE_LIMIT];
    size_t room = LINE_LIMIT - strlen("2026-11-22T10:42:13.667Z INFO  x: ") - strlen("...\"}\n");
    memset(in, 'y', room);
    in[room] = '\0';
    gw_log_info("x", "%s", in);
    assert_string_equal(next_text() + strlen("INFO  x: "), in);
}

static void passwords_in_urls_are_masked(void **state)
{
    (void)state;
    gw_log_info("amqp", "to %s and %s", "amqp://guest:sesame@h", "http://u:sesame@i");
    assert_string_equal(next_text(), "INFO  amqp: to amqp://guest:***@h and http://u:***@i");

    static char in[3 * LINE_LIMIT];
    for (size_t at = LINE_LIMIT - 80; at < LINE_LIMIT + 10; at++) { /* the line ends in the URL */
        memset(in, 'z', at);
        strcpy(in + at, " amqp://guest:12345678901234567890@host");
        gw_log_info("x", "%s", in);
        const char *line = next_line();
        if (strstr(line, "1234") != NULL) {
            fail_msg("at %zu: %s", at, line + LINE_LIMIT - 80);
        }
    }
    in[0] = '\0';
    while (strlen(in) < sizeof(in) - 16) { /* as many as possible, each longer when it is masked */
        strcat(in, "://u:p@ ");
    }
    gw_log_info("x", "%s", in);
    const char *line = next_line();
    assert_null(strstr(line, "u:p"));
    assert_string_equal(line + strlen(line) - 3, "...");
}

static void errno_is_kept(void **state)
{
    (void)state;
    close(reader);
    reader = -1;
    signal(SIGPIPE, SIG_IGN);
    errno = EILSEQ;
    gw_log_info("x", "nobody reads this");
    assert_int_equal(errno, EILSEQ);
    signal(SIGPIPE, SIG_DFL);
}

static void a_log_that_cannot_be_written_stops_nobody(void **state)
{
    (void)state;
    int full = open("/dev/full", O_WRONLY);
    assert_true(full >= 0);
    redirect_to(full);
    close(full);
    gw_log_info("x", "no space");

    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    redirect_to(ends[1]);
    for (int i = 0; i < 100000; i++) { /* more than any pipe holds */
        gw_log_info("x", "a reader that is too slow loses whole lines");
    }
    static char text[1 << 20];
    ssize_t n = read(ends[0], text, sizeof(text));
    assert_true(n > 0);
    assert_int_equal(text[n - 1], '\n');
    close(ends[0]);
    close(ends[1]);
    close(STDERR_FILENO);
    gw_log_info("x", "no standard error at all");
}

#define N_THREADS 4
#define N_LINES   2000

static void *write_lines(void *arg)
{
    int number = *(int *)arg;
    for (int i = 0; i < N_LINES; i++) {
        gw_log_set_service(i % 2 == 0 ? "even" : "odds");
        gw_log_info("t", "thread %d line %d <%0*d>", number, i, 1 + i % 500, 0);
    }
    return NULL;
}

static void lines_of_threads_are_never_mixed(void **state)
{
    (void)state;
    FILE *lines =
        tmpfile(); /* no memfd: the kernel does not lock the position in one for a write */
    assert_non_null(lines);
    redirect_to(fileno(lines));
    pthread_t threads[N_THREADS];
    int numbers[N_THREADS];
    for (int t = 0; t < N_THREADS; t++) {
        numbers[t] = t;
        assert_int_equal(pthread_create(&threads[t], NULL, write_lines, &numbers[t]), 0);
    }
    for (int t = 0; t < N_THREADS; t++) {
        pthread_join(threads[t], NULL);
    }
    rewind(lines);
    int next[N_THREADS] = {0};
    static char line[LINE_LIMIT];
    int n_lines = 0;
    while (fgets(line, sizeof(line), lines) != NULL) {
        int number;
        int i;
        char service[8];
        assert_int_equal(
            sscanf(line + TIME_LEN, " INFO %4s t: thread %d line %d <", service, &number, &i), 3);
        assert_in_range(number, 0, N_THREADS - 1);
        assert_int_equal(i, next[number]);
        next[number]++;
        assert_int_equal(strspn(strchr(line, '<') + 1, "0"), 1 + i % 500);
        assert_string_equal(line + strlen(line) - 3, "0>\n");
        n_lines++;
    }
    fclose(lines);
    assert_int_equal(n_lines, N_THREADS * N_LINES);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(text_lines_have_their_form),
        test(json_lines_have_their_form),
        test(lines_below_the_level_are_not_written),
        test(arguments_of_unwritten_lines_are_not_evaluated),
        test(level_names_are_read),
        test(outside_input_cannot_forge_a_line),
        test(names_are_tidied_and_cut),
        test(long_lines_end_in_dots),
        test(a_line_that_just_fits_is_whole),
        test(passwords_in_urls_are_masked),
        test(errno_is_kept),
        test(a_log_that_cannot_be_written_stops_nobody),
        test(lines_of_threads_are_never_mixed),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
