/* SPDX-License-Identifier: MIT */
#include "log_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus/segment.h"
#include "support/child.h"

#define SERIAL 0x2a

char log_dir[256];
static int dir_fd = -1;

int log_make_dir(void **state)
{
    (void)state;
    make_test_dir(log_dir, sizeof(log_dir));
    dir_fd = open(log_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir_fd < 0;
}

int log_remove_dir(void **state)
{
    (void)state;
    gw__log_remove_files(dir_fd, SERIAL);
    close(dir_fd);
    remove_test_dir(log_dir);
    return 0;
}

gw__log_state *log_new_state(void)
{
    gw__log_state *state =
        mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(state, MAP_FAILED);
    gw__log_create(state, SERIAL);
    return state;
}

void log_free_state(gw__log_state *state)
{
    munmap(state, sizeof(*state));
}

gw__log *log_open(gw__log_state *state)
{
    gw__log_place place = {
        .dir_fd = dir_fd, .name = "orders", .serial = SERIAL, .dir_mode = 0700, .file_mode = 0600};
    gw__log *log = NULL;
    assert_int_equal(gw__log_open(&place, state, &log, NULL), GW_OK);
    return log;
}

/* ---- records ------------------------------------------------------------------------------ */

size_t log_record_len(uint64_t number, size_t spread)
{
    return 16 + (spread == 0 ? 0 : (size_t)(number * 7919 % spread));
}

typedef struct sample {
    uint64_t number;
    size_t len;
} sample;

static uint8_t *write_sample(const void *ctx, uint8_t *to)
{
    const sample *it = ctx;
    uint64_t words[2] = {it->number, it->len};
    memcpy(to, words, sizeof(words));
    memset(to + sizeof(words), (int)(it->number & 0xff), it->len - sizeof(words));
    return to + it->len;
}

gw_status log_put(gw__log *log, uint64_t first, size_t n, size_t spread, gw_error *err)
{
    sample samples[256];
    gw__log_write writes[256];
    assert_true(n <= 256);
    for (size_t i = 0; i < n; i++) {
        samples[i] = (sample){.number = first + i, .len = log_record_len(first + i, spread)};
        writes[i] =
            (gw__log_write){.len = samples[i].len, .write = write_sample, .ctx = &samples[i]};
    }
    return gw__log_append(log, writes, n, NULL, NULL, err);
}

gw_status log_put_until(gw__log *log, uint64_t number, uint64_t expires_ms)
{
    sample it = {.number = number, .len = 16};
    gw__log_write write = {.len = 16, .expires_ms = expires_ms, .write = write_sample, .ctx = &it};
    return gw__log_append(log, &write, 1, NULL, NULL, NULL);
}

uint64_t log_number(const gw__log_record *record)
{
    uint64_t words[2];
    assert_true(record->len >= sizeof(words));
    memcpy(words, record->bytes, sizeof(words));
    assert_int_equal(words[1], record->len);
    for (size_t i = sizeof(words); i < record->len; i++) {
        assert_int_equal(record->bytes[i], words[0] & 0xff);
    }
    return words[0];
}

/* ---- taking --------------------------------------------------------------------------------- */

void log_expect(gw__log *log, uint64_t first, size_t n, bool redelivered, uint64_t *ret_positions)
{
    gw__log_record records[256];
    assert_true(n <= 256);
    assert_int_equal(gw__log_take(log, LOG_MEMBER, 1000, 0, records, n), n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(log_number(&records[i]), first + i);
        assert_int_equal(records[i].redelivered, redelivered);
        if (ret_positions != NULL) {
            ret_positions[i] = records[i].position;
        }
    }
}

void log_expect_nothing(gw__log *log)
{
    gw__log_record record;
    assert_int_equal(gw__log_take(log, LOG_MEMBER, 1000, 0, &record, 1), 0);
}

void log_done(gw__log *log, const uint64_t *positions, size_t n)
{
    assert_int_equal(gw__log_settle(log, LOG_MEMBER, positions, n, GW__LOG_DONE), n);
}

void log_return(gw__log *log, const uint64_t *positions, size_t n)
{
    assert_int_equal(gw__log_settle(log, LOG_MEMBER, positions, n, GW__LOG_RETURN), n);
}

size_t log_n_segments(size_t *ret_disk_bytes)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/%016x", log_dir, SERIAL);
    DIR *dir = opendir(path);
    size_t n = 0;
    size_t n_bytes = 0;
    struct dirent *item;
    uint32_t index;
    while (dir != NULL && (item = readdir(dir)) != NULL) {
        struct stat info;
        if (gw__segment_parse_name(item->d_name, &index) &&
            fstatat(dirfd(dir), item->d_name, &info, 0) == 0) {
            n++;
            n_bytes += (size_t)info.st_blocks * 512;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    if (ret_disk_bytes != NULL) {
        *ret_disk_bytes = n_bytes;
    }
    return n;
}
