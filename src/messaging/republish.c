/* SPDX-License-Identifier: MIT */
#include "messaging/republish.h"

#include <string.h>

#include <godwit/error.h>

#define HEADER_CC "CC"

/* Whether a header is about a way that is over: the broker's notes, and our own count. */
static bool is_left_out(const char *name)
{
    static const char *const names[] = {"x-death", "x-delivery-count", GW__HEADER_ATTEMPT,
                                        GW__HEADER_CRASHES};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return strncmp(name, "x-first-death-", 14) == 0 || strncmp(name, "x-last-death-", 13) == 0;
}

static gw_status copy_headers(gw_message *copy, const gw_message *msg)
{
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < gw_message_n_headers(msg); i++) {
        const gw_header *header = gw_message_header_at(msg, i);
        const char *name = strcmp(header->name, HEADER_CC) == 0 ? "x-godwit-cc" : header->name;
        if (!is_left_out(name)) {
            st = gw_message_set_header(copy, name, &header->value);
        }
    }
    return st;
}

static gw_status copy_properties(gw_message *copy, const gw_message *msg)
{
    gw_status st = gw_message_set_content_type(copy, gw_message_content_type(msg));
    if (st == GW_OK) {
        st = gw_message_set_content_encoding(copy, gw_message_content_encoding(msg));
    }
    if (st == GW_OK) {
        st = gw_message_set_id(copy, gw_message_id(msg));
    }
    if (st == GW_OK) {
        st = gw_message_set_correlation_id(copy, gw_message_correlation_id(msg));
    }
    if (st == GW_OK) {
        st = gw_message_set_reply_to(copy, gw_message_reply_to(msg));
    }
    if (st == GW_OK) {
        st = gw_message_set_type(copy, gw_message_type(msg));
    }
    if (st == GW_OK) {
        st = gw_message_set_app_id(copy, gw_message_app_id(msg));
    }
    gw_message_set_priority(copy, gw_message_priority(msg));
    gw_message_set_timestamp(copy, gw_message_timestamp(msg));
    return st;
}

static gw_status set_if(gw_message *copy, const char *name, const char *text)
{
    return text == NULL ? GW_OK : gw_message_set_header_text(copy, name, text);
}

static gw_status add_origin(gw_message *copy, const gw_message *msg, const char *queue)
{
    gw_status st = gw_message_set_header_text(copy, GW__HEADER_QUEUE, queue);
    if (st == GW_OK) {
        st = set_if(copy, GW__HEADER_EXCHANGE, gw_message_exchange(msg));
    }
    if (st == GW_OK) {
        st = set_if(copy, GW__HEADER_ROUTING_KEY, gw_message_routing_key(msg));
    }
    if (st == GW_OK) {
        st = set_if(copy, GW__HEADER_USER_ID, gw_message_user_id(msg));
    }
    return st;
}

gw_message *gw__republish_new(const gw_message *msg, const char *queue, bool with_headers,
                              gw_status *ret_status)
{
    size_t len;
    const void *body = gw_message_body(msg, &len);
    gw_message *copy = gw_message_new(body, len);
    if (copy == NULL) {
        *ret_status = GW_E_NOMEM;
        return NULL;
    }
    gw_status st = copy_properties(copy, msg);
    if (st == GW_OK && with_headers) {
        st = copy_headers(copy, msg);
    }
    if (st == GW_OK) {
        st = add_origin(copy, msg, queue);
    }
    if (st != GW_OK) {
        gw_message_free(copy);
        copy = NULL;
    }
    *ret_status = st;
    return copy;
}
