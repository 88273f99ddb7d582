/* SPDX-License-Identifier: MIT */
#include "answer/properties_writer.h"

#include <stdbool.h>

/* Append `c` if it is written in another way; false if it is not. */
static bool add_escape(gw_buf *out, char c)
{
    switch (c) {
    case '\\': gw_buf_add_str(out, "\\\\"); return true;
    case '\n': gw_buf_add_str(out, "\\n"); return true;
    case '\r': gw_buf_add_str(out, "\\r"); return true;
    default: return false;
    }
}

static bool add_blank(gw_buf *out, char c)
{
    switch (c) {
    case ' ': gw_buf_add_str(out, "\\ "); return true;
    case '\t': gw_buf_add_str(out, "\\t"); return true;
    case '\f': gw_buf_add_str(out, "\\f"); return true;
    default: return false;
    }
}

static void write_key(gw_buf *out, cs_text key)
{
    for (size_t i = 0; i < key.len; i++) {
        char c = key.bytes[i];
        if (add_escape(out, c) || add_blank(out, c)) {
            continue;
        }
        if (c == ':' || c == '=' || (i == 0 && (c == '#' || c == '!'))) {
            gw_buf_add_char(out, '\\');
        }
        gw_buf_add_char(out, c);
    }
}

static void write_value(gw_buf *out, cs_text value)
{
    size_t plain = 0;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.bytes[i];
        if (c != '\\' && c != '\n' && c != '\r' && i > 0) {
            continue;
        }
        gw_buf_add(out, value.bytes + plain, i - plain);
        plain = i + 1;
        if (!add_escape(out, c) && !(i == 0 && add_blank(out, c))) {
            plain = i;
        }
    }
    gw_buf_add(out, value.bytes + plain, value.len - plain);
}

void cs_properties_write(gw_buf *out, const cs_merged *merged)
{
    for (size_t i = 0; i < merged->n_items; i++) {
        if (i > 0) {
            gw_buf_add_char(out, '\n');
        }
        write_key(out, merged->items[i].key);
        gw_buf_add_str(out, ": ");
        write_value(out, merged->items[i].value);
    }
}
