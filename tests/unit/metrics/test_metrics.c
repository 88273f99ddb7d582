/* SPDX-License-Identifier: MIT */
/* The registry is the process's own, so each test uses names of its own, and the one that fills it
 * comes last. */
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/metrics.h>

#include "exposition.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static exposition page;
static char *text; /* the page as it was written */

static void read_page(void)
{
    gw_buf out;
    gw_buf_init(&out, 0);
    gw_metrics_write(&out);
    assert_int_equal(gw_buf_status(&out), GW_OK);
    free(text);
    text = gw_buf_detach(&out, NULL);
    if (!exposition_read(&page, text)) {
        fail_msg("%s", page.fault);
    }
}

static void assert_value(const char *key, double want)
{
    double got = exposition_value(&page, key);
    if (!(got == want)) {
        fail_msg("%s: got %f, want %f in\n%s", key, got, want, text);
    }
}

static void the_reader_of_this_test_is_strict(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "a 1\n",
        "# TYPE a counter\na 1\n",
        "# HELP a x\na 1\n",
        "# HELP a x\n# TYPE a counter\na 1",
        "# HELP a x\n# TYPE a counter\n",
        "# HELP a x\n# TYPE a meter\na 1\n",
        "# HELP a x\n# TYPE a counter\na 1\na 2\n",
        "# HELP a x\n# TYPE a counter\nb 1\n",
        "# HELP a x\n# TYPE a counter\na one\n",
        "# HELP a x\n# TYPE a counter\na{b=\"1} 1\n",
        "# HELP a x\n# TYPE a counter\na{b=\"1\",b=\"2\"} 1\n",
        "# HELP a x\n# TYPE a counter\na{b=\"\\t\"} 1\n",
        "# HELP a x\n# TYPE a counter\na{1=\"\"} 1\n",
        "# HELP b x\n# TYPE b counter\nb 1\n# HELP a x\n# TYPE a counter\na 1\n",
        "# HELP a x\n# TYPE a counter\na 1\n# HELP a x\n# TYPE a counter\na{b=\"1\"} 1\n",
        "# HELP a x\n# TYPE a histogram\na_sum 1\na_count 1\n",
        "# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n",
        "# HELP a x\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_sum 1\na_count 1\n",
        "# HELP a x\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_sum 1\n",
        ("# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 3\na_bucket{le=\"+Inf\"} 2\n"
         "a_sum 1\na_count 2\n"),
    };
    for (size_t i = 0; i < N_OF(bad); i++) {
        if (exposition_read(&page, bad[i])) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
    if (!exposition_read(&page, "# HELP a x\\n\\\\\n# TYPE a histogram\n"
                                "a_bucket{b=\"\\\"\",le=\"+Inf\"} 2\na_sum{b=\"\\\"\"} 0.5\n"
                                "a_count{b=\"\\\"\"} 2\n")) {
        fail_msg("%s", page.fault);
    }
    assert_string_equal(page.families[0].help, "x\n\\");
}

static void counters_and_gauges_are_written(void **state)
{
    (void)state;
    gw_counter *plain = gw_metrics_counter("t_plain_total", "Things.", NULL);
    gw_counter *labelled =
        gw_metrics_counter("t_labelled_total", "Things by kind.", "kind=\"a\",z=\"1\"");
    gw_counter *other = gw_metrics_counter("t_labelled_total", "ignored", "kind=\"b\",z=\"1\"");
    gw_gauge *gauge = gw_metrics_gauge("t_gauge", "A level.", "");
    gw_counter_add(plain, 1);
    gw_counter_add(plain, UINT64_C(1) << 62);
    gw_counter_add(labelled, 3);
    gw_gauge_set(gauge, 5);
    gw_gauge_add(gauge, -12);
    assert_int_equal(gw_counter_get(plain), (UINT64_C(1) << 62) + 1);
    assert_int_equal(gw_counter_get(other), 0);
    assert_int_equal(gw_gauge_get(gauge), -7);
    read_page();
    assert_non_null(strstr(text, "# HELP t_plain_total Things.\n# TYPE t_plain_total counter\n"
                                 "t_plain_total 4611686018427387905\n"));
    assert_value("t_labelled_total{kind=\"a\",z=\"1\"}", 3);
    assert_value("t_labelled_total{kind=\"b\",z=\"1\"}", 0);
    assert_value("t_gauge", -7);
    assert_string_equal(exposition_family_of(&page, "t_labelled_total")->help, "Things by kind.");
    assert_string_equal(exposition_family_of(&page, "t_gauge")->type, "gauge");
}

static void registering_again_gives_the_same(void **state)
{
    (void)state;
    char labels[] = "x=\"1\"";
    gw_counter *first = gw_metrics_counter("t_same_total", "h", labels);
    labels[3] = '2'; /* labels are copied */
    assert_ptr_not_equal(gw_metrics_counter("t_same_total", "h", labels), first);
    assert_ptr_equal(gw_metrics_counter("t_same_total", NULL, "x=\"1\""), first);
    assert_ptr_equal(gw_metrics_gauge("t_same", "h", NULL), gw_metrics_gauge("t_same", "h", ""));
    assert_ptr_equal(gw_metrics_histogram("t_same_seconds", "h", NULL),
                     gw_metrics_histogram("t_same_seconds", "h", NULL));
}

static void histograms_count_at_their_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *le;
        uint64_t ns;
    } bounds[] = {
        {"0.00005", 50000},  {"0.0001", 100000},  {"0.00025", 250000}, {"0.0005", 500000},
        {"0.001", 1000000},  {"0.0025", 2500000}, {"0.005", 5000000},  {"0.01", 10000000},
        {"0.025", 25000000}, {"0.05", 50000000},  {"0.1", 100000000},  {"0.25", 250000000},
        {"0.5", 500000000},  {"1", 1000000000},   {"2.5", 2500000000}, {"5", 5000000000},
        {"10", 10000000000},
    };
    gw_histogram *histogram = gw_metrics_histogram("t_seconds", "Time.", "route=\"/x\"");
    char key[128];
    for (size_t i = 0; i < N_OF(bounds); i++) { /* one on the bound, one just past it */
        gw_histogram_observe(histogram, bounds[i].ns);
        gw_histogram_observe(histogram, bounds[i].ns + 1);
    }
    gw_histogram_observe(histogram, 0);
    read_page();
    uint64_t sum = 0;
    for (size_t i = 0; i < N_OF(bounds); i++) {
        snprintf(key, sizeof(key), "t_seconds_bucket{route=\"/x\",le=\"%s\"}", bounds[i].le);
        assert_value(key, (double)(2 + 2 * i));
        sum += 2 * bounds[i].ns + 1;
    }
    assert_value("t_seconds_bucket{route=\"/x\",le=\"+Inf\"}", 2 * N_OF(bounds) + 1);
    assert_value("t_seconds_count{route=\"/x\"}", 2 * N_OF(bounds) + 1);
    snprintf(key, sizeof(key), "t_seconds_sum{route=\"/x\"} %llu.%09llu\n",
             (unsigned long long)sum / 1000000000, (unsigned long long)sum % 1000000000);
    assert_non_null(strstr(text, key));
    assert_int_equal(exposition_family_of(&page, "t_seconds")->n_samples, N_OF(bounds) + 3);
    gw_metrics_histogram("t_unlabelled_seconds", "Time.", NULL);
    read_page();
    assert_value("t_unlabelled_seconds_bucket{le=\"+Inf\"}", 0);
    assert_value("t_unlabelled_seconds_sum", 0);
}

static void values_of_labels_are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *want;
    } cases[] = {
        {"", "v=\"\""},
        {"plain", "v=\"plain\""},
        {"q\"b\\n\nx", "v=\"q\\\"b\\\\n\\nx\""},
        {"a=\"1\",b", "v=\"a=\\\"1\\\",b\""},
        {"{}\t\r", "v=\"{}\t\r\""},
        {"gr\xc3\xbc\xc3\x9f", "v=\"gr\xc3\xbc\xc3\x9f\""},
        {"\xff\xc3", "v=\"\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf labels;
        gw_buf_init(&labels, 0);
        gw_metrics_label(&labels, "v", cases[i].in);
        assert_string_equal(labels.data, cases[i].want);
        gw_metrics_label(&labels, "next", "1");
        gw_counter *counter =
            gw_metrics_counter("t_escaped_total", "line\nbreak \\ \"q\"", labels.data);
        gw_counter_add(counter, i + 1);
        read_page();
        char key[256];
        snprintf(key, sizeof(key), "t_escaped_total{%s}", labels.data);
        assert_value(key, (double)(i + 1));
        gw_buf_dispose(&labels);
    }
    assert_string_equal(exposition_family_of(&page, "t_escaped_total")->help,
                        "line\nbreak \\ \"q\"");
}

static void what_would_break_the_page_is_hidden(void **state)
{
    (void)state;
    static const char *const bad_names[] = {"", "1a", "a-b", "a b", "a{", "a\n", "\xc3\xa9", NULL};
    static const char *const bad_labels[] = {
        "x",
        "x=",
        "x=1",
        "x=\"",
        "x=\"1",
        "x=\"1\",",
        ",x=\"1\"",
        "x=\"1\"y",
        "x=\"1\" ",
        "1=\"1\"",
        "=\"1\"",
        "x=\"\\",
        "x=\"\\t\"",
        "x=\"\n\"",
        "x=\"\xff\"",
        "x=\"1\",,",
        "x:y=\"1\"",
        "x=\"1\",x=\"2\"",
        "x=\"a\\\"\",y=\"\",x=\"\"",
        "__x=\"1\"",
        "x=\"1\"}\nevil 1",
    };
    read_page();
    size_t n_samples = page.n_samples;
    for (size_t i = 0; i < N_OF(bad_names); i++) {
        gw_counter_add(gw_metrics_counter(bad_names[i], "h", NULL), 1);
    }
    for (size_t i = 0; i < N_OF(bad_labels); i++) {
        gw_counter *counter = gw_metrics_counter("t_bad_total", "h", bad_labels[i]);
        gw_counter_add(counter, 1);
        if (counter != gw_metrics_counter("-", "h", NULL)) {
            fail_msg("accepted: %s", bad_labels[i]);
        }
    }
    char *labels = malloc(5000);
    assert_non_null(labels);
    memset(labels, 'x', 5000);
    strcpy(labels + 4000, "=\"1\"");
    gw_counter_add(gw_metrics_counter("t_bad_total", "h", labels), 1);
    free(labels);
    gw_histogram_observe(gw_metrics_histogram("t_bad_seconds", "h", "le=\"1\""), 1);
    gw_gauge_set(gw_metrics_gauge("t_plain_total", "not a gauge", NULL), 99);
    gw_histogram_observe(gw_metrics_histogram("t_gauge", "not a histogram", NULL), 99);
    gw_gauge_set(gw_metrics_gauge("process_open_fds", "the kernel's", NULL), 99);
    read_page();
    assert_int_equal(page.n_samples, n_samples);
}

static void the_process_is_measured(void **state)
{
    (void)state;
    read_page();
    double fds = exposition_value(&page, "process_open_fds");
    double cpu = exposition_value(&page, "process_cpu_seconds_total");
    double start = exposition_value(&page, "process_start_time_seconds");
    double resident = exposition_value(&page, "process_resident_memory_bytes");
    double now = (double)time(NULL);
    assert_true(resident >= 65536 && (long)resident % sysconf(_SC_PAGESIZE) == 0);
    assert_true(start <= now + 2 && start > now - 600);
    assert_true(cpu > 0 && cpu < 600);
    assert_true(fds >= 1 && fds < 1000);
    assert_string_equal(exposition_family_of(&page, "process_cpu_seconds_total")->type, "counter");

    int extra = open("/dev/null", O_RDONLY);
    assert_true(extra >= 0);
    read_page();
    close(extra);
    assert_value("process_open_fds", fds + 1);
    assert_value("process_start_time_seconds", start);
    assert_true(exposition_value(&page, "process_cpu_seconds_total") >= cpu);
}

#define N_THREADS 4
#define N_COUNTS  20000

static atomic_int n_running;

static void *count(void *arg)
{
    char labels[32];
    for (int i = 0; i < N_COUNTS; i++) {
        snprintf(labels, sizeof(labels), "n=\"%d\"", i % 8);
        gw_counter_add(gw_metrics_counter("t_threads_total", "h", labels), 1);
        gw_histogram_observe(gw_metrics_histogram("t_threads_seconds", "h", NULL),
                             (uint64_t)i * 1000);
    }
    atomic_fetch_sub(&n_running, 1);
    return arg;
}

static void threads_count_while_the_page_is_written(void **state)
{
    (void)state;
    pthread_t threads[N_THREADS];
    atomic_store(&n_running, N_THREADS);
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
    }
    while (atomic_load(&n_running) > 0) {
        read_page(); /* agrees with itself at any time */
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    read_page();
    for (int i = 0; i < 8; i++) {
        char key[64];
        snprintf(key, sizeof(key), "t_threads_total{n=\"%d\"}", i);
        assert_value(key, N_THREADS * N_COUNTS / 8);
    }
    assert_value("t_threads_seconds_count", N_THREADS * N_COUNTS);
}

static void the_registry_is_bounded(void **state)
{
    (void)state;
    char labels[32];
    gw_counter *last = NULL;
    for (int i = 0; i < GW_METRICS_MAX + 10; i++) {
        snprintf(labels, sizeof(labels), "n=\"%d\"", i);
        last = gw_metrics_counter("t_bounded_total", "h", labels);
        gw_counter_add(last, 1);
    }
    assert_ptr_equal(last, gw_metrics_counter("t_one_more_total", "h", NULL));
    assert_int_equal(gw_counter_get(gw_metrics_counter("t_bounded_total", "h", "n=\"0\"")), 1);
    read_page();
    assert_value("t_bounded_total{n=\"0\"}", 1);
    assert_true(exposition_family_of(&page, "t_bounded_total")->n_samples < GW_METRICS_MAX);
    assert_null(exposition_family_of(&page, "t_one_more_total"));
    free(text);
    text = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reader_of_this_test_is_strict),
        cmocka_unit_test(counters_and_gauges_are_written),
        cmocka_unit_test(registering_again_gives_the_same),
        cmocka_unit_test(histograms_count_at_their_bounds),
        cmocka_unit_test(values_of_labels_are_escaped),
        cmocka_unit_test(what_would_break_the_page_is_hidden),
        cmocka_unit_test(the_process_is_measured),
        cmocka_unit_test(threads_count_while_the_page_is_written),
        cmocka_unit_test(the_registry_is_bounded),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
