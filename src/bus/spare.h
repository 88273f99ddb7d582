/* SPDX-License-Identifier: MIT */
/*
 * Room on the disk that is kept for the moment when there is none: a file that is deleted then. A
 * store needs some to be opened after a crash, and to take out what is done with; without it a full
 * disk could not be emptied by the one who fills it.
 */
#ifndef GW_BUS_SPARE_H
#define GW_BUS_SPARE_H

#include <stdbool.h>
#include <stddef.h>

#define GW__SPARE_SIZE ((size_t)16 << 20)

/* Take the room, unless it is taken. A disk that has not so much is no failure. Returns whether
 * there is a spare now. */
bool gw__spare_take(const char *dir);

/* Give it back. Returns whether there was any. */
bool gw__spare_give(const char *dir);

#endif
