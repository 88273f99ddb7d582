/* SPDX-License-Identifier: MIT */
#include "repo/checker.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/log.h>

#include "files/format.h"
#include "repo/keeper.h"
#include "repo/moment.h"

#define FILES_A_STEP 64u
#define LOGGED_MAX   100u /* lines for one tree */

static void forget_tree(cs_checker *checker)
{
    cs_tree_unref(checker->tree);
    cs_moment_unref(checker->moment);
    free(checker->is_faulty);
    checker->tree = NULL;
    checker->moment = NULL;
    checker->is_faulty = NULL;
}

void cs_checker_start(cs_checker *checker, cs_moment *moment)
{
    cs_tree *tree = cs_moment_default_tree(moment);
    forget_tree(checker);
    if (tree == NULL) {
        return;
    }
    checker->is_faulty = calloc(cs_tree_n_entries(tree) + 1, sizeof(bool));
    if (checker->is_faulty == NULL) {
        return; /* the faults are met by those who ask */
    }
    checker->tree = cs_tree_ref(tree);
    checker->moment = cs_moment_ref(moment);
    checker->next = 0;
    checker->before_next = 0;
    checker->n_faulty = 0;
    checker->n_logged = 0;
}

/* What belongs to tools, such as .github/workflows, is no configuration of an application. */
static bool is_configuration(const cs_tree_entry *entry)
{
    return cs_format_is_known(entry->path) && entry->path[0] != '.' &&
           strstr(entry->path, "/.") == NULL;
}

/* Whether the last tree had the very same file; then whether it was faulty. */
static bool was_looked_at(cs_checker *checker, const cs_tree_entry *entry, bool *ret_is_faulty)
{
    if (checker->before == NULL) {
        return false;
    }
    for (; checker->before_next < cs_tree_n_entries(checker->before); checker->before_next++) {
        const cs_tree_entry *then = cs_tree_at(checker->before, checker->before_next);
        int order = strcmp(then->path, entry->path);
        if (order >= 0) {
            bool is_same = order == 0 && then->kind == entry->kind &&
                           memcmp(then->id, entry->id, sizeof(entry->id)) == 0;
            *ret_is_faulty = is_same && checker->was_faulty[checker->before_next];
            return is_same;
        }
    }
    return false;
}

static bool look_at(cs_checker *checker, const cs_tree_entry *entry)
{
    bool is_faulty = false;
    if (was_looked_at(checker, entry, &is_faulty)) {
        return is_faulty;
    }
    const cs_file *file = NULL;
    gw_error err = GW_ERROR_INIT;
    gw_status st = cs_tree_parse(checker->tree, entry, &file, &err);
    if (st == GW_OK) {
        cs_tree_release(file);
        return false;
    }
    if (gw_status_is_retriable(st)) {
        return false; /* the disk, or memory: no fault of the file */
    }
    if (checker->n_logged++ < LOGGED_MAX) {
        gw_log_error("repository", "%s: %s", checker->moment->keeper->options->name, err.text);
    }
    return true;
}

static void finish(cs_checker *checker)
{
    if (checker->n_logged > LOGGED_MAX) {
        gw_log_error("repository", "%s: and %zu files more that are at fault",
                     checker->moment->keeper->options->name, checker->n_logged - LOGGED_MAX);
    }
    atomic_store(&checker->moment->n_faulty, checker->n_faulty);
    cs_tree_unref(checker->before);
    free(checker->was_faulty);
    checker->before = cs_tree_ref(checker->tree);
    checker->was_faulty = checker->is_faulty;
    checker->is_faulty = NULL;
    forget_tree(checker);
}

bool cs_checker_step(cs_checker *checker)
{
    if (checker->tree == NULL) {
        return false;
    }
    for (size_t i = 0; i < FILES_A_STEP; i++) {
        if (checker->next == cs_tree_n_entries(checker->tree)) {
            finish(checker);
            return false;
        }
        const cs_tree_entry *entry = cs_tree_at(checker->tree, checker->next);
        if (is_configuration(entry) && look_at(checker, entry)) {
            checker->is_faulty[checker->next] = true;
            checker->n_faulty++;
        }
        checker->next++;
    }
    return true;
}

void cs_checker_dispose(cs_checker *checker)
{
    forget_tree(checker);
    cs_tree_unref(checker->before);
    free(checker->was_faulty);
    *checker = (cs_checker){.before = NULL};
}
