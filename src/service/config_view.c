/* SPDX-License-Identifier: MIT */
#include "service/config_view.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>

#include "config/parse.h"
#include "config/settings.h"
#include "config/snapshot.h"

/* One value at one moment: properties, or the default. */
typedef struct shown {
    gw__group group;
    const char *fallback;
    bool secret;
} shown;

typedef struct entry {
    const char *key;
    size_t key_len;
    shown now;
    shown next;            /* of a known key: what it will be */
    const gw_setting *row; /* NULL: nobody has declared it */
    bool waits;
} entry;

/* What is written, and the snapshots that it is borrowed from. */
typedef struct view {
    const gw__config_source *source;
    const gw_config_snapshot *current;
    const gw_config_snapshot *first[2]; /* of the chassis, of the program */
    const gw_config_snapshot *valid[2];
    entry *entries;
    size_t n;
} view;

/* ---- what there is --------------------------------------------------------------- */

static shown look(const gw_config_snapshot *snapshot, const gw_setting *row)
{
    return (shown){.group = gw__snapshot_group(snapshot, row->key, strlen(row->key)),
                   .fallback = row->fallback,
                   .secret = (row->flags & GW_SETTING_SECRET) != 0};
}

static void add_known(void *ctx, const gw_setting *row, bool is_programs)
{
    view *self = ctx;
    bool live = (row->flags & GW_SETTING_LIVE) != 0;
    entry *it = &self->entries[self->n++];
    *it = (entry){.key = row->key, .key_len = strlen(row->key), .row = row};
    it->now = look(live ? self->valid[is_programs] : self->first[is_programs], row);
    it->next = look(self->current, row);
    it->waits = !gw__group_equal(it->now.group, it->next.group);
}

static bool is_known(const view *self, const gw__property *item)
{
    for (size_t i = 0; i < self->n; i++) {
        const entry *it = &self->entries[i];
        if (it->row != NULL && it->key_len == item->group_len &&
            memcmp(it->key, item->key, item->group_len) == 0) {
            return true;
        }
    }
    return false;
}

/* Of one layer what no higher one hides; the environment's value of a key is shown once. */
static void add_others(view *self, const gw__properties *layer, const gw__properties *above)
{
    size_t n = layer != NULL ? gw__properties_count(layer) : 0;
    for (size_t i = 0; i < n; i++) {
        const gw__property *item = gw__properties_at(layer, i);
        const gw__property *found = gw__snapshot_find(self->current, item->key);
        bool is_again =
            above != NULL && gw__properties_group(above, item->key, item->group_len).n > 0;
        if (found == NULL || is_again || is_known(self, item)) {
            continue;
        }
        self->entries[self->n++] = (entry){.key = item->key,
                                           .key_len = strlen(item->key),
                                           .now = {.group = {found, 1}, .fallback = ""}};
    }
}

static void count_row(void *ctx, const gw_setting *row, bool is_programs)
{
    (void)row;
    (void)is_programs;
    ++*(size_t *)ctx;
}

static size_t count(const gw__properties *props)
{
    return props != NULL ? gw__properties_count(props) : 0;
}

static void open_view(view *self, const gw__config_source *source)
{
    memset(self, 0, sizeof(*self));
    self->source = source;
    gw__settings_snapshots(source->chassis, &self->first[0], &self->valid[0]);
    if (source->program != NULL) {
        gw__settings_snapshots(source->program, &self->first[1], &self->valid[1]);
    }
    self->current = gw_config_acquire(source->config);
    const gw__layers *layers = &self->current->layers;
    size_t room = count(layers->set) + count(layers->bus) + count(layers->server.properties);
    gw__keys_each(source->keys, count_row, &room);
    self->entries = calloc(room + 1, sizeof(*self->entries));
    if (self->entries == NULL) {
        return;
    }
    gw__keys_each(source->keys, add_known, self);
    add_others(self, layers->set, NULL);
    add_others(self, layers->bus, layers->set);
    add_others(self, layers->server.properties, layers->bus);
}

static void close_view(view *self)
{
    free(self->entries);
    gw_config_release(self->current);
    for (size_t i = 0; i < 2; i++) {
        gw_config_release(self->first[i]);
        gw_config_release(self->valid[i]);
    }
}

/* ---- values ------------------------------------------------------------------------- */

static const char *origin_of(const shown *value)
{
    return value->group.n > 0 ? value->group.items[0].origin : "default";
}

static bool is_list(const shown *value)
{
    return value->group.n > 1 || (value->group.n == 1 && value->group.items[0].key != NULL &&
                                  value->group.items[0].key[value->group.items[0].group_len] != 0);
}

/* The item as people may see it, in a buffer that the caller disposes of. */
static void show(const entry *it, const shown *value, size_t i, gw_buf *ret_text)
{
    const gw__property *item = value->group.n > 0 ? &value->group.items[i] : NULL;
    gw__text text = {.key = it->key,
                     .value = item != NULL ? item->value : value->fallback,
                     .origin = origin_of(value),
                     .secret = value->secret || (item != NULL && item->secret)};
    gw_buf_init(ret_text, 0);
    gw__text_show(&text, ret_text);
    gw_buf_add_str(ret_text, ""); /* never NULL */
}

static const char *effect_of(const entry *it)
{
    return (it->row->flags & GW_SETTING_LIVE) != 0 ? "live" : "restart";
}

/* When a change that waits takes effect. */
static const char *waits_for(const entry *it)
{
    return (it->row->flags & GW_SETTING_LIVE) != 0 ? "a valid configuration" : "the next start";
}

/* "" when there was no load. */
static void time_of_load(const view *self, char text[GW_TIME_MS_LEN + 1])
{
    uint64_t loaded_ns = self->current->layers.loaded_unix_ns;
    text[0] = '\0';
    if (loaded_ns != 0) {
        gw_time_format_ms(loaded_ns, text);
    }
}

/* ---- JSON ---------------------------------------------------------------------------- */

static void add_json(gw_buf *out, const char *text)
{
    gw_buf_add_json(out, text, strlen(text));
}

static void add_field(gw_buf *out, const char *name, const char *text)
{
    gw_buf_addf(out, ",\"%s\":", name);
    if (text == NULL || text[0] == '\0') {
        gw_buf_add_str(out, "null");
    } else {
        add_json(out, text);
    }
}

static void add_json_value(gw_buf *out, const entry *it, const shown *value)
{
    size_t n = value->group.n > 0 ? value->group.n : 1;
    bool list = it->row != NULL && is_list(value);
    gw_buf_add_str(out, list ? "\"value\":[" : "\"value\":");
    for (size_t i = 0; i < n; i++) {
        gw_buf text;
        show(it, value, i, &text);
        gw_buf_add_str(out, i > 0 ? "," : "");
        add_json(out, text.data != NULL ? text.data : "");
        gw_buf_dispose(&text);
    }
    gw_buf_add_str(out, list ? "]" : "");
    add_field(out, "origin", origin_of(value));
}

static void add_json_entry(gw_buf *out, const entry *it)
{
    gw_buf_add_str(out, "{\"key\":");
    gw_buf_add_json(out, it->key, it->key_len);
    gw_buf_add_char(out, ',');
    add_json_value(out, it, &it->now);
    if (it->row != NULL) {
        add_field(out, "effect", effect_of(it));
        gw_buf_addf(out, ",\"waiting\":%s", it->waits ? "true" : "false");
    }
    if (it->waits) {
        add_field(out, "waitsFor", waits_for(it));
        gw_buf_add_str(out, ",\"next\":{");
        add_json_value(out, it, &it->next);
        gw_buf_add_char(out, '}');
    }
    gw_buf_add_char(out, '}');
}

static void add_json_entries(gw_buf *out, const view *self, const char *name, bool known)
{
    gw_buf_addf(out, ",\"%s\":[", name);
    const char *between = "";
    for (size_t i = 0; i < self->n; i++) {
        if ((self->entries[i].row != NULL) == known) {
            gw_buf_add_str(out, between);
            add_json_entry(out, &self->entries[i]);
            between = ",";
        }
    }
    gw_buf_add_char(out, ']');
}

void gw__config_write_json(const gw__config_source *source, gw_buf *out)
{
    view self;
    open_view(&self, source);
    char loaded[GW_TIME_MS_LEN + 1];
    time_of_load(&self, loaded);
    gw_buf_add_str(out, "{\"application\":");
    add_json(out, source->keys->spec->name);
    add_field(out, "profile", source->profile);
    add_field(out, "label", source->label);
    add_field(out, "server", self.current->where);
    add_field(out, "version", gw_config_version(self.current));
    add_field(out, "loadedAt", loaded);
    gw_buf_addf(out, ",\"fromCache\":%s,\"propertySources\":%zu",
                self.current->layers.server.from_cache ? "true" : "false",
                gw_config_n_sources(self.current));
    add_json_entries(out, &self, "settings", true);
    add_json_entries(out, &self, "others", false);
    gw_buf_add_char(out, '}');
    close_view(&self);
}

/* ---- HTML ----------------------------------------------------------------------------- */

static void add_html(gw_buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        switch (text[i]) {
        case '&': gw_buf_add_str(out, "&amp;"); break;
        case '<': gw_buf_add_str(out, "&lt;"); break;
        case '>': gw_buf_add_str(out, "&gt;"); break;
        case '"': gw_buf_add_str(out, "&quot;"); break;
        case '\'': gw_buf_add_str(out, "&#39;"); break;
        default: gw_buf_add_char(out, text[i]);
        }
    }
}

static void add_html_value(gw_buf *out, const entry *it, const shown *value)
{
    size_t n = value->group.n > 0 ? value->group.n : 1;
    for (size_t i = 0; i < n; i++) {
        gw_buf text;
        show(it, value, i, &text);
        gw_buf_add_str(out, i > 0 ? "<br>" : "");
        add_html(out, text.data != NULL ? text.data : "", text.len);
        gw_buf_dispose(&text);
    }
    gw_buf_add_str(out, "</td><td>");
    add_html(out, origin_of(value), strlen(origin_of(value)));
}

static void add_html_entry(gw_buf *out, const entry *it)
{
    gw_buf_add_str(out, "<tr><td><code>");
    add_html(out, it->key, it->key_len);
    gw_buf_add_str(out, "</code></td><td>");
    add_html_value(out, it, &it->now);
    if (it->row != NULL) {
        gw_buf_addf(out, "</td><td>%s",
                    (it->row->flags & GW_SETTING_LIVE) != 0 ? "at once" : "at the next start");
    }
    gw_buf_add_str(out, "</td></tr>\n");
    if (it->waits) {
        gw_buf_addf(out, "<tr class=\"waits\"><td>waits for %s</td><td>", waits_for(it));
        add_html_value(out, it, &it->next);
        gw_buf_add_str(out, "</td><td></td></tr>\n");
    }
}

static void add_html_entries(gw_buf *out, const view *self, bool known)
{
    for (size_t i = 0; i < self->n; i++) {
        if ((self->entries[i].row != NULL) == known) {
            add_html_entry(out, &self->entries[i]);
        }
    }
    gw_buf_add_str(out, "</table>\n");
}

static void add_html_fact(gw_buf *out, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        gw_buf_addf(out, "<dt>%s</dt><dd>", name);
        add_html(out, text, strlen(text));
        gw_buf_add_str(out, "</dd>\n");
    }
}

static const char html_head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta "
    "charset=\"utf-8\"><title>configuration</title>\n"
    "<style>body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:4px 8px;text-align:left;vertical-align:top;"
    "overflow-wrap:anywhere}dt{float:left;width:8em;color:#555}.waits{background:#fe9}</style>"
    "</head><body>\n";

void gw__config_write_html(const gw__config_source *source, gw_buf *out)
{
    view self;
    open_view(&self, source);
    char loaded[GW_TIME_MS_LEN + 1];
    time_of_load(&self, loaded);
    gw_buf_add_str(out, html_head);
    gw_buf_add_str(out, "<h1>");
    add_html(out, source->keys->spec->name, strlen(source->keys->spec->name));
    gw_buf_add_str(out, "</h1>\n<dl>\n");
    add_html_fact(out, "profile", source->profile);
    add_html_fact(out, "label", source->label);
    add_html_fact(out, "server", self.current->where);
    add_html_fact(out, "version", gw_config_version(self.current));
    add_html_fact(out, "loaded", loaded);
    add_html_fact(out, "from", self.current->layers.server.from_cache ? "the cache file" : "");
    gw_buf_add_str(out, "</dl>\n<h2>Settings</h2>\n<table><tr><th>key</th><th>value</th>"
                        "<th>from</th><th>a change takes effect</th></tr>\n");
    add_html_entries(out, &self, true);
    gw_buf_add_str(out, "<h2>Other properties</h2>\n<table><tr><th>key</th><th>value</th>"
                        "<th>from</th></tr>\n");
    add_html_entries(out, &self, false);
    gw_buf_add_str(out, "</body></html>\n");
    close_view(&self);
}
