/* SPDX-License-Identifier: MIT */
/*
 * Reading the messages of a damaged bus into a new one.
 *
 * The control file is not read: what it says can be found in the logs. Definitions that cannot be
 * read are done without: each segment names its queue, and each message has its priority. What is
 * not known then: exchanges, bindings and limits; which messages were delayed (they are ready at
 * once); how long one that expires has waited (it starts anew).
 */
#ifndef GW_BUS_BUS_ADMIN_SALVAGE_H
#define GW_BUS_BUS_ADMIN_SALVAGE_H

#include <godwit/bus.h>

#include "bus/bus.h"

typedef struct gw__salvage_tally {
    char name[GW__BUS_NAME_MAX + 1]; /* "": of files that do not tell */
    gw_bus_recovered counts;         /* without its name */
} gw__salvage_tally;

typedef struct gw__salvager {
    const char *dir; /* of the damaged bus */
    int logs_fd;     /* of its folder "logs"; -1: there is none */
    gw__bus *bus;    /* the new one */
    gw_error *err;

    /* What was found of each queue; the caller frees it, also after a failure. */
    gw__salvage_tally *tallies;
    size_t n_tallies;

    /* Private: the log that is being read, and where its messages go. */
    gw_status st;
    const char *queue; /* NULL: as they say themselves */
    gw__log *to;       /* of `queue`, or of `last` */
    char last[GW__BUS_NAME_MAX + 1];
    unsigned last_priority;
} gw__salvager;

/* Whether the definitions of a bus can be read; as gw__definitions_open(). */
gw_status gw__salvage_try_definitions(const char *dir, gw_error *err);

/* With the definitions: exchanges, queues, limits, bindings, and the messages of all logs that they
 * name. Temporary queues are left out. */
gw_status gw__salvage_known(gw__salvager *it);

/* Without: the messages of all logs there are. */
gw_status gw__salvage_unknown(gw__salvager *it);

#endif
