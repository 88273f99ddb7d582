/* SPDX-License-Identifier: MIT */
/*
 * The file: a page of head, then GW__RING_SIZE bytes of records. A record is a head of 40 bytes and
 * its bytes, and starts at a multiple of 8. It never wraps: what does not fit before the end starts
 * at the beginning. Numbers are in this machine's byte order, which the magic number tells.
 *
 * There is no list of what is in the ring. A record counts when its head's checksum is right, its
 * number is not below the file's first_seq, and it is not marked as settled; so that killing the
 * process between any two stores leaves either the whole record or none. The checksum begins with
 * a secret of the file: no message body can look like a record.
 */
#include "bus/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "bus/crc32c.h"

#define MAGIC     UINT64_C(0x31676e6972647767) /* "gwdring1" */
#define VERSION   1
#define HEAD_SIZE 4096
#define ALIGN     8

typedef struct file_head {
    uint64_t magic;
    uint32_t version;
    uint32_t salt;
    uint64_t size;              /* of the records' part */
    _Atomic uint64_t first_seq; /* older numbers are void */
} file_head;

typedef struct record_head {
    uint32_t check; /* of the six below, begun with the salt */
    uint32_t len;
    uint64_t seq;
    uint64_t accepted_ms;
    uint32_t queue;
    uint32_t bytes_crc;
    uint32_t external;
    _Atomic uint32_t state;
} record_head;

enum { LIVE = 0, SETTLED = 1 };

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
    size_t tail;     /* offset where the next record goes */
    size_t reserved; /* offset of the record that is being written */
    bool pinned;
};

static size_t whole(size_t len)
{
    return (sizeof(record_head) + len + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static record_head *head_at(const gw__ring *ring, size_t offset)
{
    return (record_head *)(void *)(ring->data + offset);
}

static uint32_t check_of(const gw__ring *ring, const record_head *head)
{
    const uint8_t *from = (const uint8_t *)&head->len;
    size_t len = offsetof(record_head, state) - offsetof(record_head, len);
    uint32_t check = gw__crc32c(ring->head->salt, from, len);
    return check != 0 ? check : 1; /* so that zeros are no record */
}

/* ---- the file -------------------------------------------------------------- */

static gw_status map(gw__ring *ring, size_t size, const char *path, gw_error *err)
{
    int prot = PROT_READ | (ring->writable ? PROT_WRITE : 0);
    uint8_t *all = mmap(NULL, HEAD_SIZE + size, prot, MAP_SHARED, ring->fd, 0);
    if (all == MAP_FAILED) {
        return gw_error_set_errno(err, errno, "cannot map %s", path);
    }
    ring->head = (file_head *)(void *)all;
    ring->data = all + HEAD_SIZE;
    ring->size = size;
    return GW_OK;
}

/* Zeros to the end: its space is taken, and later writing changes no length and no extent. */
static gw_status fill(int fd, const char *path, gw_error *err)
{
    static const uint8_t zeros[65536];
    size_t left = HEAD_SIZE + GW__RING_SIZE;
    while (left > 0) {
        ssize_t n = write(fd, zeros, left < sizeof(zeros) ? left : sizeof(zeros));
        if (n <= 0) {
            return gw_error_set_errno(err, n < 0 ? errno : ENOSPC, "cannot write %s", path);
        }
        left -= (size_t)n;
    }
    return GW_OK;
}

/* A new file, complete before it has its name. */
static gw_status create(const char *path, gw_error *err)
{
    char temporary[4200];
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return gw_error_set_errno(err, errno, "cannot make %s", temporary);
    }
    gw_status st = fill(fd, temporary, err);
    file_head head = {.magic = MAGIC, .version = VERSION, .size = GW__RING_SIZE};
    atomic_init(&head.first_seq, 1);
    if (getrandom(&head.salt, sizeof(head.salt), 0) != (ssize_t)sizeof(head.salt)) {
        head.salt = (uint32_t)gw_clock_ns();
    }
    if (st == GW_OK && (pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
                        fsync(fd) != 0 || rename(temporary, path) != 0)) {
        st = gw_error_set_errno(err, errno, "cannot write %s", path);
    }
    close(fd);
    if (st != GW_OK) {
        unlink(temporary);
    }
    return st;
}

/* GW_E_NOT_FOUND when there is no file, GW_E_PROTOCOL when it is no ring. */
static gw_status attach(gw__ring *ring, const char *path, gw_error *err)
{
    ring->fd = open(path, (ring->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (ring->fd < 0) {
        int problem = errno;
        gw_status st = gw_error_set_errno(err, problem, "cannot open %s", path);
        return problem == ENOENT ? GW_E_NOT_FOUND : st;
    }
    file_head head;
    struct stat info;
    if (fstat(ring->fd, &info) != 0) {
        return gw_error_set_errno(err, errno, "cannot read %s", path);
    }
    if (pread(ring->fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) || head.magic != MAGIC) {
        return gw_error_set(err, GW_E_PROTOCOL, 0, "%s does not begin as it should", path);
    }
    if (head.version != VERSION) {
        return gw_error_set(err, GW_E_UNSUPPORTED, 0,
                            "%s has version %" PRIu32 ", this program knows %d: use a newer one",
                            path, head.version, VERSION);
    }
    if (head.size != GW__RING_SIZE || info.st_size < (off_t)(HEAD_SIZE + GW__RING_SIZE)) {
        return gw_error_set(err, GW_E_PROTOCOL, 0, "%s has a length of %lld", path,
                            (long long)info.st_size);
    }
    return map(ring, GW__RING_SIZE, path, err);
}

static void detach(gw__ring *ring)
{
    if (ring->head != NULL) {
        munmap(ring->head, HEAD_SIZE + ring->size);
        ring->head = NULL;
    }
    if (ring->fd >= 0) {
        close(ring->fd);
        ring->fd = -1;
    }
}

static void set_aside(const char *path, const gw_error *why)
{
    char aside[4200];
    snprintf(aside, sizeof(aside), "%s.damaged-%" PRIu64, path, gw_clock_unix_ns() / GW_NS_PER_S);
    if (rename(path, aside) == 0) {
        gw_log_error("outbox", "%s: it is kept as %s, and a new one made", why->text, aside);
    }
}

static gw_status attach_or_create(gw__ring *ring, const char *path, gw_error *err)
{
    gw_error why = GW_ERROR_INIT;
    gw_status st = attach(ring, path, &why);
    if (st == GW_E_PROTOCOL) {
        set_aside(path, &why);
    }
    if (st == GW_E_NOT_FOUND || st == GW_E_PROTOCOL) {
        detach(ring);
        st = create(path, err);
        return st == GW_OK ? attach(ring, path, err) : st;
    }
    return st == GW_OK ? GW_OK : gw_error_set(err, st, why.native, "%s", why.text);
}

gw_status gw__ring_open(const char *path, gw__ring **ret_ring, gw_error *err)
{
    gw__ring *ring = calloc(1, sizeof(*ring));
    size_t n = 1;
    while (n < GW__RING_SIZE / sizeof(record_head)) {
        n *= 2;
    }
    uint32_t *index = calloc(n, sizeof(*index));
    if (ring == NULL || index == NULL) {
        free(ring);
        free(index);
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the outbox");
    }
    ring->fd = -1;
    ring->writable = true;
    ring->index = index;
    ring->mask = n - 1;
    gw_status st = attach_or_create(ring, path, err);
    if (st != GW_OK) {
        gw__ring_close(ring);
        return st;
    }
    ring->first_seq = ring->next_seq = atomic_load(&ring->head->first_seq);
    *ret_ring = ring;
    return GW_OK;
}

void gw__ring_close(gw__ring *ring)
{
    if (ring != NULL) {
        detach(ring);
        free(ring->index);
        free(ring);
    }
}

/* ---- what a dead process left ------------------------------------------------- */

typedef struct found {
    uint64_t seq;
    size_t offset;
} found;

static int by_seq(const void *left, const void *right)
{
    uint64_t a = ((const found *)left)->seq;
    uint64_t b = ((const found *)right)->seq;
    return a < b ? -1 : a > b;
}

/* The record that starts here, if one does. Reads its head once: its owner may be writing. */
static bool read_head(const gw__ring *ring, size_t offset, record_head *ret_head)
{
    if (ring->size - offset < sizeof(record_head)) {
        return false;
    }
    memcpy(ret_head, ring->data + offset, sizeof(*ret_head));
    return ret_head->len <= ring->size - offset - sizeof(record_head) &&
           ret_head->check == check_of(ring, ret_head);
}

static gw_status find_all(const gw__ring *ring, found **ret_list, size_t *ret_n, gw_error *err)
{
    uint64_t first_seq = atomic_load(&ring->head->first_seq);
    size_t cap = 0;
    size_t n = 0;
    found *list = NULL;
    for (size_t at = 0; at < ring->size;) {
        record_head head;
        if (!read_head(ring, at, &head)) {
            at += ALIGN;
            continue;
        }
        if (head.seq >= first_seq) {
            if (n == cap) {
                cap = cap == 0 ? 1024 : cap * 2;
                found *more = realloc(list, cap * sizeof(*list));
                if (more == NULL) {
                    free(list);
                    return gw_error_set(err, GW_E_NOMEM, 0, "no memory to read the outbox");
                }
                list = more;
            }
            list[n++] = (found){.seq = head.seq, .offset = at};
        }
        at += whole(head.len);
    }
    if (n > 0) {
        qsort(list, n, sizeof(*list), by_seq);
    }
    *ret_list = list;
    *ret_n = n;
    return GW_OK;
}

static gw__ring_entry entry_at(const gw__ring *ring, size_t offset)
{
    record_head *head = head_at(ring, offset);
    const uint8_t *bytes = ring->data + offset + sizeof(*head);
    return (gw__ring_entry){.seq = head->seq,
                            .accepted_ms = head->accepted_ms,
                            .queue = head->queue,
                            .external = head->external != 0,
                            .settled = atomic_load(&head->state) != LIVE,
                            .bytes = bytes,
                            .len = head->len};
}

static gw_status visit_all(const gw__ring *ring, const found *list, size_t n,
                           gw__ring_visitor visitor, void *ctx, gw_error *err)
{
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < n; i++) {
        gw__ring_entry entry = entry_at(ring, list[i].offset);
        if (!entry.settled) {
            entry.damaged =
                gw__crc32c(0, entry.bytes, entry.len) != head_at(ring, list[i].offset)->bytes_crc;
            st = visitor(ctx, &entry, err);
        }
    }
    return st;
}

gw_status gw__ring_recover(gw__ring *ring, uint64_t next_seq, gw__ring_visitor visitor, void *ctx,
                           uint64_t *ret_n_lost, gw_error *err)
{
    found *list;
    size_t n;
    gw_status st = find_all(ring, &list, &n, err);
    if (st != GW_OK) {
        return st;
    }
    uint64_t first_seq = atomic_load(&ring->head->first_seq);
    *ret_n_lost = n == 0 ? 0 : list[n - 1].seq - first_seq + 1 - n;
    if (n > 0 && list[n - 1].seq >= next_seq) {
        next_seq = list[n - 1].seq + 1;
    }
    st = visit_all(ring, list, n, visitor, ctx, err);
    free(list);
    if (st == GW_OK) {
        next_seq = next_seq < first_seq ? first_seq : next_seq;
        atomic_store(&ring->head->first_seq, next_seq);
        ring->first_seq = ring->next_seq = next_seq;
        ring->tail = 0;
    }
    return st;
}

/* A record that its owner gives up while it is looked at is told apart by its checksum or is a
 * message that has just been delivered. */
gw_status gw__ring_peek(const char *path, gw__ring_visitor visitor, void *ctx, gw_error *err)
{
    gw__ring ring = {.fd = -1};
    gw_status st = attach(&ring, path, err);
    found *list = NULL;
    size_t n = 0;
    if (st == GW_OK) {
        st = find_all(&ring, &list, &n, err);
    }
    if (st == GW_OK) {
        st = visit_all(&ring, list, n, visitor, ctx, err);
    }
    free(list);
    detach(&ring);
    return st;
}

/* ---- records ------------------------------------------------------------------ */

bool gw__ring_takes(const gw__ring *ring, size_t len)
{
    return len <= ring->size / 4;
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
    head->len = (uint32_t)len;
    head->seq = ring->next_seq;
    head->accepted_ms = accepted_ms;
    head->queue = queue;
    head->bytes_crc = gw__crc32c(0, bytes, len);
    head->external = external;
    atomic_store_explicit(&head->state, LIVE, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* all of that before what makes it count */
    head->check = check_of(ring, head);
    ring->index[ring->next_seq & ring->mask] = (uint32_t)(ring->reserved / ALIGN);
    ring->tail = ring->reserved + whole(len);
    return ring->next_seq++;
}

static void advance(gw__ring *ring)
{
    uint64_t before = ring->first_seq;
    while (ring->first_seq < ring->next_seq &&
           atomic_load_explicit(&head_at(ring, offset_of(ring, ring->first_seq))->state,
                                memory_order_relaxed) != LIVE) {
        ring->first_seq++;
    }
    if (ring->first_seq != before) {
        atomic_store(&ring->head->first_seq, ring->first_seq);
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
    atomic_store(&ring->head->first_seq, seq);
    advance(ring);
}

gw_status gw__ring_sync(gw__ring *ring, gw_error *err)
{
    return fdatasync(ring->fd) == 0
               ? GW_OK
               : gw_error_set_errno(err, errno, "the outbox cannot be written to the disk");
}
