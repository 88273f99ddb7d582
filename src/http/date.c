/* SPDX-License-Identifier: MIT */
#include "http/date.h"

#include <stdio.h>
#include <time.h>

const char *gw__http_date(uint64_t *ret_second)
{
    static _Thread_local char text[64];
    static _Thread_local time_t made_at;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now); /* a few ms late, and much cheaper */
    if (now.tv_sec != made_at) {
        /* Not strftime(): the names are English in every locale. */
        static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        struct tm tm;
        gmtime_r(&now.tv_sec, &tm);
        snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
                 tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                 tm.tm_sec);
        made_at = now.tv_sec;
    }
    *ret_second = (uint64_t)now.tv_sec;
    return text;
}
