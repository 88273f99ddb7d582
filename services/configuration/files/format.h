/* SPDX-License-Identifier: MIT */
/* The formats of configuration files, by their extension. */
#ifndef CS_FORMAT_H
#define CS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "files/document.h"

/* From the lowest precedence to the highest: "yaml", "yml", "xml", "properties". NULL past the end.
 */
const char *cs_format_extension(size_t i);

/* Whether a path's extension is one of these. */
bool cs_format_is_known(const char *path);

/*
 * Read a file into `file`, which is zeroed; initialises and seals it.
 *
 * @return GW_OK; GW_E_INVALID, GW_E_LIMIT, GW_E_UNSUPPORTED with "<path>:<line>: "; GW_E_NOMEM. To
 *         be disposed of in any case.
 */
gw_status cs_format_read(cs_file *file, const char *path, const char *text, size_t len,
                         gw_error *err);

/*
 * Whether .properties that are valid UTF-8 are read as that. Unset, they are ISO-8859-1, as in
 * Java. For the whole process, since what a file comes to is kept with its bytes: to be set once,
 * before the first file is read.
 */
void cs_format_set_utf8_properties(bool is_utf8);

#endif
