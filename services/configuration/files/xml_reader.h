/* SPDX-License-Identifier: MIT */
/* The reader of Java's XML properties. */
#ifndef CS_XML_READER_H
#define CS_XML_READER_H

#include "files/document.h"

/*
 * Read <properties>, with <comment> and <entry key="k">v</entry> below it, into `file`, which is
 * initialised and empty, and seal it. All values are text, and one document. Nothing that the text
 * names is fetched, and it may declare no entities.
 *
 * @return GW_OK; GW_E_INVALID for what is not well-formed, or not of that form; GW_E_LIMIT;
 *         GW_E_NOMEM. The text begins with "<path>:<line>: ".
 */
gw_status cs_xml_read(cs_file *file, const char *text, size_t len, gw_error *err);

#endif
