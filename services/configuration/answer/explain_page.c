/* SPDX-License-Identifier: MIT */
/* An explanation for people, as one page of HTML. Everything that is not ours is escaped. */
#include <string.h>

#include "answer/explain.h"

static const char style[] =
    ":root{color-scheme:light "
    "dark;--line:#d5d9de;--soft:#5c6670;--mark:#0b6e4f;--bg:#fff;--fg:#1d2126;"
    "--head:#f4f6f8}"
    "@media(prefers-color-scheme:dark){:root{--line:#39414a;--soft:#9aa5b1;--mark:#5fd3a6;--bg:#"
    "16191d;"
    "--fg:#e4e7eb;--head:#1f242a}}"
    "body{margin:2rem auto;padding:0 1rem;max-width:80rem;background:var(--bg);color:var(--fg);"
    "font:15px/1.5 system-ui,sans-serif}"
    "h1{font-size:1.4rem;margin:0}p{margin:.25rem 0;color:var(--soft)}"
    "form{margin:1rem 0}input{font:inherit;padding:.3rem .5rem;width:20rem;max-width:60%}"
    "button{font:inherit;padding:.3rem .8rem}"
    "table{border-collapse:collapse;width:100%}"
    "th{position:sticky;top:0;background:var(--head);text-align:left}"
    "th,td{padding:.4rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}"
    "td{overflow-wrap:anywhere}"
    "code{font:13px/1.5 ui-monospace,monospace;white-space:pre-wrap}"
    ".at{color:var(--soft);font-size:13px}.wins{color:var(--mark)}"
    "del{color:var(--soft)}ol{margin:0;padding-left:1.2rem}";

static void add_escaped(gw_buf *out, const char *text, size_t len)
{
    size_t begin = 0;
    for (size_t i = 0; i <= len; i++) {
        const char *entity = NULL;
        switch (i < len ? text[i] : '\0') {
        case '&': entity = "&amp;"; break;
        case '<': entity = "&lt;"; break;
        case '>': entity = "&gt;"; break;
        case '"': entity = "&quot;"; break;
        case '\'': entity = "&#39;"; break;
        default: break;
        }
        if (entity != NULL || i == len) {
            gw_buf_add(out, text + begin, i - begin);
            gw_buf_add_str(out, entity == NULL ? "" : entity);
            begin = i + 1;
        }
    }
}

static void add_text(gw_buf *out, const char *text)
{
    add_escaped(out, text, strlen(text));
}

static void write_value(gw_buf *out, const cs_property *property)
{
    gw_buf shown;
    gw_buf_init(&shown, 0);
    cs_explain_write_value(&shown, property);
    if (gw_buf_status(&shown) != GW_OK) {
        out->status = gw_buf_status(&shown);
    }
    gw_buf_add_str(out, "<code>");
    add_escaped(out, shown.len == 0 ? "" : shown.data, shown.len);
    gw_buf_add_str(out, "</code>");
    gw_buf_dispose(&shown);
}

/* "foo-dev.yml:3:7"; the whole name of the source when the mouse is on it. */
static void write_place(gw_buf *out, const cs_bearer *bearer, const char *class)
{
    const char *path = bearer->source->path;
    gw_buf_addf(out, "<span class=\"%s\" title=\"", class);
    add_text(out, bearer->source->name);
    gw_buf_add_str(out, "\">");
    add_text(out, path[0] == '\0' ? bearer->source->name : path);
    if (bearer->items[0]->line > 0) {
        gw_buf_addf(out, ":%u:%u", bearer->items[0]->line, bearer->items[0]->column);
    }
    gw_buf_add_str(out, "</span>");
}

/* The list's own key is in the first column: only what follows it is written. */
static void write_bearer(gw_buf *out, const cs_explained *explained, const cs_bearer *bearer)
{
    for (size_t i = 0; i < bearer->n_items; i++) {
        const cs_property *item = bearer->items[i];
        gw_buf_add_str(out, i > 0 ? "<br>" : "");
        if (bearer->is_list) {
            gw_buf_add_str(out, "<span class=\"at\">");
            add_escaped(out, item->key.bytes + explained->key.len,
                        item->key.len - explained->key.len);
            gw_buf_add_str(out, "</span> ");
        }
        write_value(out, item);
    }
}

static void write_row(gw_buf *out, const cs_explained *explained)
{
    gw_buf_add_str(out, "<tr><td><code>");
    add_escaped(out, explained->key.bytes, explained->key.len);
    gw_buf_add_str(out, "</code></td><td>");
    write_bearer(out, explained, &explained->bearers[0]);
    gw_buf_add_str(out, "</td><td>");
    write_place(out, &explained->bearers[0], "wins");
    gw_buf_add_str(out, "</td><td>");
    gw_buf_add_str(out, explained->n_bearers > 1 ? "<ol>" : "");
    for (size_t i = 1; i < explained->n_bearers; i++) {
        gw_buf_add_str(out, "<li><del>");
        write_bearer(out, explained, &explained->bearers[i]);
        gw_buf_add_str(out, "</del> ");
        write_place(out, &explained->bearers[i], "at");
        gw_buf_add_str(out, "</li>");
    }
    gw_buf_add_str(out, explained->n_bearers > 1 ? "</ol></td></tr>\n" : "</td></tr>\n");
}

static void write_head(gw_buf *out, const cs_request *req)
{
    gw_buf_add_str(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                        "<meta name=\"viewport\" content=\"width=device-width\"><title>");
    add_text(out, req->name);
    gw_buf_add_str(out, " / ");
    add_text(out, req->profiles);
    gw_buf_add_str(out, "</title><style>");
    gw_buf_add_str(out, style);
    gw_buf_add_str(out, "</style></head><body><h1>");
    add_text(out, req->name);
    gw_buf_add_str(out, " / ");
    add_text(out, req->profiles);
    gw_buf_add_str(out, "</h1>\n");
}

static void write_facts(gw_buf *out, const cs_request *req, const cs_environment *env)
{
    gw_buf_add_str(out, "<p>label ");
    add_text(out, req->has_label ? req->label : "not given: the repository's default");
    if (env->version != NULL) {
        gw_buf_add_str(out, ", version ");
        add_text(out, env->version);
    }
    gw_buf_add_str(out, "</p>\n<p>Sources, the highest first:</p><ol>");
    for (size_t i = 0; i < env->n_sources; i++) {
        gw_buf_add_str(out, "<li><code>");
        add_text(out, env->sources[i].name);
        gw_buf_add_str(out, "</code></li>");
    }
    gw_buf_add_str(out, env->n_sources == 0 ? "</ol><p>none</p>\n" : "</ol>\n");
}

void cs_explain_write_page(gw_buf *out, const cs_request *req, const cs_environment *env,
                           const char *filter, const cs_explanation *explanation)
{
    write_head(out, req);
    write_facts(out, req, env);
    gw_buf_add_str(out, "<form method=\"get\"><input name=\"key\" aria-label=\"part of a key\" "
                        "placeholder=\"part of a key\" value=\"");
    add_text(out, filter == NULL ? "" : filter);
    gw_buf_addf(out,
                "\"> <button>filter</button></form>\n<p>%zu %s; a list counts as one and hides the "
                "whole of another.</p>\n",
                explanation->n_items, explanation->n_items == 1 ? "key" : "keys");
    gw_buf_add_str(out, "<table><thead><tr><th>key</th><th>value</th><th>from</th>"
                        "<th>hides</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < explanation->n_items; i++) {
        write_row(out, &explanation->items[i]);
    }
    gw_buf_add_str(out, "</tbody></table></body></html>\n");
}
