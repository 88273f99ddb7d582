/* SPDX-License-Identifier: MIT */
/* What labels name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "files/bounds.h"
#include "repo/refs.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static cs_refs *make(const cs_ref *items, size_t n)
{
    cs_refs *refs = NULL;
    assert_int_equal(cs_refs_new(items, n, &refs, NULL), GW_OK);
    return refs;
}

static const char *commit_of(const cs_refs *refs, const char *label)
{
    const cs_ref *found = cs_refs_find(refs, label);
    return found == NULL ? "" : found->commit.id;
}

static void a_label_is_a_branch_else_a_tag(void **state)
{
    (void)state;
    const cs_ref items[] = {
        {"v1", CS_REF_TAG, {"1111"}},          {"main", CS_REF_TAG, {"2222"}},
        {"feature/x", CS_REF_BRANCH, {"33"}},  {"main", CS_REF_BRANCH, {"4444"}},
        {"maintenance", CS_REF_BRANCH, {"5"}},
    };
    cs_refs *refs = make(items, N_OF(items));
    assert_int_equal(cs_refs_count(refs), 5);
    assert_string_equal(commit_of(refs, "main"), "4444");
    assert_string_equal(commit_of(refs, "v1"), "1111");
    assert_string_equal(commit_of(refs, "feature/x"), "33");
    assert_string_equal(commit_of(refs, "maintenance"), "5");
    static const char *const unknown[] = {"", "feature", "Main", "mai", "main/", "v", "v2", "zzz"};
    for (size_t i = 0; i < N_OF(unknown); i++) {
        assert_string_equal(commit_of(refs, unknown[i]), "");
    }
    for (size_t i = 1; i < cs_refs_count(refs); i++) {
        assert_true(strcmp(cs_refs_at(refs, i - 1)->name, cs_refs_at(refs, i)->name) <= 0);
    }
    cs_refs_unref(refs);
}

static void a_directory_has_one_state_whatever_the_label(void **state)
{
    (void)state;
    const cs_ref any = {NULL, CS_REF_ANY, {""}};
    cs_refs *refs = make(&any, 1);
    assert_ptr_equal(cs_refs_find(refs, "main"), cs_refs_at(refs, 0));
    assert_ptr_equal(cs_refs_find(refs, ""), cs_refs_at(refs, 0));
    cs_refs_unref(refs);
}

static void names_are_copied_and_the_empty_set_is_one(void **state)
{
    (void)state;
    char name[] = "main";
    const cs_ref item = {name, CS_REF_BRANCH, {"1"}};
    cs_refs *refs = make(&item, 1);
    name[0] = 'x';
    assert_string_equal(commit_of(refs, "main"), "1");
    cs_refs *same = cs_refs_ref(refs);
    cs_refs_unref(refs);
    assert_string_equal(commit_of(same, "main"), "1");
    cs_refs_unref(same);
    cs_refs *none = make(NULL, 0);
    assert_int_equal(cs_refs_count(none), 0);
    assert_null(cs_refs_find(none, "main"));
    cs_refs_unref(none);
    cs_refs_unref(NULL);
}

static void a_difference_in_anything_is_one(void **state)
{
    (void)state;
    const cs_ref base[] = {{"a", CS_REF_BRANCH, {"1"}}, {"b", CS_REF_TAG, {"2"}}};
    const cs_ref turned[] = {{"b", CS_REF_TAG, {"2"}}, {"a", CS_REF_BRANCH, {"1"}}};
    const cs_ref others[][2] = {
        {{"a", CS_REF_BRANCH, {"1"}}, {"b", CS_REF_TAG, {"3"}}},
        {{"a", CS_REF_BRANCH, {"1"}}, {"b", CS_REF_BRANCH, {"2"}}},
        {{"a", CS_REF_BRANCH, {"1"}}, {"c", CS_REF_TAG, {"2"}}},
    };
    cs_refs *refs = make(base, 2);
    cs_refs *same = make(turned, 2);
    cs_refs *fewer = make(base, 1);
    assert_true(cs_refs_equal(refs, same));
    assert_false(cs_refs_equal(refs, fewer));
    for (size_t i = 0; i < N_OF(others); i++) {
        cs_refs *other = make(others[i], 2);
        assert_false(cs_refs_equal(refs, other));
        cs_refs_unref(other);
    }
    cs_refs_unref(refs);
    cs_refs_unref(same);
    cs_refs_unref(fewer);
}

static void there_are_only_so_many(void **state)
{
    (void)state;
    cs_ref *items = calloc(CS_REFS_MAX + 1, sizeof(*items));
    for (size_t i = 0; i <= CS_REFS_MAX; i++) {
        items[i].name = "x";
    }
    cs_refs *refs = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(cs_refs_new(items, CS_REFS_MAX + 1, &refs, &err), GW_E_LIMIT);
    assert_string_equal(err.text, "more than 20000 branches and tags");
    assert_int_equal(cs_refs_new(items, CS_REFS_MAX, &refs, &err), GW_OK);
    cs_refs_unref(refs);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_label_is_a_branch_else_a_tag),
        cmocka_unit_test(a_directory_has_one_state_whatever_the_label),
        cmocka_unit_test(names_are_copied_and_the_empty_set_is_one),
        cmocka_unit_test(a_difference_in_anything_is_one),
        cmocka_unit_test(there_are_only_so_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
