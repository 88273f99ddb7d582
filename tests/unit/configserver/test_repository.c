/* SPDX-License-Identifier: MIT */
/* Labels to commits, paths to bytes; from repositories as git and operators leave them. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "files/bounds.h"
#include "configserver/fixture.h"
#include "configserver/rendering.h"
#include "repo/repository.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static cs_repository *open_repo(const char *location)
{
    cs_repository *repo = NULL;
    gw_error err = GW_ERROR_INIT;
    if (cs_repository_open(location, &repo, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return repo;
}

/* The commit of a label, "" when there is none. */
static const char *commit_of(cs_repository *repo, const char *label)
{
    static cs_commit commit;
    gw_error err = GW_ERROR_INIT;
    gw_status st = cs_repository_resolve(repo, label, &commit, &err);
    if (st == GW_E_NOT_FOUND) {
        assert_non_null(strstr(err.text, "no branch, tag or commit '"));
        return "";
    }
    if (st != GW_OK) {
        fail_msg("%s: %s", label, err.text);
    }
    return commit.id;
}

static gw_status read_at(cs_repository *repo, const char *label, const char *path, gw_buf *out,
                         gw_error *err)
{
    cs_commit commit;
    cs_snapshot *snapshot = NULL;
    gw_status st = cs_repository_resolve(repo, label, &commit, err);
    if (st == GW_OK) {
        st = cs_snapshot_open(repo, &commit, &snapshot, err);
    }
    if (st == GW_OK) {
        st = cs_snapshot_read(snapshot, path, out, err);
    }
    cs_snapshot_close(snapshot);
    return st;
}

static void expect_text(cs_repository *repo, const char *label, const char *path, const char *text)
{
    gw_buf out;
    gw_error err = GW_ERROR_INIT;
    gw_buf_init(&out, 0);
    if (read_at(repo, label, path, &out, &err) != GW_OK) {
        fail_msg("%s at %s: %s", path, label, err.text);
    }
    assert_string_equal(out.data, text);
    gw_buf_dispose(&out);
}

static void labels_are_branches_then_tags_then_commits(bool is_bare)
{
    fixture fix;
    char first[41], second[41], third[41];
    fixture_make(&fix, is_bare);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", first);
    fixture_tag(&fix, "v1", "main", true);
    fixture_tag(&fix, "v1-light", "main", false);
    fixture_commit_file(&fix, "main", "a.yml", "a: 2\n", second);
    fixture_commit_file(&fix, "feature/x", "a.yml", "a: 3\n", third);
    fixture_tag(&fix, "feature/x", "main", false);
    char short_id[8];
    snprintf(short_id, sizeof(short_id), "%.7s", first);
    cs_repository *repo = open_repo(fix.repo);
    const struct {
        const char *label;
        const char *expected;
    } cases[] = {
        {"main", second},
        {"v1", first},
        {"v1-light", first},
        {"feature/x", third}, /* the branch, not the tag */
        {first, first},
        {short_id, first},
        {"master", second}, /* stands in */
        {"unknown", ""},
        {"feature", ""},
        {"main/x", ""},
        {"0123456", ""},
        {"HEAD", ""},
        {"refs/heads/main", ""},
        {"-main", ""},
        {"--help", ""},
        {"main~1", ""},
        {"main^", ""},
        {"main..v1", ""},
        {"main@{0}", ""},
        {"../heads/main", ""},
        {"..", ""},
        {"/main", ""},
        {"main.lock", ""},
        {":/change", ""},
        {"main:a.yml", ""},
        {"0123456789012345678901234567890123456789", ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        if (strcmp(commit_of(repo, cases[i].label), cases[i].expected) != 0) {
            fail_msg("%s gave '%s', wanted '%s'", cases[i].label, commit_of(repo, cases[i].label),
                     cases[i].expected);
        }
    }
    expect_text(repo, "main", "a.yml", "a: 2\n");
    expect_text(repo, "v1", "a.yml", "a: 1\n");
    expect_text(repo, short_id, "a.yml", "a: 1\n");
    fixture_pack_refs(&fix);
    assert_string_equal(commit_of(repo, "main"), second);
    assert_string_equal(commit_of(repo, "v1"), first);
    cs_repository_free(repo);
    fixture_remove(&fix);
}

static void a_bare_repository_is_read(void **state)
{
    (void)state;
    labels_are_branches_then_tags_then_commits(true);
}

static void a_normal_repository_is_read(void **state)
{
    (void)state;
    labels_are_branches_then_tags_then_commits(false);
}

static void main_and_master_stand_in_for_each_other(void **state)
{
    (void)state;
    fixture fix;
    char old[41], new[41];
    fixture_make(&fix, true);
    cs_repository *repo = open_repo(fix.repo);
    assert_string_equal(commit_of(repo, "main"), "");
    assert_string_equal(commit_of(repo, "master"), "");
    fixture_commit_file(&fix, "master", "a.yml", "a: 1\n", old);
    assert_string_equal(commit_of(repo, "main"), old);
    assert_string_equal(commit_of(repo, "master"), old);
    fixture_commit_file(&fix, "main", "a.yml", "a: 2\n", new);
    assert_string_equal(commit_of(repo, "main"), new);
    assert_string_equal(commit_of(repo, "master"), old);
    fixture_delete_branch(&fix, "master");
    assert_string_equal(commit_of(repo, "master"), new);
    assert_string_equal(commit_of(repo, "develop"), "");
    cs_repository_free(repo);
    fixture_remove(&fix);
}

static void a_commit_is_seen_at_once(void **state)
{
    (void)state;
    fixture fix;
    char id[41];
    fixture_make(&fix, true);
    fixture_commit_file(&fix, "main", "a.yml", "a: 0\n", id);
    cs_repository *repo = open_repo(fix.repo);
    for (int i = 1; i < 50; i++) {
        char text[32];
        snprintf(text, sizeof(text), "a: %d\n", i);
        if (i % 10 == 0) {
            fixture_pack_refs(&fix);
        }
        fixture_commit_file(&fix, "main", "a.yml", text, id);
        assert_string_equal(commit_of(repo, "main"), id);
        expect_text(repo, "main", "a.yml", text);
    }
    cs_repository_free(repo);
    fixture_remove(&fix);
}

static void only_files_are_read(void **state)
{
    (void)state;
    static const fixture_file files[] = {
        {"a.yml", "a: 1\n", false},         {"dir/b.yml", "b: 1\n", false},
        {"dir.yml/c", "c: 1\n", false},     {"link.yml", "/etc/passwd", true},
        {"dir/link.yml", "../a.yml", true}, {"empty.yml", "", false},
    };
    static const struct {
        const char *path;
        gw_status expected;
    } cases[] = {
        {"a.yml", GW_OK},
        {"dir/b.yml", GW_OK},
        {"empty.yml", GW_OK},
        {"none.yml", GW_E_NOT_FOUND},
        {"dir/none.yml", GW_E_NOT_FOUND},
        {"none/b.yml", GW_E_NOT_FOUND},
        {"a.yml/b", GW_E_NOT_FOUND},
        {"dir.yml", GW_E_NOT_FOUND},
        {"dir", GW_E_NOT_FOUND},
        {"../a.yml", GW_E_NOT_FOUND},
        {"dir/../a.yml", GW_E_NOT_FOUND},
        {"A.yml", GW_E_NOT_FOUND},
        {".git/config", GW_E_NOT_FOUND},
        {"link.yml", GW_E_DENIED},
        {"dir/link.yml", GW_E_DENIED},
        {"link.yml/x", GW_E_NOT_FOUND},
    };
    fixture fix;
    fixture_make(&fix, false);
    fixture_commit(&fix, "main", files, N_OF(files), NULL);
    cs_repository *repo = open_repo(fix.repo);
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf out;
        gw_error err = GW_ERROR_INIT;
        gw_buf_init(&out, 0);
        gw_status st = read_at(repo, "main", cases[i].path, &out, &err);
        if (st != cases[i].expected) {
            fail_msg("%s gave %s '%s'", cases[i].path, gw_status_name(st), err.text);
        }
        if (st == GW_E_DENIED) {
            assert_non_null(strstr(err.text, "a symbolic link is not followed"));
        }
        gw_buf_dispose(&out);
    }
    cs_repository_free(repo);
    fixture_remove(&fix);
}

static void a_huge_file_is_not_read(void **state)
{
    (void)state;
    fixture fix;
    fixture_make(&fix, true);
    char *text = repeat("#", CS_FILE_BYTES_MAX + 1);
    fixture_commit_file(&fix, "main", "a.yml", text, NULL);
    cs_repository *repo = open_repo(fix.repo);
    gw_buf out;
    gw_error err = GW_ERROR_INIT;
    gw_buf_init(&out, 0);
    assert_int_equal(read_at(repo, "main", "a.yml", &out, &err), GW_E_LIMIT);
    assert_string_equal(err.text, "a.yml: larger than 4 MiB");
    assert_int_equal(out.len, 0);
    cs_repository_free(repo);
    fixture_remove(&fix);
    free(text);
}

/* What is in the working tree but not committed is not configuration. */
static void the_working_tree_is_not_looked_at(void **state)
{
    (void)state;
    fixture fix;
    fixture_make(&fix, false);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", NULL);
    char path[128];
    snprintf(path, sizeof(path), "%s/b.yml", fix.repo);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "b: 1\n", 5), 5);
    close(fd);
    cs_repository *repo = open_repo(fix.repo);
    gw_buf out;
    gw_buf_init(&out, 0);
    assert_int_equal(read_at(repo, "main", "b.yml", &out, NULL), GW_E_NOT_FOUND);
    cs_repository_free(repo);
    fixture_remove(&fix);
}

static void locations_are_paths_or_file_uris(void **state)
{
    (void)state;
    fixture fix;
    fixture_make(&fix, true);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", NULL);
    static const struct {
        const char *format;
        const char *uri;
    } cases[] = {
        {"%s", "file://%s"},
        {"%s/", "file://%s"},
        {"%s/../repo", "file://%s"},
        {"file://%s", "file://%s"},
        {"file:%s", "file:%s"},
        {"file://%s/", "file://%s"},
        {"file://localhost%s", "file://localhost%s"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        char *location = NULL;
        char *uri = NULL;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        assert_true(asprintf(&location, cases[i].format, fix.repo) > 0);
        assert_true(asprintf(&uri, cases[i].uri, fix.repo) > 0);
#pragma GCC diagnostic pop
        cs_repository *repo = open_repo(location);
        assert_string_equal(cs_repository_uri(repo), uri);
        expect_text(repo, "main", "a.yml", "a: 1\n");
        cs_repository_free(repo);
        free(location);
        free(uri);
    }
    fixture_remove(&fix);
}

static void other_locations_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *location;
        gw_status expected;
        const char *error;
    } cases[] = {
        {"/nonexistent/repo", GW_E_NOT_FOUND, "file:///nonexistent/repo: not a readable git rep"},
        {"/tmp", GW_E_NOT_FOUND, "file:///tmp: not a readable git repository"},
        {"/etc/passwd", GW_E_NOT_FOUND, "not a readable git repository"},
        {"https://user:secret@host/x.git", GW_E_UNSUPPORTED, "https://user:***@host/x.git: the"},
        {"ssh://git@host/x.git", GW_E_UNSUPPORTED, "must be a local path or a file: URI"},
        {"git@host:x.git", GW_E_UNSUPPORTED, "must be a local path or a file: URI"},
        {"ext::sh -c true", GW_E_UNSUPPORTED, "must be a local path or a file: URI"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_repository *repo = NULL;
        gw_error err = GW_ERROR_INIT;
        gw_status st = cs_repository_open(cases[i].location, &repo, &err);
        if (st != cases[i].expected || strstr(err.text, cases[i].error) == NULL) {
            fail_msg("%s gave %s '%s', wanted '%s'", cases[i].location, gw_status_name(st),
                     err.text, cases[i].error);
        }
        assert_null(repo);
    }
}

static void a_repository_that_breaks_is_an_error_not_a_label(void **state)
{
    (void)state;
    fixture fix;
    char id[41];
    fixture_make(&fix, true);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", id);
    cs_repository *repo = open_repo(fix.repo);
    char path[160];
    snprintf(path, sizeof(path), "%s/objects/%.2s/%s", fix.repo, id, id + 2);
    assert_int_equal(unlink(path), 0);
    cs_commit commit;
    cs_snapshot *snapshot = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(cs_repository_resolve(repo, "main", &commit, &err), GW_OK);
    assert_int_equal(cs_snapshot_open(repo, &commit, &snapshot, &err), GW_E_IO);
    assert_non_null(strstr(err.text, id));
    snprintf(path, sizeof(path), "%s/refs/heads/main", fix.repo);
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "garbage\n", 8), 8);
    close(fd);
    assert_int_equal(cs_repository_resolve(repo, "main", &commit, &err), GW_E_IO);
    cs_repository_free(repo);
    fixture_remove(&fix);
}

typedef struct readers {
    cs_repository *repo;
    atomic_bool is_done;
    atomic_uint n_wrong;
} readers;

/* Every snapshot is whole: both files of a commit say the same. */
static void *read_pairs(void *arg)
{
    readers *shared = arg;
    while (!shared->is_done) {
        gw_buf a, b;
        cs_commit commit;
        cs_snapshot *snapshot = NULL;
        gw_buf_init(&a, 0);
        gw_buf_init(&b, 0);
        bool is_good = cs_repository_resolve(shared->repo, "main", &commit, NULL) == GW_OK &&
                       cs_snapshot_open(shared->repo, &commit, &snapshot, NULL) == GW_OK &&
                       cs_snapshot_read(snapshot, "a.yml", &a, NULL) == GW_OK &&
                       cs_snapshot_read(snapshot, "b.yml", &b, NULL) == GW_OK &&
                       strcmp(a.data, b.data) == 0;
        shared->n_wrong += !is_good;
        cs_snapshot_close(snapshot);
        gw_buf_dispose(&a);
        gw_buf_dispose(&b);
    }
    return NULL;
}

static void threads_read_while_commits_come_in(void **state)
{
    (void)state;
    fixture fix;
    fixture_make(&fix, true);
    fixture_file files[] = {{"a.yml", "n: 0", false}, {"b.yml", "n: 0", false}};
    fixture_commit(&fix, "main", files, 2, NULL);
    readers shared = {.repo = open_repo(fix.repo)};
    pthread_t threads[3];
    for (size_t i = 0; i < N_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_pairs, &shared), 0);
    }
    for (int i = 1; i < 100; i++) {
        char text[32];
        snprintf(text, sizeof(text), "n: %d", i);
        files[0].text = files[1].text = text;
        fixture_commit(&fix, "main", files, 2, NULL);
        if (i % 20 == 0) {
            fixture_pack_refs(&fix);
        }
    }
    shared.is_done = true;
    for (size_t i = 0; i < N_OF(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(shared.n_wrong, 0);
    cs_repository_free(shared.repo);
    fixture_remove(&fix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bare_repository_is_read),
        cmocka_unit_test(a_normal_repository_is_read),
        cmocka_unit_test(main_and_master_stand_in_for_each_other),
        cmocka_unit_test(a_commit_is_seen_at_once),
        cmocka_unit_test(only_files_are_read),
        cmocka_unit_test(a_huge_file_is_not_read),
        cmocka_unit_test(the_working_tree_is_not_looked_at),
        cmocka_unit_test(locations_are_paths_or_file_uris),
        cmocka_unit_test(other_locations_are_refused),
        cmocka_unit_test(a_repository_that_breaks_is_an_error_not_a_label),
        cmocka_unit_test(threads_read_while_commits_come_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
