/* SPDX-License-Identifier: MIT */
#include "answer/json.h"

#include <string.h>

static void add_string(gw_buf *out, const char *text)
{
    gw_buf_add_json(out, text, strlen(text));
}

void cs_json_write_value(gw_buf *out, cs_text value, cs_value_kind kind)
{
    if (kind == CS_VALUE_LITERAL) {
        gw_buf_add(out, value.bytes, value.len);
    } else {
        gw_buf_add_json(out, value.bytes, value.len);
    }
}

/* What was decrypted has no place: it is written nowhere. */
static void write_item(gw_buf *out, const cs_property *item, bool with_origins)
{
    bool has_origin = with_origins && item->line != 0;
    gw_buf_add_json(out, item->key.bytes, item->key.len);
    gw_buf_add_str(out, has_origin ? ":{\"value\":" : ":");
    cs_json_write_value(out, item->value, item->kind);
    if (has_origin) {
        gw_buf_addf(out, ",\"origin\":\"%u:%u\"}", item->line, item->column);
    }
}

static void write_source(gw_buf *out, const cs_source *source, bool with_origins)
{
    gw_buf_add_str(out, "{\"name\":");
    add_string(out, source->name);
    gw_buf_add_str(out, ",\"source\":{");
    for (size_t i = 0; i < source->n_items; i++) {
        if (i > 0) {
            gw_buf_add_char(out, ',');
        }
        write_item(out, &source->items[i], with_origins);
    }
    gw_buf_add_str(out, "}}");
}

static void write_or_null(gw_buf *out, const char *text)
{
    if (text == NULL) {
        gw_buf_add_str(out, "null");
    } else {
        add_string(out, text);
    }
}

void cs_json_write_environment(gw_buf *out, const cs_request *req, const cs_environment *env,
                               bool with_origins)
{
    gw_buf_add_str(out, "{\"name\":");
    add_string(out, req->name);
    gw_buf_add_str(out, ",\"profiles\":[");
    add_string(out, req->profiles);
    gw_buf_add_str(out, "],\"label\":");
    write_or_null(out, req->has_label ? req->label : NULL);
    gw_buf_add_str(out, ",\"version\":");
    write_or_null(out, env->version);
    gw_buf_add_str(out, ",\"state\":\"\",\"propertySources\":[");
    for (size_t i = 0; i < env->n_sources; i++) {
        if (i > 0) {
            gw_buf_add_char(out, ',');
        }
        write_source(out, &env->sources[i], with_origins);
    }
    gw_buf_add_str(out, "]}");
}
