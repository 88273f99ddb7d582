/* SPDX-License-Identifier: MIT */
/* Which files make up an environment and in which order; and its form on the wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "files/bounds.h"
#include "configserver/rendering.h"
#include "answer/environment.h"
#include "answer/json.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define N_FILES     12

typedef struct fake_file {
    const char *path;
    const char *text;
} fake_file;

/* A reader over a table; the table ends with a NULL path. */
static gw_status read_fake(void *ctx, const char *path, gw_buf *out, gw_error *err)
{
    (void)err;
    for (const fake_file *file = ctx; file->path != NULL; file++) {
        if (strcmp(file->path, path) == 0) {
            gw_buf_add_str(out, file->text);
            return GW_OK;
        }
    }
    return GW_E_NOT_FOUND;
}

static gw_status load(const fake_file *files, const char *name, const char *profiles,
                      cs_environment *ret_env, gw_error *err)
{
    cs_request req;
    cs_reader reader = {read_fake, (void *)(uintptr_t)files};
    assert_int_equal(cs_request_init(&req, name, profiles, NULL, NULL), GW_OK);
    return cs_environment_load(&reader, &req, ret_env, err);
}

/* The sources as "foo-dev.yml foo.yml#1", the highest precedence first. */
static char *names_of(const cs_environment *env)
{
    gw_buf out;
    gw_buf_init(&out, 0);
    for (size_t i = 0; i < env->n_sources; i++) {
        gw_buf_addf(&out, "%s%s", i > 0 ? " " : "", env->sources[i].file->path);
        if (!env->sources[i].is_only_document) {
            gw_buf_addf(&out, "#%zu", env->sources[i].number);
        }
    }
    return gw_buf_detach(&out, NULL);
}

#define ON(profile) "spring.config.activate.on-profile: '" profile "'\n"

static const struct {
    const char *about;
    fake_file files[N_FILES];
    const char *name, *profiles;
    const char *expected;
} order_cases[] = {
    {"an unknown application has no sources", {{"foo.yml", "a: 1"}}, "bar", "default", ""},
    {"the shared file lies below the application's",
     {{"application.yml", "a: 1"}, {"foo.yml", "a: 2"}},
     "foo",
     "default",
     "foo.yml application.yml"},
    {"all profile-specific files lie above all plain ones",
     {{"application.yml", "a: 1"},
      {"application-qa.yml", "a: 2"},
      {"foo.yml", "a: 3"},
      {"foo-qa.yml", "a: 4"}},
     "foo",
     "qa",
     "foo-qa.yml application-qa.yml foo.yml application.yml"},
    {"a shared profile file beats the application's plain one",
     {{"application-qa.yml", "a: 1"}, {"foo.yml", "a: 2"}},
     "foo",
     "qa",
     "application-qa.yml foo.yml"},
    {"later profiles of the request win",
     {{"foo-a.yml", "a: 1"}, {"foo-b.yml", "a: 1"}, {"application-b.yml", "a: 1"}},
     "foo",
     "a,b",
     "foo-b.yml application-b.yml foo-a.yml"},
    {"the same in the other order",
     {{"foo-a.yml", "a: 1"}, {"foo-b.yml", "a: 1"}, {"application-b.yml", "a: 1"}},
     "foo",
     "b,a",
     "foo-a.yml foo-b.yml application-b.yml"},
    {"yaml below yml below properties",
     {{"foo.yaml", "a: 1"}, {"foo.yml", "a: 1"}, {"foo.properties", "a=1"}},
     "foo",
     "x",
     "foo.properties foo.yml foo.yaml"},
    {"names before extensions",
     {{"application.properties", "a=1"}, {"foo.yaml", "a: 1"}},
     "foo",
     "x",
     "foo.yaml application.properties"},
    {"several applications in request order",
     {{"a.yml", "k: 1"}, {"b.yml", "k: 1"}, {"application.yml", "k: 1"}, {"a-x.yml", "k: 1"}},
     "a,b",
     "x",
     "a-x.yml b.yml a.yml application.yml"},
    {"the shared application once",
     {{"application.yml", "k: 1"}},
     "application",
     "x",
     "application.yml"},
    {"a request names an application twice", {{"a.yml", "k: 1"}}, "a,a", "x", "a.yml"},
    {"the profile default has files too",
     {{"foo.yml", "a: 1"}, {"foo-default.yml", "a: 1"}},
     "foo",
     "default",
     "foo-default.yml foo.yml"},
    {"but only when it is asked for",
     {{"foo.yml", "a: 1"}, {"foo-default.yml", "a: 1"}},
     "foo",
     "dev",
     "foo.yml"},
    {"later documents win",
     {{"foo.yml", "a: 1\n---\na: 2\n---\na: 3\n"}},
     "foo",
     "x",
     "foo.yml#2 foo.yml#1 foo.yml#0"},
    {"documents that do not apply are left out and keep the others' numbers",
     {{"foo.yml", "a: 1\n---\n" ON("qa") "a: 2\n---\na: 3\n"}},
     "foo",
     "x",
     "foo.yml#2 foo.yml#0"},
    {"a profile document stays at its file's rank",
     {{"foo.yml", "a: 1\n---\n" ON("qa") "a: 2\n"}, {"application-qa.yml", "a: 3"}},
     "foo",
     "qa",
     "application-qa.yml foo.yml#1 foo.yml#0"},
    {"documents of .properties",
     {{"foo.properties", "a=1\n#---\nspring.config.activate.on-profile=qa|dev\na=2\n"}},
     "foo",
     "dev",
     "foo.properties#1 foo.properties#0"},
    {"a document of a profile file can depend on another profile",
     {{"foo-a.yml", ON("b") "k: 1"}},
     "foo",
     "a",
     ""},
    {"included profiles come after those of the request",
     {{"foo.yml", "spring.profiles.include: [x, y]"},
      {"foo-a.yml", "k: 1"},
      {"foo-x.yml", "k: 1"},
      {"foo-y.yml", "k: 1"}},
     "foo",
     "a",
     "foo-y.yml foo-x.yml foo-a.yml foo.yml"},
    {"included profiles make documents apply",
     {{"foo.yml", "spring.profiles.include: x\n---\n" ON("x") "k: 1\n"}},
     "foo",
     "a",
     "foo.yml#1 foo.yml#0"},
    {"the profile default includes nothing",
     {{"foo.yml", "spring.profiles.include: x"}, {"foo-x.yml", "k: 1"}},
     "foo",
     "default",
     "foo.yml"},
    {"profiles that the repository calls active are not: the request's are",
     {{"foo.yml", "spring.profiles.active: x"}, {"foo-x.yml", "k: 1"}},
     "foo",
     "a",
     "foo.yml"},
    {"files without properties are no sources",
     {{"foo.yml", "# nothing\n"}, {"foo.properties", "\n"}, {"foo.yaml", "{}"}},
     "foo",
     "x",
     ""},
    {"a file in a directory", {{"a/b.yml", "k: 1"}}, "a(_)b", "x", "a/b.yml"},
    {".json and .xml are no sources", {{"foo.json", "{}"}, {"foo.xml", "<a/>"}}, "foo", "x", ""},
};

static void files_come_in_springs_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(order_cases); i++) {
        cs_environment env = {.sources = NULL};
        gw_error err = GW_ERROR_INIT;
        gw_status st =
            load(order_cases[i].files, order_cases[i].name, order_cases[i].profiles, &env, &err);
        char *names = st == GW_OK ? names_of(&env) : NULL;
        if (st != GW_OK || strcmp(names, order_cases[i].expected) != 0) {
            fail_msg("%s: gave '%s', wanted '%s'", order_cases[i].about,
                     st == GW_OK ? names : err.text, order_cases[i].expected);
        }
        free(names);
        cs_environment_dispose(&env);
    }
}

static void faults_name_file_and_line(void **state)
{
    (void)state;
    static const struct {
        fake_file files[4];
        const char *error;
    } cases[] = {
        {{{"foo.yml", "a: 1\na: 2"}}, "foo.yml:2: duplicate key 'a' (first at line 1)"},
        {{{"application.yml", "a: ["}}, "application.yml:"},
        {{{"foo-dev.properties", "a=\\u1"}}, "foo-dev.properties:1: a \\u escape"},
        {{{"foo.yml", "spring.profiles: dev"}}, "foo.yml:1: 'spring.profiles' is no longer"},
        {{{"foo-dev.yml", "spring.profiles.active: x"}}, "foo-dev.yml:1: 'spring.profiles.active'"},
        {{{"foo.yml", "spring.config.import: 'file:/etc/x'"}}, "foo.yml:1: 'spring.config.import'"},
        {{{"foo.yml", ON("a &")}}, "foo.yml:1: malformed profile expression 'a &'"},
        {{{"foo.yml", "spring.profiles.include: 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,"
                      "21,22,23,24,25,26,27,28,29,30,31,32"}},
         "foo.yml:1: more than 32 profiles"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_environment env = {.sources = NULL};
        gw_error err = GW_ERROR_INIT;
        gw_status st = load(cases[i].files, "foo", "dev", &env, &err);
        if (st == GW_OK || strstr(err.text, cases[i].error) == NULL) {
            fail_msg("gave '%s', wanted '%s'", err.text, cases[i].error);
        }
        /* another application of the same repository is well */
        if (strncmp(cases[i].files[0].path, "application", 11) != 0) {
            assert_int_equal(load(cases[i].files, "other", "dev", &env, &err), GW_OK);
            cs_environment_dispose(&env);
        }
    }
}

static void all_files_together_are_bounded(void **state)
{
    (void)state;
    char *filler = repeat("#", CS_FILE_BYTES_MAX - 16);
    fake_file files[] = {
        {"a.yml", filler}, {"b.yml", filler}, {"c.yml", filler},
        {"d.yml", filler}, {"e.yml", filler}, {NULL, NULL},
    };
    cs_environment env = {.sources = NULL};
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(load(files, "a,b,c,d", "x", &env, &err), GW_OK);
    cs_environment_dispose(&env);
    assert_int_equal(load(files, "a,b,c,d,e", "x", &env, &err), GW_E_LIMIT);
    assert_string_equal(err.text, "e.yml: the files are larger than 16 MiB");
    free(filler);
}

static gw_status read_broken(void *ctx, const char *path, gw_buf *out, gw_error *err)
{
    (void)ctx;
    (void)out;
    return gw_error_set(err, GW_E_IO, 0, "%s: the disk is gone", path);
}

static void failures_to_read_are_passed_on(void **state)
{
    (void)state;
    cs_request req;
    cs_reader reader = {read_broken, NULL};
    cs_environment env = {.sources = NULL};
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(cs_request_init(&req, "foo", "x", NULL, NULL), GW_OK);
    assert_int_equal(cs_environment_load(&reader, &req, &env, &err), GW_E_IO);
    assert_string_equal(err.text, "application.yaml: the disk is gone");
    assert_null(env.sources);
}

static void the_wire_form_is_springs(void **state)
{
    (void)state;
    static const fake_file files[] = {
        {"foo.yml", "port: 6767\nratio: 1.50\non: true\nname: \"a\\\"b\"\nlist: [x]\nnone: ~\n"},
        {"foo-dev.yml", "a: 1\n---\nb: '2'\n"},
        {NULL, NULL},
    };
    cs_request req;
    cs_reader reader = {read_fake, (void *)(uintptr_t)files};
    cs_environment env;
    gw_buf out;
    gw_buf_init(&out, 0);
    assert_int_equal(cs_request_init(&req, "foo", "dev,mysql", NULL, NULL), GW_OK);
    assert_int_equal(cs_environment_load(&reader, &req, &env, NULL), GW_OK);
    cs_json_write_environment(&out, &req, "file:///repo", "0123", &env);
    assert_string_equal(
        out.data,
        "{\"name\":\"foo\",\"profiles\":[\"dev,mysql\"],\"label\":null,\"version\":\"0123\","
        "\"state\":\"\",\"propertySources\":["
        "{\"name\":\"file:///repo/foo-dev.yml (document #1)\",\"source\":{\"b\":\"2\"}},"
        "{\"name\":\"file:///repo/foo-dev.yml (document #0)\",\"source\":{\"a\":1}},"
        "{\"name\":\"file:///repo/foo.yml\",\"source\":{\"port\":6767,\"ratio\":1.5,"
        "\"[true]\":true,\"name\":\"a\\\"b\",\"list[0]\":\"x\",\"none\":\"\"}}]}");
    json_t *parsed = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(parsed);
    json_decref(parsed);
    cs_environment_dispose(&env);
    gw_buf_clear(&out);
    assert_int_equal(cs_request_init(&req, "a(_)b", "default", "f(_)x", NULL), GW_OK);
    assert_int_equal(cs_environment_load(&reader, &req, &env, NULL), GW_OK);
    cs_json_write_environment(&out, &req, "file:///repo", "0123", &env);
    assert_string_equal(out.data, "{\"name\":\"a/b\",\"profiles\":[\"default\"],\"label\":\"f/x\","
                                  "\"version\":\"0123\",\"state\":\"\",\"propertySources\":[]}");
    cs_environment_dispose(&env);
    gw_buf_dispose(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_come_in_springs_order),
        cmocka_unit_test(faults_name_file_and_line),
        cmocka_unit_test(all_files_together_are_bounded),
        cmocka_unit_test(failures_to_read_are_passed_on),
        cmocka_unit_test(the_wire_form_is_springs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
