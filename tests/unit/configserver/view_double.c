/* SPDX-License-Identifier: MIT */
#include "configserver/view_double.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct world {
    double_label label;
    cs_tree *tree;
    atomic_size_t n_reads;
} world;

struct cs_view {
    world *worlds;
    size_t n_worlds;
};

static gw_status read_one(void *ctx, const cs_tree_entry *entry, gw_buf *out, gw_error *err)
{
    world *of = ctx;
    (void)err;
    atomic_fetch_add(&of->n_reads, 1);
    for (const double_file *file = of->label.files; file->path != NULL; file++) {
        if (strcmp(file->path, entry->path) == 0) {
            gw_buf_add_str(out, file->text);
        }
    }
    return gw_buf_status(out);
}

static void make_tree(world *of)
{
    const double_label *label = &of->label;
    cs_tree_builder *builder = cs_tree_builder_new(
        DOUBLE_URI, label->version == NULL ? "" : label->version, label->time_s);
    assert_non_null(builder);
    for (const double_file *file = label->files; file->path != NULL; file++) {
        cs_tree_entry entry = {
            .path = file->path,
            .kind = strncmp(file->text, "-> ", 3) == 0 ? CS_ENTRY_LINK : CS_ENTRY_FILE,
            .size = strlen(file->text),
        };
        assert_int_equal(cs_tree_builder_add(builder, &entry, NULL), GW_OK);
    }
    cs_blobs blobs = {.read = read_one, .ctx = of};
    gw_error err = GW_ERROR_INIT;
    if (cs_tree_builder_make(builder, &blobs, NULL, &of->tree, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
}

cs_view *view_double_new(const double_label *labels, size_t n_labels)
{
    cs_view *view = calloc(1, sizeof(*view));
    assert_non_null(view);
    view->worlds = calloc(n_labels, sizeof(*view->worlds));
    assert_non_null(view->worlds);
    for (size_t i = 0; i < n_labels; i++) {
        view->worlds[i].label = labels[i];
        make_tree(&view->worlds[i]);
    }
    view->n_worlds = n_labels;
    return view;
}

void view_double_free(cs_view *view)
{
    for (size_t i = 0; i < view->n_worlds; i++) {
        cs_tree_unref(view->worlds[i].tree);
    }
    free(view->worlds);
    free(view);
}

size_t view_double_n_reads(const cs_view *view)
{
    size_t n = 0;
    for (size_t i = 0; i < view->n_worlds; i++) {
        n += atomic_load(&view->worlds[i].n_reads);
    }
    return n;
}

static void fill_place(const world *of, cs_place *place)
{
    *place = (cs_place){
        .tree = cs_tree_ref(of->tree),
        .repo_name = "default",
        .is_directory = of->label.version == NULL,
        .is_stale = of->label.is_stale,
        .age_ms = of->label.age_ms,
    };
    strcpy(place->label, of->label.name);
    for (const char *const *dir = of->label.dirs; *dir != NULL; dir++) {
        place->dirs[place->n_dirs++] = strdup(*dir);
    }
    if (place->n_dirs == 0) {
        place->dirs[place->n_dirs++] = strdup("");
    }
}

gw_status cs_view_place(const cs_view *view, const char *application, const char *profiles,
                        const char *label, cs_place *ret_place, gw_error *err)
{
    (void)application;
    (void)profiles;
    for (size_t i = 0; i < view->n_worlds; i++) {
        const world *of = &view->worlds[i];
        if (label != NULL && strcmp(of->label.name, label) != 0) {
            continue;
        }
        if (of->label.fails != GW_OK) {
            return gw_error_set(err, of->label.fails, 0, "label '%s' fails", of->label.name);
        }
        fill_place(of, ret_place);
        return GW_OK;
    }
    return gw_error_set(err, GW_E_NOT_FOUND, 0, "no label '%s'", label);
}

void cs_place_dispose(cs_place *place)
{
    for (size_t i = 0; i < place->n_dirs; i++) {
        free(place->dirs[i]);
    }
    cs_tree_unref(place->tree);
    *place = (cs_place){.tree = NULL};
}

gw_status view_double_load(const double_file *files, const char *name, const char *profiles,
                           cs_view **ret_view, cs_environment *ret_env, gw_error *err)
{
    double_label label = {.name = "main", .version = "0123456789abcdef", .files = files};
    cs_rules rules = {.n_overrides = 0};
    cs_request req;
    assert_int_equal(cs_request_init(&req, name, profiles, NULL, NULL), GW_OK);
    *ret_view = view_double_new(&label, 1);
    return cs_environment_load(*ret_view, &rules, &req, ret_env, err);
}
