/* SPDX-License-Identifier: MIT */
#include "poll.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_MIRROR_MS 10000u /* a client's patience for the first mirror of a repository */

/* "30s", as durations are written in our configuration; a number alone is milliseconds. */
static bool read_duration(const char *text, unsigned *ret_ms)
{
    static const struct {
        const char *unit;
        unsigned long ms;
    } units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    size_t n_digits = strspn(text, "0123456789");
    if (n_digits == 0 || n_digits > 9) {
        return false;
    }
    unsigned long number = strtoul(text, NULL, 10);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text + n_digits, units[i].unit) == 0) {
            unsigned long max = CS_WAIT_MAX_S * 1000ul;
            *ret_ms = (unsigned)(number > max / units[i].ms ? max : number * units[i].ms);
            return true;
        }
    }
    return false;
}

gw_status cs_poll_read(const gw_http_request *req, cs_poll *ret_poll, gw_error *err)
{
    *ret_poll = (cs_poll){.etags = gw_http_query(req, "etag")};
    if (ret_poll->etags == NULL) {
        ret_poll->etags = gw_http_header(req, "If-None-Match");
    }
    const char *wait = gw_http_query(req, "wait");
    if (wait == NULL) {
        return GW_OK;
    }
    ret_poll->is_waiting = true;
    if (!read_duration(wait, &ret_poll->wait_ms)) {
        return gw_error_set(err, GW_E_INVALID, 0, "wait is no duration such as 500ms, 30s or 1m");
    }
    return GW_OK;
}

bool cs_poll_has(const cs_poll *poll, const cs_answer *answer)
{
    return poll->etags != NULL && answer->status == 200 &&
           cs_etag_in_list(poll->etags, answer->etag, poll->is_waiting);
}

unsigned cs_poll_wait_ms(const cs_poll *poll, const cs_answer *answer)
{
    if (answer->is_busy) {
        return FIRST_MIRROR_MS;
    }
    return poll->wait_ms > 0 && cs_poll_has(poll, answer) ? poll->wait_ms : 0;
}
