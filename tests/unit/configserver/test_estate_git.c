/* SPDX-License-Identifier: MIT */
/* The estate over git itself: what is committed, here or through a mirror, is in the next answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "configserver/fixture.h"
#include "repo/estate.h"
#include "repo/parsed.h"

static cs_estate *open_estate(const char *uri)
{
    cs_repo_options repo = {.uri = uri};
    cs_estate_options options = {
        .repos = &repo, .n_repos = 1, .open = cs_backend_open, .free_memo_value = free};
    cs_estate *estate = NULL;
    gw_error err = GW_ERROR_INIT;
    if (cs_estate_open(&options, &estate, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return estate;
}

/* The value in a.yml and the version, "-" when the label is not known. */
static const char *value_at(cs_estate *estate, const char *label, char *ret_version)
{
    static char text[64];
    cs_place place;
    gw_error err = GW_ERROR_INIT;
    gw_status st = cs_view_place(cs_estate_view(estate), "app", "dev", label, &place, &err);
    if (st != GW_OK) {
        assert_int_equal(st, GW_E_NOT_FOUND);
        return "-";
    }
    const cs_file *file = NULL;
    const cs_tree_entry *entry = cs_tree_find(place.tree, "a.yml");
    assert_non_null(entry);
    if (cs_tree_parse(place.tree, entry, &file, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    snprintf(text, sizeof(text), "%s", file->documents[0].items[0].value.bytes);
    cs_tree_release(file);
    if (ret_version != NULL) {
        strcpy(ret_version, cs_tree_version(place.tree));
    }
    cs_place_dispose(&place);
    return text;
}

static void commits_are_in_the_next_answer(void **state)
{
    (void)state;
    for (int is_bare = 0; is_bare < 2; is_bare++) {
        fixture fix;
        char first[41];
        char id[41];
        char version[41];
        fixture_make(&fix, is_bare);
        fixture_commit_file(&fix, "main", "a.yml", "a: 0", first);
        cs_estate *estate = open_estate(fix.repo);
        assert_string_equal(value_at(estate, NULL, version), "0");
        assert_string_equal(version, first);
        for (int i = 1; i < 30; i++) {
            char text[16];
            snprintf(text, sizeof(text), "a: %d", i);
            fixture_commit_file(&fix, "main", "a.yml", text, id);
            assert_string_equal(value_at(estate, NULL, version), text + 3);
            assert_string_equal(version, id);
        }
        fixture_commit_file(&fix, "feature/x", "a.yml", "a: x", NULL);
        assert_string_equal(value_at(estate, "feature/x", NULL), "x");
        fixture_tag(&fix, "v1", "feature/x", true);
        assert_string_equal(value_at(estate, "v1", NULL), "x");
        first[9] = '\0';
        assert_string_equal(value_at(estate, first, NULL), "0");
        fixture_pack_refs(&fix);
        assert_string_equal(value_at(estate, NULL, NULL), "29");
        fixture_commit_file(&fix, "main", "a.yml", "a: packed", NULL);
        assert_string_equal(value_at(estate, NULL, NULL), "packed");
        fixture_delete_branch(&fix, "feature/x");
        assert_string_equal(value_at(estate, "feature/x", NULL), "-");
        cs_estate_close(estate);
        assert_int_equal(cs_parsed_bytes(), 0);
        fixture_remove(&fix);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commits_are_in_the_next_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
