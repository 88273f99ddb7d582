/* SPDX-License-Identifier: MIT */
/* Copying a log as it is at one moment, while others work with it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "bus/log_format.h"
#include "bus/robust.h"

typedef struct window_entry {
    uint64_t position;
    uint64_t state;
} window_entry;

struct gw__log_copy {
    gw__segment_owner owner; /* dir_fd: the original's */
    uint64_t serial;
    char name[256];
    uint64_t head;
    uint64_t next;
    uint64_t tail;
    window_entry *window; /* what was between head and next */
    size_t n_window;
    size_t window_room;
    int *fds; /* of the segments from the head's on: they may be deleted meanwhile */
    size_t n_fds;
};

void gw__log_hold_takes(gw__log *log)
{
    gw__log_enter_take(log);
}

void gw__log_hold_appends(gw__log *log)
{
    gw__log_enter_append(log);
}

void gw__log_release(gw__log *log)
{
    gw__robust_unlock(&log->state->append_lock);
    gw__robust_unlock(&log->state->take_lock);
}

static gw_status note_window(gw__log *log, gw__log_copy *copy, gw_error *err)
{
    uint64_t position = copy->head;
    gw__entry_head *entry;
    while ((entry = gw__log_walk(log, &position, copy->next, 0)) != NULL) {
        if (copy->n_window == copy->window_room) {
            size_t room = copy->window_room == 0 ? 256 : 2 * copy->window_room;
            window_entry *window = realloc(copy->window, room * sizeof(*window));
            if (window == NULL) {
                return gw_error_set(err, GW_E_NOMEM, 0, "queue '%s': out of memory", log->name);
            }
            copy->window = window;
            copy->window_room = room;
        }
        copy->window[copy->n_window++] =
            (window_entry){.position = position, .state = atomic_load(&entry->state)};
        position = gw__log_behind(position, entry);
    }
    return position < copy->next
               ? gw_error_set(err, GW_E_IO, 0, "queue '%s': not all of it can be read at present",
                              log->name)
               : GW_OK;
}

static gw_status note_segments(gw__log *log, gw__log_copy *copy, gw_error *err)
{
    uint32_t first = gw__position_index(copy->head);
    if (!gw__log_spans(copy->head, copy->tail)) {
        return gw_error_set(err, GW_E_PROTOCOL, 0,
                            "queue '%s': where its log begins and ends is damaged", log->name);
    }
    size_t n = gw__position_index(copy->tail) - first + 1;
    copy->fds = calloc(n, sizeof(*copy->fds));
    if (copy->fds == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "queue '%s': out of memory", log->name);
    }
    for (size_t i = 0; i < n; i++) {
        char name[GW__SEGMENT_PATH_LEN];
        gw__log_segment_path(log, first + (uint32_t)i, name);
        int fd = openat(log->logs_dir_fd, name, O_RDONLY | O_CLOEXEC);
        copy->fds[copy->n_fds++] = fd;
        if (fd < 0 ? errno != ENOENT /* the last one may not be there yet */
                   : !gw__segment_keep(fd)) {
            return gw_error_set_errno(err, errno, "queue '%s': cannot read %s", log->name, name);
        }
    }
    return GW_OK;
}

gw_status gw__log_note(gw__log *log, gw__log_copy **ret_copy, gw_error *err)
{
    gw__log_copy *copy = calloc(1, sizeof(*copy));
    if (copy == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "queue '%s': out of memory", log->name);
    }
    copy->serial = log->serial;
    copy->head = log->state->head;
    copy->next = log->state->next;
    copy->tail = log->state->tail;
    gw_status st = copy->head < copy->tail ? gw__log_find_dir(log, false, err) : GW_OK;
    if (st == GW_OK && copy->head < copy->tail) {
        st = note_window(log, copy, err);
        st = st == GW_OK ? note_segments(log, copy, err) : st;
    }
    snprintf(copy->name, sizeof(copy->name), "%s", log->name);
    copy->owner = log->owner;
    if (st != GW_OK) {
        gw__log_copy_free(copy);
        return st;
    }
    *ret_copy = copy;
    return GW_OK;
}

void gw__log_copy_free(gw__log_copy *copy)
{
    if (copy == NULL) {
        return;
    }
    for (size_t i = 0; i < copy->n_fds; i++) {
        if (copy->fds[i] >= 0) {
            close(copy->fds[i]);
        }
    }
    free(copy->fds);
    free(copy->window);
    free(copy);
}

/* The states as they were: what came and went since then did not. */
static void put_states(gw__log_copy *copy, uint32_t index, uint8_t *bytes, size_t size, size_t *at)
{
    gw__segment image = {
        .owner = &copy->owner, .index = index, .base = bytes, .capacity = size, .size = size};
    image.salt = gw__segment_head_of(&image)->salt;
    while (*at < copy->n_window && gw__position_index(copy->window[*at].position) == index) {
        size_t offset = gw__position_offset(copy->window[*at].position);
        uint64_t state = copy->window[(*at)++].state;
        if (gw__entry_phase(state) == GW__ENTRY_LEASED) {
            state = gw__entry_state(gw__entry_n_taken(state), 0, GW__ENTRY_READY);
        }
        if (offset + sizeof(gw__entry_head) <= size) {
            atomic_store(&gw__entry_at(&image, offset)->state, state);
        }
    }
    size_t offset = index == gw__position_index(copy->next)  ? gw__position_offset(copy->next)
                    : index > gw__position_index(copy->next) ? GW__SEGMENT_HEAD
                                                             : size;
    while (gw__entry_is_sound(&image, offset) &&
           gw__entry_at(&image, offset)->len != GW__ENTRY_END) {
        atomic_store(&gw__entry_at(&image, offset)->state, GW__ENTRY_READY);
        offset += gw__entry_size(gw__entry_at(&image, offset)->len);
    }
}

static int copy_segment(gw__log_copy *copy, size_t i, int to_dir_fd, size_t *at)
{
    uint32_t index = gw__position_index(copy->head) + (uint32_t)i;
    struct stat info;
    if (copy->fds[i] < 0) {
        return 0;
    }
    if (fstat(copy->fds[i], &info) != 0) {
        return errno;
    }
    size_t size = (size_t)info.st_size;
    if (index == gw__position_index(copy->tail)) { /* what came behind the tail is not copied */
        size_t offset = gw__position_offset(copy->tail);
        size = offset < size ? offset : size;
    }
    uint8_t *bytes = malloc(size);
    size_t n_read = 0;
    ssize_t n = 1;
    while (bytes != NULL && n_read < size && n > 0) {
        n = pread(copy->fds[i], bytes + n_read, size - n_read, (off_t)n_read);
        n_read += n > 0 ? (size_t)n : 0;
    }
    int errnum = bytes == NULL ? ENOMEM : n < 0 ? errno : n_read < size ? EIO : 0;
    char name[GW__SEGMENT_NAME_LEN + 1];
    gw__segment_name(index, name);
    int fd = errnum == 0 ? openat(to_dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                                  copy->owner.file_mode)
                         : -1;
    if (errnum == 0 && fd < 0) {
        errnum = errno;
    }
    if (errnum == 0) {
        if (i == 0) { /* what is before the head is not worth reading again */
            gw__segment_head *head = (gw__segment_head *)(void *)bytes;
            atomic_store(&head->start, gw__position_offset(copy->head));
        }
        put_states(copy, index, bytes, size, at);
        errnum = gw__fd_write(fd, bytes, size);
        errnum = errnum == 0 && fsync(fd) != 0 ? errno : errnum;
    }
    if (fd >= 0) {
        close(fd);
    }
    free(bytes);
    return errnum;
}

gw_status gw__log_copy_out(gw__log_copy *copy, int to_logs_dir_fd, gw_error *err)
{
    char name[17];
    size_t at = 0;
    if (copy->n_fds == 0) {
        return GW_OK;
    }
    snprintf(name, sizeof(name), "%016" PRIx64, copy->serial);
    int errnum = mkdirat(to_logs_dir_fd, name, 0700) != 0 ? errno : 0;
    int fd = errnum == 0 ? openat(to_logs_dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    errnum = errnum == 0 && fd < 0 ? errno : errnum;
    for (size_t i = 0; errnum == 0 && i < copy->n_fds; i++) {
        errnum = copy_segment(copy, i, fd, &at);
    }
    if (fd >= 0) {
        errnum = errnum == 0 && fsync(fd) != 0 && errno != EINVAL ? errno : errnum;
        close(fd);
    }
    return errnum == 0
               ? GW_OK
               : gw_error_set_errno(err, errnum, "queue '%s': cannot copy its log", copy->name);
}
