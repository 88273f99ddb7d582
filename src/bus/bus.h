/* SPDX-License-Identifier: MIT */
/*
 * An embedded bus as one process has it open: the control file, the definitions, the logs it uses,
 * its membership. All clients of the process that name the same directory share one.
 *
 * A message in a log is: exchange (length, 1 byte; bytes), routing key (the same), and the message
 * as record.h writes it. What is delivered later or first is in logs of its own (definitions.h).
 */
#ifndef GW_BUS_BUS_H
#define GW_BUS_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/error.h>
#include <godwit/message.h>

#include "bus/control.h"
#include "bus/definitions.h"
#include "bus/log.h"
#include "bus/members.h"
#include "messaging/transport.h"

typedef struct gw__bus gw__bus;

/* What the URL says: "bus:DIR[?option=value&...]", options
 *   group=NAME                 others who may use it (when it is made)
 *   max_messages=N max_bytes=N overflow=refuse|drop-oldest|dead-letter
 *                              of queues that are declared through this client
 */
typedef struct gw__bus_url {
    gw__bus_place place;
    uint64_t max_messages;
    uint64_t max_bytes;
    gw__overflow overflow;
} gw__bus_url;

gw_status gw__bus_parse_url(const char *url, gw__bus_url *ret_url, gw_error *err);

/* Open, recover if nobody else has it open, and join; or one reference more. `name` is shown to
 * people. With place.read_only: no membership; nothing can be changed or taken. */
gw_status gw__bus_open(const gw__bus_place *place, const char *name, gw__bus **ret_bus,
                       gw_error *err);
void gw__bus_close(gw__bus *bus);

gw__control *gw__bus_control(const gw__bus *bus);
gw__definitions *gw__bus_definitions(const gw__bus *bus);
uint32_t gw__bus_member(const gw__bus *bus);
const char *gw__bus_dir(const gw__bus *bus);
int gw__bus_logs_dir(const gw__bus *bus);

/* This process's view of a log of the topology; stays open until the bus is closed or the log is
 * gone. Any thread. GW_E_NOT_FOUND when it was deleted meanwhile. */
gw_status gw__bus_log(gw__bus *bus, const gw__queue_row *queue, const gw__log_row *row,
                      gw__log **ret_log, gw_error *err);

/* Makes logs for the definitions. */
gw__log_maker gw__bus_log_maker(gw__bus *bus);

/* Declare a work queue, or delete a queue with its files. */
gw_status gw__bus_declare_queue(gw__bus *bus, const gw__queue_row *wanted, gw_error *err);
gw_status gw__bus_delete_queue(gw__bus *bus, const char *queue, gw_error *err);

/* ---- publishing ------------------------------------------------------------------------ */

/* Publish messages, all to the same target: declare it, route each, append, ring. With `to_disk`
 * returns when they survive power loss. `ret_n_done` of them, from the first on, are there when it
 * fails, and on the disk if they were to be: none of them counts when the disk failed (GW_E_IO).
 * `limits` are of queues that it declares. */
gw_status gw__bus_publish(gw__bus *bus, const gw__outgoing *items, size_t n_items,
                          const gw__bus_url *limits, bool to_disk, size_t *ret_n_done,
                          gw_error *err);

/* ---- taking ------------------------------------------------------------------------------- */

/* A message from a leased record, as its receiver sees it; GW_E_PROTOCOL when it is damaged. */
gw_status gw__bus_read(const gw__log_record *record, const char *queue, gw_message **ret_msg,
                       gw_error *err);

/* Move what is due from a queue's delay logs into its own log (and ring for it). Returns when the
 * next one is, unix milliseconds; UINT64_MAX: none is delayed. */
uint64_t gw__bus_ripen(gw__bus *bus, const gw__queue_row *queue, uint64_t now_ms);

#endif
