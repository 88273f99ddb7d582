/* SPDX-License-Identifier: MIT */
#include "configserver/fixture.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <git2.h>

static void check(int code, const char *what)
{
    if (code < 0) {
        const git_error *last = git_error_last();
        fail_msg("%s: %s", what, last == NULL ? "?" : last->message);
    }
}

void fixture_make(fixture *fix, bool is_bare)
{
    git_libgit2_init();
    strcpy(fix->dir, "/tmp/godwit-cfg-XXXXXX");
    assert_non_null(mkdtemp(fix->dir));
    snprintf(fix->repo, sizeof(fix->repo), "%s/repo", fix->dir);
    git_repository *git = NULL;
    check(git_repository_init(&git, fix->repo, is_bare), "init");
    fix->git = git;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

void fixture_remove(fixture *fix)
{
    git_repository_free(fix->git);
    nftw(fix->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    git_libgit2_shutdown();
}

static void add_blob(fixture *fix, git_treebuilder *builder, const char *name,
                     const fixture_file *file)
{
    git_oid id;
    check(git_blob_create_from_buffer(&id, fix->git, file->text, strlen(file->text)), "blob");
    git_filemode_t mode = file->is_link ? GIT_FILEMODE_LINK : GIT_FILEMODE_BLOB;
    check(git_treebuilder_insert(NULL, builder, name, &id, mode), "entry");
}

/* A file in a directory makes a tree of its own, which is merged with what is there. */
static void add_below(fixture *fix, git_treebuilder *root, const fixture_file *file,
                      const char *slash)
{
    char dir[64];
    snprintf(dir, sizeof(dir), "%.*s", (int)(slash - file->path), file->path);
    git_tree *before = NULL;
    const git_tree_entry *entry = git_treebuilder_get(root, dir);
    if (entry != NULL) {
        check(git_tree_lookup(&before, fix->git, git_tree_entry_id(entry)), "tree");
    }
    git_treebuilder *builder = NULL;
    git_oid id;
    check(git_treebuilder_new(&builder, fix->git, before), "builder");
    add_blob(fix, builder, slash + 1, file);
    check(git_treebuilder_write(&id, builder), "write");
    check(git_treebuilder_insert(NULL, root, dir, &id, GIT_FILEMODE_TREE), "entry");
    git_treebuilder_free(builder);
    git_tree_free(before);
}

void fixture_commit(fixture *fix, const char *branch, const fixture_file *files, size_t n_files,
                    char *ret_id)
{
    git_treebuilder *builder = NULL;
    check(git_treebuilder_new(&builder, fix->git, NULL), "builder");
    for (size_t i = 0; i < n_files; i++) {
        const char *slash = strchr(files[i].path, '/');
        if (slash == NULL) {
            add_blob(fix, builder, files[i].path, &files[i]);
        } else {
            add_below(fix, builder, &files[i], slash);
        }
    }
    git_oid tree_id;
    git_tree *tree = NULL;
    check(git_treebuilder_write(&tree_id, builder), "write");
    check(git_tree_lookup(&tree, fix->git, &tree_id), "tree");
    git_treebuilder_free(builder);
    char name[128];
    snprintf(name, sizeof(name), "refs/heads/%s", branch);
    git_oid parent_id;
    git_commit *parent = NULL;
    if (git_reference_name_to_id(&parent_id, fix->git, name) == 0) {
        check(git_commit_lookup(&parent, fix->git, &parent_id), "parent");
    }
    git_signature *who = NULL;
    check(git_signature_new(&who, "Test", "test@example.org", 1795000000, 0), "signature");
    git_oid id;
    const git_commit *parents[] = {parent};
    check(git_commit_create(&id, fix->git, name, who, who, NULL, "a change\n", tree,
                            parent == NULL ? 0 : 1, parents),
          "commit");
    if (ret_id != NULL) {
        git_oid_tostr(ret_id, GIT_OID_HEXSZ + 1, &id);
    }
    git_signature_free(who);
    git_commit_free(parent);
    git_tree_free(tree);
}

void fixture_commit_file(fixture *fix, const char *branch, const char *path, const char *text,
                         char *ret_id)
{
    fixture_file file = {path, text, false};
    fixture_commit(fix, branch, &file, 1, ret_id);
}

void fixture_tag(fixture *fix, const char *name, const char *branch, bool is_annotated)
{
    git_object *target = NULL;
    git_signature *who = NULL;
    git_oid id;
    check(git_revparse_single(&target, fix->git, branch), "revparse");
    check(git_signature_new(&who, "Test", "test@example.org", 1795000000, 0), "signature");
    check(is_annotated ? git_tag_create(&id, fix->git, name, target, who, "a release\n", 0)
                       : git_tag_create_lightweight(&id, fix->git, name, target, 0),
          "tag");
    git_signature_free(who);
    git_object_free(target);
}

void fixture_delete_branch(fixture *fix, const char *branch)
{
    char name[128];
    snprintf(name, sizeof(name), "refs/heads/%s", branch);
    check(git_reference_remove(fix->git, name), "delete");
}

void fixture_pack_refs(fixture *fix)
{
    git_refdb *refdb = NULL;
    check(git_repository_refdb(&refdb, fix->git), "refdb");
    check(git_refdb_compress(refdb), "pack-refs");
    git_refdb_free(refdb);
}
