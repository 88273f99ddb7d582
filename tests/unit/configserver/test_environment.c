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

#include "answer/environment.h"
#include "answer/json.h"
#include "configserver/rendering.h"
#include "configserver/view_double.h"
#include "files/bounds.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define N_FILES     12

/* The sources as "foo-dev.yml foo.yml#1", the highest precedence first. */
static char *names_of(const cs_environment *env)
{
    gw_buf out;
    gw_buf_init(&out, 0);
    gw_buf_add_str(&out, "");
    for (size_t i = 0; i < env->n_sources; i++) {
        const cs_source *source = &env->sources[i];
        const char *number = strstr(source->name, " (document #");
        gw_buf_addf(&out, "%s%s", i > 0 ? " " : "",
                    source->path[0] == '\0' ? source->name : source->path);
        if (number != NULL) {
            gw_buf_addf(&out, "#%d", atoi(number + strlen(" (document #")));
        }
    }
    return gw_buf_detach(&out, NULL);
}

/* What a view has for a request, or the error, as text. */
static char *load_names(const cs_view *view, const cs_rules *rules, const char *name,
                        const char *profiles, const char *label)
{
    static const cs_rules no_rules = {.n_overrides = 0};
    cs_request req;
    cs_environment env = {.sources = NULL};
    gw_error err = GW_ERROR_INIT;
    if (cs_request_init(&req, name, profiles, label, &err) != GW_OK) {
        fail_msg("%s/%s/%s: %s", name, profiles, label, err.text);
    }
    gw_status st = cs_environment_load(view, rules == NULL ? &no_rules : rules, &req, &env, &err);
    assert_int_equal(st, err.status);
    char *text = st == GW_OK ? names_of(&env) : strdup(err.text);
    cs_environment_dispose(&env);
    return text;
}

static void expect_names(const char *about, char *names, const char *expected)
{
    if (strcmp(names, expected) != 0) {
        fail_msg("%s: gave '%s', wanted '%s'", about, names, expected);
    }
    free(names);
}

#define ON(profile) "spring.config.activate.on-profile: '" profile "'\n"

static const struct {
    const char *about;
    double_file files[N_FILES];
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
    {"profiles that the files call active lie below those of the request",
     {{"foo.yml", "spring.profiles.active: x,y"},
      {"foo-a.yml", "k: 1"},
      {"foo-x.yml", "k: 1"},
      {"foo-y.yml", "k: 1"}},
     "foo",
     "a",
     "foo-a.yml foo-y.yml foo-x.yml foo.yml"},
    {"one that the request has too has the request's place",
     {{"foo.yml", "spring.profiles.active: b,x"},
      {"foo-a.yml", "k: 1"},
      {"foo-b.yml", "k: 1"},
      {"foo-x.yml", "k: 1"}},
     "foo",
     "b,a",
     "foo-a.yml foo-b.yml foo-x.yml foo.yml"},
    {"of several files the highest says which are active",
     {{"application.yml", "spring.profiles.active: x"},
      {"foo.yml", "spring.profiles.active: y"},
      {"foo-x.yml", "k: 1"},
      {"foo-y.yml", "k: 1"}},
     "foo",
     "a",
     "foo-y.yml foo.yml application.yml"},
    {"but all of them include",
     {{"application.yml", "spring.profiles.include: x"},
      {"foo.yml", "spring.profiles.include: y"},
      {"foo-x.yml", "k: 1"},
      {"foo-y.yml", "k: 1"}},
     "foo",
     "a",
     "foo-x.yml foo-y.yml foo.yml application.yml"},
    {"for the profile default no profile is active by a file",
     {{"foo.yml", "spring.profiles.active: x"}, {"foo-x.yml", "k: 1"}},
     "foo",
     "default",
     "foo.yml"},
    {"default is a profile like others in a list",
     {{"foo.yml", "spring.profiles.include: x"}, {"foo-x.yml", "k: 1"}},
     "foo",
     "default,a",
     "foo-x.yml foo.yml"},
    {"files without properties are no sources",
     {{"foo.yml", "# nothing\n"}, {"foo.properties", "\n"}, {"foo.yaml", "{}"}},
     "foo",
     "x",
     ""},
    {"a file in a directory", {{"a/b.yml", "k: 1"}}, "a(_)b", "x", "a/b.yml"},
    {".json is no source", {{"foo.json", "{}"}}, "foo", "x", ""},
    {"xml between yml and properties",
     {{"foo.xml", "<properties><entry key='k'>1</entry></properties>"},
      {"foo.yml", "a: 1"},
      {"foo.properties", "a=1"}},
     "foo",
     "x",
     "foo.properties foo.xml foo.yml"},
    {"only the directories that are searched", {{"a/foo.yml", "k: 1"}}, "foo", "x", ""},
    {"names that begin alike are others",
     {{"foo.yml", "k: 1"}, {"foo.yml.bak", "k: 1"}, {"foo-xy.yml", "k: 1"}, {"foox.yml", "k: 1"}},
     "foo",
     "x",
     "foo.yml"},
    {"an import lies above what imports it",
     {{"foo.yml", "spring.config.import: more/db.yml"}, {"more/db.yml", "k: 1"}},
     "foo",
     "x",
     "more/db.yml foo.yml"},
    {"but below the next file",
     {{"application.yml", "spring.config.import: db.yml"},
      {"db.yml", "k: 1"},
      {"foo.yml", "k: 1"},
      {"application-x.yml", "k: 1"}},
     "foo",
     "x",
     "application-x.yml foo.yml db.yml application.yml"},
    {"later imports win",
     {{"foo.yml", "spring.config.import: [a.yml, 'b.properties,c.xml']"},
      {"a.yml", "k: 1"},
      {"b.properties", "k=1"},
      {"c.xml", "<properties><entry key='k'>1</entry></properties>"}},
     "foo",
     "x",
     "c.xml b.properties a.yml foo.yml"},
    {"an import lies above its document, below the next one",
     {{"foo.yml", "k: 1\n---\nspring.config.import: a.yml\n---\nk: 2\n"},
      {"a.yml", "k: 1\n---\nk: 2"}},
     "foo",
     "x",
     "foo.yml#2 a.yml#1 a.yml#0 foo.yml#1 foo.yml#0"},
    {"imports that import",
     {{"foo.yml", "spring.config.import: d/a.yml"},
      {"d/a.yml", "spring.config.import: ./b.yml,../c.yml"},
      {"d/b.yml", "k: 1"},
      {"c.yml", "k: 1"}},
     "foo",
     "x",
     "c.yml d/b.yml d/a.yml foo.yml"},
    {"an import brings its profile's file, below those of the request",
     {{"foo.yml", "spring.config.import: db.yml"},
      {"db.yml", "k: 1"},
      {"db-x.yml", "k: 1"},
      {"foo-x.yml", "k: 1"}},
     "foo",
     "x",
     "foo-x.yml db-x.yml db.yml foo.yml"},
    {"a document of a profile imports when it applies",
     {{"foo.yml", "k: 1\n---\n" ON("x") "spring.config.import: a.yml\n---\n" ON(
                      "y") "spring.config.import: b.yml\n"},
      {"a.yml", "k: 1"},
      {"a-x.yml", "k: 1"},
      {"b.yml", "k: 1"}},
     "foo",
     "x",
     "a-x.yml a.yml foo.yml#1 foo.yml#0"},
    {"a document against a profile imports nothing before the profiles are known",
     {{"foo.yml", "k: 1\n---\n" ON("!x") "spring.config.import: a.yml\n"}, {"a.yml", "k: 1"}},
     "foo",
     "x",
     "foo.yml#0"},
    {"a document against another profile imports",
     {{"foo.yml", "k: 1\n---\n" ON("!x") "spring.config.import: a.yml\n"}, {"a.yml", "k: 1"}},
     "foo",
     "y",
     "a.yml foo.yml#1 foo.yml#0"},
    {"profiles of an imported file count",
     {{"foo.yml", "spring.config.import: a.yml"},
      {"a.yml", "spring.profiles.include: y"},
      {"foo-y.yml", "k: 1"}},
     "foo",
     "x",
     "foo-y.yml a.yml foo.yml"},
    {"a file is there once, where it came up first",
     {{"application.yml", "spring.config.import: a.yml,foo.yml"},
      {"foo.yml", "spring.config.import: a.yml"},
      {"a.yml", "k: 1"}},
     "foo",
     "x",
     "a.yml foo.yml application.yml"},
    {"what is imported but not there is passed over",
     {{"foo.yml", "spring.config.import: 'optional:a.yml,b.yml'"}},
     "foo",
     "x",
     "foo.yml"},
    {"imports are for the profile default too",
     {{"foo.yml", "spring.config.import: a.yml"}, {"a.yml", "k: 1"}},
     "foo",
     "default",
     "a.yml foo.yml"},
    {"keys of Spring bind loosely",
     {{"foo.yml", "spring:\n  config:\n    activate:\n      onProfile: 'x & !y'\nk: 1"}},
     "foo",
     "x",
     "foo.yml"},
};

static const struct {
    const char *about;
    double_file files[N_FILES];
    const char *profiles;
    const char *expected;
    const char *dirs[8];
} directory_cases[] = {
    {"later directories win among plain files",
     {{"foo.yml", "k: 1"}, {"a/foo.yml", "k: 1"}, {"b/application.yml", "k: 1"}},
     "x",
     "b/application.yml a/foo.yml foo.yml",
     {"", "a/", "b/"}},
    {"directories before names",
     {{"foo.yml", "k: 1"}, {"application.yml", "k: 1"}, {"a/application.yml", "k: 1"}},
     "x",
     "a/application.yml foo.yml application.yml",
     {"", "a/"}},
    {"profile-specific files win across directories",
     {{"foo-x.yml", "k: 1"}, {"a/foo.yml", "k: 1"}, {"a/foo-x.yml", "k: 1"}},
     "x",
     "a/foo-x.yml foo-x.yml a/foo.yml",
     {"", "a/"}},
    {"a profile in all directories, then the next",
     {{"foo-x.yml", "k: 1"}, {"foo-y.yml", "k: 1"}, {"a/foo-x.yml", "k: 1"}},
     "x,y",
     "foo-y.yml a/foo-x.yml foo-x.yml",
     {"", "a/"}},
};

static void expect_order(const char *about, const double_label *label, const char *name,
                         const char *profiles, const char *expected)
{
    cs_view *view = view_double_new(label, 1);
    for (int again = 0; again < 2; again++) {
        expect_names(about, load_names(view, NULL, name, profiles, NULL), expected);
    }
    size_t n_files = 0;
    while (label->files[n_files].path != NULL) {
        n_files++;
    }
    if (view_double_n_reads(view) > n_files) {
        fail_msg("%s: files were read again", about);
    }
    view_double_free(view);
}

static void files_come_in_springs_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(order_cases); i++) {
        double_label label = {.name = "main", .version = "c0", .files = order_cases[i].files};
        expect_order(order_cases[i].about, &label, order_cases[i].name, order_cases[i].profiles,
                     order_cases[i].expected);
    }
}

static void directories_come_in_springs_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(directory_cases); i++) {
        double_label label = {.name = "main", .version = "c0", .files = directory_cases[i].files};
        memcpy(label.dirs, directory_cases[i].dirs, sizeof(label.dirs));
        expect_order(directory_cases[i].about, &label, "foo", directory_cases[i].profiles,
                     directory_cases[i].expected);
    }
}

static void faults_name_file_and_line(void **state)
{
    (void)state;
    static const struct {
        double_file files[4];
        gw_status st;
        const char *error;
    } cases[] = {
        {{{"foo.yml", "a: 1\na: 2"}},
         GW_E_INVALID,
         "foo.yml:2: duplicate key 'a' (first at line 1)"},
        {{{"application.yml", "a: ["}}, GW_E_INVALID, "application.yml:"},
        {{{"foo-dev.properties", "a=\\u1"}}, GW_E_INVALID, "foo-dev.properties:1: a \\u escape"},
        {{{"foo.xml", "<a/>"}}, GW_E_INVALID, "foo.xml:1: the root is not <properties>"},
        {{{"foo.yml", "spring.profiles: dev"}},
         GW_E_INVALID,
         "foo.yml:1: 'spring.profiles' is no longer"},
        {{{"foo-dev.yml", "spring.profiles.active: x"}},
         GW_E_INVALID,
         "foo-dev.yml:1: 'spring.profiles.active'"},
        {{{"foo.yml", ON("dev") "spring.profiles.include: x"}},
         GW_E_INVALID,
         "foo.yml:2: 'spring.profiles.include'"},
        {{{"foo.yml", ON("a &")}}, GW_E_INVALID, "foo.yml:1: malformed profile expression 'a &'"},
        {{{"foo.yml", "spring.profiles.include: 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,"
                      "21,22,23,24,25,26,27,28,29,30,31,32"}},
         GW_E_LIMIT,
         "foo.yml:1: more than 32 profiles"},
        {{{"foo.yml", "spring.profiles.active: 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,"
                      "21,22,23,24,25,26,27,28,29,30,31,32"}},
         GW_E_LIMIT,
         "foo.yml:1: more than 32 profiles"},
        {{{"foo.yml", "-> /etc/passwd"}}, GW_E_DENIED, "foo.yml: a symbolic link"},
        {{{"foo.yml", "spring.config.import: a.yml"}, {"a.yml", "k: ["}}, GW_E_INVALID, "a.yml:"},
        {{{"foo.yml", "spring.config.import: a.yml"}, {"a.yml", "-> x"}},
         GW_E_DENIED,
         "a.yml: a symbolic link"},
        {{{"foo.yml", "k: 1\nspring.config.import: foo.yml"}},
         GW_E_INVALID,
         "foo.yml:2: the import of 'foo.yml' is a loop"},
        {{{"foo.yml", "spring.config.import: a.yml"}, {"a.yml", "spring.config.import: foo.yml"}},
         GW_E_INVALID,
         "a.yml:1: the import of 'foo.yml' is a loop"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_view *view = NULL;
        cs_environment env = {.sources = NULL};
        gw_error err = GW_ERROR_INIT;
        gw_status st = view_double_load(cases[i].files, "foo", "dev", &view, &env, &err);
        if (st != cases[i].st || strncmp(err.text, cases[i].error, strlen(cases[i].error)) != 0) {
            fail_msg("gave '%s', wanted '%s'", err.text, cases[i].error);
        }
        assert_null(env.sources);
        /* another application of the same repository is well */
        if (strncmp(cases[i].files[0].path, "application", 11) != 0) {
            expect_names("other", load_names(view, NULL, "other", "dev", NULL), "");
        }
        view_double_free(view);
    }
}

static void imports_stay_in_the_repository(void **state)
{
    (void)state;
    static const char outside[] = "only files of the repository can be imported";
    static const char leads_out[] = "it leads out of the repository";
    static const char unsupported[] = "placeholders, patterns and hints are not supported";
    static const char formats[] = "only .yml, .yaml, .xml and .properties";
    static const struct {
        const char *location;
        gw_status st;
        const char *why;
    } cases[] = {
        {"/etc/app.yml", GW_E_DENIED, outside},
        {"file:a.yml", GW_E_DENIED, outside},
        {"file:///etc/app.yml", GW_E_DENIED, outside},
        {"optional:file:/etc/app.yml", GW_E_DENIED, outside},
        {"optional:/etc/app.yml", GW_E_DENIED, outside},
        {"classpath:a.yml", GW_E_DENIED, outside},
        {"configserver:http://127.0.0.1/", GW_E_DENIED, outside},
        {"configtree:/run/secrets/", GW_E_DENIED, outside},
        {"c:\\a.yml", GW_E_DENIED, outside},
        {"..\\a.yml", GW_E_DENIED, outside},
        {"optional:", GW_E_DENIED, outside},
        {"../a.yml", GW_E_DENIED, leads_out},
        {"x/../../a.yml", GW_E_DENIED, leads_out},
        {"x/../../repo/a.yml", GW_E_DENIED, leads_out},
        {"${HOME}/a.yml", GW_E_UNSUPPORTED, unsupported},
        {"*/a.yml", GW_E_UNSUPPORTED, unsupported},
        {"a[.yml]", GW_E_UNSUPPORTED, unsupported},
        {"config/", GW_E_UNSUPPORTED, "directories are not supported"},
        {"a.json", GW_E_UNSUPPORTED, formats},
        {"a", GW_E_UNSUPPORTED, formats},
        {"..", GW_E_DENIED, leads_out},
        {".", GW_E_UNSUPPORTED, formats},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char text[128];
        char wanted[192];
        snprintf(text, sizeof(text), "k: 1\nspring.config.import: '%s'", cases[i].location);
        snprintf(wanted, sizeof(wanted), "foo.yml:2: the import of '%s': %s", cases[i].location,
                 cases[i].why);
        double_file files[] = {{"foo.yml", text}, {NULL, NULL}};
        cs_view *view = NULL;
        cs_environment env = {.sources = NULL};
        gw_error err = GW_ERROR_INIT;
        gw_status st = view_double_load(files, "foo", "x", &view, &env, &err);
        if (st != cases[i].st || strncmp(err.text, wanted, strlen(wanted)) != 0) {
            fail_msg("gave '%s', wanted '%s'", err.text, wanted);
        }
        view_double_free(view);
    }
}

/* Files a0.yml, a1.yml, ...: each imports the next, or the first one all others. */
static void expect_import_limit(size_t n, bool is_chain, const char *expected)
{
    double_file *files = calloc(n + 2, sizeof(*files));
    assert_non_null(files);
    gw_buf first;
    gw_buf_init(&first, 0);
    gw_buf_add_str(&first, "spring.config.import: 'a0.yml");
    for (size_t i = 1; i < n && !is_chain; i++) {
        gw_buf_addf(&first, ",a%zu.yml", i);
    }
    gw_buf_add_str(&first, "'");
    files[0] = (double_file){"foo.yml", first.data};
    for (size_t i = 0; i < n; i++) {
        char *path = NULL;
        char *text = NULL;
        assert_true(asprintf(&path, "a%zu.yml", i) > 0);
        assert_true(asprintf(&text, is_chain ? "spring.config.import: a%zu.yml" : "k: %zu", i + 1) >
                    0);
        files[i + 1] = (double_file){path, text};
    }
    cs_view *view = NULL;
    cs_environment env = {.sources = NULL};
    gw_error err = GW_ERROR_INIT;
    gw_status st = view_double_load(files, "foo", "x", &view, &env, &err);
    if (expected == NULL) {
        assert_int_equal(st, GW_OK);
        assert_int_equal(env.n_sources, n + 1);
    } else {
        assert_int_equal(st, GW_E_LIMIT);
        assert_string_equal(err.text, expected);
    }
    cs_environment_dispose(&env);
    view_double_free(view);
    for (size_t i = 0; i < n; i++) {
        free((char *)(uintptr_t)files[i + 1].path);
        free((char *)(uintptr_t)files[i + 1].text);
    }
    gw_buf_dispose(&first);
    free(files);
}

static void imports_are_bounded(void **state)
{
    (void)state;
    expect_import_limit(CS_IMPORT_DEPTH_MAX, true, NULL);
    expect_import_limit(CS_IMPORT_DEPTH_MAX + 1, true, "a7.yml:1: imports nested more than 8 deep");
    expect_import_limit(CS_IMPORTS_MAX, false, NULL);
    expect_import_limit(CS_IMPORTS_MAX + 1, false, "foo.yml:1: more than 64 files are imported");
}

static void all_files_together_are_bounded(void **state)
{
    (void)state;
    char *filler = repeat("#", CS_FILE_BYTES_MAX - 16);
    double_file files[] = {
        {"a.yml", filler}, {"b.yml", filler}, {"c.yml", filler},
        {"d.yml", filler}, {"e.yml", filler}, {NULL, NULL},
    };
    double_label label = {.name = "main", .version = "c0", .files = files};
    cs_view *view = view_double_new(&label, 1);
    expect_names("16 MiB", load_names(view, NULL, "a,b,c,d", "x", NULL), "");
    expect_names("more", load_names(view, NULL, "a,b,c,d,e", "x", NULL),
                 "e.yml: the files are larger than 16 MiB");
    view_double_free(view);
    free(filler);
}

static void files_and_documents_are_counted(void **state)
{
    (void)state;
    char *documents = repeat("---\nk: 1\n", CS_DOCUMENTS_MAX);
    double_file files[CS_ANSWER_FILES_MAX + 2] = {{NULL, NULL}};
    char paths[CS_ANSWER_FILES_MAX + 1][32];
    double_label label = {.name = "main", .version = "c0", .files = files};
    /* of 17 names, each with 16 profiles and the formats */
    size_t n = 0;
    for (int profile = 0; profile < 17; profile++) {
        for (int name = 0; name < 16; name++) {
            for (int i = 0; i < 4 && n < CS_ANSWER_FILES_MAX + 1; i++) {
                static const char *const formats[] = {"yaml", "yml", "properties", "xml"};
                char suffix[8] = "";
                if (profile > 0) {
                    snprintf(suffix, sizeof(suffix), "-%d", profile);
                }
                snprintf(paths[n], sizeof(paths[n]), "a%d%s.%s", name, suffix, formats[i]);
                files[n] = (double_file){
                    paths[n],
                    i == 3 ? "<properties><entry key='k'>1</entry></properties>" : "k: 1"};
                n++;
            }
        }
    }
    static const char names[] = "a0,a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15";
    static const char profiles[] = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16";
    assert_int_equal(n, CS_ANSWER_FILES_MAX + 1);
    cs_view *view = view_double_new(&label, 1);
    char *got = load_names(view, NULL, names, profiles, NULL);
    assert_non_null(strstr(got, ": more than 1024 files make up the answer"));
    free(got);
    view_double_free(view);

    for (size_t i = 0; i < 9; i++) {
        snprintf(paths[i], sizeof(paths[i]), "a%zu.yml", i);
        files[i] = (double_file){paths[i], documents};
    }
    files[9].path = NULL;
    view = view_double_new(&label, 1);
    got = load_names(view, NULL, "a0,a1,a2,a3,a4,a5,a6,a7", "x", NULL);
    assert_non_null(strstr(got, "a0.yml#0"));
    free(got);
    expect_names("documents", load_names(view, NULL, names, "x", NULL),
                 "a8.yml: more than 2048 documents make up the answer");
    view_double_free(view);

    files[5].path = NULL; /* 1280 of each label */
    double_label two[] = {
        {.name = "main", .version = "c0", .files = files},
        {.name = "next", .version = "c1", .files = files},
    };
    view = view_double_new(two, N_OF(two));
    expect_names("labels", load_names(view, NULL, names, "x", "main,next"),
                 "the labels come to more than 2048 documents");
    view_double_free(view);
    free(documents);
}

/* ---- labels and overrides -------------------------------------------------------------- */

static const double_file main_files[] = {
    {"foo.yml", "k: main"},
    {"foo-x.yml", "k: main"},
    {"only.yml", "k: main"},
    {NULL, NULL},
};
static const double_file feature_files[] = {
    {"foo.yml", "k: feature\n---\nk: 2"},
    {"application-x.yml", "k: feature"},
    {NULL, NULL},
};
static const double_label labels[] = {
    {.name = "main",
     .version = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     .files = main_files,
     .time_s = 100,
     .age_ms = 7},
    {.name = "feature/x",
     .version = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
     .files = feature_files,
     .time_s = 90,
     .is_stale = true,
     .age_ms = 5},
    {.name = "v1",
     .version = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     .files = main_files,
     .time_s = 100},
    {.name = "down", .version = "dd", .files = main_files, .fails = GW_E_UNAVAILABLE},
};

static void later_labels_lie_above(void **state)
{
    (void)state;
    static const struct {
        const char *label, *expected;
    } cases[] = {
        {NULL, "foo-x.yml foo.yml"},
        {"main", "foo-x.yml foo.yml"},
        {"feature(_)x", "application-x.yml foo.yml#1 foo.yml#0"},
        /* the whole environment of the later one, then that of the earlier one */
        {"main,feature(_)x", "application-x.yml foo.yml#1 foo.yml#0 foo-x.yml foo.yml"},
        {"feature(_)x,main", "foo-x.yml foo.yml application-x.yml foo.yml#1 foo.yml#0"},
        /* two names of one commit */
        {"main,v1", "foo-x.yml foo.yml"},
        {"main,nowhere", "no label 'nowhere'"},
        {"nowhere,main", "no label 'nowhere'"},
        {"nowhere", "no label 'nowhere'"},
        {"main,down", "label 'down' fails"},
    };
    cs_view *view = view_double_new(labels, N_OF(labels));
    for (size_t i = 0; i < N_OF(cases); i++) {
        expect_names(cases[i].label, load_names(view, NULL, "foo", "x", cases[i].label),
                     cases[i].expected);
    }
    cs_rules rules = {.skip_failing_labels = true};
    expect_names("a label is passed over", load_names(view, &rules, "foo", "x", "nowhere,main"),
                 "foo-x.yml foo.yml");
    expect_names("but not the only one", load_names(view, &rules, "foo", "x", "nowhere"),
                 "no label 'nowhere'");
    expect_names("nor all of them", load_names(view, &rules, "foo", "x", "nowhere,none"),
                 "no label 'none'");
    expect_names("nor one that is only away", load_names(view, &rules, "foo", "x", "down,main"),
                 "label 'down' fails");
    view_double_free(view);
}

static void several_labels_have_one_answer(void **state)
{
    (void)state;
    cs_request req;
    cs_environment env;
    cs_rules rules = {.n_overrides = 0};
    cs_view *view = view_double_new(labels, N_OF(labels));
    assert_int_equal(cs_request_init(&req, "foo", "x", "main,feature(_)x", NULL), GW_OK);
    assert_int_equal(cs_environment_load(view, &rules, &req, &env, NULL), GW_OK);
    assert_string_equal(env.version, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,"
                                     "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    assert_int_equal(env.modified_s, 100);
    assert_true(env.is_stale);
    assert_int_equal(env.age_ms, 7);
    static const char *const names[] = {
        DOUBLE_URI "/application-x.yml",
        DOUBLE_URI "/foo.yml (document #1)",
        DOUBLE_URI "/foo.yml (document #0)",
        DOUBLE_URI "/foo-x.yml",
        DOUBLE_URI "/foo.yml (commit aaaaaaaaaaaa)",
    };
    assert_int_equal(env.n_sources, N_OF(names));
    for (size_t i = 0; i < N_OF(names); i++) {
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(env.sources[i].name, env.sources[j].name);
        }
    }
    assert_string_equal(env.sources[0].name, names[0]);
    assert_string_equal(env.sources[1].name, names[1]);
    assert_string_equal(env.sources[3].name, names[3]);
    cs_environment_dispose(&env);
    view_double_free(view);
}

static void overrides_come_first(void **state)
{
    (void)state;
    const cs_property overrides[] = {
        {.key = {"k", 1}, .value = {"over", 4}},
        {.key = {"n", 1}, .value = {"7", 1}, .kind = CS_VALUE_LITERAL},
    };
    cs_rules rules = {.overrides = overrides, .n_overrides = N_OF(overrides)};
    cs_view *view = view_double_new(labels, N_OF(labels));
    expect_names("overrides", load_names(view, &rules, "foo", "x", NULL),
                 "overrides foo-x.yml foo.yml");
    expect_names("of an unknown application", load_names(view, &rules, "none", "default", NULL),
                 "overrides");
    rules.refuse_empty = true;
    expect_names("refused all the same", load_names(view, &rules, "none", "default", NULL),
                 "no configuration for none/default");
    expect_names("what there is is not", load_names(view, &rules, "foo", "default", NULL),
                 "overrides foo.yml");
    view_double_free(view);
}

static void a_directory_has_no_version(void **state)
{
    (void)state;
    static const double_label directory = {.name = "main", .files = main_files, .time_s = 5};
    cs_view *view = view_double_new(&directory, 1);
    cs_rules rules = {.n_overrides = 0};
    cs_request req;
    cs_environment env;
    assert_int_equal(cs_request_init(&req, "foo", "default", NULL, NULL), GW_OK);
    assert_int_equal(cs_environment_load(view, &rules, &req, &env, NULL), GW_OK);
    assert_null(env.version);
    assert_int_equal(env.modified_s, 5);
    assert_false(env.is_stale);
    cs_environment_dispose(&env);
    view_double_free(view);
}

/* ---- the wire ----------------------------------------------------------------------------- */

static const double_file wire_files[] = {
    {"foo.yml", "port: 6767\nratio: 1.50\non: true\nname: \"a\\\"b\"\nlist: [x]\nnone: ~\n"
                "big: 123456789012345678901234567890\nnan: .nan\ninf: -.inf\nmap: {}\n"},
    {"foo-dev.yml", "a: 1\n---\nb: '2'\n"},
    {"foo.properties", "n=010\n"},
    {NULL, NULL},
};

static void expect_json(const cs_request *req, const cs_environment *env, bool with_origins,
                        const char *expected)
{
    gw_buf out;
    gw_buf_init(&out, 0);
    cs_json_write_environment(&out, req, env, with_origins);
    assert_string_equal(out.data, expected);
    json_t *parsed =
        json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    assert_non_null(parsed);
    json_decref(parsed);
    gw_buf_dispose(&out);
}

static void the_wire_form_is_springs(void **state)
{
    (void)state;
    cs_view *view = NULL;
    cs_environment env;
    cs_request req;
    assert_int_equal(cs_request_init(&req, "foo", "dev,mysql", NULL, NULL), GW_OK);
    assert_int_equal(view_double_load(wire_files, "foo", "dev,mysql", &view, &env, NULL), GW_OK);
    expect_json(&req, &env, false,
                "{\"name\":\"foo\",\"profiles\":[\"dev,mysql\"],\"label\":null,"
                "\"version\":\"0123456789abcdef\",\"state\":\"\",\"propertySources\":["
                "{\"name\":\"file:///repo/foo-dev.yml (document #1)\",\"source\":{\"b\":\"2\"}},"
                "{\"name\":\"file:///repo/foo-dev.yml (document #0)\",\"source\":{\"a\":1}},"
                "{\"name\":\"file:///repo/foo.properties\",\"source\":{\"n\":\"010\"}},"
                "{\"name\":\"file:///repo/foo.yml\",\"source\":{\"port\":6767,\"ratio\":1.5,"
                "\"[true]\":true,\"name\":\"a\\\"b\",\"list[0]\":\"x\",\"none\":\"\","
                "\"big\":123456789012345678901234567890,\"nan\":\"NaN\",\"inf\":\"-Infinity\"}}]}");
    expect_json(&req, &env, true,
                "{\"name\":\"foo\",\"profiles\":[\"dev,mysql\"],\"label\":null,"
                "\"version\":\"0123456789abcdef\",\"state\":\"\",\"propertySources\":["
                "{\"name\":\"file:///repo/foo-dev.yml (document #1)\",\"source\":"
                "{\"b\":{\"value\":\"2\",\"origin\":\"3:4\"}}},"
                "{\"name\":\"file:///repo/foo-dev.yml (document #0)\",\"source\":"
                "{\"a\":{\"value\":1,\"origin\":\"1:4\"}}},"
                "{\"name\":\"file:///repo/foo.properties\",\"source\":"
                "{\"n\":{\"value\":\"010\",\"origin\":\"1:1\"}}},"
                "{\"name\":\"file:///repo/foo.yml\",\"source\":{"
                "\"port\":{\"value\":6767,\"origin\":\"1:7\"},"
                "\"ratio\":{\"value\":1.5,\"origin\":\"2:8\"},"
                "\"[true]\":{\"value\":true,\"origin\":\"3:5\"},"
                "\"name\":{\"value\":\"a\\\"b\",\"origin\":\"4:7\"},"
                "\"list[0]\":{\"value\":\"x\",\"origin\":\"5:8\"},"
                "\"none\":{\"value\":\"\",\"origin\":\"6:7\"},"
                "\"big\":{\"value\":123456789012345678901234567890,\"origin\":\"7:6\"},"
                "\"nan\":{\"value\":\"NaN\",\"origin\":\"8:6\"},"
                "\"inf\":{\"value\":\"-Infinity\",\"origin\":\"9:6\"}}}]}");
    cs_environment_dispose(&env);
    assert_int_equal(cs_request_init(&req, "a(_)b", "default", "f(_)x", NULL), GW_OK);
    expect_json(&req, &(cs_environment){.version = NULL}, false,
                "{\"name\":\"a/b\",\"profiles\":[\"default\"],\"label\":\"f/x\","
                "\"version\":null,\"state\":\"\",\"propertySources\":[]}");
    view_double_free(view);
}

static void what_has_no_place_has_no_origin(void **state)
{
    (void)state;
    cs_request req;
    cs_property item = {.key = {"secret", 6}, .value = {"x", 1}};
    cs_source source = {.name = "overrides", .path = "", .items = &item, .n_items = 1};
    cs_environment env = {.sources = &source, .n_sources = 1};
    assert_int_equal(cs_request_init(&req, "foo", "default", NULL, NULL), GW_OK);
    expect_json(&req, &env, true,
                "{\"name\":\"foo\",\"profiles\":[\"default\"],\"label\":null,"
                "\"version\":null,\"state\":\"\",\"propertySources\":["
                "{\"name\":\"overrides\",\"source\":{\"secret\":\"x\"}}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_come_in_springs_order),
        cmocka_unit_test(directories_come_in_springs_order),
        cmocka_unit_test(faults_name_file_and_line),
        cmocka_unit_test(imports_stay_in_the_repository),
        cmocka_unit_test(imports_are_bounded),
        cmocka_unit_test(all_files_together_are_bounded),
        cmocka_unit_test(files_and_documents_are_counted),
        cmocka_unit_test(later_labels_lie_above),
        cmocka_unit_test(several_labels_have_one_answer),
        cmocka_unit_test(overrides_come_first),
        cmocka_unit_test(a_directory_has_no_version),
        cmocka_unit_test(the_wire_form_is_springs),
        cmocka_unit_test(what_has_no_place_has_no_origin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
