/* SPDX-License-Identifier: MIT */
/* An explanation for programs. */
#include <string.h>

#include "answer/explain.h"

static void add_string(gw_buf *out, const char *text)
{
    gw_buf_add_json(out, text, strlen(text));
}

static void write_value(gw_buf *out, const cs_property *property)
{
    gw_buf shown;
    gw_buf_init(&shown, 0);
    cs_explain_write_value(&shown, property);
    bool is_literal = property->kind == CS_VALUE_LITERAL && shown.len == property->value.len &&
                      memcmp(shown.data, property->value.bytes, shown.len) == 0;
    if (gw_buf_status(&shown) != GW_OK) {
        out->status = gw_buf_status(&shown);
    } else if (is_literal) {
        gw_buf_add(out, shown.data, shown.len);
    } else {
        gw_buf_add_json(out, shown.len == 0 ? "" : shown.data, shown.len);
    }
    gw_buf_dispose(&shown);
}

static void write_place(gw_buf *out, const cs_property *property)
{
    if (property->line > 0) {
        gw_buf_addf(out, ",\"line\":%u,\"column\":%u", property->line, property->column);
    }
}

static void write_items(gw_buf *out, const cs_bearer *bearer)
{
    gw_buf_add_str(out, "\"items\":[");
    for (size_t i = 0; i < bearer->n_items; i++) {
        const cs_property *item = bearer->items[i];
        gw_buf_add_str(out, i > 0 ? ",{\"key\":" : "{\"key\":");
        gw_buf_add_json(out, item->key.bytes, item->key.len);
        gw_buf_add_str(out, ",\"value\":");
        write_value(out, item);
        write_place(out, item);
        gw_buf_add_char(out, '}');
    }
    gw_buf_add_char(out, ']');
}

static void write_bearer(gw_buf *out, const cs_bearer *bearer)
{
    if (bearer->is_list) {
        write_items(out, bearer);
    } else {
        gw_buf_add_str(out, "\"value\":");
        write_value(out, bearer->items[0]);
    }
    gw_buf_add_str(out, ",\"source\":");
    add_string(out, bearer->source->name);
    if (bearer->source->path[0] != '\0') {
        gw_buf_add_str(out, ",\"file\":");
        add_string(out, bearer->source->path);
    }
    if (!bearer->is_list) {
        write_place(out, bearer->items[0]);
    }
}

static void write_explained(gw_buf *out, const cs_explained *explained)
{
    gw_buf_add_str(out, "{\"key\":");
    gw_buf_add_json(out, explained->key.bytes, explained->key.len);
    gw_buf_add_char(out, ',');
    write_bearer(out, &explained->bearers[0]);
    gw_buf_add_str(out, ",\"shadows\":[");
    for (size_t i = 1; i < explained->n_bearers; i++) {
        gw_buf_add_str(out, i > 1 ? ",{" : "{");
        write_bearer(out, &explained->bearers[i]);
        gw_buf_add_char(out, '}');
    }
    gw_buf_add_str(out, "]}");
}

void cs_explain_write_json(gw_buf *out, const cs_request *req, const cs_environment *env,
                           const cs_explanation *explanation)
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
    if (env->version != NULL) {
        add_string(out, env->version);
    } else {
        gw_buf_add_str(out, "null");
    }
    gw_buf_add_str(out, ",\"sources\":[");
    for (size_t i = 0; i < env->n_sources; i++) {
        gw_buf_add_str(out, i > 0 ? "," : "");
        add_string(out, env->sources[i].name);
    }
    gw_buf_add_str(out, "],\"properties\":[");
    for (size_t i = 0; i < explanation->n_items; i++) {
        gw_buf_add_str(out, i > 0 ? "," : "");
        write_explained(out, &explanation->items[i]);
    }
    gw_buf_add_str(out, "]}");
}
