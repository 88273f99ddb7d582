/* SPDX-License-Identifier: MIT */
/* What can be read of the files of a log of which nothing else is known. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bus/log_format.h"

static void salvage_segment(gw__segment *segment, const gw__log_salvage *salvage)
{
    const char *name = gw__segment_head_of(segment)->name;
    size_t at = gw__segment_start(segment);
    uint64_t seq = 0;
    while (at != 0) {
        if (!gw__entry_is_sound(segment, at)) {
            size_t next = gw__segment_find_sound(segment, at, seq + 1);
            if (next != 0) {
                salvage->damaged(salvage->ctx, name, at, next - at);
            }
            at = next;
            continue;
        }
        gw__entry_head *entry = gw__entry_at(segment, at);
        if (entry->len == GW__ENTRY_END) {
            return;
        }
        uint64_t state = atomic_load(&entry->state);
        gw__log_record record = gw__log_record_of(gw__position(segment->index, at), entry, state);
        seq = entry->seq;
        size_t size = gw__entry_size(entry->len);
        if (gw__entry_phase(state) != GW__ENTRY_DONE) {
            if (!gw__entry_is_whole(entry)) {
                salvage->damaged(salvage->ctx, name, at, size);
            } else if (!salvage->found(salvage->ctx, name, &record)) {
                return;
            }
        }
        at += size;
    }
}

static int compare_indexes(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static gw_status list_segments(int dir_fd, uint32_t **ret_indexes, size_t *ret_n, gw_error *err)
{
    uint32_t *indexes = NULL;
    size_t n = 0;
    size_t room = 0;
    gw_status st = GW_OK;
    DIR *dir = fdopendir(dir_fd);
    if (dir == NULL) {
        close(dir_fd);
        return gw_error_set_errno(err, errno, "cannot read the folder of a log");
    }
    struct dirent *item;
    uint32_t index;
    while (st == GW_OK && (item = readdir(dir)) != NULL) {
        if (!gw__segment_parse_name(item->d_name, &index)) {
            continue;
        }
        if (n == room) {
            room = room == 0 ? 16 : 2 * room;
            uint32_t *more = realloc(indexes, room * sizeof(*more));
            if (more == NULL) {
                st = gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
                break;
            }
            indexes = more;
        }
        indexes[n++] = index;
    }
    closedir(dir);
    if (st != GW_OK) {
        free(indexes);
        return st;
    }
    if (n > 1) {
        qsort(indexes, n, sizeof(*indexes), compare_indexes);
    }
    *ret_indexes = indexes;
    *ret_n = n;
    return GW_OK;
}

gw_status gw__log_salvage_files(int logs_dir_fd, uint64_t serial, const gw__log_salvage *salvage,
                                gw_error *err)
{
    char name[17];
    snprintf(name, sizeof(name), "%016" PRIx64, serial);
    int fd = openat(logs_dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int list_fd = fd >= 0 ? openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (list_fd < 0) {
        int errnum = errno;
        if (fd >= 0) {
            close(fd);
        }
        return gw_error_set_errno(err, errnum, "cannot open the folder logs/%s", name);
    }
    uint32_t *indexes = NULL;
    size_t n = 0;
    gw_status st = list_segments(list_fd, &indexes, &n, err);
    gw__segment_owner owner = {.dir_fd = fd, .folder = "", .serial = serial, .name = name};
    for (size_t i = 0; st == GW_OK && i < n; i++) {
        gw__segment segment;
        if (gw__segment_open(&owner, indexes[i], false, &segment, NULL) == GW_OK) {
            salvage_segment(&segment, salvage);
            gw__segment_close(&segment);
        } else {
            salvage->damaged(salvage->ctx, NULL, (uint64_t)indexes[i] << 32, 0);
        }
    }
    free(indexes);
    close(fd);
    return st;
}
