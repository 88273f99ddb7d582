/* SPDX-License-Identifier: MIT */
#include "answer/json.h"

#include <string.h>

static void add_string(gw_buf *out, const char *text)
{
    gw_buf_add_json(out, text, strlen(text));
}

/* Names must differ from document to document, and clients look for "-<profile>" in them. */
static void write_source_name(gw_buf *out, const char *uri, const cs_source *source)
{
    gw_buf name;
    gw_buf_init(&name, 0);
    gw_buf_addf(&name, "%s/%s", uri, source->file->path);
    if (!source->is_only_document) {
        gw_buf_addf(&name, " (document #%zu)", source->number);
    }
    if (gw_buf_status(&name) == GW_OK) {
        gw_buf_add_json(out, name.data, name.len);
    } else {
        out->status = gw_buf_status(&name);
    }
    gw_buf_dispose(&name);
}

static void write_source(gw_buf *out, const char *uri, const cs_source *source)
{
    gw_buf_add_str(out, "{\"name\":");
    write_source_name(out, uri, source);
    gw_buf_add_str(out, ",\"source\":{");
    const cs_document *doc = source->document;
    for (size_t i = 0; i < doc->n_items; i++) {
        const cs_property *property = &doc->items[i];
        if (i > 0) {
            gw_buf_add_char(out, ',');
        }
        gw_buf_add_json(out, property->key.bytes, property->key.len);
        gw_buf_add_char(out, ':');
        if (property->kind == CS_VALUE_LITERAL) {
            gw_buf_add(out, property->value.bytes, property->value.len);
        } else {
            gw_buf_add_json(out, property->value.bytes, property->value.len);
        }
    }
    gw_buf_add_str(out, "}}");
}

void cs_json_write_environment(gw_buf *out, const cs_request *req, const char *uri,
                               const char *version, const cs_environment *env)
{
    gw_buf_add_str(out, "{\"name\":");
    add_string(out, req->name);
    gw_buf_add_str(out, ",\"profiles\":[");
    add_string(out, req->profiles);
    gw_buf_add_str(out, "],\"label\":");
    if (req->has_label) {
        add_string(out, req->label);
    } else {
        gw_buf_add_str(out, "null");
    }
    gw_buf_add_str(out, ",\"version\":");
    add_string(out, version);
    gw_buf_add_str(out, ",\"state\":\"\",\"propertySources\":[");
    for (size_t i = 0; i < env->n_sources; i++) {
        if (i > 0) {
            gw_buf_add_char(out, ',');
        }
        write_source(out, uri, &env->sources[i]);
    }
    gw_buf_add_str(out, "]}");
}
