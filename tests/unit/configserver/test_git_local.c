/* SPDX-License-Identifier: MIT */
/* Git repositories on this machine: what labels name, which files commits have, and that a change
 * is seen at once, however it was made. */
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
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "configserver/fixture.h"
#include "configserver/rendering.h"
#include "files/bounds.h"
#include "repo/backend.h"
#include "support/child.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static gw_status try_open(const char *uri, cs_backend **ret, gw_error *err)
{
    cs_repo_options options = {.name = "default", .uri = uri};
    return cs_git_open(&options, ret, err);
}

static cs_backend *open_repo(const char *uri)
{
    cs_backend *repo = NULL;
    gw_error err = GW_ERROR_INIT;
    if (try_open(uri, &repo, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return repo;
}

static void close_repo(cs_backend *repo)
{
    repo->class->stop(repo);
    repo->class->free(repo);
}

static cs_refs *sync_repo(cs_backend *repo)
{
    cs_refs *refs = NULL;
    gw_error err = GW_ERROR_INIT;
    if (repo->class->sync(repo, &refs, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return refs;
}

static bool is_ringing(cs_backend *repo)
{
    int n_bytes = 0;
    assert_int_equal(ioctl(repo->class->watch_fd(repo), FIONREAD, &n_bytes), 0);
    return n_bytes > 0;
}

/* The commit of a label, "" when there is none. */
static const char *commit_of(cs_backend *repo, const char *label)
{
    static cs_commit commit;
    cs_refs *refs = sync_repo(repo);
    const cs_ref *found = cs_refs_find(refs, label);
    gw_error err = GW_ERROR_INIT;
    gw_status st = GW_OK;
    if (found != NULL) {
        commit = found->commit;
    } else {
        st = repo->class->find_commit(repo, label, &commit, &err);
    }
    cs_refs_unref(refs);
    if (st == GW_E_NOT_FOUND) {
        assert_non_null(strstr(err.text, "no branch, tag or commit '"));
        return "";
    }
    if (st != GW_OK) {
        fail_msg("%s: %s", label, err.text);
    }
    return commit.id;
}

static cs_tree *tree_of(cs_backend *repo, const char *label, const cs_tree *before)
{
    cs_commit commit;
    cs_tree *tree = NULL;
    gw_error err = GW_ERROR_INIT;
    strcpy(commit.id, commit_of(repo, label));
    if (repo->class->tree(repo, &commit, before, &tree, &err) != GW_OK) {
        fail_msg("%s: %s", label, err.text);
    }
    return tree;
}

static gw_status read_at(cs_backend *repo, const char *label, const char *path, gw_buf *out,
                         gw_error *err)
{
    cs_tree *tree = tree_of(repo, label, NULL);
    const cs_tree_entry *entry = cs_tree_find(tree, path);
    gw_status st = entry == NULL ? GW_E_NOT_FOUND : cs_tree_read(tree, entry, out, err);
    cs_tree_unref(tree);
    return st;
}

static void expect_text(cs_backend *repo, const char *label, const char *path, const char *text)
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

/* The git program, with nobody's configuration. */
static void run_git(const char *dir, const char *const *args)
{
    static const char *const env[] = {
        "PATH=/usr/bin:/bin",      "GIT_CONFIG_NOSYSTEM=1",    "GIT_CONFIG_GLOBAL=/dev/null",
        "GIT_AUTHOR_NAME=Test",    "GIT_AUTHOR_EMAIL=t@x.org", "GIT_COMMITTER_NAME=Test",
        "GIT_COMMITTER_EMAIL=t@x", "HOME=/nonexistent",        NULL};
    const char *argv[16] = {"/usr/bin/git", "-C", dir};
    size_t n = 3;
    for (size_t i = 0; args[i] != NULL; i++) {
        argv[n++] = args[i];
    }
    child *it = malloc(sizeof(*it));
    int code = child_run(it, argv, env);
    if (code != 0) {
        fail_msg("git %s: %s", args[0], child_err(it));
    }
    free(it);
}

#define GIT(dir, ...) run_git(dir, (const char *const[]){__VA_ARGS__, NULL})

/* ---- labels --------------------------------------------------------------------- */

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
    char short_id[8], upper_id[11];
    snprintf(short_id, sizeof(short_id), "%.7s", first);
    for (size_t i = 0; i < 10; i++) {
        upper_id[i] = (char)(first[i] >= 'a' ? first[i] - 32 : first[i]);
    }
    upper_id[10] = '\0';
    cs_backend *repo = open_repo(fix.repo);
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
        {upper_id, first},
        {"master", ""}, /* what stands in is not the repository's to say */
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
    assert_string_equal(commit_of(repo, "feature/x"), third);
    close_repo(repo);
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

static void tags_lead_to_commits_or_are_none(void **state)
{
    (void)state;
    fixture fix;
    char id[41];
    fixture_make(&fix, true);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", id);
    fixture_tag(&fix, "v1", "main", true);
    GIT(fix.repo, "tag", "-a", "-m", "a tag of a tag", "twice", "v1");
    GIT(fix.repo, "tag", "of-a-file", "main:a.yml");
    GIT(fix.repo, "symbolic-ref", "refs/heads/alias", "refs/heads/main");
    GIT(fix.repo, "symbolic-ref", "refs/heads/dangling", "refs/heads/nowhere");
    GIT(fix.repo, "update-ref", "refs/pull/1/head", "main");
    cs_backend *repo = open_repo(fix.repo);
    for (int packed = 0; packed < 2; packed++) {
        assert_string_equal(commit_of(repo, "v1"), id);
        assert_string_equal(commit_of(repo, "twice"), id);
        assert_string_equal(commit_of(repo, "of-a-file"), "");
        assert_string_equal(commit_of(repo, "alias"), id);
        assert_string_equal(commit_of(repo, "dangling"), "");
        assert_string_equal(commit_of(repo, "pull/1/head"), "");
        cs_refs *refs = sync_repo(repo);
        assert_int_equal(cs_refs_count(refs), 4);
        cs_refs_unref(refs);
        GIT(fix.repo, "pack-refs", "--all", "--prune");
    }
    close_repo(repo);
    fixture_remove(&fix);
}

/* ---- changes --------------------------------------------------------------------- */

/* The commit of "main" after a change that must have been noticed. */
static void expect_change(cs_backend *repo, const char *what, const char *label, const char *id)
{
    if (!is_ringing(repo)) {
        fail_msg("%s was not noticed", what);
    }
    const char *now = commit_of(repo, label);
    if (strcmp(now, id) != 0) {
        fail_msg("after %s %s is '%s', wanted '%s'", what, label, now, id);
    }
    if (is_ringing(repo)) {
        fail_msg("after %s the watch did not become quiet", what);
    }
}

static void a_commit_is_seen_at_once(void **state)
{
    (void)state;
    fixture fix;
    char id[41], old[41];
    fixture_make(&fix, true);
    fixture_commit_file(&fix, "main", "a.yml", "a: 0\n", id);
    cs_backend *repo = open_repo(fix.repo);
    assert_string_equal(commit_of(repo, "main"), id);
    assert_false(is_ringing(repo));
    for (int i = 1; i < 50; i++) {
        char text[32];
        snprintf(text, sizeof(text), "a: %d\n", i);
        if (i % 10 == 0) {
            fixture_pack_refs(&fix);
            expect_change(repo, "pack-refs", "main", id);
        }
        fixture_commit_file(&fix, "main", "a.yml", text, id);
        expect_change(repo, "a commit", "main", id);
        expect_text(repo, "main", "a.yml", text);
    }
    strcpy(old, id);
    fixture_commit_file(&fix, "feature/deep/x", "a.yml", "a: x\n", id);
    expect_change(repo, "a branch in new directories", "feature/deep/x", id);
    fixture_commit_file(&fix, "feature/deep/x", "a.yml", "a: y\n", id);
    expect_change(repo, "a commit on it", "feature/deep/x", id);
    fixture_delete_branch(&fix, "feature/deep/x");
    expect_change(repo, "its end", "feature/deep/x", "");
    fixture_tag(&fix, "v1", "main", false);
    expect_change(repo, "a tag", "v1", old);
    close_repo(repo);
    fixture_remove(&fix);
}

static void what_the_git_program_does_is_seen_at_once(void **state)
{
    (void)state;
    fixture fix;
    char first[41], second[41], clone[96];
    fixture_make(&fix, true);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", first);
    cs_backend *repo = open_repo(fix.repo);
    assert_string_equal(commit_of(repo, "main"), first);
    snprintf(clone, sizeof(clone), "%s/clone", fix.dir);
    GIT(fix.dir, "clone", "-q", "-b", "main", fix.repo, clone);
    GIT(clone, "commit", "-q", "--allow-empty", "-m", "second");
    assert_false(is_ringing(repo));
    cs_backend *local = open_repo(clone);
    strcpy(second, commit_of(local, "main"));
    assert_string_not_equal(first, second);
    GIT(clone, "push", "-q", "origin", "main", "main:feature/x");
    expect_change(repo, "a push", "main", second);
    assert_string_equal(commit_of(repo, "feature/x"), second);
    GIT(fix.repo, "gc", "-q", "--prune=now");
    expect_change(repo, "gc", "feature/x", second);
    GIT(clone, "tag", "v1", first);
    GIT(clone, "push", "-q", "origin", "v1");
    expect_change(repo, "a pushed tag", "v1", first);
    GIT(clone, "tag", "-f", "v1", second);
    GIT(clone, "push", "-q", "-f", "origin", "v1");
    expect_change(repo, "a moved tag", "v1", second);
    GIT(clone, "reset", "-q", "--hard", first);
    expect_change(local, "a reset", "main", first);
    GIT(clone, "push", "-q", "-f", "origin", "main");
    expect_change(repo, "a forced push", "main", first);
    GIT(clone, "push", "-q", "origin", ":feature/x");
    expect_change(repo, "a deleted branch that was packed", "feature/x", "");
    GIT(fix.repo, "pack-refs", "--all");
    expect_change(repo, "pack-refs", "main", first);
    close_repo(local);
    close_repo(repo);
    fixture_remove(&fix);
}

static void a_linked_working_tree_has_its_repositorys_branches(void **state)
{
    (void)state;
    fixture fix;
    char first[41], second[41], linked[96];
    fixture_make(&fix, true);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", first);
    snprintf(linked, sizeof(linked), "%s/linked", fix.dir);
    GIT(fix.repo, "worktree", "add", "-q", "-b", "other", linked, "main");
    cs_backend *repo = open_repo(linked);
    assert_string_equal(commit_of(repo, "other"), first);
    assert_false(is_ringing(repo));
    fixture_commit_file(&fix, "main", "a.yml", "a: 2\n", second);
    expect_change(repo, "a commit elsewhere", "main", second);
    expect_text(repo, "main", "a.yml", "a: 2\n");
    close_repo(repo);
    fixture_remove(&fix);
}

static void expect_failure(cs_backend *repo, const char *text)
{
    cs_refs *refs = NULL;
    gw_error err = GW_ERROR_INIT;
    gw_status st = repo->class->sync(repo, &refs, &err);
    if (st != GW_E_IO || strstr(err.text, text) == NULL) {
        fail_msg("sync gave %s '%s', wanted '%s'", gw_status_name(st), err.text, text);
    }
    assert_null(refs);
}

static void a_repository_may_go_and_come_back(void **state)
{
    (void)state;
    fixture fix, other;
    char first[41], second[41], away[96];
    fixture_make(&fix, true);
    fixture_make(&other, true);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", first);
    fixture_commit_file(&other, "main", "a.yml", "a: other\n", second);
    snprintf(away, sizeof(away), "%s/away", fix.dir);
    cs_backend *repo = open_repo(fix.repo);
    assert_string_equal(commit_of(repo, "main"), first);
    cs_tree *tree = tree_of(repo, "main", NULL);

    assert_int_equal(rename(fix.repo, away), 0);
    assert_true(is_ringing(repo));
    expect_failure(repo, "not a readable git repository");
    assert_false(is_ringing(repo));
    assert_int_equal(rename(away, fix.repo), 0);
    expect_change(repo, "its return", "main", first);

    gw_buf out;
    gw_buf_init(&out, 0);
    assert_int_equal(cs_tree_read(tree, cs_tree_find(tree, "a.yml"), &out, NULL), GW_OK);
    assert_string_equal(out.data, "a: 1\n");
    gw_buf_dispose(&out);
    cs_tree_unref(tree);

    assert_int_equal(rename(fix.repo, away), 0);
    assert_int_equal(rename(other.repo, fix.repo), 0);
    expect_change(repo, "another in its place", "main", second);
    expect_text(repo, "main", "a.yml", "a: other\n");

    remove_test_dir(fix.repo);
    assert_true(is_ringing(repo));
    expect_failure(repo, "not a readable git repository");
    GIT(fix.dir, "clone", "-q", "--bare", away, fix.repo);
    expect_change(repo, "a clone in its place", "main", first);
    close_repo(repo);
    fixture_remove(&fix);
    fixture_remove(&other);
}

static void a_link_in_the_way_may_be_changed(void **state)
{
    (void)state;
    fixture fix, other;
    char first[41], second[41], link[96], next[96];
    fixture_make(&fix, true);
    fixture_make(&other, false);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", first);
    fixture_commit_file(&other, "main", "a.yml", "a: 2\n", second);
    snprintf(link, sizeof(link), "%s/link", fix.dir);
    snprintf(next, sizeof(next), "%s/next", fix.dir);
    assert_int_equal(symlink(fix.repo, link), 0);
    cs_backend *repo = open_repo(link);
    assert_string_equal(commit_of(repo, "main"), first);
    assert_int_equal(symlink(other.repo, next), 0);
    assert_int_equal(rename(next, link), 0);
    expect_change(repo, "another link", "main", second);
    fixture_commit_file(&other, "main", "a.yml", "a: 3\n", second);
    expect_change(repo, "a commit behind the link", "main", second);
    close_repo(repo);
    fixture_remove(&fix);
    fixture_remove(&other);
}

static void a_directory_above_may_be_moved(void **state)
{
    (void)state;
    fixture fix;
    char id[41], above[96], path[128], away[96];
    fixture_make(&fix, true);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", id);
    snprintf(above, sizeof(above), "%s/above", fix.dir);
    snprintf(away, sizeof(away), "%s/away", fix.dir);
    snprintf(path, sizeof(path), "%s/repo", above);
    assert_int_equal(mkdir(above, 0700), 0);
    assert_int_equal(rename(fix.repo, path), 0);
    cs_backend *repo = open_repo(path);
    assert_string_equal(commit_of(repo, "main"), id);
    assert_int_equal(rename(above, away), 0);
    assert_true(is_ringing(repo));
    expect_failure(repo, "not a readable git repository");
    assert_int_equal(rename(away, above), 0);
    expect_change(repo, "its return", "main", id);
    close_repo(repo);
    fixture_remove(&fix);
}

static void after_stop_there_is_no_sync(void **state)
{
    (void)state;
    fixture fix;
    fixture_make(&fix, true);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", NULL);
    cs_backend *repo = open_repo(fix.repo);
    cs_refs *refs = NULL;
    repo->class->stop(repo);
    assert_int_equal(repo->class->sync(repo, &refs, NULL), GW_E_CLOSED);
    assert_null(refs);
    repo->class->free(repo);
    fixture_remove(&fix);
}

/* ---- files ----------------------------------------------------------------------- */

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
    cs_backend *repo = open_repo(fix.repo);
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
    close_repo(repo);
    fixture_remove(&fix);
}

static void a_tree_says_what_git_knows(void **state)
{
    (void)state;
    static const fixture_file files[] = {{"a.yml", "a: 1\n", false},
                                         {"dir/b.yml", "b: 12345\n", false},
                                         {"link.yml", "a.yml", true}};
    fixture fix;
    char id[41], uri[96];
    fixture_make(&fix, true);
    fixture_commit(&fix, "main", files, N_OF(files), id);
    cs_backend *repo = open_repo(fix.repo);
    cs_tree *tree = tree_of(repo, "main", NULL);
    snprintf(uri, sizeof(uri), "file://%s", fix.repo);
    assert_string_equal(cs_tree_version(tree), id);
    assert_string_equal(cs_tree_uri(tree), uri);
    assert_int_equal(cs_tree_time_s(tree), 1795000000);
    assert_int_equal(cs_tree_n_entries(tree), 3);
    const cs_tree_entry *b = cs_tree_find(tree, "dir/b.yml");
    assert_int_equal(b->size, 9);
    assert_int_equal(b->kind, CS_ENTRY_FILE);
    assert_int_equal(b->modified_s, 1795000000);
    assert_int_equal(cs_tree_find(tree, "link.yml")->kind, CS_ENTRY_LINK);

    static const fixture_file next[] = {{"a.yml", "a: 123\n", false},
                                        {"dir/b.yml", "b: 12345\n", false}};
    fixture_commit(&fix, "main", next, N_OF(next), NULL);
    cs_tree *after = tree_of(repo, "main", tree);
    assert_int_equal(cs_tree_n_entries(after), 2);
    assert_int_equal(cs_tree_find(after, "a.yml")->size, 7);
    assert_int_equal(cs_tree_find(after, "dir/b.yml")->size, 9);
    assert_memory_equal(cs_tree_find(after, "dir/b.yml")->id, b->id, CS_CONTENT_ID_BYTES);
    cs_tree_unref(tree);
    close_repo(repo);
    /* A tree reads on when its repository is closed. */
    gw_buf out;
    gw_buf_init(&out, 0);
    const cs_tree_entry *a = cs_tree_find(after, "a.yml");
    assert_int_equal(cs_tree_read(after, a, &out, NULL), GW_OK);
    assert_string_equal(out.data, "a: 123\n");
    gw_buf_dispose(&out);
    cs_tree_unref(after);
    fixture_remove(&fix);
}

static void submodules_are_left_out(void **state)
{
    (void)state;
    fixture fix;
    char id[41], gitlink[128];
    fixture_make(&fix, false);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", id);
    GIT(fix.repo, "symbolic-ref", "HEAD", "refs/heads/main");
    GIT(fix.repo, "reset", "-q", "--hard");
    snprintf(gitlink, sizeof(gitlink), "160000,%s,sub", id);
    GIT(fix.repo, "update-index", "--add", "--cacheinfo", gitlink);
    GIT(fix.repo, "commit", "-q", "-m", "a submodule");
    cs_backend *repo = open_repo(fix.repo);
    cs_tree *tree = tree_of(repo, "main", NULL);
    assert_string_not_equal(cs_tree_version(tree), id);
    assert_int_equal(cs_tree_n_entries(tree), 1);
    assert_null(cs_tree_find(tree, "sub"));
    cs_tree_unref(tree);
    close_repo(repo);
    fixture_remove(&fix);
}

static void a_huge_file_is_not_read(void **state)
{
    (void)state;
    fixture fix;
    fixture_make(&fix, true);
    char *text = repeat("#", CS_FILE_BYTES_MAX + 1);
    fixture_commit_file(&fix, "main", "a.yml", text, NULL);
    cs_backend *repo = open_repo(fix.repo);
    gw_buf out;
    gw_error err = GW_ERROR_INIT;
    gw_buf_init(&out, 0);
    assert_int_equal(read_at(repo, "main", "a.yml", &out, &err), GW_E_LIMIT);
    assert_string_equal(err.text, "a.yml: larger than 4 MiB");
    assert_int_equal(out.len, 0);
    close_repo(repo);
    fixture_remove(&fix);
    free(text);
}

/* A few small objects can stand for more files than there are atoms. */
static void a_bomb_of_directories_is_a_limit(void **state)
{
    (void)state;
    fixture fix;
    fixture_make(&fix, true);
    char *script =
        strdup("set -e; t=$(git hash-object -w --stdin </dev/null); f=\"100644 blob $t\tf\"; "
               "t=$(printf '%s\\n' \"$f\" | git mktree); for i in 1 2 3 4 5 6 7 8; do "
               "t=$(for j in 0 1 2 3 4 5 6 7 8 9; do printf '040000 tree %s\\t%s\\n' $t $j; done "
               "| git mktree); done; "
               "git update-ref refs/heads/main $(git commit-tree -m bomb $t)");
    char alias[1024];
    snprintf(alias, sizeof(alias), "alias.bomb=!%s", script);
    GIT(fix.repo, "-c", alias, "bomb");
    cs_backend *repo = open_repo(fix.repo);
    cs_commit commit;
    cs_tree *tree = NULL;
    gw_error err = GW_ERROR_INIT;
    strcpy(commit.id, commit_of(repo, "main"));
    assert_int_equal(repo->class->tree(repo, &commit, NULL, &tree, &err), GW_E_LIMIT);
    assert_non_null(strstr(err.text, "more than 200000 "));
    close_repo(repo);
    fixture_remove(&fix);
    free(script);
}

/* A little of a repository can stand for GiB of memory: what is too large is not looked at. */
static void huge_objects_are_limits(void **state)
{
    (void)state;
    fixture fix;
    fixture_make(&fix, true);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", NULL);
    static const char *const scripts[] = {
        "alias.huge=!set -e; t=$(head -c 33554433 /dev/zero | git hash-object -w -t tree "
        "--literally --stdin); git update-ref refs/heads/tree $(git commit-tree -m x $t)",
        "alias.huge=!set -e; c=$( (git cat-file commit main; head -c 33554432 /dev/zero | "
        "tr '\\0' x) | git hash-object -w -t commit --literally --stdin); "
        "git update-ref refs/heads/commit $c",
        "alias.huge=!set -e; t=$( (printf 'object %s\\ntype commit\\ntag t\\ntagger t <t@x> 1 +0000"
        "\\n\\n' $(git rev-parse main); head -c 33554432 /dev/zero | tr '\\0' x) | "
        "git hash-object -w -t tag --literally --stdin); git update-ref refs/tags/tag $t",
    };
    for (size_t i = 0; i < N_OF(scripts); i++) {
        GIT(fix.repo, "-c", scripts[i], "huge");
    }
    cs_backend *repo = open_repo(fix.repo);
    static const char *const labels[] = {"tree", "commit", "tag"};
    for (size_t i = 0; i < N_OF(labels); i++) {
        cs_commit commit;
        cs_tree *tree = NULL;
        gw_error err = GW_ERROR_INIT;
        strcpy(commit.id, commit_of(repo, labels[i]));
        assert_int_equal(repo->class->tree(repo, &commit, NULL, &tree, &err), GW_E_LIMIT);
        assert_non_null(strstr(err.text, "a commit, a tag or a directory of more than 32 MiB"));
        /* Nor when it is asked for by its id. */
        gw_status st = repo->class->find_commit(repo, commit.id, &commit, &err);
        assert_int_equal(st, i == 0 ? GW_OK : GW_E_LIMIT);
    }
    expect_text(repo, "main", "a.yml", "a: 1\n");
    close_repo(repo);
    fixture_remove(&fix);
}

static void write_new(const char *dir, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* Opening one would never end. */
static void a_pipe_among_refs_is_an_error(void **state)
{
    (void)state;
    fixture fix;
    fixture_make(&fix, true);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", NULL);
    cs_backend *repo = open_repo(fix.repo);
    char pipe_path[512], link_path[512];
    snprintf(pipe_path, sizeof(pipe_path), "%s/refs/heads/pipe", fix.repo);
    snprintf(link_path, sizeof(link_path), "%s/refs/heads/link", fix.repo);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    cs_refs *refs = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(repo->class->sync(repo, &refs, &err), GW_E_IO);
    assert_non_null(strstr(err.text, "refs/heads/pipe: neither a file nor a directory"));
    assert_int_equal(symlink("/dev/tty", link_path), 0);
    assert_int_equal(unlink(pipe_path), 0);
    assert_int_equal(repo->class->sync(repo, &refs, &err), GW_E_IO);
    assert_int_equal(unlink(link_path), 0);
    expect_text(repo, "main", "a.yml", "a: 1\n");
    close_repo(repo);
    fixture_remove(&fix);
}

static void a_path_has_an_end(void **state)
{
    (void)state;
    fixture fix;
    fixture_make(&fix, true);
    static const char script[] =
        "alias.deep=!set -e; b=$(git hash-object -w --stdin </dev/null); "
        "t=$(printf '100644 blob %s\\tf\\n' $b | git mktree); for i in $(seq 110); do "
        "t=$(printf '040000 tree %s\\ta-directory\\n' $t | git mktree); done; "
        "git update-ref refs/heads/main $(git commit-tree -m deep $t)";
    GIT(fix.repo, "-c", script, "deep");
    cs_backend *repo = open_repo(fix.repo);
    cs_commit commit;
    cs_tree *tree = NULL;
    gw_error err = GW_ERROR_INIT;
    strcpy(commit.id, commit_of(repo, "main"));
    assert_int_equal(repo->class->tree(repo, &commit, NULL, &tree, &err), GW_E_LIMIT);
    assert_non_null(strstr(err.text, "a path longer than 1024 bytes, below 'a-directory/"));
    close_repo(repo);
    fixture_remove(&fix);
}

static void there_are_only_so_many_refs(void **state)
{
    (void)state;
    fixture fix;
    char id[41];
    fixture_make(&fix, true);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", id);
    gw_buf packed;
    gw_buf_init(&packed, 0);
    gw_buf_add_str(&packed, "# pack-refs with: peeled fully-peeled sorted \n");
    for (size_t i = 0; i <= CS_REFS_MAX; i++) {
        gw_buf_addf(&packed, "%s refs/heads/b%05zu\n", id, i);
    }
    write_new(fix.repo, "packed-refs", packed.data);
    gw_buf_dispose(&packed);
    cs_backend *repo = open_repo(fix.repo);
    cs_refs *refs = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(repo->class->sync(repo, &refs, &err), GW_E_LIMIT);
    assert_non_null(strstr(err.text, ": more than 20000 branches and tags"));
    close_repo(repo);
    fixture_remove(&fix);
}

/* What is in the working tree but not committed is not configuration. */
static void the_working_tree_is_not_looked_at(void **state)
{
    (void)state;
    fixture fix;
    fixture_make(&fix, false);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", NULL);
    write_new(fix.repo, "b.yml", "b: 1\n");
    cs_backend *repo = open_repo(fix.repo);
    gw_buf out;
    gw_buf_init(&out, 0);
    assert_int_equal(read_at(repo, "main", "b.yml", &out, NULL), GW_E_NOT_FOUND);
    close_repo(repo);
    fixture_remove(&fix);
}

/* ---- locations ------------------------------------------------------------------- */

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
        cs_backend *repo = open_repo(location);
        cs_tree *tree = tree_of(repo, "main", NULL);
        assert_string_equal(cs_tree_uri(tree), uri);
        cs_tree_unref(tree);
        close_repo(repo);
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
        {"", GW_E_INVALID, "1 to 4096 bytes"},
        {"file:", GW_E_INVALID, "no path"},
        {"ftp://user:secret@host/x.git", GW_E_UNSUPPORTED, "ftp://user:***@host/x.git: a repo"},
        {"git://host/x.git", GW_E_UNSUPPORTED, "file:, https:, http: or ssh: URI"},
        {"ext::sh -c true", GW_E_UNSUPPORTED, "file:, https:, http: or ssh: URI"},
        {"fd::17", GW_E_UNSUPPORTED, "file:, https:, http: or ssh: URI"},
        {"--upload-pack=touch /tmp/x", GW_E_INVALID, "does not begin with '-'"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        cs_backend *repo = NULL;
        gw_error err = GW_ERROR_INIT;
        gw_status st = try_open(cases[i].location, &repo, &err);
        if (st != cases[i].expected || strstr(err.text, cases[i].error) == NULL) {
            fail_msg("%s gave %s '%s', wanted '%s'", cases[i].location, gw_status_name(st),
                     err.text, cases[i].error);
        }
        assert_null(repo);
    }
}

/* ---- trouble --------------------------------------------------------------------- */

static void a_repository_that_breaks_is_an_error_not_a_label(void **state)
{
    (void)state;
    fixture fix;
    char id[41], line[48], path[160];
    fixture_make(&fix, true);
    fixture_commit_file(&fix, "main", "a.yml", "a: 1\n", id);
    cs_backend *repo = open_repo(fix.repo);
    snprintf(path, sizeof(path), "%s/objects/%.2s/%s", fix.repo, id, id + 2);
    assert_int_equal(unlink(path), 0);
    cs_commit commit;
    cs_tree *tree = NULL;
    gw_error err = GW_ERROR_INIT;
    strcpy(commit.id, commit_of(repo, "main"));
    assert_string_equal(commit.id, id);
    assert_int_equal(repo->class->tree(repo, &commit, NULL, &tree, &err), GW_E_IO);
    assert_non_null(strstr(err.text, id));
    write_new(fix.repo, "refs/heads/main", "garbage\n");
    assert_true(is_ringing(repo));
    expect_failure(repo, "refs/heads/main: ");
    snprintf(line, sizeof(line), "%s\n", id);
    write_new(fix.repo, "refs/heads/main", line);
    expect_change(repo, "the repair", "main", id);
    close_repo(repo);
    fixture_remove(&fix);
}

typedef struct readers {
    cs_backend *repo;
    pthread_mutex_t lock;
    cs_commit commit;
    atomic_bool is_done;
    atomic_uint n_wrong;
    atomic_uint n_read;
} readers;

/* Both files of a commit say the same. */
static bool is_whole(cs_backend *repo, const cs_commit *commit)
{
    gw_buf a, b;
    cs_tree *tree = NULL;
    gw_buf_init(&a, 0);
    gw_buf_init(&b, 0);
    bool is_good = repo->class->tree(repo, commit, NULL, &tree, NULL) == GW_OK &&
                   cs_tree_read(tree, cs_tree_find(tree, "a.yml"), &a, NULL) == GW_OK &&
                   cs_tree_read(tree, cs_tree_find(tree, "b.yml"), &b, NULL) == GW_OK &&
                   strcmp(a.data, b.data) == 0;
    cs_tree_unref(tree);
    gw_buf_dispose(&a);
    gw_buf_dispose(&b);
    return is_good;
}

static void *read_pairs(void *arg)
{
    readers *shared = arg;
    while (!shared->is_done) {
        pthread_mutex_lock(&shared->lock);
        cs_commit commit = shared->commit;
        pthread_mutex_unlock(&shared->lock);
        shared->n_wrong += !is_whole(shared->repo, &commit);
        shared->n_read++;
    }
    return NULL;
}

static void threads_read_while_commits_come_in(void **state)
{
    (void)state;
    fixture fix;
    fixture_make(&fix, true);
    fixture_file files[] = {{"a.yml", "n: 0", false}, {"b.yml", "n: 0", false}};
    char id[41];
    fixture_commit(&fix, "main", files, 2, id);
    readers shared = {.repo = open_repo(fix.repo), .lock = PTHREAD_MUTEX_INITIALIZER};
    strcpy(shared.commit.id, id);
    pthread_t threads[3];
    for (size_t i = 0; i < N_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_pairs, &shared), 0);
    }
    for (int i = 1; i < 100; i++) {
        char text[32];
        snprintf(text, sizeof(text), "n: %d", i);
        files[0].text = files[1].text = text;
        fixture_commit(&fix, "main", files, 2, id);
        if (i % 20 == 0) {
            GIT(fix.repo, "gc", "-q", "--prune=now");
        }
        pthread_mutex_lock(&shared.lock);
        strcpy(shared.commit.id, commit_of(shared.repo, "main"));
        pthread_mutex_unlock(&shared.lock);
        assert_string_equal(shared.commit.id, id);
    }
    while (shared.n_read < 10) {
        usleep(1000);
    }
    shared.is_done = true;
    for (size_t i = 0; i < N_OF(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(shared.n_wrong, 0);
    close_repo(shared.repo);
    fixture_remove(&fix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bare_repository_is_read),
        cmocka_unit_test(a_normal_repository_is_read),
        cmocka_unit_test(tags_lead_to_commits_or_are_none),
        cmocka_unit_test(a_commit_is_seen_at_once),
        cmocka_unit_test(what_the_git_program_does_is_seen_at_once),
        cmocka_unit_test(a_linked_working_tree_has_its_repositorys_branches),
        cmocka_unit_test(a_repository_may_go_and_come_back),
        cmocka_unit_test(a_link_in_the_way_may_be_changed),
        cmocka_unit_test(a_directory_above_may_be_moved),
        cmocka_unit_test(after_stop_there_is_no_sync),
        cmocka_unit_test(only_files_are_read),
        cmocka_unit_test(a_tree_says_what_git_knows),
        cmocka_unit_test(submodules_are_left_out),
        cmocka_unit_test(a_huge_file_is_not_read),
        cmocka_unit_test(a_bomb_of_directories_is_a_limit),
        cmocka_unit_test(huge_objects_are_limits),
        cmocka_unit_test(a_pipe_among_refs_is_an_error),
        cmocka_unit_test(a_path_has_an_end),
        cmocka_unit_test(there_are_only_so_many_refs),
        cmocka_unit_test(the_working_tree_is_not_looked_at),
        cmocka_unit_test(locations_are_paths_or_file_uris),
        cmocka_unit_test(other_locations_are_refused),
        cmocka_unit_test(a_repository_that_breaks_is_an_error_not_a_label),
        cmocka_unit_test(threads_read_while_commits_come_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
