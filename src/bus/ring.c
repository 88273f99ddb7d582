/* SPDX-License-Identifier: MIT */
/*
 * The file: a page of head, then GW__RING_SIZE bytes of records. A record is a head of 40 bytes and
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

#define MAGIC        UINT64_C(0x31676e6972647767) /* "gwdring1" */
#define VERSION      1
#define HEAD_SIZE    4096
#define ALIGN        8
#define PAGE_LEN     4096 /* or less than one, no matter */

#define PATH_MAX_LEN 4200

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

static size_t whole(size_t len)
{
    return (sizeof(record_head) + len + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static record_head *head_at(const gw__ring *ring, size_t offset)
{
    return (record_head *)(void *)(ring->data + offset);
}

static uint32_t check_of(const gw__ring *ring, size_t offset, const record_head *head)
{
    const uint8_t *from = (const uint8_t *)&head->len;
    size_t len = offsetof(record_head, state) - offsetof(record_head, len);
    uint32_t check = gw__crc32c(ring->head->salt ^ (uint32_t)offset, from, len);
    return check != 0 ? check : 1; /* so that zeros are no record */
}

static uint32_t check_of_file(const file_head *head)
{
    return gw__crc32c(0, head, offsetof(file_head, check));
}

/* A first number as it stands in the file. */
static uint64_t with_check(uint32_t salt, uint64_t seq)
{
    seq &= SEQ_MASK;
    return (uint64_t)gw__crc32c(salt, &seq, sizeof(seq)) << SEQ_BITS | seq;
}

/* False when it is damaged. */
static bool read_first(const gw__ring *ring, uint64_t *ret_seq)
{
    uint64_t word = atomic_load(&ring->head->first);
    *ret_seq = word & SEQ_MASK;
    return word == with_check(ring->head->salt, *ret_seq);
}

static void write_first(gw__ring *ring)
{
    atomic_store(&ring->head->first, with_check(ring->head->salt, ring->first_seq));
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
            int problem = n == 0 || errno == EFBIG ? ENOSPC : errno; /* a user's limit is like it */
            return gw_error_set_errno(err, problem, "cannot write %s", path);
        }
        left -= (size_t)n;
    }
    return GW_OK;
}

/* A new file, complete before it has its name. Fresh numbers only: the store knows the older ones.
 */
static gw_status create(const char *path, gw_error *err)
{
    char temporary[PATH_MAX_LEN];
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return gw_error_set_errno(err, errno, "cannot make %s", temporary);
    }
    gw_status st = fill(fd, temporary, err);
    file_head head = {.magic = MAGIC, .version = VERSION, .size = GW__RING_SIZE};
    if (getrandom(&head.salt, sizeof(head.salt), 0) != (ssize_t)sizeof(head.salt)) {
        head.salt = (uint32_t)gw_clock_ns();
    }
    head.check = check_of_file(&head);
    atomic_init(&head.first, with_check(head.salt, 1));
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

/* Whether the head is one of ours; GW_E_PROTOCOL when it is no ring. */
static gw_status check_head(const file_head *head, off_t file_len, const char *path, gw_error *err)
{
    if (head->magic != MAGIC) {
        return gw_error_set(err, GW_E_PROTOCOL, 0, "%s does not begin as it should", path);
    }
    if (head->check != check_of_file(head)) {
        return gw_error_set(err, GW_E_PROTOCOL, 0, "the head of %s is damaged", path);
    }
    if (head->version != VERSION) {
        return gw_error_set(err, GW_E_UNSUPPORTED, 0,
                            "%s has version %" PRIu32 ", this program knows %d: use a newer one",
                            path, head->version, VERSION);
    }
    if (head->size != GW__RING_SIZE || file_len < (off_t)(HEAD_SIZE + GW__RING_SIZE)) {
        return gw_error_set(err, GW_E_PROTOCOL, 0, "%s has a length of %lld", path,
                            (long long)file_len);
    }
    return GW_OK;
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
    ssize_t n = pread(ring->fd, &head, sizeof(head), 0);
    if (n < 0) {
        return gw_error_set_errno(err, errno, "cannot read %s", path);
    }
    if (n != (ssize_t)sizeof(head)) {
        return gw_error_set(err, GW_E_PROTOCOL, 0, "%s has a length of %lld", path,
                            (long long)info.st_size);
    }
    gw_status st = check_head(&head, info.st_size, path, err);
    if (st != GW_OK) {
        return st;
    }
    /* A copy of the file may have lost its space to holes. */
    int rc = ring->writable ? posix_fallocate(ring->fd, 0, (off_t)(HEAD_SIZE + GW__RING_SIZE)) : 0;
    if (rc == ENOSPC) {
        return gw_error_set_errno(err, rc, "there is no room for %s", path);
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

/* It may hold messages that a person can still make out. */
static gw_status set_aside(const char *path, const gw_error *why, gw_error *err)
{
    char aside[PATH_MAX_LEN];
    snprintf(aside, sizeof(aside), "%s.damaged-%" PRIu64, path, gw_clock_unix_ns());
    if (rename(path, aside) != 0) {
        return gw_error_set_errno(err, errno, "%s, and it cannot be moved to %s", why->text, aside);
    }
    gw_log_error("outbox", "%s: it is kept as %s, and a new one made", why->text, aside);
    return GW_OK;
}

static gw_status attach_or_create(gw__ring *ring, const char *path, gw_error *err)
{
    gw_error why = GW_ERROR_INIT;
    gw_status st = attach(ring, path, &why);
    if (st != GW_E_NOT_FOUND && st != GW_E_PROTOCOL) {
        return st == GW_OK ? GW_OK : gw_error_set(err, st, why.native, "%s", why.text);
    }
    detach(ring);
    st = st == GW_E_PROTOCOL ? set_aside(path, &why, err) : GW_OK;
    if (st == GW_OK) {
        st = create(path, err);
    }
    return st == GW_OK ? attach(ring, path, err) : st;
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
    read_first(ring, &ring->first_seq);
    ring->next_seq = ring->first_seq;
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

typedef struct found_list {
    found *items;
    size_t n_items;
    size_t cap;
    uint64_t first_seq; /* of the file; 0 when that is damaged, so that all are taken */
} found_list;

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
    memcpy(ret_head, ring->data + offset, sizeof(ret_head->check));
    if (ret_head->check == 0) { /* most of a young ring */
        return false;
    }
    memcpy(ret_head, ring->data + offset, sizeof(*ret_head));
    return ret_head->seq <= SEQ_MASK / 2 &&
           ret_head->len <= ring->size - offset - sizeof(record_head) &&
           ret_head->check == check_of(ring, offset, ret_head);
}

static bool add_found(found_list *list, uint64_t seq, size_t offset)
{
    if (list->n_items == list->cap) {
        size_t cap = list->cap == 0 ? 1024 : list->cap * 2;
        found *more = realloc(list->items, cap * sizeof(*more));
        if (more == NULL) {
            return false;
        }
        list->items = more;
        list->cap = cap;
    }
    list->items[list->n_items++] = (found){.seq = seq, .offset = offset};
    return true;
}

/* The caller frees the items. */
static gw_status find_all(const gw__ring *ring, found_list *ret_list, gw_error *err)
{
    *ret_list = (found_list){.items = NULL};
    if (!read_first(ring, &ret_list->first_seq)) {
        gw_log_error("outbox", "the beginning of an outbox's ring is damaged: some of its messages "
                               "may be sent once more");
        ret_list->first_seq = 0;
    }
    for (size_t at = 0; at < ring->size;) {
        record_head head;
        if (!read_head(ring, at, &head)) {
            at += ALIGN;
            continue;
        }
        if (head.seq >= ret_list->first_seq && !add_found(ret_list, head.seq, at)) {
            return gw_error_set(err, GW_E_NOMEM, 0, "no memory to read the outbox");
        }
        at += whole(head.len);
    }
    if (ret_list->n_items > 0) {
        qsort(ret_list->items, ret_list->n_items, sizeof(*ret_list->items), by_seq);
    }
    return GW_OK;
}

static gw__ring_entry entry_of(const record_head *head, const uint8_t *bytes)
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

static gw__ring_entry entry_at(const gw__ring *ring, size_t offset)
{
    const record_head *head = head_at(ring, offset);
    return entry_of(head, ring->data + offset + sizeof(*head));
}

/* Whether its place may have been written over since it was found. */
static bool is_given_up(const gw__ring *ring, const found *it)
{
    record_head head;
    uint64_t first_seq;
    return !read_head(ring, it->offset, &head) || head.seq != it->seq ||
           (read_first(ring, &first_seq) && it->seq < first_seq);
}

/* A record that was found, with its bytes copied: they and its head may be changing. Returns NULL
 * when it is not there any more, or out of memory (`ret_st`). The caller frees it. */
static uint8_t *copy_record(const gw__ring *ring, const found *it, gw__ring_entry *ret_entry,
                            gw_status *ret_st)
{
    record_head head;
    if (!read_head(ring, it->offset, &head) || head.seq != it->seq) {
        return NULL;
    }
    uint8_t *bytes = malloc((size_t)head.len + 1);
    if (bytes == NULL) {
        *ret_st = GW_E_NOMEM;
        return NULL;
    }
    memcpy(bytes, ring->data + it->offset + sizeof(head), head.len);
    *ret_entry = entry_of(&head, bytes);
    ret_entry->damaged = gw__crc32c(0, bytes, head.len) != head.bytes_crc;
    if (ret_entry->damaged && is_given_up(ring, it)) {
        free(bytes);
        return NULL;
    }
    return bytes;
}

static gw_status visit_all(const gw__ring *ring, const found_list *list, gw__ring_visitor visitor,
                           void *ctx, gw_error *err)
{
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < list->n_items; i++) {
        gw__ring_entry entry;
        uint8_t *bytes = copy_record(ring, &list->items[i], &entry, &st);
        if (bytes != NULL && !entry.settled) {
            st = visitor(ctx, &entry, err);
        } else if (st != GW_OK) {
            gw_error_set(err, st, 0, "no memory to read the outbox");
        }
        free(bytes);
    }
    return st;
}

/* How many numbers between the first and the last one are missing. */
static uint64_t count_lost(const found_list *list)
{
    uint64_t n_lost = 0;
    uint64_t expected = list->first_seq;
    for (size_t i = 0; expected > 0 && i < list->n_items; i++) {
        uint64_t seq = list->items[i].seq;
        n_lost += seq > expected ? seq - expected : 0;
        expected = seq + 1;
    }
    return n_lost;
}

gw_status gw__ring_recover(gw__ring *ring, gw__ring_visitor visitor, void *ctx,
                           uint64_t *ret_n_lost, gw_error *err)
{
    found_list list;
    gw_status st = find_all(ring, &list, err);
    if (st == GW_OK) {
        st = visit_all(ring, &list, visitor, ctx, err);
    }
    if (st == GW_OK) {
        *ret_n_lost = count_lost(&list);
        uint64_t last = list.n_items > 0 ? list.items[list.n_items - 1].seq : 0;
        ring->next_seq = last >= ring->next_seq ? last + 1 : ring->next_seq;
    }
    free(list.items);
    return st;
}

void gw__ring_restart(gw__ring *ring, uint64_t next_seq)
{
    ring->next_seq = next_seq > ring->next_seq ? next_seq : ring->next_seq;
    ring->first_seq = ring->next_seq;
    ring->tail = 0;
    write_first(ring);
}

gw_status gw__ring_peek(const char *path, gw__ring_visitor visitor, void *ctx, gw_error *err)
{
    gw__ring ring = {.fd = -1};
    gw_status st = attach(&ring, path, err);
    found_list list = {.items = NULL};
    if (st == GW_OK) {
        st = find_all(&ring, &list, err);
    }
    if (st == GW_OK) {
        st = visit_all(&ring, &list, visitor, ctx, err);
    }
    free(list.items);
    detach(&ring);
    return st;
}

/* ---- records ------------------------------------------------------------------ */

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
