/* SPDX-License-Identifier: MIT */
/* How many files and sockets the process may have open. */
#ifndef GW_SERVICE_DESCRIPTORS_H
#define GW_SERVICE_DESCRIPTORS_H

/* Raise the soft limit, as far as the hard one allows, to have room for `n_connections` and what a
 * program opens besides. A limit that does not suffice is logged. */
void gw__descriptors_allow(unsigned n_connections);

#endif
