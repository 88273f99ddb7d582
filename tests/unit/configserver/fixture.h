/* SPDX-License-Identifier: MIT */
/*
 * A git repository of a test's own in a temporary directory, written with libgit2: no git program,
 * no configuration of the user. Failures end the test.
 */
#ifndef CS_TEST_FIXTURE_H
#define CS_TEST_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct fixture {
    char dir[64];  /* of the test; holds the repository */
    char repo[80]; /* the repository */
    void *git;     /* private */
} fixture;

typedef struct fixture_file {
    const char *path; /* one directory deep at most */
    const char *text;
    bool is_link; /* a symbolic link to `text` */
} fixture_file;

void fixture_make(fixture *fix, bool is_bare);
void fixture_remove(fixture *fix);

/*
 * Commit these files, and no others, to a branch that is made if it does not exist. `ret_id`, 41
 * bytes, may be NULL.
 */
void fixture_commit(fixture *fix, const char *branch, const fixture_file *files, size_t n_files,
                    char *ret_id);

/* A commit of one file. */
void fixture_commit_file(fixture *fix, const char *branch, const char *path, const char *text,
                         char *ret_id);

void fixture_tag(fixture *fix, const char *name, const char *branch, bool is_annotated);
void fixture_delete_branch(fixture *fix, const char *branch);

/* Put all branches into packed-refs, as git gc does. */
void fixture_pack_refs(fixture *fix);

#endif
