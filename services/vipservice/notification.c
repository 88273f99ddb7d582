/* SPDX-License-Identifier: MIT */
#include "notification.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

#include <godwit/buf.h>

#define SHOWN_MAX 80 /* bytes of a wrong value in an error's text */

static bool is_account_id(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x80 || (!isalnum(c) && c != '-' && c != '_')) {
            return false;
        }
    }
    return len > 0 && len <= VIP_ID_MAX;
}

/* A time of any form that people and other services write; shown, never calculated with. */
static bool is_printable(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            return false;
        }
    }
    return len > 0 && len <= VIP_READ_AT_MAX;
}

static gw_status take_text(const json_t *root, const char *name,
                           bool (*check)(const char *, size_t), char *ret_text, gw_error *err)
{
    const json_t *value = json_object_get(root, name);
    if (value == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "not a notification: it has no \"%s\"", name);
    }
    if (!json_is_string(value)) {
        return gw_error_set(err, GW_E_INVALID, 0, "not a notification: \"%s\" is not a string",
                            name);
    }
    size_t len = json_string_length(value);
    if (!check(json_string_value(value), len)) {
        gw_buf shown; /* as JSON: a character that is cut stays valid */
        gw_buf_init(&shown, 1024);
        gw_buf_add_json(&shown, json_string_value(value), len < SHOWN_MAX ? len : SHOWN_MAX);
        gw_error_set(err, GW_E_INVALID, 0, "not a notification: \"%s\" is not valid: %s", name,
                     shown.data != NULL ? shown.data : "?");
        gw_buf_dispose(&shown);
        return GW_E_INVALID;
    }
    memcpy(ret_text, json_string_value(value), len + 1);
    return GW_OK;
}

gw_status notification_parse(const char *body, size_t len, notification *ret_notification,
                             gw_error *err)
{
    if (len > NOTIFICATION_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "not a notification: %zu bytes are more than %d",
                            len, NOTIFICATION_MAX);
    }
    json_error_t fault;
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, &fault);
    if (root == NULL && json_error_code(&fault) == json_error_out_of_memory) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a notification");
    }
    if (root == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "not JSON: %s (at byte %d)", fault.text,
                            fault.position);
    }
    notification parsed;
    gw_status st = json_is_object(root) ? GW_OK
                                        : gw_error_set(err, GW_E_INVALID, 0,
                                                       "not a notification: not a JSON object");
    if (st == GW_OK) {
        st = take_text(root, "accountId", is_account_id, parsed.account_id, err);
    }
    if (st == GW_OK) {
        st = take_text(root, "readAt", is_printable, parsed.read_at, err);
    }
    if (st == GW_OK) {
        *ret_notification = parsed;
    }
    json_decref(root);
    return st;
}
