/* SPDX-License-Identifier: MIT */
/*
 * A ring's file after anything may have happened to it: recovery shows records that are within it
 * and in order, or none, and the ring can be used afterwards.
 *
 * The input: flags, two bytes of the first number, two bytes of where it goes in the records' part
 * (in steps of 4 KiB, so that the end is met), then bytes. With flag 1 they are taken for records
 * one after the other, whose checksums are made right, since a fuzzer would not find them; with
 * flag 2 the first number's checksum is wrong. The file is sparse but for that.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <godwit/log.h>

#include "bus/crc32c.h"
#include "bus/ring.h"

#define FILE_HEAD 4096
#define HEAD_LEN  40
#define CHECKED   32 /* bytes of a record's head behind its checksum, which covers them */
#define INPUT_MAX 60000

/* Larger numbers are no records'; no outbox gets that far. */
#define NUMBER_MAX (UINT64_C(1) << 47)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct file_head {
    uint64_t magic;
    uint32_t version;
    uint32_t salt;
    uint64_t size;
    uint32_t reserved;
    uint32_t check;
    uint64_t first;
} file_head;

static void write_at(int fd, size_t at, const void *bytes, size_t len)
{
    if (pwrite(fd, bytes, len, (off_t)at) != (ssize_t)len) {
        perror("pwrite");
        abort();
    }
}

static void write_head(int fd, uint64_t first, bool right)
{
    file_head head = {.magic = UINT64_C(0x31676e6972647767), .version = 1, .size = GW__RING_SIZE};
    head.check = gw__crc32c(0, &head, offsetof(file_head, check));
    head.first = (uint64_t)gw__crc32c(0, &first, sizeof(first)) << 48 | first;
    head.first ^= right ? 0 : UINT64_C(1) << 50;
    write_at(fd, 0, &head, sizeof(head));
}

/* Make the checksums of records right, as far as they follow each other. */
static void make_right(uint8_t *bytes, size_t size, size_t place)
{
    for (size_t at = 0; size - at >= HEAD_LEN;) {
        uint32_t len;
        uint32_t check = gw__crc32c((uint32_t)(place + at), bytes + at + sizeof(check), CHECKED);
        check = check != 0 ? check : 1;
        memcpy(bytes + at, &check, sizeof(check));
        memcpy(&len, bytes + at + 4, sizeof(len));
        size_t whole = ((size_t)HEAD_LEN + len + 7) & ~(size_t)7;
        if (whole > size - at) {
            break;
        }
        at += whole;
    }
}

typedef struct seen {
    uint64_t last;
    size_t n;
    uint32_t crc;
} seen;

static gw_status see(void *ctx, const gw__ring_entry *entry, gw_error *err)
{
    (void)err;
    seen *it = ctx;
    if ((it->n > 0 && entry->seq < it->last) || entry->settled || entry->len > GW__RING_SIZE) {
        abort();
    }
    it->last = entry->seq;
    it->n++;
    it->crc = gw__crc32c(it->crc, entry->bytes, entry->len); /* all of it can be read */
    return GW_OK;
}

static void use(const char *path)
{
    seen before = {.n = 0};
    seen peeked = {.n = 0};
    uint64_t n_lost = 0;
    gw__ring *ring = NULL;
    if (gw__ring_open(path, &ring, NULL) != GW_OK ||
        gw__ring_peek(path, see, &peeked, NULL) != GW_OK ||
        gw__ring_recover(ring, see, &before, &n_lost, NULL) != GW_OK || before.n != peeked.n ||
        before.crc != peeked.crc) {
        abort();
    }
    gw__ring_restart(ring, 1);
    uint64_t next = gw__ring_next(ring);
    if (gw__ring_first(ring) != next || (before.n > 0 && next <= before.last)) {
        abort();
    }
    uint8_t *to = gw__ring_reserve(ring, 4);
    memcpy(to, "abcd", 4);
    gw__ring_commit(ring, 4, 1, 1, false);
    seen after = {.n = 0};
    if (next < NUMBER_MAX && (gw__ring_recover(ring, see, &after, &n_lost, NULL) != GW_OK ||
                              after.n != 1 || after.last != next || n_lost != 0)) {
        abort();
    }
    gw__ring_close(ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 5 || size > INPUT_MAX) {
        return 0;
    }
    gw_log_set_level(GW_LOG_OFF);
    char dir[] = "/tmp/godwit-fuzz-ring-XXXXXX";
    if (mkdtemp(dir) == NULL) {
        return 0;
    }
    char path[64];
    snprintf(path, sizeof(path), "%s/ring", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && ftruncate(fd, FILE_HEAD + GW__RING_SIZE) == 0) {
        uint64_t first = (uint64_t)data[1] << 8 | data[2];
        size_t place = ((size_t)data[3] << 8 | data[4]) * 4096 % GW__RING_SIZE;
        size_t len = size - 5 < GW__RING_SIZE - place ? size - 5 : GW__RING_SIZE - place;
        uint8_t *bytes = malloc(len + 1);
        memcpy(bytes, data + 5, len);
        if ((data[0] & 1) != 0) {
            make_right(bytes, len, place);
        }
        write_head(fd, first, (data[0] & 2) == 0);
        write_at(fd, FILE_HEAD + place, bytes, len);
        free(bytes);
        use(path);
    }
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    rmdir(dir);
    return 0;
}
