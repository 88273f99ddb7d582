/* SPDX-License-Identifier: MIT */
#include <godwit/clock.h>

#include <stdio.h>
#include <time.h>

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

void gw_time_format(uint64_t unix_ns, char ret_text[GW_TIME_LEN + 1])
{
    time_t seconds = (time_t)(unix_ns / GW_NS_PER_S);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    unsigned year = (unsigned)(tm.tm_year + 1900) % 10000;
    char text[80];
    snprintf(text, sizeof(text), "%04u-%02d-%02dT%02d:%02d:%02d.%09uZ", year, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(unix_ns % GW_NS_PER_S));
    for (int i = 0; i <= GW_TIME_LEN; i++) {
        ret_text[i] = text[i];
    }
    ret_text[GW_TIME_LEN] = '\0';
}
