/* SPDX-License-Identifier: MIT */
/* The files of a moment: found, read, parsed once, taken over by the next moment's. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "files/bounds.h"
#include "repo/parsed.h"
#include "repo/tree.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

typedef struct source {
    const char *path;
    const char *text;
    cs_entry_kind kind;
    size_t size; /* other than the text's, if not 0 */
} source;

/* Where the trees of a test read: what was asked for is counted. */
typedef struct store {
    const source *files;
    size_t n_files;
    atomic_uint n_reads;
    unsigned n_freed;
    gw_status fail;
} store;

static gw_status read_one(void *ctx, const cs_tree_entry *entry, gw_buf *out, gw_error *err)
{
    store *st = ctx;
    atomic_fetch_add(&st->n_reads, 1);
    if (st->fail != GW_OK) {
        return gw_error_set(err, st->fail, 0, "%s: the disk is on fire", entry->path);
    }
    for (size_t i = 0; i < st->n_files; i++) {
        if (strcmp(st->files[i].path, entry->path) == 0) {
            gw_buf_add_str(out, st->files[i].text);
            return gw_buf_status(out);
        }
    }
    fail_msg("%s: never added", entry->path);
    return GW_E_INTERNAL;
}

static void free_store(void *ctx)
{
    ((store *)ctx)->n_freed++;
}

static cs_tree_entry entry_of(const source *file)
{
    cs_tree_entry entry = {.path = file->path, .kind = file->kind, .size = file->size};
    entry.size = file->size == 0 ? strlen(file->text) : file->size;
    snprintf((char *)entry.id, sizeof(entry.id), "%.19s", file->text);
    return entry;
}

static gw_status make_of(store *st, const cs_tree *before, cs_tree **ret_tree, gw_error *err)
{
    cs_tree_builder *builder = cs_tree_builder_new("file:///r", "c0ffee", 1795000000);
    assert_non_null(builder);
    for (size_t i = 0; i < st->n_files; i++) {
        cs_tree_entry entry = entry_of(&st->files[i]);
        assert_int_equal(cs_tree_builder_add(builder, &entry, err), GW_OK);
    }
    cs_blobs blobs = {read_one, free_store, st};
    return cs_tree_builder_make(builder, &blobs, before, ret_tree, err);
}

static cs_tree *tree_of(store *st, const cs_tree *before)
{
    cs_tree *tree = NULL;
    gw_error err = GW_ERROR_INIT;
    if (make_of(st, before, &tree, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return tree;
}

/* The one property of a file. */
static const char *value_of(const cs_tree *tree, const char *path)
{
    static char text[64];
    const cs_file *file = NULL;
    gw_error err = GW_ERROR_INIT;
    const cs_tree_entry *entry = cs_tree_find(tree, path);
    assert_non_null(entry);
    if (cs_tree_parse(tree, entry, &file, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(file->path, path);
    assert_int_equal(file->n_documents, 1);
    assert_int_equal(file->documents[0].n_items, 1);
    snprintf(text, sizeof(text), "%s", file->documents[0].items[0].value.bytes);
    cs_tree_release(file);
    return text;
}

static void files_are_found_in_order(void **state)
{
    (void)state;
    const source files[] = {
        {.path = "b/c.yml", .text = "a: 1"},
        {.path = "a-b.yml", .text = "a: 2"},
        {.path = "a/b/c.yml", .text = "a: 3"},
        {.path = "a.yml", .text = "a: 4"},
        {.path = "link", .text = "/etc/passwd", .kind = CS_ENTRY_LINK},
    };
    store st = {.files = files, .n_files = N_OF(files)};
    cs_tree *tree = tree_of(&st, NULL);
    const char *sorted[] = {"a-b.yml", "a.yml", "a/b/c.yml", "b/c.yml", "link"};
    assert_int_equal(cs_tree_n_entries(tree), N_OF(sorted));
    for (size_t i = 0; i < N_OF(sorted); i++) {
        assert_string_equal(cs_tree_at(tree, i)->path, sorted[i]);
        assert_ptr_equal(cs_tree_find(tree, sorted[i]), cs_tree_at(tree, i));
    }
    assert_null(cs_tree_find(tree, "a"));
    assert_null(cs_tree_find(tree, ""));
    assert_null(cs_tree_find(tree, "z"));
    assert_true(cs_tree_has_dir(tree, ""));
    assert_true(cs_tree_has_dir(tree, "a"));
    assert_true(cs_tree_has_dir(tree, "a/b"));
    assert_false(cs_tree_has_dir(tree, "a/b/c.yml"));
    assert_false(cs_tree_has_dir(tree, "a/"));
    assert_false(cs_tree_has_dir(tree, "link"));
    assert_string_equal(cs_tree_uri(tree), "file:///r");
    assert_string_equal(cs_tree_version(tree), "c0ffee");
    assert_int_equal(cs_tree_time_s(tree), 1795000000);
    assert_int_equal(atomic_load(&st.n_reads), 0);
    cs_tree_unref(cs_tree_ref(tree));
    assert_int_equal(st.n_freed, 0);
    cs_tree_unref(tree);
    assert_int_equal(st.n_freed, 1);
    cs_tree_unref(NULL);
}

static void an_empty_tree_has_nothing(void **state)
{
    (void)state;
    store st = {.files = NULL};
    cs_tree *tree = tree_of(&st, NULL);
    assert_int_equal(cs_tree_n_entries(tree), 0);
    assert_null(cs_tree_find(tree, "a.yml"));
    assert_false(cs_tree_has_dir(tree, ""));
    cs_tree *next = tree_of(&st, tree);
    cs_tree_unref(tree);
    cs_tree_unref(next);
    cs_tree_builder_free(cs_tree_builder_new("", "", 0));
    cs_tree_builder_free(NULL);
}

static void what_is_no_path_is_refused(void **state)
{
    (void)state;
    const char *wrong[] = {"", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "./a"};
    cs_tree_builder *builder = cs_tree_builder_new("file:///r", "", 0);
    for (size_t i = 0; i < N_OF(wrong); i++) {
        gw_error err = GW_ERROR_INIT;
        cs_tree_entry entry = {.path = wrong[i]};
        assert_int_equal(cs_tree_builder_add(builder, &entry, &err), GW_E_INVALID);
        assert_non_null(strstr(err.text, "is no path of a file"));
    }
    char longer[CS_PATH_BYTES_MAX + 2];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    gw_error err = GW_ERROR_INIT;
    cs_tree_entry entry = {.path = longer};
    assert_int_equal(cs_tree_builder_add(builder, &entry, &err), GW_E_LIMIT);
    assert_non_null(strstr(err.text, "at most 1024"));
    longer[CS_PATH_BYTES_MAX] = '\0';
    assert_int_equal(cs_tree_builder_add(builder, &entry, &err), GW_OK);
    cs_tree_builder_free(builder);

    const source twice[] = {{.path = "a.yml", .text = "a: 1"}, {.path = "a.yml", .text = "a: 2"}};
    store st = {.files = twice, .n_files = 2};
    cs_tree *tree = NULL;
    assert_int_equal(make_of(&st, NULL, &tree, &err), GW_E_INVALID);
    assert_string_equal(err.text, "a.yml: there twice");
    assert_null(tree);
    assert_int_equal(st.n_freed, 1);
}

static void a_tree_is_bounded(void **state)
{
    (void)state;
    cs_tree_builder *builder = cs_tree_builder_new("file:///r", "", 0);
    gw_error err = GW_ERROR_INIT;
    char path[CS_PATH_BYTES_MAX + 1];
    cs_tree_entry entry = {.path = path};
    for (unsigned i = 0; i < CS_TREE_ENTRIES_MAX; i++) {
        snprintf(path, sizeof(path), "%u", i * 7919u % CS_TREE_ENTRIES_MAX);
        assert_int_equal(cs_tree_builder_add(builder, &entry, &err), GW_OK);
    }
    assert_int_equal(cs_tree_builder_add(builder, &entry, &err), GW_E_LIMIT);
    assert_non_null(strstr(err.text, "more than 200000 files"));
    store st = {.files = NULL};
    cs_blobs blobs = {read_one, free_store, &st};
    cs_tree *tree = NULL;
    assert_int_equal(cs_tree_builder_make(builder, &blobs, NULL, &tree, &err), GW_OK);
    assert_non_null(cs_tree_find(tree, "199999"));
    cs_tree_unref(tree);

    builder = cs_tree_builder_new("file:///r", "", 0);
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    unsigned n = 0;
    while (cs_tree_builder_add(builder, &entry, &err) == GW_OK) {
        n++;
    }
    assert_int_equal(n, CS_TREE_PATHS_MAX / sizeof(path));
    assert_non_null(strstr(err.text, "the paths of all files need more than 32 MiB"));
    cs_tree_builder_free(builder);
}

static void a_file_is_parsed_once(void **state)
{
    (void)state;
    const source files[] = {{.path = "a.yml", .text = "a: one"},
                            {.path = "b.properties", .text = "a=two"}};
    store st = {.files = files, .n_files = N_OF(files)};
    cs_tree *tree = tree_of(&st, NULL);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(value_of(tree, "a.yml"), "one");
        assert_string_equal(value_of(tree, "b.properties"), "two");
    }
    assert_int_equal(atomic_load(&st.n_reads), 2);
    cs_tree_unref(tree);
    assert_int_equal(cs_parsed_bytes(), 0);
}

static void faults_are_kept_like_results(void **state)
{
    (void)state;
    const source files[] = {
        {.path = "bad.yml", .text = "a: 1\nb: [\n"},
        {.path = "large.yml", .text = "a: 1", .size = CS_FILE_BYTES_MAX + 1},
        {.path = "link.yml", .text = "a.yml", .kind = CS_ENTRY_LINK},
    };
    store st = {.files = files, .n_files = N_OF(files)};
    const struct {
        const char *path;
        gw_status st;
        const char *text;
    } faults[] = {
        {"bad.yml", GW_E_INVALID, "bad.yml:3: "},
        {"large.yml", GW_E_LIMIT, "large.yml: larger than 4 MiB"},
        {"link.yml", GW_E_DENIED, "link.yml: a symbolic link is not followed"},
    };
    cs_tree *tree = tree_of(&st, NULL);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < N_OF(faults); i++) {
            gw_error err = GW_ERROR_INIT;
            const cs_file *file = NULL;
            assert_int_equal(cs_tree_parse(tree, cs_tree_find(tree, faults[i].path), &file, &err),
                             faults[i].st);
            if (strncmp(err.text, faults[i].text, strlen(faults[i].text)) != 0) {
                fail_msg("got '%s', want '%s'", err.text, faults[i].text);
            }
            assert_null(file);
        }
    }
    assert_int_equal(atomic_load(&st.n_reads), 1);
    cs_tree_unref(tree);
    assert_int_equal(cs_parsed_bytes(), 0);
}

static void a_failing_disk_is_asked_again(void **state)
{
    (void)state;
    const source files[] = {{.path = "a.yml", .text = "a: one"}};
    store st = {.files = files, .n_files = 1, .fail = GW_E_IO};
    cs_tree *tree = tree_of(&st, NULL);
    const cs_file *file = NULL;
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(cs_tree_parse(tree, cs_tree_at(tree, 0), &file, &err), GW_E_IO);
    assert_string_equal(err.text, "a.yml: the disk is on fire");
    st.fail = GW_OK;
    assert_string_equal(value_of(tree, "a.yml"), "one");
    cs_tree_unref(tree);
}

static void the_next_tree_parses_what_changed(void **state)
{
    (void)state;
    const source first[] = {{.path = "a.yml", .text = "a: one"},
                            {.path = "b.yml", .text = "a: two"},
                            {.path = "c.yml", .text = "a: three"},
                            {.path = "unread.yml", .text = "a: four"}};
    const source second[] = {{.path = "a.yml", .text = "a: one"},
                             {.path = "aa.yml", .text = "a: new"},
                             {.path = "b.yml", .text = "a: changed"},
                             {.path = "d.yml", .text = "a: three"},
                             {.path = "unread.yml", .text = "a: four"}};
    store st = {.files = first, .n_files = N_OF(first)};
    cs_tree *tree = tree_of(&st, NULL);
    value_of(tree, "a.yml");
    value_of(tree, "b.yml");
    value_of(tree, "c.yml");
    store next_st = {.files = second, .n_files = N_OF(second)};
    cs_tree *next = tree_of(&next_st, tree);
    cs_tree_unref(tree);
    assert_int_equal(st.n_freed, 1);
    assert_string_equal(value_of(next, "a.yml"), "one");
    assert_int_equal(atomic_load(&next_st.n_reads), 0);
    assert_string_equal(value_of(next, "b.yml"), "changed");
    assert_string_equal(value_of(next, "aa.yml"), "new");
    /* The same bytes at another path have another path in their errors. */
    assert_string_equal(value_of(next, "d.yml"), "three");
    assert_string_equal(value_of(next, "unread.yml"), "four");
    assert_int_equal(atomic_load(&next_st.n_reads), 4);
    cs_tree_unref(next);
    assert_int_equal(cs_parsed_bytes(), 0);
}

/* What finds no room is good as long as it is in use, and made again for the next. */
static void what_is_kept_is_bounded(void **state)
{
    (void)state;
    enum { N_FILES = 16, VALUE_BYTES = 1 << 20 };
    static char text[VALUE_BYTES + 16];
    memcpy(text, "a: ", 3);
    memset(text + 3, 'x', VALUE_BYTES);
    source files[N_FILES];
    char paths[N_FILES][16];
    for (size_t i = 0; i < N_FILES; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%zu.yml", 10 + i);
        files[i] = (source){.path = paths[i], .text = text};
    }
    store st = {.files = files, .n_files = N_FILES};
    cs_tree *tree = tree_of(&st, NULL);
    const cs_file *results[N_FILES];
    gw_error err = GW_ERROR_INIT;
    for (size_t i = 0; i < N_FILES; i++) {
        assert_int_equal(cs_tree_parse(tree, cs_tree_at(tree, i), &results[i], &err), GW_OK);
    }
    assert_in_range(cs_parsed_bytes(), CS_PARSED_BYTES_MAX - 2 * VALUE_BYTES, CS_PARSED_BYTES_MAX);
    for (size_t i = 0; i < N_FILES; i++) {
        assert_int_equal(results[i]->documents[0].items[0].value.len, VALUE_BYTES);
        cs_tree_release(results[i]);
    }
    unsigned n_before = atomic_load(&st.n_reads);
    value_of(tree, paths[0]);
    assert_int_equal(atomic_load(&st.n_reads), n_before);
    value_of(tree, paths[N_FILES - 1]);
    assert_int_equal(atomic_load(&st.n_reads), n_before + 1);
    cs_tree_unref(tree);
    assert_int_equal(cs_parsed_bytes(), 0);
    cs_tree_release(NULL);
}

typedef struct racers {
    cs_tree *tree;
    pthread_barrier_t start;
    atomic_uint n_wrong;
} racers;

static void *race(void *arg)
{
    racers *all = arg;
    pthread_barrier_wait(&all->start);
    for (size_t i = 0; i < cs_tree_n_entries(all->tree); i++) {
        const cs_file *file = NULL;
        gw_error err = GW_ERROR_INIT;
        const cs_tree_entry *entry = cs_tree_at(all->tree, i);
        if (cs_tree_parse(all->tree, entry, &file, &err) != GW_OK ||
            strcmp(file->documents[0].items[0].value.bytes, entry->path) != 0) {
            atomic_fetch_add(&all->n_wrong, 1);
        }
        cs_tree_release(file);
    }
    return NULL;
}

static void threads_parse_at_once(void **state)
{
    (void)state;
    enum { N_FILES = 200, N_THREADS = 4 };
    static source files[N_FILES];
    static char paths[N_FILES][16];
    static char texts[N_FILES][32];
    for (size_t i = 0; i < N_FILES; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%03zu.yml", i);
        snprintf(texts[i], sizeof(texts[i]), "a: %s", paths[i]);
        files[i] = (source){.path = paths[i], .text = texts[i]};
    }
    store st = {.files = files, .n_files = N_FILES};
    racers all = {.tree = tree_of(&st, NULL)};
    pthread_barrier_init(&all.start, NULL, N_THREADS);
    pthread_t threads[N_THREADS];
    for (size_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, race, &all), 0);
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&all.start);
    assert_int_equal(atomic_load(&all.n_wrong), 0);
    cs_tree_unref(all.tree);
    assert_int_equal(cs_parsed_bytes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_found_in_order),
        cmocka_unit_test(an_empty_tree_has_nothing),
        cmocka_unit_test(what_is_no_path_is_refused),
        cmocka_unit_test(a_tree_is_bounded),
        cmocka_unit_test(a_file_is_parsed_once),
        cmocka_unit_test(faults_are_kept_like_results),
        cmocka_unit_test(a_failing_disk_is_asked_again),
        cmocka_unit_test(the_next_tree_parses_what_changed),
        cmocka_unit_test(what_is_kept_is_bounded),
        cmocka_unit_test(threads_parse_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
