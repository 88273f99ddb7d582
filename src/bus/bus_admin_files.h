/* SPDX-License-Identifier: MIT */
/* The directory of a bus as files: for whoever copies or replaces it as a whole. */
#ifndef GW_BUS_BUS_ADMIN_FILES_H
#define GW_BUS_BUS_ADMIN_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/error.h>

#define GW__FILES_PATH_MAX 4160

/* Whether a directory holds a bus, or what is left of one. */
bool gw__files_are_there(const char *dir);

/* Blocks of all files in it, in bytes. */
uint64_t gw__files_disk_bytes(const char *dir);

/* Remove a directory with all that is in it, as far as it can be done. Follows no links. */
void gw__files_remove(const char *dir);

/* Give a directory a name that nothing has yet. GW_E_EXISTS. */
gw_status gw__files_rename(const char *from, const char *to, gw_error *err);

/* Let two directories change their names, so that at every moment there is one of each name.
 * GW_E_UNSUPPORTED where the file system cannot. */
gw_status gw__files_exchange(const char *one, const char *other, gw_error *err);

/* Write to the disk that something in `path`'s parent has another name. */
gw_status gw__files_sync_parent(const char *path, gw_error *err);

/* Write everything of the file system that holds `dir` to the disk. */
gw_status gw__files_sync(const char *dir, gw_error *err);

#endif
