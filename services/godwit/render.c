/* SPDX-License-Identifier: MIT */
#include "render.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <godwit/clock.h>

#include "letter.h"
#include "text.h"

#define ROW_FORMAT "%6s  %-36s  %-20s  %8s  %9s  "

/* ---- the table --------------------------------------------------------------------- */

void render_cell(gw_buf *out, const char *text, size_t width)
{
    size_t start = out->len;
    text = text == NULL || text[0] == '\0' ? "-" : text;
    text_add_safe(out, text, strlen(text), TEXT_LINE);
    while (out->len - start < width && gw_buf_status(out) == GW_OK) {
        gw_buf_add_char(out, ' ');
    }
}

void render_head(gw_buf *out)
{
    gw_buf_addf(out, ROW_FORMAT "%s\n", "NUMBER", "MESSAGE ID", "TIME", "ATTEMPTS", "SIZE",
                "REASON");
}

void render_row(gw_buf *out, size_t number, const gw_message *msg)
{
    letter dead = letter_read(msg);
    size_t size;
    (void)gw_message_body(msg, &size);
    if (strlen(dead.time) > 20 && dead.time[19] == '.') {
        snprintf(dead.time + 19, 2, "Z"); /* seconds are enough here */
    }
    char attempts[24] = "-";
    if (dead.n_attempts >= 0) {
        snprintf(attempts, sizeof(attempts), "%" PRId64, dead.n_attempts);
    }
    gw_buf_addf(out, "%6zu  ", number);
    render_cell(out, gw_message_id(msg), 36);
    gw_buf_add_str(out, "  ");
    render_cell(out, dead.time, 20);
    gw_buf_addf(out, "  %8s  %9zu  ", attempts, size);
    render_cell(out, dead.reason, 0);
    gw_buf_add_char(out, '\n');
}

/* ---- JSON -------------------------------------------------------------------------- */

static void add_key(gw_buf *out, const char *name, bool *first)
{
    gw_buf_add_str(out, *first ? "" : ",");
    *first = false;
    text_add_json(out, name, strlen(name));
    gw_buf_add_char(out, ':');
}

void render_pair_json(gw_buf *out, const char *name, const char *text, bool *first)
{
    if (text != NULL) {
        add_key(out, name, first);
        text_add_json(out, text, strlen(text));
    }
}

static void add_time(gw_buf *out, uint64_t unix_s, bool json)
{
    char text[GW_TIME_LEN + 1];
    if (unix_s >= 253402300800) { /* past the year 9999 */
        gw_buf_addf(out, json ? "\"%" PRIu64 "\"" : "%" PRIu64, unix_s);
        return;
    }
    gw_time_format(unix_s * GW_NS_PER_S, text);
    gw_buf_addf(out, json ? "\"%.19sZ\"" : "%.19sZ", text);
}

static void add_decimal(gw_buf *out, const gw_value *value)
{
    gw_buf_addf(out, "\"%" PRIu32 "e-%u\"", value->as.decimal.digits, value->as.decimal.scale);
}

static void add_bytes(gw_buf *out, const gw_value *value)
{
    gw_buf_add_str(out, "{\"base64\":\"");
    text_add_base64(out, value->as.bytes.data, value->as.bytes.len);
    gw_buf_add_str(out, "\"}");
}

/* Its depth is bounded by GW_VALUE_DEPTH_MAX. */
static void add_value(gw_buf *out, const gw_value *value)
{
    bool first = true;
    switch (value->kind) {
    case GW_VALUE_NULL: gw_buf_add_str(out, "null"); break;
    case GW_VALUE_BOOL: gw_buf_add_str(out, value->as.boolean ? "true" : "false"); break;
    case GW_VALUE_INT: gw_buf_addf(out, "%" PRId64, value->as.integer); break;
    case GW_VALUE_UINT: /* more than many a reader of JSON takes for a number */
        gw_buf_addf(out, "\"%" PRIu64 "\"", value->as.uinteger);
        break;
    case GW_VALUE_DOUBLE:
        gw_buf_addf(out, isfinite(value->as.real) ? "%.17g" : "\"%g\"", value->as.real);
        break;
    case GW_VALUE_DECIMAL: add_decimal(out, value); break;
    case GW_VALUE_TEXT: text_add_json(out, value->as.bytes.data, value->as.bytes.len); break;
    case GW_VALUE_BYTES: add_bytes(out, value); break;
    case GW_VALUE_TIME: add_time(out, value->as.uinteger, true); break;
    case GW_VALUE_ARRAY:
        for (size_t i = 0; i < value->as.array.n_items; i++) {
            gw_buf_add_char(out, i == 0 ? '[' : ',');
            add_value(out, &value->as.array.items[i]);
        }
        gw_buf_add_str(out, value->as.array.n_items == 0 ? "[]" : "]");
        break;
    case GW_VALUE_TABLE:
        gw_buf_add_char(out, '{');
        for (size_t i = 0; i < value->as.table.n_items; i++) {
            add_key(out, value->as.table.items[i].name, &first);
            add_value(out, &value->as.table.items[i].value);
        }
        gw_buf_add_char(out, '}');
        break;
    }
}

void render_row_json(gw_buf *out, size_t number, const gw_message *msg)
{
    letter dead = letter_read(msg);
    size_t size;
    (void)gw_message_body(msg, &size);
    bool first = false;
    gw_buf_addf(out, "{\"number\":%zu", number);
    render_pair_json(out, "id", gw_message_id(msg), &first);
    render_pair_json(out, "time", dead.time[0] != '\0' ? dead.time : NULL, &first);
    if (dead.n_attempts >= 0) {
        gw_buf_addf(out, ",\"attempts\":%" PRId64, dead.n_attempts);
    }
    render_pair_json(out, "reason", dead.reason, &first);
    gw_buf_addf(out, ",\"size\":%zu}\n", size);
}

/* ---- everything --------------------------------------------------------------------- */

typedef struct property {
    const char *name;
    const char *(*get)(const gw_message *msg);
} property;

static const property properties[] = {
    {"content_type", gw_message_content_type},
    {"content_encoding", gw_message_content_encoding},
    {"message_id", gw_message_id},
    {"correlation_id", gw_message_correlation_id},
    {"reply_to", gw_message_reply_to},
    {"type", gw_message_type},
    {"app_id", gw_message_app_id},
    {"user_id", gw_message_user_id},
};
#define N_PROPERTIES (sizeof(properties) / sizeof(properties[0]))

static void add_properties_json(gw_buf *out, const gw_message *msg)
{
    bool first = false;
    gw_buf_addf(out, "{\"delivery_mode\":%d", gw_message_is_persistent(msg) ? 2 : 1);
    for (size_t i = 0; i < N_PROPERTIES; i++) {
        render_pair_json(out, properties[i].name, properties[i].get(msg), &first);
    }
    if (gw_message_priority(msg) > 0) {
        gw_buf_addf(out, ",\"priority\":%u", gw_message_priority(msg));
    }
    if (gw_message_timestamp(msg) > 0) {
        gw_buf_addf(out, ",\"timestamp\":%" PRIu64, gw_message_timestamp(msg));
    }
    if (gw_message_expiration_ms(msg) >= 0) {
        gw_buf_addf(out, ",\"expiration\":\"%" PRId64 "\"", gw_message_expiration_ms(msg));
    }
    gw_buf_add_char(out, '}');
}

void render_content_json(gw_buf *out, const gw_message *msg)
{
    bool first = true;
    gw_buf_add_str(out, "\"properties\":");
    add_properties_json(out, msg);
    gw_buf_add_str(out, ",\"headers\":{");
    for (size_t i = 0; i < gw_message_n_headers(msg); i++) {
        const gw_header *header = gw_message_header_at(msg, i);
        add_key(out, header->name, &first);
        add_value(out, &header->value);
    }
    size_t size;
    const char *body = gw_message_body(msg, &size);
    gw_buf_addf(out, "},\"size\":%zu,", size);
    if (text_is_utf8(body, size)) {
        gw_buf_add_str(out, "\"body\":");
        text_add_json(out, body, size);
    } else {
        gw_buf_add_str(out, "\"body_base64\":\"");
        text_add_base64(out, body, size);
        gw_buf_add_char(out, '"');
    }
}

void render_json(gw_buf *out, size_t number, const gw_message *msg)
{
    bool first = false;
    gw_buf_addf(out, "{\"number\":%zu", number);
    render_pair_json(out, "queue", gw_message_queue(msg), &first);
    render_pair_json(out, "exchange", gw_message_exchange(msg), &first);
    render_pair_json(out, "routing_key", gw_message_routing_key(msg), &first);
    gw_buf_add_char(out, ',');
    render_content_json(out, msg);
    gw_buf_add_str(out, "}\n");
}

bool render_body_acts(const gw_message *msg)
{
    size_t len;
    const char *body = gw_message_body(msg, &len);
    return !text_is_safe(body, len);
}

void render_line(gw_buf *out, const char *name, const char *text)
{
    if (text != NULL) {
        gw_buf_addf(out, "  %-18s ", name);
        text_add_safe(out, text, strlen(text), TEXT_LINE);
        gw_buf_add_char(out, '\n');
    }
}

static void add_properties(gw_buf *out, const gw_message *msg)
{
    for (size_t i = 0; i < N_PROPERTIES; i++) {
        render_line(out, properties[i].name, properties[i].get(msg));
    }
    gw_buf_addf(out, "  %-18s %s\n", "delivery_mode",
                gw_message_is_persistent(msg) ? "2 (persistent)" : "1 (lost when the broker ends)");
    if (gw_message_priority(msg) > 0) {
        gw_buf_addf(out, "  %-18s %u\n", "priority", gw_message_priority(msg));
    }
    if (gw_message_timestamp(msg) > 0) {
        gw_buf_addf(out, "  %-18s ", "timestamp");
        add_time(out, gw_message_timestamp(msg), false);
        gw_buf_add_char(out, '\n');
    }
    if (gw_message_expiration_ms(msg) >= 0) {
        gw_buf_addf(out, "  %-18s %" PRId64 " ms\n", "expiration", gw_message_expiration_ms(msg));
    }
}

static void add_headers(gw_buf *out, const gw_message *msg)
{
    for (size_t i = 0; i < gw_message_n_headers(msg); i++) {
        const gw_header *header = gw_message_header_at(msg, i);
        gw_buf_add_str(out, "  ");
        render_cell(out, header->name, 18);
        gw_buf_add_char(out, ' ');
        if (header->value.kind == GW_VALUE_TEXT) {
            const gw_value *value = &header->value;
            text_add_safe(out, value->as.bytes.data, value->as.bytes.len, TEXT_LINE);
        } else {
            add_value(out, &header->value);
        }
        gw_buf_add_char(out, '\n');
    }
}

void render_content(gw_buf *out, const gw_message *msg)
{
    gw_buf_add_str(out, "\nproperties\n");
    add_properties(out, msg);
    gw_buf_add_str(out, gw_message_n_headers(msg) > 0 ? "\nheaders\n" : "");
    add_headers(out, msg);
    size_t size;
    const char *body = gw_message_body(msg, &size);
    size_t shown = size < RENDER_BODY_MAX ? size : RENDER_BODY_MAX;
    bool is_text = text_is_utf8(body, size);
    while (is_text && shown < size && ((unsigned char)body[shown] & 0xc0) == 0x80) {
        shown--; /* not within a character */
    }
    gw_buf_addf(out, "\nbody, %zu byte%s%s\n", size, size == 1 ? "" : "s",
                is_text ? "" : ", not UTF-8");
    if (is_text) {
        text_add_safe(out, body, shown, TEXT_BLOCK);
        gw_buf_add_str(out, shown > 0 && body[shown - 1] != '\n' ? "\n" : "");
    } else {
        text_add_hex(out, body, shown);
    }
    if (shown < size) {
        gw_buf_addf(out, "... %zu more bytes: --body writes all of it\n", size - shown);
    }
}

void render_page(gw_buf *out, size_t number, const gw_message *msg)
{
    const char *exchange = gw_message_exchange(msg);
    gw_buf_addf(out, "message %zu of queue ", number);
    render_cell(out, gw_message_queue(msg), 0);
    gw_buf_add_str(out, "\n\n");
    render_line(out, "exchange", exchange != NULL && exchange[0] == '\0' ? "(default)" : exchange);
    render_line(out, "routing_key", gw_message_routing_key(msg));
    render_content(out, msg);
}
