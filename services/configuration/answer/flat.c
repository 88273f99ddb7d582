/* SPDX-License-Identifier: MIT */
#include "answer/flat.h"

#include "answer/json.h"
#include "answer/merged.h"
#include "answer/properties_writer.h"
#include "answer/property_tree.h"
#include "answer/yaml_writer.h"
#include "files/bounds.h"

static void write_json(gw_buf *out, const cs_branch *branch);

static void write_json_map(gw_buf *out, const cs_branch *map)
{
    gw_buf_add_char(out, '{');
    for (size_t i = 0; i < map->n_children; i++) {
        const cs_branch *child = map->children[i];
        if (i > 0) {
            gw_buf_add_char(out, ',');
        }
        gw_buf_add_json(out, child->name.bytes, child->name.len);
        gw_buf_add_char(out, ':');
        write_json(out, child);
    }
    gw_buf_add_char(out, '}');
}

static void write_json_list(gw_buf *out, const cs_branch *list)
{
    size_t index = 0;
    gw_buf_add_char(out, '[');
    for (size_t i = 0; i < list->n_children; index++) {
        if (index > 0) {
            gw_buf_add_char(out, ',');
        }
        if (list->children[i]->index == index) {
            write_json(out, list->children[i++]);
        } else {
            gw_buf_add_str(out, "null");
        }
    }
    gw_buf_add_char(out, ']');
}

static void write_json(gw_buf *out, const cs_branch *branch)
{
    switch (branch->kind) {
    case CS_BRANCH_VALUE: cs_json_write_value(out, branch->item->value, branch->item->kind); break;
    case CS_BRANCH_MAP: write_json_map(out, branch); break;
    case CS_BRANCH_LIST: write_json_list(out, branch); break;
    }
}

static gw_status write_tree(gw_buf *out, const cs_merged *merged, cs_flat_format format,
                            cs_arena *arena, gw_error *err)
{
    const cs_branch *root = NULL;
    gw_status st = cs_property_tree_make(merged, arena, &root, err);
    if (st != GW_OK) {
        return st;
    }
    if (format == CS_FLAT_YAML) {
        cs_yaml_write(out, root);
    } else {
        write_json(out, root);
    }
    return GW_OK;
}

gw_status cs_flat_write(gw_buf *out, const cs_environment *env, cs_flat_format format, bool resolve,
                        gw_error *err)
{
    cs_arena arena;
    cs_merged merged = {.items = NULL};
    cs_arena_init(&arena, CS_FLAT_MEMORY_MAX);
    gw_status st = cs_merged_make(env, resolve, &arena, &merged, err);
    if (st == GW_OK && format == CS_FLAT_PROPERTIES) {
        cs_properties_write(out, &merged);
    } else if (st == GW_OK) {
        st = write_tree(out, &merged, format, &arena, err);
    }
    cs_arena_wipe(&arena); /* values that were encrypted may be in it */
    if (st == GW_OK && gw_buf_status(out) != GW_OK) {
        st = gw_error_set(err, gw_buf_status(out), 0, "the flat form of the environment: %s",
                          gw_status_text(gw_buf_status(out)));
    }
    return st;
}
