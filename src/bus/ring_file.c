/* SPDX-License-Identifier: MIT */
/* Making, opening and mapping the file of a ring. What is no ring is kept beside it, never written
 * over. */
#include "bus/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <godwit/clock.h>
#include <godwit/log.h>

#include "bus/ring_format.h"

#define PATH_MAX_LEN 4200

static uint32_t check_of_file(const file_head *head)
{
    return gw__crc32c(0, head, offsetof(file_head, check));
}

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

gw_status gw__ring_attach(gw__ring *ring, const char *path, gw_error *err)
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

void gw__ring_detach(gw__ring *ring)
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
    gw_status st = gw__ring_attach(ring, path, &why);
    if (st != GW_E_NOT_FOUND && st != GW_E_PROTOCOL) {
        return st == GW_OK ? GW_OK : gw_error_set(err, st, why.native, "%s", why.text);
    }
    gw__ring_detach(ring);
    st = st == GW_E_PROTOCOL ? set_aside(path, &why, err) : GW_OK;
    if (st == GW_OK) {
        st = create(path, err);
    }
    return st == GW_OK ? gw__ring_attach(ring, path, err) : st;
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
    if (!read_first(ring, &ring->first_seq)) {
        ring->first_seq = 1; /* what is found in it, and the store, say where to go on */
    }
    ring->next_seq = ring->first_seq;
    *ret_ring = ring;
    return GW_OK;
}

void gw__ring_close(gw__ring *ring)
{
    if (ring != NULL) {
        gw__ring_detach(ring);
        free(ring->index);
        free(ring);
    }
}
