/* SPDX-License-Identifier: MIT */
/* UUID version 7. The 12 bits behind the milliseconds count ids within one millisecond (RFC 9562
 * section 6.2, method 1), so ids of a thread ascend; the other 62 bits are random, bought from the
 * kernel in bulk. */
#include <godwit/id.h>

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include <godwit/clock.h>

#include "base/hex.h"

#define POOL_LEN 8192 /* 512 to 1024 ids */

typedef struct id_source {
    uint8_t pool[POOL_LEN];
    size_t left; /* bytes at the end of the pool that are not given away yet */
    uint64_t last_ms;
    unsigned counter;
} id_source;

static _Thread_local id_source source; /* zero, so that a thread that makes no ids pays nothing */

static pthread_once_t forks_once = PTHREAD_ONCE_INIT;
static bool forks_watched;

/* A forked child must not repeat its parent's ids. The thread that forked is the only one it has.
 */
static void forget_pool(void)
{
    source.left = 0;
}

static void watch_forks(void)
{
    forks_watched = pthread_atfork(NULL, NULL, forget_pool) == 0;
}

static void fill_pool(id_source *src)
{
    pthread_once(&forks_once, watch_forks);
    size_t len = 0;
    while (len < POOL_LEN) {
        ssize_t n = getrandom(src->pool + len, POOL_LEN - len, 0); /* a signal can cut it short */
        if (n > 0) {
            len += (size_t)n;
        }
    }
    src->left = forks_watched ? POOL_LEN : sizeof(uint64_t); /* a system call for each, then */
}

static uint64_t random64(id_source *src)
{
    uint64_t value;
    if (src->left < sizeof(value)) {
        fill_pool(src);
    }
    uint8_t *bytes = src->pool + POOL_LEN - src->left;
    memcpy(&value, bytes, sizeof(value));
    memset(bytes, 0, sizeof(value));
    src->left -= sizeof(value);
    return value;
}

static void put_hex(char *text, uint64_t value, int n_digits)
{
    for (int i = n_digits - 1; i >= 0; i--) {
        text[i] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
}

void gw_id_new(char ret_id[GW_ID_LEN + 1])
{
    id_source *src = &source;
    uint64_t now_ms = gw_clock_unix_ns() / GW_NS_PER_MS;
    if (now_ms > src->last_ms) {
        src->last_ms = now_ms;
        src->counter = (unsigned)(random64(src) & 0x7ff);
    } else if (++src->counter > 0xfff) {
        src->last_ms++; /* more than 2048 ids in a millisecond: borrow from the next */
        src->counter = 0;
    }
    uint64_t tail = (random64(src) & 0x3fffffffffffffffu) | 0x8000000000000000u;
    put_hex(ret_id, src->last_ms >> 16, 8);
    ret_id[8] = '-';
    put_hex(ret_id + 9, src->last_ms & 0xffff, 4);
    ret_id[13] = '-';
    put_hex(ret_id + 14, 0x7000u | src->counter, 4);
    ret_id[18] = '-';
    put_hex(ret_id + 19, tail >> 48, 4);
    ret_id[23] = '-';
    put_hex(ret_id + 24, tail & 0xffffffffffffu, 12);
    ret_id[GW_ID_LEN] = '\0';
}

bool gw_id_is_valid(const char *text, size_t len)
{
    if (len != GW_ID_LEN) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : gw__hex_value(text[i]) < 0) {
            return false;
        }
    }
    return true;
}
