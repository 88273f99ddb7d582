/* SPDX-License-Identifier: MIT */
/*
 * Opening the control file, and who is the first to do it.
 *
 * Two bytes of the file "lock" are locked (locks of the open file: they end with the process):
 *   USE      shared by all that have the bus open; alone at the first, until it is ready.
 *   OPENING  alone at whoever opens the bus; the first keeps it until it is ready.
 * So openings come one after the other, and the first is who gets USE alone. Between being refused
 * that and getting it shared, the last other may end: then there is a late comer and no first. That
 * does no harm. The control file is in order, since `ready` was set by whoever had USE; what the
 * dead have left in it is cleaned up by joining (members.c), as if they died a moment later.
 *
 * `ready` is 0 from the moment when a first one begins until it is done. Nobody has USE meanwhile,
 * so a late comer finds 0 only in a file that was tampered with; the next first one knows from it
 * that the last recovery was not finished.
 */
#include "bus/control.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/control_place.h"
#include "bus/forked.h"
#include "bus/owner.h"
#include "bus/robust.h"

#define USE     0
#define OPENING 1

/* All that is looked at before it is known to be ours. */
typedef struct control_head {
    uint64_t magic;
    uint32_t version;
    uint32_t size_of_log_state;
} control_head;

static_assert(offsetof(gw__control, boot_id) == sizeof(control_head), "the head comes first");

/* ---- locks ------------------------------------------------------------------- */

/* Returns 0 or an errno value; EAGAIN when another has it. */
static int lock_byte(const gw__control_file *file, int how, int byte, bool wait)
{
    struct flock lock = {.l_type = (short)how, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int rc;
    do {
        rc = fcntl(file->lock_fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno == EACCES ? EAGAIN : errno;
}

static gw_status open_lock(const gw__bus_place *place, gw__control_file *file, gw_error *err)
{
    gw__forked_begin(); /* a child would have the lock as well */
    file->lock_fd = place->read_only
                        ? openat(file->dir_fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
                        : gw__control_open_file(file, "lock");
    int problem = errno;
    if (!gw__forked_end(file->lock_fd)) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the bus");
    }
    if (file->lock_fd >= 0 || place->read_only) { /* one who looks can do without */
        return GW_OK;
    }
    return gw_error_set_errno(err, problem, "cannot use the bus in %s: cannot write %s/lock",
                              place->dir, place->dir);
}

/* Become the first or one of the others. OPENING stays locked. */
static gw_status take_locks(const gw__bus_place *place, gw__control_file *file, gw_error *err)
{
    int rc = lock_byte(file, F_WRLCK, OPENING, true);
    if (rc == 0) {
        rc = lock_byte(file, F_WRLCK, USE, false);
        file->first = rc == 0;
        rc = rc == EAGAIN ? lock_byte(file, F_RDLCK, USE, true) : rc;
    }
    return rc == 0 ? GW_OK
                   : gw_error_set_errno(err, rc, "cannot lock %s/lock of the bus", place->dir);
}

/* ---- the file ----------------------------------------------------------------- */

static gw_status damaged(const gw__bus_place *place, const char *how, gw_error *err)
{
    return gw_error_set(err, GW_E_PROTOCOL, 0,
                        "%s/control %s: the bus can be made again from its messages with "
                        "'godwit bus recover'",
                        place->dir, how);
}

/* Whether it is one of ours; nothing else of it has been looked at. */
static gw_status check_file(const gw__bus_place *place, int fd, gw_error *err)
{
    control_head head;
    struct stat info;
    ssize_t n = pread(fd, &head, sizeof(head), 0);
    if (n < 0 || fstat(fd, &info) != 0) {
        return gw_error_set_errno(err, errno, "cannot read %s/control", place->dir);
    }
    if ((size_t)n != sizeof(head) || head.magic != GW__CONTROL_MAGIC) {
        return damaged(place, "does not begin as it should", err);
    }
    if (head.version != GW__CONTROL_VERSION) {
        return gw_error_set(err, GW_E_UNSUPPORTED, 0,
                            "the bus in %s is of version %u, and this program knows version %d: "
                            "use one of the same Godwit as the others",
                            place->dir, head.version, GW__CONTROL_VERSION);
    }
    if (head.size_of_log_state != sizeof(gw__log_state)) {
        return gw_error_set(err, GW_E_UNSUPPORTED, 0,
                            "the bus in %s was made by a Godwit for another system (%u bytes for a "
                            "log, here %zu)",
                            place->dir, head.size_of_log_state, sizeof(gw__log_state));
    }
    if (info.st_size != (off_t)sizeof(gw__control)) {
        return damaged(place, "has a wrong length", err);
    }
    return GW_OK;
}

/* Its space is really there: writing into the mapping cannot fail later. */
static gw_status fill(const char *path, int fd, gw_error *err)
{
    int rc;
    do {
        rc = posix_fallocate(fd, 0, (off_t)sizeof(gw__control));
    } while (rc == EINTR);
    if (rc == EFBIG) {
        rc = ENOSPC; /* a user's limit is like it */
    }
    return rc == 0 ? GW_OK
                   : gw_error_set_errno(err, rc, "there is no room for %s (%zu bytes)", path,
                                        sizeof(gw__control));
}

/* A new file, complete before it has its name. */
static gw_status create_file(const gw__bus_place *place, const gw__control_file *file,
                             gw_error *err)
{
    char path[sizeof(place->dir) + 16];
    snprintf(path, sizeof(path), "%s/control.new", place->dir);
    if (unlinkat(file->dir_fd, "control.new", 0) != 0 && errno != ENOENT) {
        return gw_error_set_errno(err, errno, "cannot remove %s", path);
    }
    int fd = gw__control_open_file(file, "control.new");
    if (fd < 0) {
        return gw_error_set_errno(err, errno, "cannot make %s", path);
    }
    gw_status st = fill(path, fd, err);
    control_head head = {.magic = GW__CONTROL_MAGIC,
                         .version = GW__CONTROL_VERSION,
                         .size_of_log_state = sizeof(gw__log_state)};
    if (st == GW_OK &&
        (pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) || fsync(fd) != 0 ||
         renameat(file->dir_fd, "control.new", file->dir_fd, "control") != 0)) {
        st = gw_error_set_errno(err, errno, "cannot write %s", path);
    }
    close(fd);
    if (st != GW_OK) {
        unlinkat(file->dir_fd, "control.new", 0);
        return st;
    }
    return gw__owner_sync_dir(place->dir, err);
}

static gw_status open_file(const gw__bus_place *place, const gw__control_file *file, int *ret_fd,
                           gw_error *err)
{
    int flags = (place->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW;
    int fd = openat(file->dir_fd, "control", flags);
    if (fd < 0 && errno == ENOENT && file->first) {
        gw_status st = create_file(place, file, err);
        if (st != GW_OK) {
            return st;
        }
        fd = openat(file->dir_fd, "control", flags);
    }
    if (fd >= 0) {
        *ret_fd = fd;
        return GW_OK;
    }
    if (errno == ENOENT) {
        return gw_error_set(err, GW_E_NOT_FOUND, ENOENT, "%s/control is not there%s", place->dir,
                            place->read_only ? ": nobody has opened the bus since it was removed"
                                             : ", but others use the bus: stop them first");
    }
    return gw_error_set_errno(err, errno, "cannot open %s/control", place->dir);
}

static gw_status map_file(const gw__bus_place *place, gw__control_file *file, gw_error *err)
{
    int fd = -1;
    gw_status st = open_file(place, file, &fd, err);
    if (st != GW_OK) {
        return st;
    }
    st = check_file(place, fd, err);
    if (st == GW_OK && file->first) { /* a copy of the file may have lost its space to holes */
        char path[sizeof(place->dir) + 16];
        snprintf(path, sizeof(path), "%s/control", place->dir);
        st = fill(path, fd, err);
    }
    if (st == GW_OK) {
        int prot = PROT_READ | (place->read_only ? 0 : PROT_WRITE);
        void *all = mmap(NULL, sizeof(gw__control), prot, MAP_SHARED, fd, 0);
        if (all == MAP_FAILED) {
            st = gw_error_set_errno(err, errno, "cannot map %s/control", place->dir);
        } else {
            file->control = all;
        }
    }
    close(fd);
    return st;
}

/* ---- what is in it --------------------------------------------------------------- */

/* Of the system's start; empty, which is like no other, when it cannot be told. */
static void read_boot_id(char ret_id[40])
{
    memset(ret_id, 0, 40);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    ssize_t n = read(fd, ret_id, 36);
    if (n != 36) {
        memset(ret_id, 0, 40);
    }
    close(fd);
}

static void forget_members(gw__control *control)
{
    for (size_t i = 0; i < GW__BUS_MEMBERS_MAX; i++) {
        gw__member_state *member = &control->members[i];
        uint64_t generation = atomic_load(&member->generation);
        atomic_store(&member->generation, generation + generation % 2);
        atomic_store(&member->bell, 0);
        atomic_store(&member->asleep, 0);
    }
    for (size_t i = 0; i < GW__BUS_CONSUMERS_MAX; i++) {
        atomic_store(&control->consumers[i].log_serial, 0);
    }
}

/* Nobody else has it mapped but who only looks. */
static void start_anew(gw__control_file *file)
{
    gw__control *control = file->control;
    char boot_id[40];
    read_boot_id(boot_id);
    bool finished = atomic_exchange(&control->ready, 0) == 1;
    file->rebooted =
        !finished || boot_id[0] == '\0' || memcmp(control->boot_id, boot_id, sizeof(boot_id)) != 0;
    gw__robust_init(&control->members_lock);
    forget_members(control);
    for (size_t i = 0; i < GW__BUS_LOGS_MAX; i++) {
        gw__log_state *log = &control->logs[i];
        if (log->locks_made != 0 || atomic_load(&log->serial) != 0) {
            gw__robust_init(&log->append_lock);
            gw__robust_init(&log->take_lock);
        }
        if (atomic_load(&log->serial) != 0) {
            atomic_store(&log->n_consumers, 0);
            for (size_t w = 0; w < GW__WAITER_WORDS; w++) {
                atomic_store(&log->waiters[w], 0);
            }
        }
    }
}

/* Look, while nobody opens; and stay counted as a user if what is there is in order: nobody then
 * recovers it meanwhile. What was left half recovered is looked at as it is, and held by nobody. */
static gw_status look(const gw__bus_place *place, gw__control_file *file, gw_error *err)
{
    bool locked = file->lock_fd >= 0 && lock_byte(file, F_RDLCK, OPENING, true) == 0;
    gw_status st = map_file(place, file, err);
    if (st == GW_OK && locked && atomic_load(&file->control->ready) == 1) {
        lock_byte(file, F_RDLCK, USE, false);
    }
    if (locked) {
        lock_byte(file, F_UNLCK, OPENING, false);
    }
    return st;
}

/* While this waited, `godwit bus recover` may have put another one in its place. */
static gw_status check_place(const gw__bus_place *place, const gw__control_file *file,
                             gw_error *err)
{
    struct stat ours;
    struct stat now;
    return fstat(file->dir_fd, &ours) == 0 && stat(place->dir, &now) == 0 &&
                   ours.st_dev == now.st_dev && ours.st_ino == now.st_ino
               ? GW_OK
               : gw_error_set(err, GW_E_BUSY, 0,
                              "the bus in %s was replaced while it was opened: open it again",
                              place->dir);
}

static gw_status use(const gw__bus_place *place, gw__control_file *file, gw_error *err)
{
    gw_status st = take_locks(place, file, err);
    if (st == GW_OK) {
        st = check_place(place, file, err);
    }
    if (st == GW_OK) {
        st = map_file(place, file, err);
    }
    if (st != GW_OK) {
        return st;
    }
    if (file->first) {
        start_anew(file);
        return GW_OK;
    }
    if (atomic_load(&file->control->ready) != 1) {
        return damaged(place, "is not in order although others use it", err);
    }
    lock_byte(file, F_UNLCK, OPENING, false);
    return GW_OK;
}

gw_status gw__control_open(const gw__bus_place *place, gw__control_file *ret_file, gw_error *err)
{
    gw__control_file file = {.dir_fd = -1, .lock_fd = -1, .read_only = place->read_only};
    gw_status st = gw__control_find_place(place, &file, err);
    if (st == GW_OK) {
        st = open_lock(place, &file, err);
    }
    if (st == GW_OK) {
        st = place->read_only ? look(place, &file, err) : use(place, &file, err);
    }
    if (st != GW_OK) {
        gw__control_close(&file);
        return st;
    }
    *ret_file = file;
    return GW_OK;
}

gw_status gw__control_ready(gw__control_file *file, gw_error *err)
{
    if (!file->first || atomic_load(&file->control->ready) == 1) {
        return GW_OK;
    }
    read_boot_id(file->control->boot_id);
    atomic_store(&file->control->ready, 1);
    int rc = lock_byte(file, F_RDLCK, USE, false); /* at once: nobody gets it alone in between */
    if (rc == 0) {
        rc = lock_byte(file, F_UNLCK, OPENING, false);
    }
    if (rc != 0) {
        return gw_error_set_errno(err, rc, "cannot let others use the bus");
    }
    return GW_OK;
}

void gw__control_close(gw__control_file *file)
{
    if (file->control != NULL) {
        munmap(file->control, sizeof(gw__control));
    }
    if (file->lock_fd > 0) {
        gw__forked_close(file->lock_fd);
    }
    if (file->dir_fd > 0) {
        close(file->dir_fd);
    }
    *file = (gw__control_file){.dir_fd = -1, .lock_fd = -1};
}
