/* SPDX-License-Identifier: MIT */
/* Opening a log, and appending to it. */
#include "bus/log_format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/robust.h"

#define DIR_NAME_MAX sizeof(((gw__log *)0)->folder)

/* ---- opening ----------------------------------------------------------------------------- */

static void dir_name(uint64_t serial, char ret_name[DIR_NAME_MAX])
{
    snprintf(ret_name, DIR_NAME_MAX, "%016" PRIx64, serial);
}

gw_status gw__log_open(const gw__log_place *place, gw__log_state *state, gw__log **ret_log,
                       gw_error *err)
{
    gw__log *log = calloc(1, sizeof(*log));
    if (log == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "queue '%s': out of memory", place->name);
    }
    log->state = state;
    log->logs_dir_fd = place->dir_fd;
    log->dir_mode = place->dir_mode;
    snprintf(log->name, sizeof(log->name), "%s", place->name);
    log->serial = place->serial;
    dir_name(place->serial, log->folder);
    log->owner = (gw__segment_owner){.dir_fd = place->dir_fd,
                                     .folder = log->folder,
                                     .serial = place->serial,
                                     .name = log->name,
                                     .file_mode = place->file_mode};
    *ret_log = log;
    return GW_OK;
}

void gw__log_close(gw__log *log)
{
    if (log == NULL) {
        return;
    }
    gw__segment_close(&log->tail);
    for (size_t i = 0; i < log->n_maps; i++) {
        gw__segment_close(&log->maps[i]);
    }
    free(log->maps);
    free(log);
}

/* Under another name first, since its mode is not what was asked for before the second call: with
 * one who is killed in between, others of the group could not use it. @locks append_lock */
static int make_dir(const gw__log *log, const char *name)
{
    char new_name[DIR_NAME_MAX + 4];
    if (faccessat(log->logs_dir_fd, name, F_OK, 0) == 0) {
        return 0;
    }
    snprintf(new_name, sizeof(new_name), "%s.new", name);
    unlinkat(log->logs_dir_fd, new_name, AT_REMOVEDIR);
    if (mkdirat(log->logs_dir_fd, new_name, log->dir_mode) != 0 ||
        fchmodat(log->logs_dir_fd, new_name, log->dir_mode, 0) != 0 || /* whatever the umask is */
        renameat(log->logs_dir_fd, new_name, log->logs_dir_fd, name) != 0) {
        return errno;
    }
    return fsync(log->logs_dir_fd) != 0 && errno != EINVAL ? errno : 0;
}

gw_status gw__log_find_dir(gw__log *log, bool make, gw_error *err)
{
    int errnum = 0;
    if (!atomic_load_explicit(&log->has_folder, memory_order_relaxed)) {
        errnum = make ? make_dir(log, log->folder) : 0;
        if (errnum == 0 && faccessat(log->logs_dir_fd, log->folder, X_OK, AT_EACCESS) != 0) {
            errnum = errno;
        }
        atomic_store_explicit(&log->has_folder, errnum == 0, memory_order_relaxed);
    }
    switch (errnum) {
    case 0: return GW_OK;
    case ENOENT:
        return gw_error_set(err, GW_E_NOT_FOUND, errnum, "queue '%s': its log has no files",
                            log->name);
    case ENOSPC:
    case EDQUOT:
        return gw_error_set(err, GW_E_NO_SPACE, errnum,
                            "queue '%s': the disk under the bus is full", log->name);
    default:
        return gw_error_set_errno(err, errnum, "queue '%s': cannot use the folder of its log",
                                  log->name);
    }
}

void gw__log_create(gw__log_state *state, uint64_t serial)
{
    if (state->locks_made == 0) {
        gw__robust_init(&state->append_lock);
        gw__robust_init(&state->take_lock);
        state->locks_made = 1;
    }
    state->append_from = GW__FIRST_POSITION;
    state->tail = state->head = state->next = state->synced = GW__FIRST_POSITION;
    state->last_seq = 0;
    state->head_seq = state->next_seq = 1;
    state->appended_bytes = state->settled_bytes = state->done_bytes = 0;
    state->n_leased = state->n_returned = 0;
    state->returned_from = UINT64_MAX;
    state->first_segment = GW__FIRST_INDEX;
    state->n_settled = state->n_expired = state->n_dropped = 0;
    state->n_redelivered = state->n_damaged = 0;
    for (size_t i = 0; i < GW__WAITER_WORDS; i++) {
        state->waiters[i] = 0;
    }
    state->n_consumers = 0;
    state->due_ms = UINT64_MAX;
    state->sync_failed = false;
    atomic_store(&state->serial, serial);
}

void gw__log_remove_files(int logs_dir_fd, uint64_t serial)
{
    char name[DIR_NAME_MAX];
    dir_name(serial, name);
    int fd = openat(logs_dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *item;
    while (dir != NULL && (item = readdir(dir)) != NULL) {
        unlinkat(fd, item->d_name, 0); /* not . and .. */
    }
    if (dir != NULL) {
        closedir(dir);
    } else if (fd >= 0) {
        close(fd);
    }
    unlinkat(logs_dir_fd, name, AT_REMOVEDIR);
    char new_name[DIR_NAME_MAX + 4];
    snprintf(new_name, sizeof(new_name), "%s.new", name);
    unlinkat(logs_dir_fd, new_name, AT_REMOVEDIR); /* of one who was killed while making it */
}

void gw__log_delete(gw__log *log)
{
    if (gw__log_lock_take(log)) {
        if (gw__log_lock_append(log)) {
            atomic_store(&log->state->serial, 0);
            gw__robust_unlock(&log->state->append_lock);
        }
        gw__robust_unlock(&log->state->take_lock);
    }
    gw__log_remove_files(log->logs_dir_fd, log->serial);
}

bool gw__log_is_there(const gw__log *log)
{
    return atomic_load(&log->state->serial) == log->serial;
}

void gw__log_enter_append(gw__log *log)
{
    gw__log_state *state = log->state;
    bool died = gw__robust_lock(&state->append_lock);
    state->append_unrepaired = state->append_unrepaired || died;
    if (state->append_unrepaired && gw__log_is_there(log)) {
        gw__log_repair_appends(log);
    }
    if (died) {
        gw__robust_repaired(&state->append_lock);
    }
}

bool gw__log_lock_append(gw__log *log)
{
    gw__log_enter_append(log);
    bool is_there = gw__log_is_there(log);
    if (!is_there) {
        gw__robust_unlock(&log->state->append_lock);
    }
    return is_there;
}

/* ---- appending ----------------------------------------------------------------------------- */

/* The segment with this index, made if it is not there, as log->tail. */
static gw_status open_tail(gw__log *log, uint32_t index, uint64_t first_seq, size_t entry_size,
                           gw_error *err)
{
    if (log->tail.base != NULL && log->tail.index == index) {
        return GW_OK;
    }
    gw__segment_close(&log->tail);
    gw_status st = gw__log_find_dir(log, true, err);
    st = st == GW_OK ? gw__segment_open(&log->owner, index, true, &log->tail, err) : st;
    if (st == GW_E_PROTOCOL && index > gw__position_index(log->state->tail)) {
        /* A file that was made just before the machine stopped: nothing of the log is in it. */
        gw__segment_keep_damaged(&log->owner, index);
    } else if (st != GW_E_NOT_FOUND) {
        return st;
    }
    size_t least = GW__SEGMENT_HEAD + entry_size;
    st = gw__segment_create(&log->owner, index, first_seq,
                            least > GW__SEGMENT_CAPACITY ? least : GW__SEGMENT_CAPACITY, err);
    return st == GW_OK ? gw__segment_open(&log->owner, index, true, &log->tail, err) : st;
}

/* Say that the log goes on in the next segment, if there is room to say so. */
static gw_status write_end(gw__log *log, size_t offset, uint64_t seq, gw_error *err)
{
    gw__segment *segment = &log->tail;
    if (offset + sizeof(gw__entry_head) > segment->capacity) {
        return GW_OK;
    }
    gw_status st = gw__segment_extend(segment, offset + sizeof(gw__entry_head), err);
    if (st == GW_OK) {
        gw__entry_seal(segment, offset, seq, 0, GW__ENTRY_END);
    }
    return st;
}

/* Write one entry behind *position. Nobody sees it before the tail has moved. */
static gw_status write_entry(gw__log *log, uint64_t *position, uint64_t seq,
                             const gw__log_write *write, gw_error *err)
{
    size_t size = gw__entry_size(write->len);
    uint32_t index = gw__position_index(*position);
    size_t offset = gw__position_offset(*position);
    gw_status st = open_tail(log, index, seq, size, err);
    while (st == GW_OK && offset + size > log->tail.capacity) {
        st = write_end(log, offset, seq, err);
        offset = GW__SEGMENT_HEAD;
        st = st == GW_OK ? open_tail(log, ++index, seq, size, err) : st;
    }
    st = st == GW_OK ? gw__segment_extend(&log->tail, offset + size, err) : st;
    if (st != GW_OK) {
        return st;
    }
    gw__entry_head *entry = gw__entry_at(&log->tail, offset);
    write->write(write->ctx, (uint8_t *)(entry + 1));
    gw__entry_seal(&log->tail, offset, seq, write->expires_ms, (uint32_t)write->len);
    atomic_store_explicit(&entry->state, gw__entry_state(0, 0, GW__ENTRY_READY),
                          memory_order_relaxed);
    *position = gw__position(index, offset + size);
    return GW_OK;
}

/* What was written and will not count must not look as if it did, should the machine stop and the
 * tail have to be looked for. */
static void wipe_behind_tail(gw__log *log)
{
    uint64_t tail = log->state->tail;
    uint32_t index = gw__position_index(tail);
    if (gw__log_find_dir(log, false, NULL) != GW_OK) {
        return;
    }
    char name[GW__SEGMENT_PATH_LEN];
    gw__log_segment_path(log, index + 1, name);
    while (faccessat(log->logs_dir_fd, name, F_OK, 0) == 0) {
        gw__log_segment_path(log, ++index + 1, name);
    }
    for (; index > gw__position_index(tail);
         index--) { /* the last first: no gap if we are killed */
        gw__log_segment_path(log, index, name);
        unlinkat(log->logs_dir_fd, name, 0);
    }
    if (log->tail.base != NULL && log->tail.index != gw__position_index(tail)) {
        gw__segment_close(&log->tail);
    }
    if (log->tail.base != NULL ||
        gw__segment_open(&log->owner, gw__position_index(tail), true, &log->tail, NULL) == GW_OK) {
        gw__segment_reaches(&log->tail, log->tail.capacity); /* how long it really is */
        size_t offset = gw__position_offset(tail);
        if (offset < log->tail.size) {
            memset(log->tail.base + offset, 0, log->tail.size - offset);
        }
    }
}

void gw__log_repair_appends(gw__log *log)
{
    gw__log_state *state = log->state;
    uint64_t position = state->append_from;
    uint64_t tail = state->tail;
    gw_status st = GW_OK;
    /* The tail moved and the number may not have: the last entry knows it. */
    while (position < tail && (st = gw__log_find_dir(log, false, NULL)) == GW_OK) {
        uint32_t index = gw__position_index(position);
        size_t offset = gw__position_offset(position);
        if (log->tail.base == NULL || log->tail.index != index) {
            gw__segment_close(&log->tail);
            st = gw__segment_open(&log->owner, index, true, &log->tail, NULL);
            if (st != GW_OK) {
                break;
            }
        }
        if (!gw__entry_is_sound(&log->tail, offset) ||
            gw__entry_at(&log->tail, offset)->len == GW__ENTRY_END) {
            position = gw__position(index + 1, GW__SEGMENT_HEAD);
            continue;
        }
        state->last_seq = gw__entry_at(&log->tail, offset)->seq;
        position = gw__log_behind(position, gw__entry_at(&log->tail, offset));
    }
    log->is_whole = position == tail;
    if (log->is_whole) {
        wipe_behind_tail(log);
    }
    state->append_unrepaired = st != GW_OK && !gw__log_is_gone(st);
}

static gw_status check_limits(const gw__log *log, const gw__log_limits *limits, size_t n_writes,
                              size_t n_bytes, gw_error *err)
{
    gw__log_counts counts;
    if (limits == NULL || (limits->max_messages == 0 && limits->max_bytes == 0)) {
        return GW_OK;
    }
    gw__log_count(log, &counts);
    if (limits->max_messages != 0 && counts.n_ready + n_writes > limits->max_messages) {
        return gw_error_set(err, GW_E_FULL, 0,
                            "queue '%s' is full: %" PRIu64 " messages of %" PRIu64, log->name,
                            counts.n_ready, limits->max_messages);
    }
    if (limits->max_bytes != 0 && n_bytes > limits->max_bytes) {
        return gw_error_set(err, GW_E_LIMIT, 0,
                            "queue '%s' holds %" PRIu64 " bytes at most, this is %zu", log->name,
                            limits->max_bytes, n_bytes);
    }
    if (limits->max_bytes != 0 && counts.n_bytes + n_bytes > limits->max_bytes) {
        return gw_error_set(err, GW_E_FULL, 0, "queue '%s' is full: %" PRIu64 " bytes of %" PRIu64,
                            log->name, counts.n_bytes, limits->max_bytes);
    }
    return GW_OK;
}

static gw_status append_locked(gw__log *log, const gw__log_write *writes, size_t n_writes,
                               size_t n_bytes, gw_error *err)
{
    gw__log_state *state = log->state;
    uint64_t position = state->tail;
    uint64_t seq = state->last_seq;
    if (!gw__log_spans(state->head, position)) {
        return gw_error_set(err, GW_E_PROTOCOL, 0,
                            "queue '%s': where its log begins and ends is damaged: start all that "
                            "use the bus again",
                            log->name);
    }
    state->append_from = position;
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < n_writes; i++) {
        st = write_entry(log, &position, ++seq, &writes[i], err);
    }
    if (st != GW_OK) {
        wipe_behind_tail(log);
        return st;
    }
    atomic_fetch_add_explicit(&state->appended_bytes, n_bytes, memory_order_relaxed);
    atomic_store(&state->tail, position);
    atomic_store_explicit(&state->last_seq, seq, memory_order_release);
    return GW_OK;
}

gw_status gw__log_append(gw__log *log, const gw__log_write *writes, size_t n_writes,
                         const gw__log_limits *limits, uint64_t *ret_end, gw_error *err)
{
    size_t n_bytes = 0;
    for (size_t i = 0; i < n_writes; i++) {
        if (writes[i].len > GW__LOG_RECORD_MAX) {
            return gw_error_set(err, GW_E_LIMIT, 0,
                                "queue '%s': a message of %zu bytes is too long", log->name,
                                writes[i].len);
        }
        n_bytes += gw__entry_size(writes[i].len);
    }
    if (!gw__log_lock_append(log)) {
        return gw_error_set(err, GW_E_NOT_FOUND, 0, "queue '%s' was deleted", log->name);
    }
    gw_status st =
        log->state->append_unrepaired
            ? gw_error_set(err, GW_E_IO, 0,
                           "queue '%s': its last messages cannot be read at present", log->name)
            : check_limits(log, limits, n_writes, n_bytes, err);
    st = st == GW_OK ? append_locked(log, writes, n_writes, n_bytes, err) : st;
    if (ret_end != NULL) {
        *ret_end = log->state->tail;
    }
    gw__robust_unlock(&log->state->append_lock);
    return st;
}
