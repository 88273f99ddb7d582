/* SPDX-License-Identifier: MIT */
#include "letter.h"

#include <stdio.h>
#include <string.h>

#include <godwit/clock.h>

/* ---- reading ---------------------------------------------------------------------- */

static const gw_value *entry_of(const gw_value *table, const char *name)
{
    for (size_t i = 0; i < table->as.table.n_items; i++) {
        if (strcmp(table->as.table.items[i].name, name) == 0) {
            return &table->as.table.items[i].value;
        }
    }
    return NULL;
}

static const char *text_of(const gw_value *table, const char *name)
{
    const gw_value *value = entry_of(table, name);
    return value != NULL && value->kind == GW_VALUE_TEXT ? value->as.bytes.data : NULL;
}

/* The broker's own account: a table for each queue and reason, the last one first. */
static void read_death(const gw_message *msg, letter *ret)
{
    const gw_value *deaths = gw_message_header(msg, "x-death");
    if (deaths == NULL || deaths->kind != GW_VALUE_ARRAY || deaths->as.array.n_items == 0 ||
        deaths->as.array.items[0].kind != GW_VALUE_TABLE) {
        return;
    }
    const gw_value *last = &deaths->as.array.items[0];
    ret->reason = text_of(last, "reason");
    ret->queue = text_of(last, "queue");
    const gw_value *count = entry_of(last, "count");
    ret->n_attempts = count != NULL && count->kind == GW_VALUE_INT ? count->as.integer : -1;
    const gw_value *time = entry_of(last, "time");
    if (time != NULL && time->kind == GW_VALUE_TIME && time->as.uinteger < 253402300800) {
        char text[GW_TIME_LEN + 1];
        gw_time_format(time->as.uinteger * GW_NS_PER_S, text);
        snprintf(ret->time, sizeof(ret->time), "%s", text);
    }
}

letter letter_read(const gw_message *msg)
{
    letter ret = {.n_attempts = -1};
    read_death(msg, &ret);
    const char *reason = gw_message_header_text(msg, "x-godwit-reason");
    if (reason == NULL) {
        return ret;
    }
    ret.reason = reason;
    const char *time = gw_message_header_text(msg, "x-godwit-time");
    snprintf(ret.time, sizeof(ret.time), "%s", time != NULL ? time : "");
    ret.n_attempts = gw_message_header_int(msg, "x-godwit-attempts", -1);
    ret.queue = gw_message_header_text(msg, "x-godwit-queue");
    return ret;
}

bool letter_has_id(const gw_message *msg, const char *id)
{
    const char *own = gw_message_id(msg);
    return own != NULL && strcmp(own, id) == 0;
}

/* ---- restoring --------------------------------------------------------------------- */

static bool is_added(const char *name)
{
    static const char *const prefixes[] = {"x-godwit-", "x-first-death-", "x-last-death-"};
    static const char *const names[] = {"x-death", "x-delivery-count", "x-acquired-count"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static gw_status copy_headers(gw_message *to, const gw_message *msg)
{
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < gw_message_n_headers(msg); i++) {
        const gw_header *header = gw_message_header_at(msg, i);
        if (!is_added(header->name)) {
            st = gw_message_set_header(to, header->name, &header->value);
        }
    }
    return st;
}

static gw_status copy_texts(gw_message *to, const gw_message *msg)
{
    const struct {
        const char *(*get)(const gw_message *from);
        gw_status (*set)(gw_message *into, const char *text);
    } texts[] = {
        {gw_message_content_type, gw_message_set_content_type},
        {gw_message_content_encoding, gw_message_set_content_encoding},
        {gw_message_id, gw_message_set_id},
        {gw_message_correlation_id, gw_message_set_correlation_id},
        {gw_message_reply_to, gw_message_set_reply_to},
        {gw_message_type, gw_message_set_type},
        {gw_message_app_id, gw_message_set_app_id},
    };
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < sizeof(texts) / sizeof(texts[0]); i++) {
        st = texts[i].set(to, texts[i].get(msg));
    }
    return st;
}

gw_message *letter_restore(const gw_message *msg)
{
    size_t len;
    const void *body = gw_message_body(msg, &len);
    gw_message *restored = gw_message_new(body, len);
    if (restored == NULL) {
        return NULL;
    }
    if (copy_texts(restored, msg) != GW_OK || copy_headers(restored, msg) != GW_OK) {
        gw_message_free(restored);
        return NULL;
    }
    gw_message_set_persistent(restored, gw_message_is_persistent(msg));
    gw_message_set_priority(restored, gw_message_priority(msg));
    gw_message_set_timestamp(restored, gw_message_timestamp(msg));
    gw_message_set_expiration_ms(restored, gw_message_expiration_ms(msg));
    return restored;
}
