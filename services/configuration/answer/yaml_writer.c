/* SPDX-License-Identifier: MIT */
#include "answer/yaml_writer.h"

#include "answer/yaml_text.h"

#define STRIPPED "document"

static void write_map(cs_yaml_text *w, const cs_branch *map, size_t indent, bool goes_on);
static void write_list(cs_yaml_text *w, const cs_branch *list, size_t indent, bool goes_on);

static void write_value(cs_yaml_text *w, const cs_branch *value, size_t indent)
{
    if (value->item->kind == CS_VALUE_LITERAL) {
        cs_yaml_text_add(w, value->item->value.bytes, value->item->value.len);
    } else {
        cs_yaml_text_scalar(w, value->item->value, indent + 2);
    }
}

/* In the line that "- " or ": " begins. */
static void write_inline(cs_yaml_text *w, const cs_branch *branch, size_t indent)
{
    switch (branch->kind) {
    case CS_BRANCH_VALUE: write_value(w, branch, indent); break;
    case CS_BRANCH_MAP: write_map(w, branch, indent + 2, true); break;
    case CS_BRANCH_LIST: write_list(w, branch, indent + 2, true); break;
    }
}

static void write_entry(cs_yaml_text *w, const cs_branch *entry, size_t indent)
{
    if (!cs_yaml_text_key(w, entry->name)) {
        cs_yaml_text_add(w, "? ", 2);
        cs_yaml_text_scalar(w, entry->name, indent + 2);
        cs_yaml_text_line(w, indent);
        cs_yaml_text_add(w, ": ", 2);
        write_inline(w, entry, indent);
        return;
    }
    switch (entry->kind) {
    case CS_BRANCH_VALUE:
        cs_yaml_text_add(w, ": ", 2);
        write_value(w, entry, indent);
        break;
    case CS_BRANCH_MAP:
        cs_yaml_text_add(w, ":", 1);
        write_map(w, entry, indent + 2, false);
        break;
    case CS_BRANCH_LIST:
        cs_yaml_text_add(w, ":", 1);
        write_list(w, entry, indent, false);
        break;
    }
}

/* `goes_on`: the first entry stands in the line at hand. */
static void write_map(cs_yaml_text *w, const cs_branch *map, size_t indent, bool goes_on)
{
    for (size_t i = 0; i < map->n_children; i++) {
        if (i > 0 || !goes_on) {
            cs_yaml_text_line(w, indent);
        }
        write_entry(w, map->children[i], indent);
    }
}

static void write_list(cs_yaml_text *w, const cs_branch *list, size_t indent, bool goes_on)
{
    size_t index = 0;
    for (size_t i = 0; i < list->n_children; index++) {
        if (index > 0 || !goes_on) {
            cs_yaml_text_line(w, indent);
        }
        cs_yaml_text_add(w, "- ", 2);
        if (list->children[i]->index == index) {
            write_inline(w, list->children[i++], indent);
        } else {
            cs_yaml_text_add(w, "null", 4);
        }
    }
}

void cs_yaml_write(gw_buf *out, const cs_branch *root)
{
    cs_yaml_text w;
    cs_yaml_text_init(&w, out);
    const cs_branch *only = root->n_children == 1 ? root->children[0] : NULL;
    if (root->n_children == 0) {
        cs_yaml_text_add(&w, "{}", 2);
    } else if (only == NULL || only->kind == CS_BRANCH_MAP || !cs_text_is(only->name, STRIPPED)) {
        write_map(&w, root, 0, true);
    } else if (only->kind == CS_BRANCH_LIST) {
        write_list(&w, only, 0, true);
    } else {
        write_value(&w, only, 0);
    }
    cs_yaml_text_line(&w, 0);
    cs_yaml_text_dispose(&w);
}
