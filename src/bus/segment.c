/* SPDX-License-Identifier: MIT */
#include "bus/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/crc32c.h"
#include "bus/log.h"

#define PAGE     ((size_t)4096)
#define STEP_MIN ((size_t)64 << 10)
#define STEP_MAX ((size_t)1 << 20)

/* More than this no segment has, whatever its head says. */
#define CAPACITY_MAX (GW__SEGMENT_HEAD + 2 * sizeof(gw__entry_head) + GW__LOG_RECORD_MAX)

_Static_assert(sizeof(gw__segment_head) <= GW__SEGMENT_HEAD, "the head fits its place");
_Static_assert(sizeof(gw__entry_head) == 40, "the layout of the files");

void gw__segment_path(const gw__segment_owner *owner, const char *name,
                      char ret_path[GW__SEGMENT_PATH_LEN])
{
    snprintf(ret_path, GW__SEGMENT_PATH_LEN, "%s%s%s", owner->folder,
             owner->folder[0] != '\0' ? "/" : "", name);
}

/* The same of a segment. */
static void path_of(const gw__segment_owner *owner, uint32_t index,
                    char ret_path[GW__SEGMENT_PATH_LEN])
{
    char name[GW__SEGMENT_NAME_LEN + 1];
    gw__segment_name(index, name);
    gw__segment_path(owner, name, ret_path);
}

void gw__segment_name(uint32_t index, char ret_name[GW__SEGMENT_NAME_LEN + 1])
{
    snprintf(ret_name, GW__SEGMENT_NAME_LEN + 1, "%08" PRIx32 ".seg", index);
}

bool gw__segment_parse_name(const char *name, uint32_t *ret_index)
{
    char again[GW__SEGMENT_NAME_LEN + 1];
    uint32_t index;
    if (strlen(name) != GW__SEGMENT_NAME_LEN || sscanf(name, "%8" SCNx32, &index) != 1) {
        return false;
    }
    gw__segment_name(index, again);
    *ret_index = index;
    return strcmp(name, again) == 0;
}

static gw_status fail(gw_error *err, int errnum, const char *name, const char *what)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return gw_error_set(err, GW_E_NO_SPACE, errnum,
                            "queue '%s': the disk under the bus is full", name);
    default: return gw_error_set_errno(err, errnum, "queue '%s': cannot %s", name, what);
    }
}

/* ---- the head -------------------------------------------------------------------------- */

static uint32_t head_check(const gw__segment_head *head)
{
    uint32_t check = gw__crc32c(0, head, offsetof(gw__segment_head, check));
    return gw__crc32c(check, head->name, sizeof(head->name));
}

/* NULL when it is right; otherwise what is wrong. */
static const char *find_fault(const gw__segment_head *head, const gw__segment_owner *owner,
                              uint32_t index)
{
    if (head->magic != GW__SEGMENT_MAGIC) {
        return "is no segment";
    }
    if (head->check != head_check(head)) {
        return "has a damaged head";
    }
    if (head->index != index || (owner->serial != 0 && head->serial != owner->serial)) {
        return "belongs elsewhere";
    }
    if (head->capacity < GW__SEGMENT_HEAD + sizeof(gw__entry_head) ||
        head->capacity > CAPACITY_MAX || memchr(head->name, '\0', sizeof(head->name)) == NULL) {
        return "has an impossible head";
    }
    return NULL;
}

const gw__segment_head *gw__segment_head_of(const gw__segment *segment)
{
    return (const gw__segment_head *)(const void *)segment->base;
}

/* ---- files ---------------------------------------------------------------------------------- */

static size_t in_steps(size_t size, size_t step)
{
    return (size + step - 1) / step * step;
}

gw_status gw__segment_create(const gw__segment_owner *owner, uint32_t index, uint64_t first_seq,
                             size_t capacity, gw_error *err)
{
    char name[GW__SEGMENT_PATH_LEN];
    char tmp[GW__SEGMENT_PATH_LEN];
    path_of(owner, index, name);
    gw__segment_path(owner, "new", tmp);
    gw__segment_head head = {.magic = GW__SEGMENT_MAGIC,
                             .version = GW__SEGMENT_VERSION,
                             .serial = owner->serial,
                             .capacity = capacity,
                             .first_seq = first_seq,
                             .index = index};
    snprintf(head.name, sizeof(head.name), "%s", owner->name);
    if (getrandom(&head.salt, sizeof(head.salt), 0) != (ssize_t)sizeof(head.salt)) {
        head.salt = (uint32_t)(uintptr_t)&head ^ index; /* a weaker secret is better than none */
    }
    head.check = head_check(&head);
    /* Under another name first: whoever finds it under its own finds it whole. */
    unlinkat(owner->dir_fd, tmp, 0); /* of one who was killed, maybe another user's */
    int fd = openat(owner->dir_fd, tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, owner->file_mode);
    if (fd < 0) {
        return fail(err, errno, owner->name, "make a file for messages");
    }
    int errnum = fchmod(fd, owner->file_mode) != 0 ? errno : 0;
    if (errnum == 0) {
        errnum = posix_fallocate(fd, 0, (off_t)STEP_MIN);
    }
    if (errnum == 0 && pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head)) {
        errnum = errno;
    }
    close(fd);
    if (errnum == 0 && renameat(owner->dir_fd, tmp, owner->dir_fd, name) != 0) {
        errnum = errno;
    }
    if (errnum != 0) {
        unlinkat(owner->dir_fd, tmp, 0);
        return fail(err, errnum, owner->name, "make a file for messages");
    }
    return GW_OK;
}

static int open_file(const gw__segment *segment, int how)
{
    char name[GW__SEGMENT_PATH_LEN];
    path_of(segment->owner, segment->index, name);
    return openat(segment->owner->dir_fd, name, how | O_CLOEXEC | O_NOFOLLOW);
}

void gw__segment_keep_damaged(const gw__segment_owner *owner, uint32_t index)
{
    char name[GW__SEGMENT_PATH_LEN];
    char kept[sizeof(name) + 8];
    path_of(owner, index, name);
    snprintf(kept, sizeof(kept), "%s.damaged", name);
    renameat(owner->dir_fd, name, owner->dir_fd, kept);
}

static gw_status map(gw__segment *segment, int fd, bool writable, gw_error *err)
{
    const gw__segment_owner *owner = segment->owner;
    gw__segment_head head;
    struct stat info;
    ssize_t n = pread(fd, &head, sizeof(head), 0);
    if (n < 0 || fstat(fd, &info) != 0) {
        return fail(err, errno, owner->name, "read a file of messages");
    }
    bool is_cut = n < (ssize_t)sizeof(head) || info.st_size < GW__SEGMENT_HEAD;
    if (!is_cut && head.magic == GW__SEGMENT_MAGIC && head.version > GW__SEGMENT_VERSION) {
        return gw_error_set(err, GW_E_UNSUPPORTED, 0,
                            "queue '%s': its log has version %" PRIu32
                            ", this program knows %d: use a newer one",
                            owner->name, head.version, GW__SEGMENT_VERSION);
    }
    const char *fault = is_cut ? "is cut off" : find_fault(&head, owner, segment->index);
    if (fault != NULL) {
        return gw_error_set(err, GW_E_PROTOCOL, 0,
                            "queue '%s': the file %08" PRIx32 ".seg of its log %s", owner->name,
                            segment->index, fault);
    }
    void *base = mmap(NULL, (size_t)head.capacity, PROT_READ | (writable ? PROT_WRITE : 0),
                      MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        return fail(err, errno, owner->name, "map a file of messages");
    }
    segment->base = base;
    segment->capacity = (size_t)head.capacity;
    segment->size =
        (size_t)info.st_size < segment->capacity ? (size_t)info.st_size : segment->capacity;
    segment->salt = head.salt;
    segment->first_seq = head.first_seq;
    return GW_OK;
}

gw_status gw__segment_open(const gw__segment_owner *owner, uint32_t index, bool writable,
                           gw__segment *ret_segment, gw_error *err)
{
    gw__segment segment = {.owner = owner, .index = index};
    int fd = open_file(&segment, writable ? O_RDWR : O_RDONLY);
    if (fd < 0) {
        int errnum = errno;
        return errnum == ENOENT
                   ? gw_error_set(err, GW_E_NOT_FOUND, errnum,
                                  "queue '%s': %08" PRIx32 ".seg is missing", owner->name, index)
                   : fail(err, errnum, owner->name, "open a file of messages");
    }
    gw_status st = map(&segment, fd, writable, err);
    close(fd);
    if (st == GW_OK) {
        *ret_segment = segment;
    }
    return st;
}

void gw__segment_close(gw__segment *segment)
{
    if (segment->base != NULL) {
        munmap(segment->base, segment->capacity);
        segment->base = NULL;
    }
}

bool gw__segment_reaches(gw__segment *segment, size_t size)
{
    struct stat info;
    char name[GW__SEGMENT_PATH_LEN];
    if (size <= segment->size) {
        return true;
    }
    path_of(segment->owner, segment->index, name);
    if (size > segment->capacity || fstatat(segment->owner->dir_fd, name, &info, 0) != 0) {
        return false;
    }
    segment->size =
        (size_t)info.st_size < segment->capacity ? (size_t)info.st_size : segment->capacity;
    return size <= segment->size;
}

gw_status gw__segment_extend(gw__segment *segment, size_t size, gw_error *err)
{
    if (gw__segment_reaches(segment, size)) { /* what others have in it is not touched */
        return GW_OK;
    }
    size_t step = segment->size < STEP_MIN   ? STEP_MIN
                  : segment->size < STEP_MAX ? segment->size
                                             : STEP_MAX;
    size_t wanted = in_steps(size, step);
    wanted = wanted < segment->capacity ? wanted : segment->capacity;
    int fd = open_file(segment, O_RDWR);
    int errnum =
        fd < 0 ? errno : posix_fallocate(fd, (off_t)segment->size, (off_t)(wanted - segment->size));
    if (fd >= 0) {
        close(fd);
    }
    if (errnum != 0) {
        return fail(err, errnum, gw__segment_head_of(segment)->name, "extend a file of messages");
    }
    segment->size = wanted;
    return GW_OK;
}

/* Nothing was written here yet: what is before it was all there was. */
static bool is_untouched(const gw__segment *segment, size_t offset)
{
    static const gw__entry_head zeros;
    return memcmp(gw__entry_at(segment, offset), &zeros, sizeof(zeros)) == 0;
}

void gw__segment_give_back(gw__segment *segment, size_t offset)
{
    gw__segment_head *head = (gw__segment_head *)(void *)segment->base;
    size_t from = atomic_load_explicit(&head->start, memory_order_relaxed);
    from = from >= PAGE && from < offset ? from & ~(PAGE - 1) : PAGE;
    size_t to = offset & ~(PAGE - 1);
    int fd = to > from ? open_file(segment, O_RDWR) : -1;
    if (fd < 0) {
        return;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) { /* otherwise it is being copied */
        atomic_store(&head->start, offset);
        /* Where this is not possible they stay until the file is deleted. */
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from));
    }
    close(fd); /* and unlocked */
}

bool gw__segment_keep(int fd)
{
    return flock(fd, LOCK_SH | LOCK_NB) == 0;
}

size_t gw__segment_start(gw__segment *segment)
{
    size_t start = atomic_load(&gw__segment_head_of(segment)->start);
    return start > GW__SEGMENT_HEAD && start <= segment->size && start % 8 == 0 &&
                   (start + sizeof(gw__entry_head) > segment->size ||
                    gw__entry_is_sound(segment, start) || is_untouched(segment, start))
               ? start
               : GW__SEGMENT_HEAD;
}

/* ---- entries ----------------------------------------------------------------------------------
 */

uint32_t gw__entry_check(const gw__segment *segment, size_t offset, const gw__entry_head *entry)
{
    const uint8_t *from = (const uint8_t *)&entry->seq;
    size_t len = offsetof(gw__entry_head, check) - offsetof(gw__entry_head, seq);
    uint32_t check = gw__crc32c(segment->salt ^ (uint32_t)offset, from, len);
    return check != 0 ? check : 1; /* so that zeros are no entry */
}

bool gw__entry_is_sound(gw__segment *segment, size_t offset)
{
    if (offset % 8 != 0 || offset < GW__SEGMENT_HEAD ||
        !gw__segment_reaches(segment, offset + sizeof(gw__entry_head))) {
        return false;
    }
    const gw__entry_head *entry = gw__entry_at(segment, offset);
    if (entry->check != gw__entry_check(segment, offset, entry)) {
        return false;
    }
    return entry->len == GW__ENTRY_END ||
           (entry->len <= GW__LOG_RECORD_MAX &&
            gw__segment_reaches(segment, offset + gw__entry_size(entry->len)));
}

bool gw__entry_is_whole(const gw__entry_head *entry)
{
    return gw__crc32c(0, gw__entry_bytes(entry), entry->len) == entry->bytes_crc;
}

void gw__entry_seal(const gw__segment *segment, size_t offset, uint64_t seq, uint64_t expires_ms,
                    uint32_t len)
{
    gw__entry_head *entry = gw__entry_at(segment, offset);
    entry->seq = seq;
    entry->expires_ms = expires_ms;
    entry->len = len;
    entry->bytes_crc = len == GW__ENTRY_END ? 0 : gw__crc32c(0, gw__entry_bytes(entry), len);
    entry->reserved = 0;
    entry->check = gw__entry_check(segment, offset, entry);
}

size_t gw__segment_find_sound(gw__segment *segment, size_t offset, uint64_t seq)
{
    for (size_t at = (offset + 7) & ~(size_t)7;
         gw__segment_reaches(segment, at + sizeof(gw__entry_head)); at += 8) {
        if (gw__entry_is_sound(segment, at) && gw__entry_at(segment, at)->seq >= seq) {
            return at;
        }
    }
    return 0;
}
