/* SPDX-License-Identifier: MIT */
/* The directory of a store or a bus, and whose it is: a store's is one process's at a time. */
#ifndef GW_BUS_OWNER_H
#define GW_BUS_OWNER_H

#include <stddef.h>
#include <sys/types.h>

#include <godwit/error.h>

#define GW__DIR_MAX  4000 /* bytes of a store's directory */

#define GW__NO_GROUP ((gid_t)-1)

/* Make `dir` and what is above it, for this user alone, or with `gid` for that group as well
 * (02770). GW_E_INVALID for an empty or too long one; what gw__owner_check_dir() fails with. */
gw_status gw__owner_make_dir(const char *dir, gid_t gid, gw_error *err);

/* GW_E_UNSUPPORTED for a directory on a network file system, where neither locks nor mapped files
 * can be relied on. */
gw_status gw__owner_check_dir(const char *dir, gw_error *err);

/* What was made in it, files and directories, is there after a loss of power. */
gw_status gw__owner_sync_dir(const char *dir, gw_error *err);

/* Become the owner: `ret_fd` is to be kept open, and closed to let go, as the end of the process
 * does. GW_E_BUSY names the pid of the owner. */
gw_status gw__owner_lock(const char *dir, int *ret_fd, gw_error *err);

/* The pid of the owner, as it says; 0 when there is none. */
long gw__owner_pid(const char *dir);

#endif
