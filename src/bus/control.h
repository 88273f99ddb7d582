/* SPDX-License-Identifier: MIT */
/*
 * The file "control" of an embedded bus, which every process of it has mapped: who is there, who
 * consumes, and where each log begins and ends. All that must outlive a loss of power is elsewhere,
 * in the logs and in the definitions; this can be made again from them.
 *
 * Rules for what is in it:
 *  - A process can be killed between any two stores. Whoever gets a lock of a dead owner repairs
 *    what the lock guards first (robust.h).
 *  - What counts is one store: a tail that moves, a serial that is set, a state that changes.
 *  - Fields that are read without their lock are atomic.
 *  - Locks are taken in this order, and no two of one kind but by a backup, which takes all of one
 *    kind by rising number, then all of the next: members_lock, a log's take_lock, a log's
 *    append_lock.
 */
#ifndef GW_BUS_CONTROL_H
#define GW_BUS_CONTROL_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/error.h>

#define GW__CONTROL_MAGIC     UINT64_C(0x3173756274697767) /* "gwitbus1" */
#define GW__CONTROL_VERSION   1

#define GW__BUS_LOGS_MAX      8192
#define GW__BUS_MEMBERS_MAX   256
#define GW__BUS_CONSUMERS_MAX 4096
#define GW__WAITER_WORDS      (GW__BUS_MEMBERS_MAX / 64)

/*
 * One log: the messages of a queue in order. log.h works with it. A position is
 * index of the segment << 32 | offset in it; numbers ("seq") count from 1.
 */
typedef struct gw__log_state {
    /* Which log is here; 0: none. Never used twice in the life of a bus, so that a process which
     * still knows a deleted one notices. Set last when a log is made, cleared first. */
    alignas(64) _Atomic uint64_t serial;
    /* Whether the two locks were ever made: they stay when the place gets another log, since
     * somebody may still be about to take one. The first to open the bus makes them anew. */
    uint32_t locks_made;

    /* What appends. append_lock guards changes of these. */
    alignas(64) pthread_mutex_t append_lock;
    bool append_unrepaired;          /* somebody died with the lock, and it was not put right yet */
    uint64_t append_from;            /* the tail when the last append began */
    _Atomic uint64_t tail;           /* position behind the last record */
    _Atomic uint64_t last_seq;       /* of the last record */
    _Atomic uint64_t appended_bytes; /* of all records ever, as limits count them */

    /* What takes and settles. take_lock guards changes of these. */
    alignas(64) pthread_mutex_t take_lock;
    bool take_unrepaired;      /* as append_unrepaired */
    _Atomic uint64_t head;     /* position of the first record that is not settled */
    _Atomic uint64_t head_seq; /* its number, that of the next append if there is none */
    _Atomic uint64_t next;     /* position of the first record that was never taken */
    _Atomic uint64_t next_seq;
    _Atomic uint64_t n_leased;      /* between head and next: at a member, ... */
    _Atomic uint64_t n_returned;    /* ... and given back, ready again; the rest is settled */
    _Atomic uint64_t returned_from; /* no record before this position is a returned one */
    _Atomic uint64_t settled_bytes; /* as appended_bytes: of those before the head, ... */
    _Atomic uint64_t done_bytes;    /* ... and of the settled ones behind it */
    uint64_t first_segment;         /* index of the oldest file there may be */

    /* Counters since the log was made, for people. */
    _Atomic uint64_t n_settled; /* acknowledged */
    _Atomic uint64_t n_expired;
    _Atomic uint64_t n_dropped; /* by a limit or a purge */
    _Atomic uint64_t n_redelivered;
    _Atomic uint64_t n_damaged;

    /* Who waits for a message. A bit for each member; set by the member, which then looks once more
     * before it sleeps; cleared by whoever rings for it. No lock. */
    alignas(64) _Atomic uint64_t waiters[GW__WAITER_WORDS];
    _Atomic uint32_t turn;        /* the member to begin with when the next is rung */
    _Atomic uint32_t n_consumers; /* all members' */
    /* Some of it could not be written, and the system has forgotten it: whoever asks next would be
     * told that all is well. */
    _Atomic bool sync_failed;
    _Atomic uint64_t synced; /* everything before this position is on the disk */
    /* Of a queue's own log: when the first message of one of its delay logs is due, unix
     * milliseconds; UINT64_MAX: none is delayed. May be too early, never too late. */
    _Atomic uint64_t due_ms;
} gw__log_state;

/* A process that has the bus open. members.h */
typedef struct gw__member_state {
    /* Even: free. Odd: in use; a number is never used again for this slot. */
    alignas(64) _Atomic uint64_t generation;
    /* The futex it sleeps on, and whether it does: gw__member_ring(). */
    _Atomic uint32_t bell;
    _Atomic uint32_t asleep;
    int64_t pid; /* for people, in its own namespace: nothing depends on it */
    uint64_t since_ms;
    char name[64]; /* NUL-terminated */
} gw__member_state;

/* A consumer of a queue, for people and for counting. */
typedef struct gw__consumer_state {
    alignas(64) _Atomic uint64_t log_serial; /* 0: free */
    uint32_t log;
    uint32_t member;
    uint64_t member_generation;
    _Atomic uint32_t prefetch;
    char name[84]; /* NUL-terminated, cut */
} gw__consumer_state;

typedef struct gw__control {
    uint64_t magic;
    uint32_t version;
    uint32_t size_of_log_state;   /* so that another layout is noticed */
    char boot_id[40];             /* of the system's start in which it was written */
    _Atomic uint64_t last_serial; /* of logs */
    _Atomic uint32_t ready;       /* 0 while the first to open it recovers what is in it */
    pthread_mutex_t members_lock; /* members and consumers, changes of */
    gw__member_state members[GW__BUS_MEMBERS_MAX];
    gw__consumer_state consumers[GW__BUS_CONSUMERS_MAX];
    gw__log_state logs[GW__BUS_LOGS_MAX];
} gw__control;

/* How a bus may be opened: parsed from its URL. */
typedef struct gw__bus_place {
    char dir[4096]; /* absolute or relative, without a trailing slash; not empty */
    char group[64]; /* who else may use it; "": its owner alone */
    bool read_only; /* look only */
    bool must_exist;
} gw__bus_place;

typedef struct gw__control_file {
    gw__control *control;
    int dir_fd;  /* of the bus's directory, O_RDONLY */
    int lock_fd; /* of the file "lock", with a shared lock of its first byte while it is used */
    unsigned dir_mode;  /* of what is made in it: 0700, or 02770 with a group, ... */
    unsigned file_mode; /* ... 0600 or 0660 */
    bool first;    /* no other process has the bus open: what is in it is to be recovered, ... */
    bool rebooted; /* ... and may be older than the logs: nothing in it is to be relied on */
    bool read_only;
} gw__control_file;

/*
 * Make the directory if need be (0700; with a group 02770 and of that group) with the folders
 * "logs", "members" and "definitions", refuse a network file system, map "control". When nobody
 * else has it open: `first` is set, all locks are made new, all members and consumers are gone, and
 * others wait in this call until gw__control_ready(). `rebooted` is also set when "control" is new,
 * or when the last recovery was not finished.
 *
 * Whether a bus is there for a group is decided when it is made: from then on its directory's mode
 * says it, and `group` may be left out. GW_E_EXISTS when it was made without that group.
 *
 * read_only: nothing is made or written, nobody is waited for but a recovery, `first` is not set.
 *
 * GW_E_IO, GW_E_DENIED (read-only, not ours), GW_E_NO_SPACE, GW_E_INVALID for an unknown group,
 * GW_E_UNSUPPORTED for another version (both are named) or another layout, GW_E_NOT_FOUND with
 * must_exist or read_only, GW_E_PROTOCOL for a damaged one.
 */
gw_status gw__control_open(const gw__bus_place *place, gw__control_file *ret_file, gw_error *err);

/* Recovery is done (or was not needed): let the others in. Does nothing when this is not the first.
 */
gw_status gw__control_ready(gw__control_file *file, gw_error *err);

/* Accepts a zeroed one (with fds of -1 or 0 unset). */
void gw__control_close(gw__control_file *file);

#endif
