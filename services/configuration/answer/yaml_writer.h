/* SPDX-License-Identifier: MIT */
/*
 * A tree of properties as YAML text, in the form that Spring Cloud Config's servers have: blocks,
 * two blanks to a level, the dashes of a list at its parent's column, lines folded past column 80.
 */
#ifndef CS_YAML_WRITER_H
#define CS_YAML_WRITER_H

#include <godwit/buf.h>

#include "answer/property_tree.h"

/*
 * Append the text. A root of nothing but "document", if that is a list or a value, becomes the list
 * or the value: the name is what a YAML file without a map is read under.
 */
void cs_yaml_write(gw_buf *out, const cs_branch *root);

#endif
