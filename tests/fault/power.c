/* SPDX-License-Identifier: MIT */
/*
 * fault_power: what a loss of power does to an embedded bus that nobody has open.
 *
 *   fault_power DIR SEED
 *
 * What the bus says is on the disk stays. Of everything else, pages at random are as the disk had
 * them before, or never were written: behind the point up to which a log is synced, what was
 * appended is zeros, another file's bytes or cut off, and files are not there; before it, a message
 * that was taken or settled is again as it was when it was appended. Pages of the control file are
 * as they are or zeros, but for its head.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/control.h"
#include "bus/segment.h"

#define PAGE ((size_t)4096)

static unsigned seed;

static unsigned any_of(unsigned n)
{
    return (unsigned)rand_r(&seed) % n;
}

static void fail(const char *what)
{
    fprintf(stderr, "fault_power: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

/* From `from` on, page for page: as it is, zeros, or (of 3) something else. */
static void lose(uint8_t *bytes, size_t from, size_t size, unsigned n_ways)
{
    while (from < size) {
        size_t end = (from / PAGE + 1) * PAGE;
        end = end < size ? end : size;
        unsigned how = any_of(n_ways);
        for (size_t i = from; i < end && how > 0; i++) {
            bytes[i] = how == 1 ? 0 : (uint8_t)any_of(256);
        }
        from = end;
    }
}

/* What became of the messages before `end` was not written, of some. */
static void forget_states(uint8_t *bytes, size_t end)
{
    const gw__segment_head *head = (const void *)bytes;
    size_t offset = head->start != 0 ? head->start : GW__SEGMENT_HEAD;
    while (offset + sizeof(gw__entry_head) <= end) {
        gw__entry_head *entry = (void *)(bytes + offset);
        if (entry->len == GW__ENTRY_END || entry->len > end) {
            break;
        }
        if (any_of(20) == 0) {
            entry->state = GW__ENTRY_READY;
        }
        offset += gw__entry_size(entry->len);
    }
}

/* A file of a log that is on the disk up to `synced`. */
static void lose_segment(int dir_fd, const char *name, uint32_t index, uint64_t synced)
{
    uint32_t synced_index = (uint32_t)(synced >> 32);
    if (index > synced_index && any_of(3) == 0) {
        if (unlinkat(dir_fd, name, 0) != 0) {
            fail(name);
        }
        return;
    }
    int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
    struct stat file;
    if (fd < 0 || fstat(fd, &file) != 0) {
        fail(name);
    }
    size_t size = (size_t)file.st_size;
    size_t end = index < synced_index ? size : index > synced_index ? 0 : (uint32_t)synced;
    uint8_t *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED) {
        fail(name);
    }
    if (end > 0) {
        forget_states(bytes, end);
    }
    lose(bytes, end, size, 3);
    munmap(bytes, size);
    if (end < size && any_of(2) == 0 &&
        ftruncate(fd, (off_t)(end + any_of((unsigned)(size - end)))) != 0) {
        fail(name);
    }
    close(fd);
}

static void lose_log(const char *bus, const gw__log_state *log)
{
    char path[4096 + 64];
    snprintf(path, sizeof(path), "%s/logs/%016" PRIx64, bus, log->serial);
    DIR *dir = opendir(path);
    if (dir == NULL && errno == ENOENT) {
        return; /* nothing was ever appended to it */
    }
    if (dir == NULL) {
        fail(path);
    }
    for (const struct dirent *it; (it = readdir(dir)) != NULL;) {
        uint32_t index;
        if (gw__segment_parse_name(it->d_name, &index)) {
            lose_segment(dirfd(dir), it->d_name, index, log->synced);
        }
    }
    closedir(dir);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: fault_power DIR SEED\n");
        return 2;
    }
    seed = (unsigned)strtoul(argv[2], NULL, 10);
    char path[4096 + 16];
    snprintf(path, sizeof(path), "%s/control", argv[1]);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    gw__control *control =
        fd < 0 ? MAP_FAILED
               : mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED || control->magic != GW__CONTROL_MAGIC) {
        fail(path);
    }
    for (size_t i = 0; i < GW__BUS_LOGS_MAX; i++) {
        if (control->logs[i].serial != 0) {
            lose_log(argv[1], &control->logs[i]);
        }
    }
    memcpy(control->boot_id, "00000000-0000-4000-8000-000000000000", sizeof(control->boot_id) - 3);
    lose((uint8_t *)control, PAGE, sizeof(*control), 2);
    return EXIT_SUCCESS;
}
