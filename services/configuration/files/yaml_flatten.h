/* SPDX-License-Identifier: MIT */
/*
 * From a tree to flat properties: maps join with '.', list items are "[0]", a key that begins with
 * '[' is joined without a dot, keys that are not text become "[1]" or "[true]". Aliases and merge
 * keys are followed, within limits.
 */
#ifndef CS_YAML_FLATTEN_H
#define CS_YAML_FLATTEN_H

#include "files/document.h"
#include "files/yaml_tree.h"

/*
 * Put the properties of the document `root` into the file's last document.
 *
 * @param n_visits counts the nodes visited in the whole file, so that the limit holds for all its
 *                 documents together.
 */
gw_status cs_yaml_flatten(cs_file *file, const cs_node *root, size_t *n_visits, gw_error *err);

/* Two keys of one map are the same key. */
int cs_yaml_key_compare(const cs_node *a, const cs_node *b);

#endif
