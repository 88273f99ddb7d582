/* SPDX-License-Identifier: MIT */
/* Adding records, and taking them away. */
#include "bus/ring.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bus/ring_format.h"

#define PAGE_LEN 4096 /* of memory, or a part of one */

void gw__ring_restart(gw__ring *ring, uint64_t next_seq)
{
    ring->next_seq = next_seq > ring->next_seq ? next_seq : ring->next_seq;
    ring->first_seq = ring->next_seq;
    ring->tail = 0;
    write_first(ring);
    /* All of it was looked at, and counts as this process's memory; only the front is used, unless
     * much waits. Nothing is lost by it: the pages are the file's. */
    madvise(ring->data, ring->size, MADV_DONTNEED);
}

bool gw__ring_takes(const gw__ring *ring, size_t len)
{
    return len <= ring->size / 4 - sizeof(record_head) - ALIGN;
}

static size_t offset_of(const gw__ring *ring, uint64_t seq)
{
    return (size_t)ring->index[seq & ring->mask] * ALIGN;
}

/* The tail never comes to stand on the oldest record: that would look as if it were empty. */
uint8_t *gw__ring_reserve(gw__ring *ring, size_t len)
{
    size_t need = whole(len);
    if (ring->first_seq == ring->next_seq && !ring->pinned) {
        ring->tail = 0;
    } else {
        size_t oldest = offset_of(ring, ring->first_seq);
        if (ring->next_seq - ring->first_seq > ring->mask - 1) {
            return NULL;
        }
        if (ring->tail >= oldest && need > ring->size - ring->tail) {
            if (need >= oldest) {
                return NULL;
            }
            ring->tail = 0;
        } else if (ring->tail < oldest && need >= oldest - ring->tail) {
            return NULL;
        }
    }
    ring->reserved = ring->tail;
    return ring->data + ring->reserved + sizeof(record_head);
}

uint64_t gw__ring_commit(gw__ring *ring, size_t len, uint32_t queue, uint64_t accepted_ms,
                         bool external)
{
    record_head *head = head_at(ring, ring->reserved);
    const uint8_t *bytes = ring->data + ring->reserved + sizeof(*head);
    head->check = 0; /* what was here before, if anything, does not count any more */
    atomic_signal_fence(memory_order_seq_cst);
    head->len = (uint32_t)len;
    head->seq = ring->next_seq;
    head->accepted_ms = accepted_ms;
    head->queue = queue;
    head->bytes_crc = gw__crc32c(0, bytes, len);
    head->external = external;
    atomic_store_explicit(&head->state, LIVE, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* all of that before what makes it count */
    head->check = check_of(ring, ring->reserved, head);
    ring->index[ring->next_seq & ring->mask] = (uint32_t)(ring->reserved / ALIGN);
    ring->tail = ring->reserved + whole(len);
    return ring->next_seq++;
}

static void advance(gw__ring *ring)
{
    uint64_t before = ring->first_seq;
    while (ring->first_seq < ring->next_seq &&
           atomic_load_explicit(&head_at(ring, offset_of(ring, ring->first_seq))->state,
                                memory_order_relaxed) == SETTLED) {
        ring->first_seq++;
    }
    if (ring->first_seq != before) {
        write_first(ring);
    }
}

bool gw__ring_settle(gw__ring *ring, uint64_t seq, bool *ret_external)
{
    if (seq < ring->first_seq || seq >= ring->next_seq) {
        return false;
    }
    record_head *head = head_at(ring, offset_of(ring, seq));
    *ret_external = head->external != 0;
    atomic_store(&head->state, SETTLED);
    if (!ring->pinned && seq == ring->first_seq) {
        advance(ring);
    }
    return true;
}

uint64_t gw__ring_first(const gw__ring *ring)
{
    return ring->first_seq;
}

uint64_t gw__ring_next(const gw__ring *ring)
{
    return ring->next_seq;
}

size_t gw__ring_used(const gw__ring *ring)
{
    if (ring->first_seq == ring->next_seq) {
        return 0;
    }
    size_t oldest = offset_of(ring, ring->first_seq);
    return ring->tail > oldest ? ring->tail - oldest : ring->size - oldest + ring->tail;
}

size_t gw__ring_size(const gw__ring *ring)
{
    return ring->size;
}

static gw__ring_entry entry_at(const gw__ring *ring, size_t offset)
{
    const record_head *head = head_at(ring, offset);
    return entry_of(head, ring->data + offset + sizeof(*head));
}

gw__ring_entry gw__ring_get(const gw__ring *ring, uint64_t seq)
{
    return entry_at(ring, offset_of(ring, seq));
}

void gw__ring_pin(gw__ring *ring, bool on)
{
    ring->pinned = on;
    if (!on) {
        advance(ring);
    }
}

void gw__ring_give_up(gw__ring *ring, uint64_t seq)
{
    ring->first_seq = seq;
    write_first(ring);
    advance(ring);
}

/* After a failure the system takes the pages for written: make it write them again. */
static void dirty_all(gw__ring *ring)
{
    _Atomic uint8_t *at = (_Atomic uint8_t *)(void *)ring->head;
    for (size_t i = 0; i < HEAD_SIZE + ring->size; i += PAGE_LEN) {
        atomic_fetch_or(at + i, 0);
    }
}

gw_status gw__ring_sync(gw__ring *ring, gw_error *err)
{
    if (ring->sync_failed) {
        dirty_all(ring);
    }
    ring->sync_failed = fdatasync(ring->fd) != 0;
    return ring->sync_failed
               ? gw_error_set_errno(err, errno, "the outbox cannot be written to the disk")
               : GW_OK;
}
