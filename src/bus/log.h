/* SPDX-License-Identifier: MIT */
/*
 * A log: records in order, in files of their own ("segments") that every process of a bus maps, and
 * what became of each. Appenders and takers do not wait for each other. A record counts from the
 * one store that moves the log's tail; it is taken, settled and given back by one store to its
 * state. So whatever is killed when, a record is there whole or not at all, and in one state.
 *
 * A gw__log is this process's view of one. All calls can be made by any thread.
 */
#ifndef GW_BUS_LOG_H
#define GW_BUS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/error.h>

#include "bus/control.h"

typedef struct gw__log gw__log;

#define GW__LOG_NOBODY UINT32_MAX /* as an owner */

/* Where its files are, and what is written into them for whoever has to read them without the
 * definitions. Copied. */
typedef struct gw__log_place {
    int dir_fd;       /* of the folder that holds the logs' folders; stays open */
    const char *name; /* of the queue, for errors and the segments' heads */
    uint64_t serial;
    unsigned dir_mode;
    unsigned file_mode;
} gw__log_place;

/* Open the log whose state is `state`. Its folder is made when it is first appended to. */
gw_status gw__log_open(const gw__log_place *place, gw__log_state *state, gw__log **ret_log,
                       gw_error *err);

/* Accepts NULL. No call is running. */
void gw__log_close(gw__log *log);

/* Set up an unused state as an empty log, which is there when this returns. The caller holds what
 * guards the slot. */
void gw__log_create(gw__log_state *state, uint64_t serial);

/* The log is gone for everybody: calls fail with GW_E_NOT_FOUND. Removes its files. */
void gw__log_delete(gw__log *log);

/* Remove the folder of a log that has no state (left by a process that was killed). */
void gw__log_remove_files(int logs_dir_fd, uint64_t serial);

/* Make the state right again when no process is using the log. All leases are void. When the
 * machine was `rebooted` (or the state is not to be trusted), everything is read, checked and
 * worked out from the files; what is damaged is counted and left out. Resets all waiters. */
gw_status gw__log_recover(gw__log *log, bool rebooted, gw_error *err);

/* ---- appending --------------------------------------------------------------- */

typedef struct gw__log_limits {
    uint64_t max_messages; /* 0: no limit */
    uint64_t max_bytes;
} gw__log_limits;

typedef struct gw__log_write {
    size_t len;          /* of what write() will write, at most GW__LOG_RECORD_MAX */
    uint64_t expires_ms; /* unix milliseconds; 0: never. Of a delay log: when it is due */
    uint8_t *(*write)(const void *ctx, uint8_t *to); /* exactly len bytes; returns the end */
    const void *ctx;
} gw__log_write;

#define GW__LOG_RECORD_MAX ((size_t)192 << 20)

/*
 * Append records, all or none; they are there, for everybody and after kill -9, when it returns.
 * `limits` may be NULL. GW_E_FULL: the limits leave no room for all of them; GW_E_NOT_FOUND: the
 * log was deleted; GW_E_NO_SPACE: the disk is full; GW_E_IO; GW_E_LIMIT: larger than max_bytes or
 * GW__LOG_RECORD_MAX.
 * @param ret_end may be NULL: position behind the last one, for gw__log_sync().
 */
gw_status gw__log_append(gw__log *log, const gw__log_write *writes, size_t n_writes,
                         const gw__log_limits *limits, uint64_t *ret_end, gw_error *err);

/* Wait until everything before `end` survives power loss; callers share the disk's work. */
gw_status gw__log_sync(gw__log *log, uint64_t end, gw_error *err);

/* ---- taking -------------------------------------------------------------------- */

typedef struct gw__log_record {
    uint64_t position; /* identifies it while it is leased */
    uint64_t seq;
    uint64_t expires_ms;
    bool redelivered;     /* was taken before */
    unsigned n_taken;     /* this time included; stays at 255 */
    const uint8_t *bytes; /* good until the record is settled or returned */
    size_t len;
} gw__log_record;

/*
 * Lease up to `max` records to the member `owner`, oldest first, and those that were given back
 * before all others. Expired ones are dropped on the way, damaged ones set aside and counted
 * (gw__log_state.n_damaged; their bytes go to the file "damaged" in the log's folder).
 * `now_ms`: unix milliseconds. Records that are not before `due_ms` are not taken, nor what is
 * behind them: for delay logs, whose expires_ms is read as when it is due (then nothing expires);
 * 0 for others. Returns how many; 0 also when the log was deleted (see gw__log_is_there()).
 */
size_t gw__log_take(gw__log *log, uint32_t owner, uint64_t now_ms, uint64_t due_ms,
                    gw__log_record *ret_records, size_t max);

/* Of a delay log: when its first record is due; UINT64_MAX when it has none; 0 when that cannot be
 * read at present. */
uint64_t gw__log_first_due_ms(gw__log *log);

/* Done with records that `owner` has leased: for good, or ready again for the next taker, in their
 * old place and marked as redelivered. One that owner does not have is left alone. Returns how
 * many were settled. */
typedef enum gw__log_settle { GW__LOG_DONE, GW__LOG_RETURN } gw__log_settle_how;
size_t gw__log_settle(gw__log *log, uint32_t owner, const uint64_t *positions, size_t n_positions,
                      gw__log_settle_how how);

/* Give back everything that a member has leased: it is dead. Returns how many, or GW__LOG_NOT_ALL
 * when some cannot be read at present: it is to be called again. */
#define GW__LOG_NOT_ALL SIZE_MAX
size_t gw__log_return_all(gw__log *log, uint32_t owner);

/* Drop up to `max` ready records, oldest first (a limit, a purge). With `spill`, each is shown to
 * it first, under the log's take_lock; one for which it returns false stays, and this ends. Returns
 * how many were dropped. */
typedef bool (*gw__log_spill)(void *ctx, const gw__log_record *record);
size_t gw__log_drop(gw__log *log, size_t max, gw__log_spill spill, void *ctx);

/* Drop those at the front that nobody has taken and that have expired, some at a time; returns how
 * many. Not for a delay log. */
size_t gw__log_drop_expired(gw__log *log, uint64_t now_ms);

/* ---- looking ----------------------------------------------------------------------- */

bool gw__log_is_there(const gw__log *log);

typedef struct gw__log_counts {
    uint64_t n_ready;
    uint64_t n_leased;
    uint64_t n_bytes;    /* of both, about */
    uint64_t n_appended; /* since it was made: each of these only grows */
    uint64_t n_settled;
    uint64_t n_expired;
    uint64_t n_dropped;
    uint64_t n_redelivered;
    uint64_t n_damaged;
    uint32_t n_consumers;
} gw__log_counts;

/* No lock: about right while others work, exact when they do not. */
void gw__log_count(const gw__log *log, gw__log_counts *ret_counts);
uint64_t gw__log_n_bytes(const gw__log_state *state);

/* Whether there is something that can be taken now; no lock. */
bool gw__log_has_ready(const gw__log *log);

/* Show records without taking them, from the oldest on, ready and leased ones; until visit returns
 * false. `leased_to`: GW__LOG_NOBODY when it is ready. Called without a lock; the bytes are good
 * during the call. Records that come and go meanwhile may be missed or shown. */
typedef bool (*gw__log_visitor)(void *ctx, const gw__log_record *record, uint32_t leased_to);
gw_status gw__log_visit(gw__log *log, gw__log_visitor visit, void *ctx, gw_error *err);

/* Copy the log as it is, exactly and while others work, in three steps: hold_takes() for all logs
 * by rising number and then hold_appends() for all (so that what is copied is of one moment; who
 * drops to another log has the one's take_lock and waits for the other's append_lock), note() and
 * then let go(), and copy() into a folder "<serial>" of another directory. */
typedef struct gw__log_copy gw__log_copy;
void gw__log_hold_takes(gw__log *log);
void gw__log_hold_appends(gw__log *log);
gw_status gw__log_note(gw__log *log, gw__log_copy **ret_copy, gw_error *err);
void gw__log_release(gw__log *log);
gw_status gw__log_copy_out(gw__log_copy *copy, int to_logs_dir_fd, gw_error *err);
void gw__log_copy_free(gw__log_copy *copy);

/* Read the segments of a folder of which nothing else is known, as far as they can be read:
 * `godwit bus recover`. `name` is the queue's, from the segments. */
typedef struct gw__log_salvage {
    bool (*found)(void *ctx, const char *name, const gw__log_record *record);
    void (*damaged)(void *ctx, const char *name, uint64_t offset, size_t len);
    void *ctx;
} gw__log_salvage;
gw_status gw__log_salvage_files(int logs_dir_fd, uint64_t serial, const gw__log_salvage *salvage,
                                gw_error *err);

#endif
