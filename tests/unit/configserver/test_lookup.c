/* SPDX-License-Identifier: MIT */
/* From a query to an answer: status, type, ETag, what is kept, and what is logged. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <godwit/log.h>

#include "answer/keys.h"
#include "answer/lookup.h"
#include "answer/nearest.h"
#include "configserver/estate_double.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define COMMIT      "0123456789abcdef0123456789abcdef01234567"
#define OTHER       "89abcdef0123456789abcdef0123456789abcdef"

static const double_file files[] = {
    {"application.yml", "shared: 1\n"},
    {"foo.yml", "port: 6767\n"},
    {"foo-dev.yml", "port: 6868\n"},
    {"billing-eu.properties", "a=1\n"},
    {"broken.yml", "a: 1\na: 2\n"},
    {"sealed.yml",
     "greeting: '{cipher}682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda'\n"},
    {"nested.properties", "a..b=1\n"},
    {"linked.txt", "-> foo.yml"},
    {"nginx.conf", "listen ${port};\n"},
    {"nginx-dev.conf", "listen ${port}; # dev\n"},
    {"plain", "no extension"},
    {"plain-dev", "dev"},
    {"sub/nginx.conf", "sub\n"},
    {"sub/only.txt", "only ${nothing}\n"},
    {"latin1.txt", "caf\xe9\n"},
    {"utf8.txt", "caf\xc3\xa9\n"},
    {"a/b/deep.txt", "deep\n"},
    {NULL, NULL},
};

static const double_file others[] = {
    {"foo.yml", "# a comment\nport: 6767\n"},
    {"nginx.conf", "other\n"},
    {"only-other.txt", "x\n"},
    {NULL, NULL},
};

static const double_label labels[] = {
    {.name = "main",
     .version = COMMIT,
     .files = files,
     .dirs = {"", "sub/"},
     .time_s = 1000,
     .is_stale = true,
     .age_ms = 7000},
    {.name = "other", .version = OTHER, .files = others, .time_s = 2000},
    {.name = "busy", .version = COMMIT, .files = others, .fails = GW_E_BUSY},
    {.name = "away", .version = COMMIT, .files = others, .fails = GW_E_UNAVAILABLE},
};

typedef struct world {
    cs_estate *estate;
    cs_rules rules;
    cs_lookup *lookup;
} world;

static int setup(void **state)
{
    world *w = calloc(1, sizeof(*w));
    w->estate = estate_double_new(cs_lookup_free_memo_value, NULL, NULL);
    estate_double_put(w->estate, labels, N_OF(labels));
    w->lookup = cs_lookup_new(&w->rules);
    assert_non_null(w->lookup);
    gw_log_set_level(GW_LOG_OFF);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world *w = *state;
    cs_lookup_free(w->lookup);
    cs_lookup_free(NULL);
    estate_double_free(w->estate);
    free(w);
    gw_log_set_level(GW_LOG_INFO);
    return 0;
}

static void ask(cs_query *query, cs_form form, const char *name, const char *profiles,
                const char *label, const char *path)
{
    memset(query, 0, sizeof(*query));
    query->form = form;
    assert_int_equal(cs_request_init(&query->names, name, profiles, label, NULL), GW_OK);
    strcpy(query->path, path);
}

static cs_answer *answer(world *w, cs_form form, const char *name, const char *profiles,
                         const char *label, const char *path)
{
    static cs_query query;
    ask(&query, form, name, profiles, label, path);
    cs_answer *found = cs_lookup_answer(w->lookup, cs_estate_view(w->estate), &query);
    assert_non_null(found);
    return found;
}

static void every_form_has_its_type_and_body(void **state)
{
    world *w = *state;
    static const struct {
        cs_form form;
        const char *path;
        const char *type;
        const char *etag; /* before its content */
        const char *body; /* a part */
    } cases[] = {
        {CS_FORM_ENVIRONMENT, "", "application/json", "\"" COMMIT ".",
         "\"version\":\"" COMMIT "\""},
        {CS_FORM_ENVIRONMENT_ORIGINS, "", "application/vnd.spring-cloud.config-server.v2+json",
         "\"" COMMIT "-v2.", "{\"value\":6868,\"origin\":\"1:7\"}"},
        {CS_FORM_PROPERTIES, "", "text/plain;charset=UTF-8", "\"" COMMIT ".", "port: 6868"},
        {CS_FORM_YAML, "", "text/plain;charset=UTF-8", "\"" COMMIT ".", "port: 6868\n"},
        {CS_FORM_JSON, "", "application/json", "\"" COMMIT ".", "\"port\":6868"},
        {CS_FORM_EXPLAIN_JSON, "", "application/json", "\"" COMMIT ".", "\"shadows\":["},
        {CS_FORM_EXPLAIN_PAGE, "", "text/html;charset=UTF-8", "\"" COMMIT "-html.",
         "<!DOCTYPE html>"},
        {CS_FORM_TEXT, "nginx.conf", "text/plain;charset=UTF-8", "\"" COMMIT ".",
         "listen 6868; # dev\n"},
        {CS_FORM_BYTES, "nginx.conf", "application/octet-stream", "\"" COMMIT "-bytes.",
         "listen ${port}; # dev\n"},
    };
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < N_OF(cases); i++) {
            cs_answer *got = answer(w, cases[i].form, "foo", "dev", NULL, cases[i].path);
            if (got->status != 200 || strstr(got->body, cases[i].body) == NULL) {
                fail_msg("case %zu gave %d '%s'", i, got->status, got->body);
            }
            assert_string_equal(got->content_type, cases[i].type);
            assert_int_equal(strncmp(got->etag, cases[i].etag, strlen(cases[i].etag)), 0);
            assert_int_equal(strlen(got->etag), strlen(cases[i].etag) + 17);
            assert_int_equal(got->body_len, strlen(got->body));
            assert_true(got->is_stale);
            assert_int_equal(got->age_ms, 7000);
            assert_false(got->is_busy);
            assert_int_equal(got->modified_s, cases[i].form == CS_FORM_BYTES ? 0 : 1000);
            cs_answer_unref(got);
        }
    }
}

static void every_failure_has_its_status(void **state)
{
    world *w = *state;
    static const struct {
        cs_form form;
        const char *name, *label, *path;
        int status;
        bool is_busy;
        const char *text;
    } cases[] = {
        {CS_FORM_ENVIRONMENT, "foo", "nope", "", 404, false, "nope"},
        {CS_FORM_YAML, "foo", "nope", "", 404, false, "nope"},
        {CS_FORM_EXPLAIN_JSON, "foo", "nope", "", 404, false, "nope"},
        {CS_FORM_TEXT, "foo", "nope", "nginx.conf", 404, false, "nope"},
        {CS_FORM_TEXT, "foo", NULL, "nope.txt", 404, false, "no file 'nope.txt' in file:///repo"},
        {CS_FORM_TEXT, "foo", NULL, "sub", 404, false, "no file 'sub'"},
        {CS_FORM_BYTES, "foo", NULL, "../etc/passwd", 404, false, "no file"},
        {CS_FORM_ENVIRONMENT, "broken", NULL, "", 500, false,
         "broken.yml:2: duplicate key 'a' (first at line 1)"},
        {CS_FORM_YAML, "broken", NULL, "", 500, false, "broken.yml:2:"},
        {CS_FORM_EXPLAIN_PAGE, "broken", NULL, "", 500, false, "broken.yml:2:"},
        {CS_FORM_TEXT, "broken", NULL, "nginx.conf", 500, false, "broken.yml:2:"},
        {CS_FORM_TEXT, "foo", NULL, "linked.txt", 500, false, "linked.txt"},
        {CS_FORM_YAML, "nested", NULL, "", 400, false, "a..b"},
        {CS_FORM_JSON, "nested", NULL, "", 400, false, "a..b"},
        {CS_FORM_PROPERTIES, "nested", NULL, "", 200, false, "a..b: 1"},
        {CS_FORM_ENVIRONMENT, "foo", "busy", "", 503, true, "busy"},
        {CS_FORM_TEXT, "foo", "busy", "nginx.conf", 503, true, "busy"},
        {CS_FORM_ENVIRONMENT, "foo", "away", "", 503, false, "away"},
        {CS_FORM_ENVIRONMENT, "unknown", NULL, "", 200, false, "application.yml"},
        {CS_FORM_ENVIRONMENT, "unknown", "other", "", 200, false, "\"propertySources\":[]"},
    };
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < N_OF(cases); i++) {
            cs_answer *got =
                answer(w, cases[i].form, cases[i].name, "default", cases[i].label, cases[i].path);
            if (got->status != cases[i].status || strstr(got->body, cases[i].text) == NULL ||
                got->is_busy != cases[i].is_busy) {
                fail_msg("case %zu gave %d '%s', wanted %d '%s'", i, got->status, got->body,
                         cases[i].status, cases[i].text);
            }
            assert_int_equal(got->etag[0] != '\0', got->status == 200);
            cs_answer_unref(got);
        }
    }
}

static void an_answer_is_kept_for_its_view(void **state)
{
    world *w = *state;
    const cs_view *view = cs_estate_view(w->estate);
    cs_answer *first = answer(w, CS_FORM_ENVIRONMENT, "foo", "dev", NULL, "");
    size_t n_reads = view_double_n_reads(view);
    cs_answer *second = answer(w, CS_FORM_ENVIRONMENT, "foo", "dev", NULL, "");
    assert_ptr_equal(first, second);
    /* A label that is given is repeated in the answer, so it is another one. */
    cs_answer *labelled = answer(w, CS_FORM_ENVIRONMENT, "foo", "dev", "main", "");
    assert_ptr_not_equal(first, labelled);
    assert_non_null(strstr(labelled->body, "\"label\":\"main\""));
    assert_int_equal(view_double_n_reads(view), n_reads);
    cs_answer *text = answer(w, CS_FORM_TEXT, "foo", "dev", NULL, "nginx.conf");
    n_reads = view_double_n_reads(view);
    cs_answer_unref(answer(w, CS_FORM_TEXT, "foo", "dev", NULL, "nginx.conf"));
    assert_int_equal(view_double_n_reads(view), n_reads);
    estate_double_put(w->estate, labels, N_OF(labels));
    cs_answer *later = answer(w, CS_FORM_ENVIRONMENT, "foo", "dev", NULL, "");
    assert_ptr_not_equal(first, later);
    cs_answer_unref(first);
    cs_answer_unref(second);
    cs_answer_unref(labelled);
    cs_answer_unref(text);
    cs_answer_unref(later);
}

/* Neither what passes, nor names that anybody can make up; but a fault of the files is settled. */
static void what_passes_is_not_kept(void **state)
{
    world *w = *state;
    static const struct {
        const char *name;
        const char *label;
        int status;
        bool is_kept;
    } cases[] = {
        {"foo", "away", 503, false},
        {"foo", "busy", 503, false},
        {"foo", "nowhere", 404, false},
        {"broken", "main", 500, true},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_answer *got = answer(w, CS_FORM_ENVIRONMENT, cases[i].name, "dev", cases[i].label, "");
        cs_answer *again = answer(w, CS_FORM_ENVIRONMENT, cases[i].name, "dev", cases[i].label, "");
        assert_int_equal(got->status, cases[i].status);
        if ((got == again) != cases[i].is_kept) {
            fail_msg("%s of %s", cases[i].name, cases[i].label);
        }
        cs_answer_unref(got);
        cs_answer_unref(again);
    }
}

static void etags_tell_what_has_changed(void **state)
{
    world *w = *state;
    static const double_file commented[] = {{"foo.yml", "# a comment\nport: 6767\n"}, {NULL, NULL}};
    static const double_file plain[] = {{"foo.yml", "port: 6767\n"}, {NULL, NULL}};
    static const double_file text[] = {{"foo.yml", "port: '6767'\n"}, {NULL, NULL}};
    static const double_file more[] = {{"foo.yml", "port: 6767\nb: 1\n"}, {NULL, NULL}};
    static const double_label many[] = {
        {.name = "plain", .version = COMMIT, .files = plain},
        {.name = "same", .version = OTHER, .files = plain},
        {.name = "commented", .version = OTHER, .files = commented},
        {.name = "text", .version = COMMIT, .files = text},
        {.name = "more", .version = COMMIT, .files = more},
        {.name = "dir", .version = NULL, .files = plain},
        {.name = "dir2", .version = NULL, .files = commented},
    };
    static const struct {
        cs_form form;
        const char *label;
        bool is_same_whole, is_same_content;
    } cases[] = {
        {CS_FORM_ENVIRONMENT, "plain", true, true},
        {CS_FORM_ENVIRONMENT, "same", false, true},
        {CS_FORM_ENVIRONMENT, "commented", false, true},
        {CS_FORM_ENVIRONMENT_ORIGINS, "plain", false, true},
        {CS_FORM_ENVIRONMENT, "text", false, false},
        {CS_FORM_ENVIRONMENT, "more", false, false},
        {CS_FORM_ENVIRONMENT, "dir", false, true},
        {CS_FORM_ENVIRONMENT, "plain,same", false, false}, /* more sources */
    };
    estate_double_put(w->estate, many, N_OF(many));
    cs_answer *first = answer(w, CS_FORM_ENVIRONMENT, "foo", "dev", "plain", "");
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_answer *got = answer(w, cases[i].form, "foo", "dev", cases[i].label, "");
        if ((strcmp(first->etag, got->etag) == 0) != cases[i].is_same_whole ||
            cs_etag_in_list(first->etag, got->etag, true) != cases[i].is_same_content) {
            fail_msg("case %zu: %s and %s", i, first->etag, got->etag);
        }
        cs_answer_unref(got);
    }
    /* Origins are bytes of the answer that no property shows. */
    cs_answer *dir = answer(w, CS_FORM_ENVIRONMENT_ORIGINS, "foo", "dev", "dir", "");
    cs_answer *dir2 = answer(w, CS_FORM_ENVIRONMENT_ORIGINS, "foo", "dev", "dir2", "");
    assert_string_not_equal(dir->etag, dir2->etag);
    assert_true(cs_etag_in_list(dir->etag, dir2->etag, true));
    cs_answer_unref(dir);
    cs_answer_unref(dir2);
    cs_answer_unref(first);
}

/* Not even under a key that does not look like one of a secret. */
static void explanations_open_no_secrets(void **state)
{
    world *w = *state;
    gw_cipher *cipher = NULL;
    assert_int_equal(gw_cipher_new(&(gw_cipher_options){.key = "foo"}, &cipher, NULL), GW_OK);
    cs_keys *keys = cs_keys_new(cipher, false);
    assert_non_null(keys);
    w->rules.keys = keys;
    static const struct {
        cs_form form;
        bool is_opened;
    } cases[] = {
        {CS_FORM_ENVIRONMENT, true},
        {CS_FORM_YAML, true},
        {CS_FORM_EXPLAIN_JSON, false},
        {CS_FORM_EXPLAIN_PAGE, false},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_answer *got = answer(w, cases[i].form, "sealed", "dev", "main", "");
        assert_int_equal(got->status, 200);
        if ((strstr(got->body, "mysecret") != NULL) != cases[i].is_opened) {
            fail_msg("case %zu: %s", i, got->body);
        }
        cs_answer_unref(got);
    }
    w->rules.keys = NULL;
    cs_keys_free(keys);
}

static void lists_of_etags_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        bool whole, content;
    } cases[] = {
        {"\"c1.aa\"", true, true},
        {"W/\"c1.aa\"", true, true},
        {"\"x\", W/\"c1.aa\"", true, true},
        {"\"x\",\"c2.aa\"", false, true},
        {"*", true, true},
        {"\"*\"", false, false},
        {"c1.aa", true, true}, /* in a query */
        {"c2.aa", false, true},
        {"\"c1.ab\"", false, false},
        {"\"c1\"", false, false},
        {"\"\"", false, false},
        {"", false, false},
        {",,", false, false},
        {"\"c1.aa", false, false},
        {"\"aa\"", false, false},
        {"W/", false, false},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        if (cs_etag_in_list(cases[i].list, "\"c1.aa\"", false) != cases[i].whole ||
            cs_etag_in_list(cases[i].list, "\"c1.aa\"", true) != cases[i].content) {
            fail_msg("%s", cases[i].list);
        }
    }
    assert_false(cs_etag_in_list("*", "", false));
    assert_false(cs_etag_in_list("", "", true));
}

static void expect_text(world *w, const char *profiles, const char *label, const char *path,
                        const char *expected)
{
    cs_answer *got = answer(w, CS_FORM_TEXT, "foo", profiles, label, path);
    if (got->status != 200 || strcmp(got->body, expected) != 0) {
        fail_msg("%s %s gave %d '%s', wanted '%s'", profiles, path, got->status, got->body,
                 expected);
    }
    cs_answer_unref(got);
}

static void files_are_found_in_order(void **state)
{
    world *w = *state;
    expect_text(w, "default", NULL, "nginx.conf", "listen 6767;\n"); /* the root before sub/ */
    expect_text(w, "dev", NULL, "nginx.conf", "listen 6868; # dev\n");
    expect_text(w, "x,dev", NULL, "nginx.conf", "listen 6868; # dev\n");
    expect_text(w, "default,dev", NULL, "nginx.conf", "listen 6868;\n"); /* plain is "default" */
    expect_text(w, "x", NULL, "nginx.conf", "listen 6767;\n");
    expect_text(w, "dev", NULL, "plain", "dev");
    expect_text(w, "x", NULL, "plain", "no extension");
    expect_text(w, "x", NULL, "only.txt", "only ${nothing}\n"); /* below sub/ */
    expect_text(w, "x", NULL, "a/b/deep.txt", "deep\n");
    expect_text(w, "x", "other", "nginx.conf", "other\n");
    expect_text(w, "x", "main,other", "nginx.conf", "other\n"); /* the later label first */
    expect_text(w, "x", "other,main", "plain", "no extension");
    expect_text(w, "x", "main,other", "utf8.txt", "caf\xc3\xa9\n");
    static cs_query query;
    ask(&query, CS_FORM_TEXT, "foo", "dev", NULL, "nginx.conf");
    query.keep_placeholders = true;
    cs_answer *got = cs_lookup_answer(w->lookup, cs_estate_view(w->estate), &query);
    assert_string_equal(got->body, "listen ${port}; # dev\n");
    cs_answer_unref(got);
}

static void what_is_not_text_stays_as_it_is(void **state)
{
    world *w = *state;
    cs_answer *got = answer(w, CS_FORM_TEXT, "foo", "dev", NULL, "latin1.txt");
    assert_string_equal(got->content_type, "application/octet-stream");
    assert_string_equal(got->body, "caf\xe9\n");
    cs_answer_unref(got);
    static cs_query query;
    ask(&query, CS_FORM_TEXT, "foo", "dev", NULL, "latin1.txt");
    query.is_latin1 = true;
    got = cs_lookup_answer(w->lookup, cs_estate_view(w->estate), &query);
    assert_string_equal(got->content_type, "text/plain;charset=UTF-8");
    assert_string_equal(got->body, "caf\xc3\xa9\n");
    cs_answer_unref(got);
}

static void an_unknown_application_can_be_refused(void **state)
{
    world *w = *state;
    w->rules.refuse_empty = true;
    static const double_file none[] = {
        {"foo.yml", "a: 1\n"},      {"foobar.yml", "a: 1\n"},  {"billing-eu-dev.yml", "a: 1\n"},
        {"readme.txt", "billin\n"}, {"x/other.yml", "a: 1\n"}, {NULL, NULL},
    };
    static const double_label one = {.name = "main", .version = COMMIT, .files = none};
    static const struct {
        const char *name, *end;
    } cases[] = {
        {"fo", "; did you mean foo?"},
        {"ofo", "; did you mean foo?"},
        {"fooba", "; did you mean foobar or foo?"},
        {"biling", "; did you mean billing?"},
        {"billing-us", "; did you mean billing-eu or billing?"},
        {"billing-eu-de", "; did you mean billing-eu-dev or billing-eu?"},
        {"readm", "foo"}, /* none: not a configuration file */
        {"othe", "foo"},  /* none: not where applications are */
    };
    estate_double_put(w->estate, &one, 1);
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_answer *got = answer(w, CS_FORM_ENVIRONMENT, cases[i].name, "dev", NULL, "");
        assert_int_equal(got->status, 404);
        bool has = strstr(got->body, "did you mean") != NULL;
        bool wanted = cases[i].end[0] == ';';
        if (has != wanted || (wanted && strstr(got->body, cases[i].end) == NULL)) {
            fail_msg("%s gave '%s'", cases[i].name, got->body);
        }
        cs_answer_unref(got);
    }
    cs_answer *got = answer(w, CS_FORM_ENVIRONMENT, "foo", "dev", NULL, "");
    assert_int_equal(got->status, 200);
    cs_answer_unref(got);
}

/* With shared files accept-empty never refuses anything, since there is always something. */
static void shared_files_do_not_make_an_application_known(void **state)
{
    world *w = *state;
    w->rules.refuse_unknown = true;
    static const double_file shared[] = {
        {"application.yml", "s: 1\n"},
        {"foo.yml", "a: 1\n"},
        {"billing-eu-dev.yml", "a: 1\n"},
        {"foobar/x.yml", "a: 1\n"},
        {"readme.txt", "hello\n"},
        {"baz.qux.yml", "a: 1\n"},
        {NULL, NULL},
    };
    static const double_label one = {.name = "main", .version = COMMIT, .files = shared};
    static const struct {
        const char *name;
        int status;
        const char *says;
    } cases[] = {
        {"foo", 200, ""},
        {"billing", 200, ""},    /* known, though it has no file for this profile */
        {"billing-eu", 200, ""}, /* the same */
        {"application", 200, ""},
        {"foo,billing", 200, ""},
        {"baz.qux", 200, ""},
        {"baz", 404, "no file of an application 'baz'"},
        {"fooo", 404, "no file of an application 'fooo'; did you mean foo?"},
        {"foo,biling", 404, "no file of an application 'biling'; did you mean billing?"},
        {"foobar", 404,
         "no file of an application 'foobar'"}, /* a directory that is not searched */
        {"readme", 404, "no file of an application 'readme'"},
        {"fo", 404, "did you mean foo?"},
    };
    estate_double_put(w->estate, &one, 1);
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_answer *got = answer(w, CS_FORM_ENVIRONMENT, cases[i].name, "prod", NULL, "");
        if (got->status != cases[i].status || strstr(got->body, cases[i].says) == NULL) {
            fail_msg("%s gave %d '%s'", cases[i].name, got->status, got->body);
        }
        cs_answer_unref(got);
    }
    cs_answer *got = answer(w, CS_FORM_EXPLAIN_JSON, "fooo", "prod", NULL, "");
    assert_int_equal(got->status, 404);
    cs_answer_unref(got);
    static const double_label searched = {
        .name = "main", .version = COMMIT, .files = shared, .dirs = {"", "foobar/"}};
    estate_double_put(w->estate, &searched, 1);
    got = answer(w, CS_FORM_ENVIRONMENT, "foobar", "prod", NULL, "");
    assert_int_equal(got->status, 200);
    cs_answer_unref(got);
    w->rules.refuse_unknown = false;
    got = answer(w, CS_FORM_ENVIRONMENT, "foooo", "prod", NULL, "");
    assert_int_equal(got->status, 200);
    cs_answer_unref(got);
}

/* How often the text is in the log while `n` requests are answered. */
static size_t count_logged(world *w, const char *name, const char *text)
{
    static char log[65536];
    int fds[2];
    int stderr_fd = dup(STDERR_FILENO);
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    dup2(fds[1], STDERR_FILENO);
    gw_log_set_level(GW_LOG_INFO);
    static const cs_form forms[] = {CS_FORM_ENVIRONMENT, CS_FORM_YAML, CS_FORM_EXPLAIN_JSON};
    for (size_t i = 0; i < 9; i++) {
        cs_answer_unref(answer(w, forms[i % 3], name, i % 2 ? "dev" : "default", NULL, ""));
    }
    gw_log_set_level(GW_LOG_OFF);
    dup2(stderr_fd, STDERR_FILENO);
    close(stderr_fd);
    close(fds[1]);
    ssize_t len = read(fds[0], log, sizeof(log) - 1);
    close(fds[0]);
    log[len < 0 ? 0 : len] = '\0';
    size_t n = 0;
    for (const char *p = strstr(log, text); p != NULL; p = strstr(p + 1, text)) {
        n++;
    }
    return n;
}

static void a_fault_is_logged_once_a_view(void **state)
{
    world *w = *state;
    assert_int_equal(count_logged(w, "broken", "broken.yml:2: duplicate key"), 1);
    assert_int_equal(count_logged(w, "broken", "broken.yml"), 0);
    estate_double_put(w->estate, labels, N_OF(labels));
    assert_int_equal(count_logged(w, "broken", "broken.yml:2: duplicate key"), 1);
    assert_int_equal(count_logged(w, "nested", "a..b"), 0); /* the client's choice of a form */
}

#define N_THREADS 4

static void *ask_often(void *ctx)
{
    world *w = ctx;
    static const char *const names[] = {"foo", "broken", "unknown", "billing"};
    cs_query *query = calloc(1, sizeof(*query));
    for (size_t i = 0; i < 400; i++) {
        bool is_text = i % 5 == 0;
        ask(query, is_text ? CS_FORM_TEXT : CS_FORM_ENVIRONMENT, names[i % N_OF(names)], "dev",
            i % 3 ? NULL : "other", is_text ? "nginx.conf" : "");
        cs_answer *got = cs_lookup_answer(w->lookup, cs_estate_view(w->estate), query);
        if (got == NULL || got->status == 503) {
            abort();
        }
        cs_answer_unref(got);
    }
    free(query);
    return NULL;
}

static void threads_share_a_lookup(void **state)
{
    world *w = *state;
    pthread_t threads[N_THREADS];
    for (size_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, w), 0);
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        estate_double_put(w->estate, labels, N_OF(labels));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_form_has_its_type_and_body),
        TEST(every_failure_has_its_status),
        TEST(an_answer_is_kept_for_its_view),
        TEST(etags_tell_what_has_changed),
        TEST(explanations_open_no_secrets),
        TEST(what_passes_is_not_kept),
        TEST(lists_of_etags_are_read),
        TEST(files_are_found_in_order),
        TEST(what_is_not_text_stays_as_it_is),
        TEST(an_unknown_application_can_be_refused),
        TEST(shared_files_do_not_make_an_application_known),
        TEST(a_fault_is_logged_once_a_view),
        TEST(threads_share_a_lookup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
