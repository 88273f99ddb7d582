/* SPDX-License-Identifier: MIT */
/*
 * The file of a ring, for the files that make it up: ring_file.c opens it, ring_recovery.c finds
 * what is in it, ring.c adds and takes away.
 *
 * It is a page of head, then GW__RING_SIZE bytes of records. A record is a head of 40 bytes and
 * its bytes, and starts at a multiple of 8. It never wraps: what does not fit before the end starts
 * at the beginning. Numbers are in this machine's byte order, which the magic number tells.
 *
 * There is no list of what is in the ring. A record counts when its head's checksum is right, its
 * number is not below the file's first number, and it is not marked as settled; so that killing the
 * process between any two stores leaves either the whole record or none. The checksum begins with
 * a secret of the file and the record's place: no message body can look like a record.
 *
 * What a flipped bit does is to be noticed, and rather to send a message twice than not at all: the
 * file's head has a checksum, the first number has its own in the same word, and SETTLED is a
 * pattern that is not reached from LIVE by accident.
 */
#ifndef GW_BUS_RING_FORMAT_H
#define GW_BUS_RING_FORMAT_H

#include <stdatomic.h>

#include "bus/crc32c.h"
#include "bus/ring.h"

#define MAGIC     UINT64_C(0x31676e6972647767) /* "gwdring1" */
#define VERSION   1
#define HEAD_SIZE 4096
#define ALIGN     8

typedef struct file_head {
    uint64_t magic;
    uint32_t version;
    uint32_t salt;
    uint64_t size; /* of the records' part */
    uint32_t reserved;
    uint32_t check;         /* of all above */
    _Atomic uint64_t first; /* older numbers are void; with a checksum in its upper 16 bits */
} file_head;

#define SEQ_BITS 48
#define SEQ_MASK ((UINT64_C(1) << SEQ_BITS) - 1)

typedef struct record_head {
    uint32_t check; /* of the six below, begun with the salt and the place */
    uint32_t len;
    uint64_t seq;
    uint64_t accepted_ms;
    uint32_t queue;
    uint32_t bytes_crc;
    uint32_t external;
    _Atomic uint32_t state;
} record_head;

#define LIVE    0u
#define SETTLED 0x5e771edu

struct gw__ring {
    int fd;
    bool writable;
    file_head *head;
    uint8_t *data;
    size_t size;
    uint32_t *index; /* offset / ALIGN of the record with number n at n & mask */
    size_t mask;
    uint64_t first_seq;
    uint64_t next_seq;
    bool sync_failed;
    size_t tail;     /* offset where the next record goes */
    size_t reserved; /* offset of the record that is being written */
    bool pinned;
};

static inline size_t whole(size_t len)
{
    return (sizeof(record_head) + len + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static inline record_head *head_at(const gw__ring *ring, size_t offset)
{
    return (record_head *)(void *)(ring->data + offset);
}

static inline uint32_t check_of(const gw__ring *ring, size_t offset, const record_head *head)
{
    const uint8_t *from = (const uint8_t *)&head->len;
    size_t len = offsetof(record_head, state) - offsetof(record_head, len);
    uint32_t check = gw__crc32c(ring->head->salt ^ (uint32_t)offset, from, len);
    return check != 0 ? check : 1; /* so that zeros are no record */
}

/* A first number as it stands in the file. */
static inline uint64_t with_check(uint32_t salt, uint64_t seq)
{
    seq &= SEQ_MASK;
    return (uint64_t)gw__crc32c(salt, &seq, sizeof(seq)) << SEQ_BITS | seq;
}

/* False when it is damaged. */
static inline bool read_first(const gw__ring *ring, uint64_t *ret_seq)
{
    uint64_t word = atomic_load(&ring->head->first);
    *ret_seq = word & SEQ_MASK;
    return word == with_check(ring->head->salt, *ret_seq);
}

static inline void write_first(gw__ring *ring)
{
    atomic_store(&ring->head->first, with_check(ring->head->salt, ring->first_seq));
}

static inline gw__ring_entry entry_of(const record_head *head, const uint8_t *bytes)
{
    return (gw__ring_entry){.seq = head->seq,
                            .accepted_ms = head->accepted_ms,
                            .queue = head->queue,
                            .external = head->external != 0,
                            .settled =
                                atomic_load_explicit(&head->state, memory_order_relaxed) == SETTLED,
                            .bytes = bytes,
                            .len = head->len};
}

/* Open and map a file; `writable` is set. GW_E_NOT_FOUND when there is none, GW_E_PROTOCOL when it
 * is no ring. Whatever it returns, gw__ring_detach(). */
gw_status gw__ring_attach(gw__ring *ring, const char *path, gw_error *err);
void gw__ring_detach(gw__ring *ring);

#endif
