/* SPDX-License-Identifier: MIT */
/*
 * Who killed the process: a small mapped file that says which message each worker is handling. What
 * it says when the file is opened again was being handled when the process died, by whatever death;
 * those messages are suspects, and their deaths are counted.
 *
 * Costs a copy of the message's id into memory. The kernel keeps the pages of a process that was
 * killed; a machine that loses power may forget, which is no fault of the message. What the file
 * holds is checked and bounded; one of another version or size is started anew. One process at a
 * time: a second one is refused. Shareable between threads.
 */
#ifndef GW_MESSAGING_GUARD_H
#define GW_MESSAGING_GUARD_H

#include <godwit/error.h>
#include <godwit/message.h>

#define GW__GUARD_FILE     "handling"
#define GW__GUARD_SLOTS    256 /* workers; more than these are not watched */
#define GW__GUARD_SUSPECTS 256 /* remembered; beyond, the oldest are forgotten */

typedef struct gw__guard gw__guard;

/* The place of one worker. */
typedef struct gw__guard_slot gw__guard_slot;

/* Open or make the file in the directory, which is made if it is missing (its parent is not).
 * GW_E_BUSY while another process, or client, has it; GW_E_NO_SPACE; GW_E_IO; GW_E_NOMEM. */
gw_status gw__guard_open(const char *dir, gw__guard **ret_guard, gw_error *err);

/* No worker has a place any more. Accepts NULL. */
void gw__guard_close(gw__guard *guard);

/* A place for a worker of this queue; NULL without a guard and when there is none left. */
gw__guard_slot *gw__guard_claim(gw__guard *guard, const char *queue);
void gw__guard_release(gw__guard *guard, gw__guard_slot *slot); /* accepts NULL */

/* From here on the message is being handled, until leave. Both accept NULL. */
void gw__guard_enter(gw__guard_slot *slot, const gw_message *msg);
void gw__guard_leave(gw__guard_slot *slot);

/* How often a process of this directory died while it handled the message; 0 without a guard. */
unsigned gw__guard_crashes(gw__guard *guard, const char *queue, const gw_message *msg);

/* Its deaths are on record elsewhere. Accepts NULL. */
void gw__guard_forget(gw__guard *guard, const char *queue, const gw_message *msg);

#endif
