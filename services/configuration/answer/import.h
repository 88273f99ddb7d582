/* SPDX-License-Identifier: MIT */
/* Where a spring.config.import leads to: to files of the same repository and nowhere else. */
#ifndef CS_IMPORT_H
#define CS_IMPORT_H

#include "files/bounds.h"
#include "files/document.h"

/*
 * The path, in the repository, of what a document of `file` imports as `location`: a path relative
 * to the file's directory, perhaps after "optional:".
 *
 * @param property where the location is written: for the error.
 * @return GW_OK, whether the file exists or not; GW_E_DENIED for a location that is not relative or
 *         leads out of the repository; GW_E_UNSUPPORTED for a directory, a pattern, a placeholder
 * or a format that is not read.
 */
gw_status cs_import_resolve(const cs_file *file, const cs_property *property, cs_text location,
                            char ret_path[CS_PATH_BYTES_MAX + 1], gw_error *err);

#endif
