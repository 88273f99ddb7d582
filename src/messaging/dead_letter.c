/* SPDX-License-Identifier: MIT */
#include "messaging/dead_letter.h"

#include <string.h>

#include <godwit/clock.h>
#include <godwit/error.h>

#include "base/utf8.h"
#include "messaging/republish.h"

/* Set the reason, which may quote a message's bytes: as valid UTF-8, since AMQP's strings are that
 * to many clients. */
static gw_status set_reason(gw_message *letter, const char *reason)
{
    char text[GW_ERROR_TEXT_MAX];
    size_t len = strnlen(reason, sizeof(text) - 1);
    for (size_t i = 0; i < len;) {
        size_t n = gw_utf8_sequence_len(reason + i, len - i);
        if (n == 0) {
            text[i++] = '?';
            continue;
        }
        memcpy(text + i, reason + i, n);
        i += n;
    }
    text[len] = '\0';
    return gw_message_set_header_text(letter, "x-godwit-reason", text);
}

static gw_status add_reason(gw_message *letter, const gw__dead_reason *reason)
{
    char now[GW_TIME_LEN + 1];
    gw_time_format(gw_clock_unix_ns(), now);
    gw_status st = set_reason(letter, reason->text);
    if (st == GW_OK) {
        st = gw_message_set_header_text(letter, "x-godwit-time", now);
    }
    if (st == GW_OK) {
        st = gw_message_set_header_int(letter, "x-godwit-attempts", reason->n_attempts);
    }
    if (st == GW_OK) {
        st = gw_message_set_header_text(letter, "x-godwit-service", reason->service);
    }
    return st;
}

static gw_message *make(const gw_message *msg, const gw__dead_reason *reason, bool with_headers,
                        gw_status *ret_status)
{
    gw_message *letter = gw__republish_new(msg, reason->queue, with_headers, ret_status);
    gw_status st = letter == NULL ? *ret_status : add_reason(letter, reason);
    if (st != GW_OK) {
        gw_message_free(letter);
        letter = NULL;
    }
    *ret_status = st;
    return letter;
}

gw_message *gw__dead_letter_new(const gw_message *msg, const gw__dead_reason *reason)
{
    gw_status st;
    gw_message *letter = make(msg, reason, true, &st);
    if (st == GW_E_LIMIT) { /* its own headers leave no room for ours */
        letter = make(msg, reason, false, &st);
    }
    return letter;
}
