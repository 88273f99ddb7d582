/* SPDX-License-Identifier: MIT */
/*
 * A YAML document as written: scalars, lists and maps, with aliases as further references to the
 * same node. Lives in an arena; a node never contains itself.
 */
#ifndef CS_YAML_TREE_H
#define CS_YAML_TREE_H

#include <stdbool.h>

#include "files/yaml_scalar.h"

typedef enum cs_node_kind { CS_NODE_SCALAR, CS_NODE_LIST, CS_NODE_MAP } cs_node_kind;

struct cs_node;

/* An entry of a list or a map. The key is NULL in a list. */
typedef struct cs_entry {
    struct cs_node *key;
    struct cs_node *value;
    struct cs_entry *next;
} cs_entry;

typedef struct cs_node {
    cs_node_kind kind;
    bool is_open;   /* its end has not been read yet, so an alias to it would be a loop */
    bool has_merge; /* a map with the key "<<" */
    unsigned line;  /* both count from 1 */
    unsigned column;
    cs_scalar scalar;
    cs_entry *first;
    cs_entry *last;
    size_t n_entries;
} cs_node;

#endif
