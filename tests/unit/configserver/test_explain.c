/* SPDX-License-Identifier: MIT */
/* Who won each key, and over whom; what may be shown of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "answer/explain.h"
#include "configserver/view_double.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static const double_file files[] = {
    {"application.yml", "port: 1\nlist: [a, b, c]\nonly: here\nscalar: x\n"},
    {"foo.yml", "port: 2\n\nlist:\n  - d\n  - name: e\nscalar: [y]\n"},
    {"foo-dev.yml", "port: 3\nempty: ''\nflag: on\n"},
    {"secret.yml", "db.password: hunter2\nauth-token: [t1, t2]\napi-key: k\n"
                   "url: amqp://user:hunter3@host/\nopened: '{cipher}deadbeef'\nplain: a://b\n"},
    {"html.yml", "'<script>alert(1)</script>': '\"><img src=x onerror=alert(1)>&amp;'\n"},
    {NULL, NULL},
};

typedef struct world {
    cs_view *view;
    cs_request req;
    cs_environment env;
    cs_explanation explanation;
    gw_buf out;
} world;

static world *explain(const char *name, const char *filter)
{
    world *w = calloc(1, sizeof(*w));
    gw_error err = GW_ERROR_INIT;
    if (view_double_load(files, name, "dev", &w->view, &w->env, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(cs_request_init(&w->req, name, "dev", NULL, NULL), GW_OK);
    assert_int_equal(cs_explain(&w->env, filter, &w->explanation, &err), GW_OK);
    gw_buf_init(&w->out, 0);
    return w;
}

static void end(world *w)
{
    gw_buf_dispose(&w->out);
    cs_explanation_dispose(&w->explanation);
    cs_explanation_dispose(&w->explanation);
    cs_environment_dispose(&w->env);
    view_double_free(w->view);
    free(w);
}

static json_t *as_json(world *w)
{
    cs_explain_write_json(&w->out, &w->req, &w->env, &w->explanation);
    assert_int_equal(gw_buf_status(&w->out), GW_OK);
    json_t *json = json_loadb(w->out.data, w->out.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    return json;
}

static void expect(const json_t *json, const char *key, const char *expected)
{
    const json_t *properties = json_object_get(json, "properties");
    size_t i;
    json_t *item;
    json_array_foreach(properties, i, item)
    {
        if (strcmp(json_string_value(json_object_get(item, "key")), key) == 0) {
            char *text = json_dumps(item, JSON_COMPACT);
            assert_string_equal(text, expected);
            free(text);
            return;
        }
    }
    fail_msg("no %s", key);
}

#define AT(file) "\"source\":\"" DOUBLE_URI "/" file "\",\"file\":\"" file "\""

static void each_key_has_its_winner(void **state)
{
    (void)state;
    world *w = explain("foo", NULL);
    json_t *json = as_json(w);
    expect(json, "port",
           "{\"key\":\"port\",\"value\":3," AT(
               "foo-dev.yml") ",\"line\":1,\"column\":7,"
                              "\"shadows\":[{\"value\":2," AT(
                                  "foo.yml") ",\"line\":1,\"column\":7},"
                                             "{\"value\":1," AT(
                                                 "application.yml") ",\"line\":1,\"column\":7}]}");
    expect(json, "only",
           "{\"key\":\"only\",\"value\":\"here\"," AT(
               "application.yml") ",\"line\":3,\"column\":7,\"shadows\":[]}");
    expect(json, "empty",
           "{\"key\":\"empty\",\"value\":\"\"," AT(
               "foo-dev.yml") ",\"line\":2,\"column\":8,\"shadows\":[]}");
    expect(json, "flag",
           "{\"key\":\"flag\",\"value\":true," AT(
               "foo-dev.yml") ",\"line\":3,\"column\":7,\"shadows\":[]}");
    json_decref(json);
    end(w);
}

/* The longer list below does not show through. */
static void lists_are_hidden_as_a_whole(void **state)
{
    (void)state;
    world *w = explain("foo", NULL);
    json_t *json = as_json(w);
    expect(json, "list",
           "{\"key\":\"list\",\"items\":[{\"key\":\"list[0]\",\"value\":\"d\",\"line\":4,"
           "\"column\":5},{\"key\":\"list[1].name\",\"value\":\"e\",\"line\":5,\"column\":11}]," AT(
               "foo.yml") ",\"shadows\":[{\"items\":["
                          "{\"key\":\"list[0]\",\"value\":\"a\",\"line\":2,\"column\":8},"
                          "{\"key\":\"list[1]\",\"value\":\"b\",\"line\":2,\"column\":11},"
                          "{\"key\":\"list[2]\",\"value\":\"c\",\"line\":2,\"column\":14}]," AT(
                              "application.yml") "}]}");
    expect(json, "scalar",
           "{\"key\":\"scalar\",\"items\":[{\"key\":\"scalar[0]\",\"value\":\"y\",\"line\":6,"
           "\"column\":10}]," AT("foo.yml") ",\"shadows\":[{\"value\":\"x\"," AT(
               "application.yml") ",\"line\":4,\"column\":9}]}");
    json_decref(json);
    end(w);
}

static void a_filter_leaves_some(void **state)
{
    (void)state;
    static const struct {
        const char *filter;
        size_t n;
    } cases[] = {{"PORT", 1}, {"l", 4}, {"list[0]", 1}, {"nothing", 0}, {"", 6}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        world *w = explain("foo", cases[i].filter);
        if (w->explanation.n_items != cases[i].n) {
            fail_msg("'%s' left %zu", cases[i].filter, w->explanation.n_items);
        }
        end(w);
    }
}

static void secrets_are_masked(void **state)
{
    (void)state;
    world *w = explain("secret", NULL);
    json_t *json = as_json(w);
    cs_explain_write_page(&w->out, &w->req, &w->env, NULL, &w->explanation);
    assert_int_equal(gw_buf_status(&w->out), GW_OK);
    static const char *const hidden[] = {"hunter2", "hunter3", "deadbeef", "t1", "t2", ">k<"};
    for (size_t i = 0; i < N_OF(hidden); i++) {
        if (strstr(w->out.data, hidden[i]) != NULL) {
            fail_msg("%s is shown", hidden[i]);
        }
    }
    assert_non_null(strstr(w->out.data, "\"value\":\"amqp://user:***@host/\""));
    assert_non_null(strstr(w->out.data, "\"value\":\"{cipher}***\""));
    assert_non_null(strstr(w->out.data, "\"value\":\"a://b\""));
    json_decref(json);
    end(w);
}

static void the_page_is_safe_and_complete(void **state)
{
    (void)state;
    world *w = explain("html", "<script>\"");
    cs_explain_write_page(&w->out, &w->req, &w->env, "<script>\"", &w->explanation);
    assert_non_null(strstr(w->out.data, "value=\"&lt;script&gt;&quot;\""));
    assert_null(strstr(w->out.data, "<script"));
    end(w);
    w = explain("html", NULL);
    cs_explain_write_page(&w->out, &w->req, &w->env, NULL, &w->explanation);
    assert_null(strstr(w->out.data, "<script"));
    assert_null(strstr(w->out.data, "<img"));
    assert_non_null(strstr(w->out.data, "&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert_non_null(strstr(w->out.data, "&quot;&gt;&lt;img src=x onerror=alert(1)&gt;&amp;amp;"));
    assert_null(strstr(w->out.data, "http:"));
    assert_null(strstr(w->out.data, "https:"));
    end(w);
    w = explain("foo", NULL);
    cs_explain_write_page(&w->out, &w->req, &w->env, NULL, &w->explanation);
    assert_non_null(strstr(w->out.data, "foo-dev.yml:1:7</span>"));
    assert_non_null(strstr(w->out.data, "<del><code>2</code></del>"));
    assert_non_null(strstr(w->out.data, "prefers-color-scheme:dark"));
    assert_non_null(strstr(w->out.data, "[1].name</span> <code>e</code>"));
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_key_has_its_winner),
        cmocka_unit_test(lists_are_hidden_as_a_whole),
        cmocka_unit_test(a_filter_leaves_some),
        cmocka_unit_test(secrets_are_masked),
        cmocka_unit_test(the_page_is_safe_and_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
