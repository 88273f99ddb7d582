/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/config.h>

#include "config/properties.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static void group_names(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        size_t len;
    } cases[] = {
        {"a", 1},         {"a[0]", 1}, {"a.b[12].c[3]", 3}, {"a[x]", 4},
        {"a[x][0]", 4},   {"[0]", 3},  {"[x.y].z", 7},      {"a[", 2},
        {"a[]", 3},       {"a[0", 3},  {"a[0x]", 5},        {"a[-1]", 5},
        {"a[0].b[x]", 1}, {"", 0},     {"a]0[", 4},         {"a[[0]", 2},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        size_t len = gw__key_group_len(cases[i].key);
        if (len != cases[i].len) {
            fail_msg("'%s': got %zu, expected %zu", cases[i].key, len, cases[i].len);
        }
    }
}

/* Sources as "origin: key=value key=value", highest first. */
static gw__properties *build(const char *const *sources, size_t n)
{
    gw__properties *props = gw__properties_new();
    for (size_t i = 0; i < n; i++) {
        char text[256];
        snprintf(text, sizeof(text), "%s", sources[i]);
        char *save = NULL;
        char *origin = strtok_r(text, ":", &save);
        assert_int_equal(gw__properties_add_source(props, origin, (unsigned)i, NULL), GW_OK);
        for (char *item = strtok_r(NULL, " ", &save); item != NULL;
             item = strtok_r(NULL, " ", &save)) {
            char *equals = strchr(item, '=');
            *equals = '\0';
            assert_int_equal(gw__properties_add(props, item, equals + 1, NULL), GW_OK);
        }
    }
    gw__properties_seal(props);
    return props;
}

static void describe(const gw__properties *props, char *text, size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; i < gw__properties_count(props); i++) {
        const gw__property *item = gw__properties_at(props, i);
        size_t len = strlen(text);
        snprintf(text + len, size - len, "%s%s=%s@%s", i > 0 ? " " : "", item->key, item->value,
                 item->origin);
    }
}

static void sources_merge(void **state)
{
    (void)state;
    static const struct {
        const char *sources[3];
        size_t n;
        const char *want;
    } cases[] = {
        {{NULL}, 0, ""},
        {{"x:"}, 1, ""},
        {{"x:b=1 a=2"}, 1, "a=2@x b=1@x"},
        {{"hi:a=1", "lo:a=2 b=3"}, 2, "a=1@hi b=3@lo"},
        {{"hi:a=", "lo:a=2"}, 2, "a=@hi"}, /* empty is not absent */
        {{"1:c=1", "2:b=2 c=2", "3:a=3 b=3 c=3"}, 3, "a=3@3 b=2@2 c=1@1"},
        /* lists are replaced, not merged by index */
        {{"hi:l[0]=x", "lo:l[0]=a l[1]=b"}, 2, "l[0]=x@hi"},
        {{"hi:l=", "lo:l[0]=a l[1]=b"}, 2, "l=@hi"},
        {{"hi:l[0]=x l[1]=y", "lo:l=a,b"}, 2, "l[0]=x@hi l[1]=y@hi"},
        {{"hi:l[1].k=x", "lo:l[0].k=a l[0].j=b"}, 2, "l[1].k=x@hi"},
        /* a map is not a list */
        {{"hi:m[x]=1", "lo:m[x]=2 m[y]=3"}, 2, "m[x]=1@hi m[y]=3@lo"},
        {{"hi:a.b=1", "lo:a=2 a.c=3"}, 2, "a=2@lo a.b=1@hi a.c=3@lo"},
        /* the order within a list is its source's */
        {{"x:l[10]=k l[2]=c l[0]=a"}, 1, "l[10]=k@x l[2]=c@x l[0]=a@x"},
        /* names that begin alike are apart */
        {{"hi:ab[0]=1", "lo:a[0]=2 abc=3"}, 2, "a[0]=2@lo ab[0]=1@hi abc=3@lo"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw__properties *props = build(cases[i].sources, cases[i].n);
        char got[512];
        describe(props, got, sizeof(got));
        if (strcmp(got, cases[i].want) != 0) {
            fail_msg("case %zu: got '%s', expected '%s'", i, got, cases[i].want);
        }
        gw__properties_unref(props);
    }
}

static void groups_are_found(void **state)
{
    (void)state;
    static const char *const sources[] = {"x:a=1 ab=2 l[0]=3 l[1]=4 la=5 z=6"};
    gw__properties *props = build(sources, 1);
    static const struct {
        const char *name;
        size_t n;
        const char *first;
    } cases[] = {{"a", 1, "1"}, {"ab", 1, "2"}, {"l", 2, "3"},  {"la", 1, "5"},  {"z", 1, "6"},
                 {"", 0, NULL}, {"b", 0, NULL}, {"A", 0, NULL}, {"zz", 0, NULL}, {"l[0]", 0, NULL}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw__group group = gw__properties_group(props, cases[i].name, strlen(cases[i].name));
        if (group.n != cases[i].n ||
            (group.n > 0 && strcmp(group.items[0].value, cases[i].first) != 0)) {
            fail_msg("'%s': %zu items, expected %zu", cases[i].name, group.n, cases[i].n);
        }
    }
    gw__properties_unref(props);
    props = build(NULL, 0);
    assert_int_equal(gw__properties_group(props, "a", 1).n, 0);
    gw__properties_unref(props);
    gw__properties_unref(NULL);
}

static void limits(void **state)
{
    (void)state;
    gw__properties *props = gw__properties_new();
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw__properties_add_source(props, "file:///x.yml", 0, NULL), GW_OK);
    assert_int_equal(gw__properties_add(props, "", "v", &err), GW_E_INVALID);
    assert_string_equal(err.text, "an empty key in file:///x.yml");
    char key[GW_CONFIG_KEY_MAX + 2];
    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    assert_int_equal(gw__properties_add(props, key, "v", &err), GW_E_LIMIT);
    key[GW_CONFIG_KEY_MAX] = '\0';
    assert_int_equal(gw__properties_add(props, key, "v", &err), GW_OK);
    for (int i = 1; i < GW_CONFIG_PROPERTIES_MAX; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        assert_int_equal(gw__properties_add(props, key, "v", &err), GW_OK);
    }
    assert_int_equal(gw__properties_add(props, "one-more", "v", &err), GW_E_LIMIT);
    gw__properties_seal(props);
    assert_int_equal(gw__properties_count(props), GW_CONFIG_PROPERTIES_MAX);
    gw__properties_unref(props);
}

/* A property with a line says so; its source's others do not. */
static void places(void **state)
{
    (void)state;
    gw__properties *props = gw__properties_new();
    assert_int_equal(gw__properties_add_source(props, "file:///x.yml", 0, NULL), GW_OK);
    assert_int_equal(gw__properties_add_at(props, "a", "1", 3, NULL), GW_OK);
    assert_int_equal(gw__properties_add_at(props, "b", "2", 4294967295u, NULL), GW_OK);
    assert_int_equal(gw__properties_add(props, "c", "3", NULL), GW_OK);
    gw__properties_seal(props);
    assert_int_equal(gw__properties_reveal(props, 2, "opened", NULL), GW_OK);
    char got[512];
    describe(props, got, sizeof(got));
    assert_string_equal(got,
                        "a=1@file:///x.yml:3 b=2@file:///x.yml:4294967295 c=opened@file:///x.yml");
    assert_false(gw__properties_at(props, 0)->secret);
    assert_true(gw__properties_at(props, 2)->secret);
    gw__properties_unref(props);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(group_names),      cmocka_unit_test(sources_merge),
        cmocka_unit_test(groups_are_found), cmocka_unit_test(limits),
        cmocka_unit_test(places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
