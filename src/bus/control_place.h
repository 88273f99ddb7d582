/* SPDX-License-Identifier: MIT */
/* The directory of a bus: made or found, with its folders, for its owner or for a group. */
#ifndef GW_BUS_CONTROL_PLACE_H
#define GW_BUS_CONTROL_PLACE_H

#include <godwit/error.h>

#include "bus/control.h"

/* Sets dir_fd, dir_mode and file_mode of `file`, which is otherwise left alone; dir_fd is the
 * caller's also on failure. As gw__control_open(). */
gw_status gw__control_find_place(const gw__bus_place *place, gw__control_file *file, gw_error *err);

/* Open a file of the directory for reading and writing, made if need be with the file mode whatever
 * the umask says. Never a link. Returns -1 with errno. */
int gw__control_open_file(const gw__control_file *file, const char *name);

#endif
