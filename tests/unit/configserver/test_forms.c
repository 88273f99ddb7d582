/* SPDX-License-Identifier: MIT */
/*
 * Random properties, nested and flat: whatever way they are written, they are read as the same. The
 * seed is printed, and taken from GODWIT_SEED.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "answer/flat.h"
#include "configserver/view_double.h"
#include "files/format.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define N_CASES     1500
#define DEPTH_MAX   4

static uint64_t seed;
static uint64_t random_state;

static size_t pick(size_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)((random_state >> 33) % n);
}

/* ---- a flat form of the test's own ----------------------------------------------------------- */

typedef struct pair {
    char *key;
    char *value;
    size_t value_len;
    bool is_literal;
    size_t place;
} pair;

typedef struct flat {
    pair *pairs;
    size_t n;
} flat;

static void flat_put(flat *f, const char *key, const char *value, size_t len, bool is_literal)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->pairs[i].key, key) == 0) {
            free(f->pairs[i].value);
            f->pairs[i].value = strndup(value, len);
            f->pairs[i].value_len = len;
            f->pairs[i].is_literal = is_literal;
            return;
        }
    }
    f->pairs = realloc(f->pairs, (f->n + 1) * sizeof(pair));
    assert_non_null(f->pairs);
    f->pairs[f->n] = (pair){strdup(key), strndup(value, len), len, is_literal, f->n};
    f->n++;
}

static void flat_remove(flat *f, size_t i)
{
    free(f->pairs[i].key);
    free(f->pairs[i].value);
    memmove(&f->pairs[i], &f->pairs[i + 1], (f->n - i - 1) * sizeof(pair));
    f->n--;
}

static void flat_free(flat *f)
{
    while (f->n > 0) {
        flat_remove(f, f->n - 1);
    }
    free(f->pairs);
    f->pairs = NULL;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const pair *)a)->key, ((const pair *)b)->key);
}

/* All that is the same must be; the kinds too, unless everything became text. */
static void expect_same(const char *what, flat *got, flat *wanted, bool as_text, const char *text)
{
    qsort(got->pairs, got->n, sizeof(pair), by_key);
    qsort(wanted->pairs, wanted->n, sizeof(pair), by_key);
    for (size_t i = 0; i < got->n || i < wanted->n; i++) {
        const pair *g = i < got->n ? &got->pairs[i] : NULL;
        const pair *w = i < wanted->n ? &wanted->pairs[i] : NULL;
        if (g == NULL || w == NULL || strcmp(g->key, w->key) != 0 ||
            strcmp(g->value, w->value) != 0 || (!as_text && g->is_literal != w->is_literal)) {
            fail_msg("GODWIT_SEED=%llu: %s: gave '%s' = '%s' (%d), wanted '%s' = '%s' (%d), in\n%s",
                     (unsigned long long)seed, what, g == NULL ? "-" : g->key,
                     g == NULL ? "-" : g->value, g != NULL && g->is_literal,
                     w == NULL ? "-" : w->key, w == NULL ? "-" : w->value,
                     w != NULL && w->is_literal, text);
        }
    }
}

static flat flat_of_json(json_t *value);

static void flatten_json(flat *f, const char *path, json_t *value)
{
    char key[4096];
    char number[64];
    size_t i;
    json_t *child;
    const char *name;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        json_object_foreach(value, name, child)
        {
            const char *dot = path[0] == '\0' || name[0] == '[' ? "" : ".";
            snprintf(key, sizeof(key), "%s%s%s", path, dot, name);
            flatten_json(f, key, child);
        }
        break;
    case JSON_ARRAY:
        json_array_foreach(value, i, child)
        {
            snprintf(key, sizeof(key), "%s[%zu]", path, i);
            flatten_json(f, key, child);
        }
        if (json_array_size(value) == 0) {
            flat_put(f, path, "", 0, false);
        }
        break;
    case JSON_STRING:
        flat_put(f, path, json_string_value(value), json_string_length(value), false);
        break;
    case JSON_INTEGER:
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        flat_put(f, path, number, strlen(number), true);
        break;
    case JSON_REAL:
        snprintf(number, sizeof(number), "%.1f", json_real_value(value));
        flat_put(f, path, number, strlen(number), true);
        break;
    case JSON_TRUE: flat_put(f, path, "true", 4, true); break;
    case JSON_FALSE: flat_put(f, path, "false", 5, true); break;
    case JSON_NULL: flat_put(f, path, "", 0, false); break;
    }
}

static flat flat_of_json(json_t *value)
{
    flat f = {NULL, 0};
    flatten_json(&f, "", value);
    return f;
}

static flat read_back(const char *path, const char *text, size_t len)
{
    cs_file file = {.path = ""};
    gw_error err = GW_ERROR_INIT;
    flat f = {NULL, 0};
    if (cs_format_read(&file, path, text, len, &err) != GW_OK) {
        fail_msg("GODWIT_SEED=%llu: %s, in\n%s", (unsigned long long)seed, err.text, text);
    }
    assert_true(file.n_documents <= 1);
    for (size_t i = 0; file.n_documents > 0 && i < file.documents[0].n_items; i++) {
        const cs_property *item = &file.documents[0].items[i];
        flat_put(&f, item->key.bytes, item->value.bytes, item->value.len,
                 item->kind == CS_VALUE_LITERAL);
    }
    cs_file_dispose(&file);
    return f;
}

/* ---- random values --------------------------------------------------------------------------- */

static const char *const pieces[] = {
    "a",
    "b",
    "word",
    "two words",
    " ",
    "  ",
    "'",
    "\"",
    ":",
    ": ",
    "#",
    " #",
    "-",
    "- ",
    "\n",
    "\n\n",
    " \n",
    "\n ",
    "\t",
    "\r",
    "\\",
    "{",
    "}",
    "[",
    "]",
    "%",
    "&",
    "*",
    "!",
    "|",
    ">",
    "@",
    "`",
    ",",
    "?",
    "=",
    "~",
    "null",
    "true",
    "off",
    "1",
    "0x1f",
    "1:30",
    "010",
    "1e3",
    ".5",
    ".nan",
    "<<",
    "\xc3\xa9",
    "\xe2\x82\xac",
    "\xf0\x9f\x90\xa6",
    "\xc2\x85",
    "\xe2\x80\xa8",
    "\xef\xbb\xbf",
    "\xc2\xa0",
    "\x01",
    "\x7f",
    "---",
    "...",
    "$",
    "2026-11-25",
    "{cipher}",
    "a-rather-long-word-without-any-blank-in-it-at-all",
};
static const char *const names[] = {
    "a",    "b",    "c",   "dev",   "a b",   "x-y",      "true",
    "1",    "007",  "[k]", "n[k]",  "a.b",   "p.q.r",    "it's",
    "\"",   "k:",   ": k", "#k",    "- k",   "\xc3\xa4", "\xf0\x9f\x90\xa6",
    "t\tt", "l\nl", "?",   "~",     "=",     "!k",       "c\\d",
    "{",    "k]",   "n[1", "x[01]", " lead", "trail ",
};

static json_t *random_text(void)
{
    char text[2048] = "";
    size_t n = pick(4) == 0 ? pick(40) : pick(5);
    for (size_t i = 0; i < n; i++) {
        strcat(text, pieces[pick(N_OF(pieces))]);
    }
    return json_string(text);
}

static json_t *random_value(unsigned depth, bool is_item);

/* In a list no name of a map may begin with a bracket: "a[0][k]" is no item of "a", which then may
 * have a hole. */
static json_t *random_map(unsigned depth, bool is_item)
{
    json_t *map = json_object();
    size_t n = 1 + pick(5);
    for (size_t i = 0; i < n; i++) {
        const char *name = names[pick(N_OF(names))];
        json_object_set_new(map, is_item && name[0] == '[' ? "k" : name,
                            random_value(depth + 1, false));
    }
    return map;
}

static json_t *random_value(unsigned depth, bool is_item)
{
    switch (pick(depth < DEPTH_MAX ? 10 : 6)) {
    case 0: return json_integer((json_int_t)pick(100000) - 50000);
    case 1: return json_boolean(pick(2));
    case 2: return json_real((double)pick(2000) + 0.5);
    case 3: return json_null();
    case 4:
    case 5: return random_text();
    case 6:
    case 7: return random_map(depth, is_item);
    default: {
        json_t *list = json_array();
        for (size_t n = pick(4); n > 0; n--) {
            json_array_append_new(list, random_value(depth + 1, true));
        }
        return list;
    }
    }
}

/* ---- the ways to write them
 * ---------------------------------------------------------------------- */

/* All that is not a letter or a digit as a number. */
static void escape(gw_buf *out, const char *text)
{
    json_t *string = json_string(text);
    char *dumped = json_dumps(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    for (const char *p = dumped + 1; p[1] != '\0'; p++) {
        if (p[0] == '\\' && p[1] == 'u') {
            gw_buf_add(out, p, 6);
            p += 5;
        } else if (p[0] == '\\') {
            const char *plain = strchr("b\bf\fn\nr\rt\t\"\"\\\\//", p[1]);
            gw_buf_addf(out, "\\u%04x", (unsigned)plain[1]);
            p++;
        } else if ((p[0] >= 'a' && p[0] <= 'z') || (p[0] >= '0' && p[0] <= '9')) {
            gw_buf_add_char(out, *p);
        } else {
            gw_buf_addf(out, "\\u%04x", (unsigned char)p[0]);
        }
    }
    free(dumped);
    json_decref(string);
}

/* JSON is YAML but for a few characters, which YAML wants escaped. */
static char *write_yaml(json_t *nested)
{
    static const struct {
        const char *bytes, *escape;
    } characters[] = {
        {"\x7f", "\\u007f"},         {"\xc2\x85", "\\u0085"},     {"\xe2\x80\xa8", "\\u2028"},
        {"\xe2\x80\xa9", "\\u2029"}, {"\xef\xbb\xbf", "\\ufeff"},
    };
    char *json = json_dumps(nested, 0);
    gw_buf out;
    gw_buf_init(&out, 0);
    for (const char *p = json; *p != '\0';) {
        size_t n = 0;
        for (size_t i = 0; i < N_OF(characters) && n == 0; i++) {
            if (strncmp(p, characters[i].bytes, strlen(characters[i].bytes)) == 0) {
                gw_buf_add_str(&out, characters[i].escape);
                n = strlen(characters[i].bytes);
            }
        }
        if (n == 0) {
            gw_buf_add_char(&out, *p);
        }
        p += n == 0 ? 1 : n;
    }
    free(json);
    return gw_buf_detach(&out, NULL);
}

static char *write_properties(const flat *f)
{
    gw_buf out;
    gw_buf_init(&out, 0);
    gw_buf_add_str(&out, "");
    for (size_t i = 0; i < f->n; i++) {
        escape(&out, f->pairs[i].key);
        gw_buf_add_str(&out, i % 2 == 0 ? "=" : " : ");
        escape(&out, f->pairs[i].value);
        gw_buf_add_str(&out, i % 3 == 0 ? "\r\n" : "\n");
    }
    return gw_buf_detach(&out, NULL);
}

static char *write_flat(const char *name, const double_file *files, cs_flat_format format)
{
    cs_view *view = NULL;
    cs_environment env;
    gw_error err = GW_ERROR_INIT;
    gw_buf out;
    gw_buf_init(&out, 0);
    gw_buf_add_str(&out, "");
    if (view_double_load(files, name, "x,y", &view, &env, &err) != GW_OK ||
        cs_flat_write(&out, &env, format, false, &err) != GW_OK) {
        fail_msg("GODWIT_SEED=%llu: %s, in\n%s", (unsigned long long)seed, err.text, files[0].text);
    }
    cs_environment_dispose(&env);
    view_double_free(view);
    return gw_buf_detach(&out, NULL);
}

/* What the flat formats of these files come to is `wanted`. */
static void expect_flat_forms(const double_file *files, flat *wanted)
{
    char *yaml = write_flat("foo", files, CS_FLAT_YAML);
    flat got = read_back("f.yml", yaml, strlen(yaml));
    expect_same("YAML", &got, wanted, false, yaml);
    flat_free(&got);
    free(yaml);

    char *json = write_flat("foo", files, CS_FLAT_JSON);
    json_error_t where;
    json_t *nested = json_loads(json, JSON_REJECT_DUPLICATES, &where);
    if (nested == NULL) {
        fail_msg("GODWIT_SEED=%llu: %s, in\n%s", (unsigned long long)seed, where.text, json);
    }
    got = flat_of_json(nested);
    expect_same("JSON", &got, wanted, false, json);
    flat_free(&got);
    json_decref(nested);
    free(json);

    char *properties = write_flat("foo", files, CS_FLAT_PROPERTIES);
    got = read_back("f.properties", properties, strlen(properties));
    expect_same("properties", &got, wanted, true, properties);
    flat_free(&got);
    free(properties);
}

static void one_file_in_all_forms(void **state)
{
    (void)state;
    for (int i = 0; i < N_CASES; i++) {
        json_t *nested = random_map(0, false);
        flat wanted = flat_of_json(nested);
        char *yaml = write_yaml(nested);
        char *properties = write_properties(&wanted);

        flat got = read_back("f.yml", yaml, strlen(yaml));
        expect_same("nested", &got, &wanted, false, yaml);
        flat_free(&got);
        got = read_back("f.properties", properties, strlen(properties));
        expect_same("flat", &got, &wanted, true, properties);
        flat_free(&got);
        expect_flat_forms((double_file[]){{"foo.yml", yaml}, {NULL, NULL}}, &wanted);

        free(properties);
        free(yaml);
        flat_free(&wanted);
        json_decref(nested);
    }
}

/* ---- several sources --------------------------------------------------------------------------
 */

static size_t stem_len(const char *key)
{
    return strcspn(key, "[");
}

static bool has_stem(const char *key, const char *stem, size_t len)
{
    return stem_len(key) == len && strncmp(key, stem, len) == 0;
}

/* A higher source onto what is there: the plainest way to say it. */
static void lay_over(flat *low, const flat *high)
{
    for (size_t i = 0; i < high->n; i++) {
        const char *key = high->pairs[i].key;
        size_t len = stem_len(key);
        bool is_list = key[len] == '[';
        for (size_t j = low->n; j > 0; j--) {
            const char *other = low->pairs[j - 1].key;
            if (has_stem(other, key, len) && (is_list || other[len] == '[' || other[len] == '\0')) {
                flat_remove(low, j - 1);
            }
        }
    }
    for (size_t i = 0; i < high->n; i++) {
        flat_put(low, high->pairs[i].key, high->pairs[i].value, high->pairs[i].value_len,
                 high->pairs[i].is_literal);
    }
}

static void several_files_in_all_forms(void **state)
{
    (void)state;
    static const char *const paths[] = {"application.yml", "foo.yml", "application-x.yml",
                                        "foo-y.yml"};
    for (int i = 0; i < N_CASES; i++) {
        double_file files[N_OF(paths) + 1] = {{NULL, NULL}};
        flat wanted = {NULL, 0};
        for (size_t k = 0; k < N_OF(paths); k++) {
            json_t *nested = random_map(1, false);
            flat source = flat_of_json(nested);
            lay_over(&wanted, &source);
            files[k] = (double_file){paths[k], write_yaml(nested)};
            flat_free(&source);
            json_decref(nested);
        }
        expect_flat_forms(files, &wanted);
        for (size_t k = 0; k < N_OF(paths); k++) {
            free((char *)(uintptr_t)files[k].text);
        }
        flat_free(&wanted);
    }
}

int main(void)
{
    const char *given = getenv("GODWIT_SEED");
    seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    random_state = seed;
    printf("GODWIT_SEED=%llu\n", (unsigned long long)seed);
    cs_format_set_utf8_properties(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_file_in_all_forms),
        cmocka_unit_test(several_files_in_all_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
