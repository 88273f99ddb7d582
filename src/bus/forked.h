/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that a forked child is not to have. The others of a bus take a process for alive as
 * long as anybody has its sockets open; close-on-exec is enough for a child that runs another
 * program, but not for one that does not.
 *
 * In the child each becomes one of /dev/null, so that its number is not somebody else's when the
 * child closes what it thinks it has.
 */
#ifndef GW_BUS_FORKED_H
#define GW_BUS_FORKED_H

#include <stdbool.h>

/* Around the making of a descriptor: no fork happens between begin and end. end() returns false
 * when there is no memory to keep it in mind; it is then still open. A negative one is ignored. */
void gw__forked_begin(void);
bool gw__forked_end(int fd);

/* Close one that was given to end(). Ignores a negative one. */
void gw__forked_close(int fd);

#endif
