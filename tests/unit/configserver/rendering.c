/* SPDX-License-Identifier: MIT */
#include "configserver/rendering.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/buf.h>

static void add_visible(gw_buf *out, cs_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.bytes[i] == '\n') {
            gw_buf_add_str(out, "\\n");
        } else {
            gw_buf_add_char(out, text.bytes[i]);
        }
    }
}

char *render_file(const cs_file *file)
{
    gw_buf out;
    gw_buf_init(&out, 0);
    for (size_t i = 0; i < file->n_documents; i++) {
        if (i > 0) {
            gw_buf_add_str(&out, "---\n");
        }
        for (size_t j = 0; j < file->documents[i].n_items; j++) {
            const cs_property *property = &file->documents[i].items[j];
            add_visible(&out, property->key);
            gw_buf_add_char(&out, property->kind == CS_VALUE_LITERAL ? ':' : '=');
            add_visible(&out, property->value);
            gw_buf_add_char(&out, '\n');
        }
    }
    return gw_buf_detach(&out, NULL);
}

char *repeat(const char *text, size_t n)
{
    gw_buf out;
    gw_buf_init(&out, 0);
    for (size_t i = 0; i < n; i++) {
        gw_buf_add_str(&out, text);
    }
    return gw_buf_detach(&out, NULL);
}
