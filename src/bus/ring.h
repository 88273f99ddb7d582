/* SPDX-License-Identifier: MIT */
/*
 * Fresh messages in a mapped file: what is written here survives the process, for the price of
 * copying it. A ring of records with consecutive numbers, each settled on its own; the oldest must
 * go before the newest finds no room, which is its owner's business. Knows no queues and no
 * messages, only bytes.
 *
 * Not shareable: its owner has a lock.
 */
#ifndef GW_BUS_RING_H
#define GW_BUS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/error.h>

typedef struct gw__ring gw__ring;

/* Bytes of records, of a file; the largest record is a quarter of that with its head, so that there
 * is always a place for it while the ring is not half full. */
#define GW__RING_SIZE ((size_t)8 << 20)

typedef struct gw__ring_entry {
    uint64_t seq;
    uint64_t accepted_ms; /* unix milliseconds */
    uint32_t queue;
    bool external; /* the bytes are elsewhere; this only stands for them */
    bool settled;
    bool damaged;         /* the checksum of the bytes is wrong */
    const uint8_t *bytes; /* in the ring, good until the record is given up; a copy for a visitor */
    size_t len;
} gw__ring_entry;

/* Called for each record that the file holds and that is not settled, in order. */
typedef gw_status (*gw__ring_visitor)(void *ctx, const gw__ring_entry *entry, gw_error *err);

/* Open or make the file. Its space is taken on the disk at once, so that a full disk is noticed
 * here and not by a signal. GW_E_NO_SPACE, GW_E_IO, GW_E_UNSUPPORTED for a newer version; a file
 * that is no ring, or has a damaged head, is moved aside, logged, and a new one made. */
gw_status gw__ring_open(const char *path, gw__ring **ret_ring, gw_error *err);

/* Accepts NULL. What is in it stays. */
void gw__ring_close(gw__ring *ring);

/* What a dead process left, once it is open. It stays there until gw__ring_restart(), so that it
 * can be put elsewhere first. `ret_n_lost`: records whose numbers are missing, since their heads
 * cannot be read. */
gw_status gw__ring_recover(gw__ring *ring, gw__ring_visitor visitor, void *ctx,
                           uint64_t *ret_n_lost, gw_error *err);

/* Forget all of it: the next record is `next_seq`, or a later number than any that was found. */
void gw__ring_restart(gw__ring *ring, uint64_t next_seq);

/* The same records of a file that its owner may be writing, without changing anything. One that is
 * given up meanwhile is passed over, or is a message that has just been delivered. */
gw_status gw__ring_peek(const char *path, gw__ring_visitor visitor, void *ctx, gw_error *err);

/* Whether a record of `len` bytes can ever be in it. */
bool gw__ring_takes(const gw__ring *ring, size_t len);

/* Where the bytes of the next record are to be written; NULL when there is no room at present. */
uint8_t *gw__ring_reserve(gw__ring *ring, size_t len);

/* They are written: the record is there. `external`: none were. Returns its number. */
uint64_t gw__ring_commit(gw__ring *ring, size_t len, uint32_t queue, uint64_t accepted_ms,
                         bool external);

/* The record is done with. Returns false when it is not in the ring any more; `ret_external` says
 * whether it stood for something. */
bool gw__ring_settle(gw__ring *ring, uint64_t seq, bool *ret_external);

/* Numbers: the oldest record that is here, and the next one's; equal when it is empty. */
uint64_t gw__ring_first(const gw__ring *ring);
uint64_t gw__ring_next(const gw__ring *ring);

/* Bytes in use, of gw__ring_size(). */
size_t gw__ring_used(const gw__ring *ring);
size_t gw__ring_size(const gw__ring *ring);

/* A record that is here. */
gw__ring_entry gw__ring_get(const gw__ring *ring, uint64_t seq);

/* While pinned, no record is given up, so that their bytes can be read without the owner's lock. */
void gw__ring_pin(gw__ring *ring, bool on);

/* Give up all before `seq`, settled or not: they are elsewhere now. */
void gw__ring_give_up(gw__ring *ring, uint64_t seq);

/* Write everything to the disk; without the owner's lock, by one thread at a time. GW_E_IO. */
gw_status gw__ring_sync(gw__ring *ring, gw_error *err);

#endif
