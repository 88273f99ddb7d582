/* SPDX-License-Identifier: MIT */
/* The YAML reader: bytes to flat, ordered properties. */
#ifndef CS_YAML_READER_H
#define CS_YAML_READER_H

#include "files/document.h"

/*
 * Read all documents of a YAML 1.1 text into `file`, which is initialised and empty, and seal it.
 * Everything is bounded (bounds.h): size, nesting, nodes, what aliases expand to.
 *
 * @return GW_OK; GW_E_INVALID for bad syntax, duplicate keys, tags of other types, aliases that
 *         contain themselves; GW_E_LIMIT; GW_E_NOMEM. The text begins with "<path>:<line>: ".
 */
gw_status cs_yaml_read(cs_file *file, const char *text, size_t len, gw_error *err);

#endif
