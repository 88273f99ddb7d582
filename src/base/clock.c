/* SPDX-License-Identifier: MIT */
#include <godwit/clock.h>

#include <string.h>
#include <time.h>

#define S_PER_DAY 86400u

static uint64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * GW_NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t gw_clock_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t gw_clock_ms(void)
{
    return gw_clock_ns() / GW_NS_PER_MS;
}

uint64_t gw_clock_unix_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

static void put_digits(char *text, unsigned value, int n_digits)
{
    for (int i = n_digits - 1; i >= 0; i--) {
        text[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* "2026-11-22" of a day since 1970. gmtime_r() takes a lock of the C library, so each thread asks
 * once a day. */
static const char *date_of(uint64_t day)
{
    static _Thread_local struct {
        uint64_t day;
        char text[11];
    } last = {UINT64_MAX, ""};
    if (last.day != day) {
        time_t seconds = (time_t)(day * S_PER_DAY);
        struct tm tm;
        gmtime_r(&seconds, &tm); /* 64 bits of nanoseconds end in 2554: it cannot fail */
        memcpy(last.text, "0000-00-00", sizeof(last.text));
        put_digits(last.text, (unsigned)tm.tm_year + 1900, 4);
        put_digits(last.text + 5, (unsigned)tm.tm_mon + 1, 2);
        put_digits(last.text + 8, (unsigned)tm.tm_mday, 2);
        last.day = day;
    }
    return last.text;
}

void gw_time_format(uint64_t unix_ns, char ret_text[GW_TIME_LEN + 1])
{
    uint64_t seconds = unix_ns / GW_NS_PER_S;
    unsigned second = (unsigned)(seconds % S_PER_DAY);
    memcpy(ret_text, "0000-00-00T00:00:00.000000000Z", GW_TIME_LEN + 1);
    memcpy(ret_text, date_of(seconds / S_PER_DAY), 10);
    put_digits(ret_text + 11, second / 3600, 2);
    put_digits(ret_text + 14, second / 60 % 60, 2);
    put_digits(ret_text + 17, second % 60, 2);
    put_digits(ret_text + 20, (unsigned)(unix_ns % GW_NS_PER_S), 9);
}

void gw_time_format_ms(uint64_t unix_ns, char ret_text[GW_TIME_MS_LEN + 1])
{
    char text[GW_TIME_LEN + 1];
    gw_time_format(unix_ns, text);
    memcpy(ret_text, text, GW_TIME_MS_LEN - 1);
    memcpy(ret_text + GW_TIME_MS_LEN - 1, "Z", 2);
}
