/* SPDX-License-Identifier: MIT */
#include "http/date.h"

#include <stdio.h>
#include <time.h>

#include <godwit/http.h>

void gw_http_format_date(int64_t unix_s, char ret_date[GW_HTTP_DATE_SIZE])
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t when = (time_t)unix_s;
    struct tm tm;
    ret_date[0] = '\0';
    if (gmtime_r(&when, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900) {
        return;
    }
    int len = snprintf(ret_date, GW_HTTP_DATE_SIZE, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                       days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
                       tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (len < 0 || len >= GW_HTTP_DATE_SIZE) {
        ret_date[0] = '\0';
    }
}

const char *gw__http_date(uint64_t *ret_second)
{
    static _Thread_local char text[GW_HTTP_DATE_SIZE];
    static _Thread_local time_t made_at;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now); /* a few ms late, and much cheaper */
    if (now.tv_sec != made_at) {
        gw_http_format_date(now.tv_sec, text);
        made_at = now.tv_sec;
    }
    *ret_second = (uint64_t)now.tv_sec;
    return text;
}
