/* SPDX-License-Identifier: MIT */
#include "messaging/dead_letter.h"

#include <string.h>

#include <godwit/clock.h>
#include <godwit/error.h>

#include "base/utf8.h"
#include "messaging/message.h"

/* The broker acts on this header: left in place it would send the dead letter to other queues too.
 */
#define HEADER_CC "CC"

/* Set the reason, which may quote a message's bytes: as valid UTF-8, since AMQP's strings are that
 * to many clients. */
static gw_status set_reason(gw_message *letter, const char *reason)
{
    char text[GW_ERROR_TEXT_MAX];
    size_t len = strnlen(reason, sizeof(text) - 1);
    for (size_t i = 0; i < len;) {
        size_t n = gw__utf8_sequence_len(reason + i, len - i);
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

static gw_status set_if(gw_message *letter, const char *name, const char *text)
{
    return text == NULL ? GW_OK : gw_message_set_header_text(letter, name, text);
}

static gw_status add_reason(gw_message *letter, const gw_message *msg,
                            const gw__dead_reason *reason)
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
        st = gw_message_set_header_text(letter, "x-godwit-queue", reason->queue);
    }
    if (st == GW_OK) {
        st = gw_message_set_header_text(letter, "x-godwit-service", reason->service);
    }
    if (st == GW_OK) {
        st = set_if(letter, "x-godwit-exchange", gw_message_exchange(msg));
    }
    if (st == GW_OK) {
        st = set_if(letter, "x-godwit-routing-key", gw_message_routing_key(msg));
    }
    if (st == GW_OK) {
        st = set_if(letter, "x-godwit-user-id", gw_message_user_id(msg));
    }
    return st;
}

static gw_status copy_headers(gw_message *letter, const gw_message *msg)
{
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < gw_message_n_headers(msg); i++) {
        const gw_header *header = gw_message_header_at(msg, i);
        const char *name = strcmp(header->name, HEADER_CC) == 0 ? "x-godwit-cc" : header->name;
        st = gw_message_set_header(letter, name, &header->value);
    }
    return st;
}

static gw_status copy_properties(gw_message *letter, const gw_message *msg)
{
    gw_status st = gw_message_set_content_type(letter, gw_message_content_type(msg));
    if (st == GW_OK) {
        st = gw_message_set_content_encoding(letter, gw_message_content_encoding(msg));
    }
    if (st == GW_OK) {
        st = gw_message_set_id(letter, gw_message_id(msg));
    }
    if (st == GW_OK) {
        st = gw_message_set_correlation_id(letter, gw_message_correlation_id(msg));
    }
    if (st == GW_OK) {
        st = gw_message_set_reply_to(letter, gw_message_reply_to(msg));
    }
    if (st == GW_OK) {
        st = gw_message_set_type(letter, gw_message_type(msg));
    }
    if (st == GW_OK) {
        st = gw_message_set_app_id(letter, gw_message_app_id(msg));
    }
    /* Not the user id, which the broker compares with the user of our connection, and no
     * expiration: a dead letter waits for a person. */
    gw_message_set_priority(letter, gw_message_priority(msg));
    gw_message_set_timestamp(letter, gw_message_timestamp(msg));
    return st;
}

static gw_message *make(const gw_message *msg, const gw__dead_reason *reason, bool with_headers,
                        gw_status *ret_status)
{
    size_t len;
    const void *body = gw_message_body(msg, &len);
    gw_message *letter = gw_message_new(body, len);
    if (letter == NULL) {
        *ret_status = GW_E_NOMEM;
        return NULL;
    }
    gw_status st = copy_properties(letter, msg);
    if (st == GW_OK && with_headers) {
        st = copy_headers(letter, msg);
    }
    if (st == GW_OK) {
        st = add_reason(letter, msg, reason);
    }
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
