/* SPDX-License-Identifier: MIT */
/* The reader of Java .properties files, with Spring Boot's additions. */
#ifndef CS_PROPERTIES_READER_H
#define CS_PROPERTIES_READER_H

#include "files/document.h"

/*
 * Read a .properties text into `file`, which is initialised and empty, and seal it. Bytes are
 * ISO-8859-1; '=', ':' or a blank separates key and value; '#' and '!' begin a comment; "#---" or
 * "!---" alone in a line begins a new document; "key[]=a,b" is key[0] and key[1]. All values are
 * text.
 *
 * @return GW_OK; GW_E_INVALID for a broken \u escape or a NUL character; GW_E_LIMIT; GW_E_NOMEM.
 *         The text begins with "<path>:<line>: ".
 */
gw_status cs_properties_read(cs_file *file, const char *text, size_t len, gw_error *err);

/* The same for a text that is UTF-8 as a whole, with or without a byte order mark; one that is not
 * is ISO-8859-1. */
gw_status cs_properties_read_utf8(cs_file *file, const char *text, size_t len, gw_error *err);

#endif
