/* SPDX-License-Identifier: MIT */
/* What the parts of godwit/bus.h have in common. */
#ifndef GW_BUS_BUS_ADMIN_H
#define GW_BUS_BUS_ADMIN_H

#include <godwit/bus.h>

#include "bus/bus.h"

struct gw_bus {
    gw__bus *bus;
    bool read_only;
};

/* A directory from a directory or a URL. GW_E_INVALID. */
gw_status gw__admin_place(const char *where, gw__bus_place *ret_place, gw_error *err);

/* GW_E_DENIED when `dir` belongs to another user, and not to a group: what is made there, sockets
 * too, its user could not open, and no process of that user could join the bus. */
gw_status gw__admin_check_user(const char *dir, gw_error *err);

/* GW_E_DENIED when it was opened to look only. */
gw_status gw__admin_may_change(const gw_bus *bus, gw_error *err);

/* A queue of the newest topology, which the caller gives back. GW_E_NOT_FOUND. */
gw_status gw__admin_queue(gw_bus *bus, const char *name, const gw__topology **ret_topology,
                          const gw__queue_row **ret_queue, gw_error *err);

/* The i-th log in the order of taking: high priorities first, the delays last. */
const gw__log_row *gw__admin_log_at(const gw__queue_row *queue, size_t i);

/* Records are ready again: tell whoever waits for them. */
void gw__admin_ring(gw_bus *bus, const gw__log_row *row);

uint64_t gw__admin_now_ms(void);

#endif
