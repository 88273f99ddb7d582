/* SPDX-License-Identifier: MIT */
/* The directory of a store, and whose it is: one process at a time. */
#ifndef GW_BUS_OWNER_H
#define GW_BUS_OWNER_H

#include <stddef.h>

#include <godwit/error.h>

#define GW__DIR_MAX 4000 /* bytes of a store's directory */

/* Make `dir` and what is above it, readable for this user alone. GW_E_INVALID for an empty or too
 * long one; GW_E_UNSUPPORTED on a network file system, where neither locks nor mapped files can be
 * relied on. */
gw_status gw__owner_make_dir(const char *dir, gw_error *err);

/* What was made in it, files and directories, is there after a loss of power. */
gw_status gw__owner_sync_dir(const char *dir, gw_error *err);

/* Become the owner: `ret_fd` is to be kept open, and closed to let go, as the end of the process
 * does. GW_E_BUSY names the pid of the owner. */
gw_status gw__owner_lock(const char *dir, int *ret_fd, gw_error *err);

/* The pid of the owner, as it says; 0 when there is none. */
long gw__owner_pid(const char *dir);

#endif
