/* SPDX-License-Identifier: MIT */
/**
 * @file config_files.h
 * The files of a repository, as they lie in its directory or as a commit has them.
 */
#ifndef GODWIT_TOOL_CONFIG_FILES_H
#define GODWIT_TOOL_CONFIG_FILES_H

#include <godwit/error.h>

#include "repo/tree.h"

/**
 * The files below a directory, whatever git thinks of them, but not those below ".git". Symbolic
 * links are entries and not followed.
 *
 * @param ret_tree with one reference; reads files when they are asked for.
 * @return GW_OK; GW_E_NOT_FOUND; GW_E_LIMIT past the server's own limits; GW_E_IO; GW_E_NOMEM.
 */
gw_status config_files_of_directory(const char *dir, cs_tree **ret_tree, gw_error *err);

/**
 * Whether a text may be a directory or a repository of this machine; a path that is there is one,
 * whatever it looks like. GW_E_UNSUPPORTED for what only git could fetch: the program that answers
 * git's questions for a password is configserver.
 */
gw_status config_files_check_local(const char *dir, gw_error *err);

/**
 * The files of the commit that a label of a local git repository names: a branch, a tag, or at
 * least 7 digits of an id. GW_E_NOT_FOUND for another label, and when there is no repository; also
 * as config_files_check_local().
 */
gw_status config_files_of_label(const char *dir, const char *label, cs_tree **ret_tree,
                                gw_error *err);

#endif
