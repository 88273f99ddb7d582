/* SPDX-License-Identifier: MIT */
/* "godwit config get". */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_commands.h"
#include "config_server.h"
#include "config_show.h"
#include "lint_lists.h"
#include "text.h"

#define KEY_WIDTH_MAX   40
#define VALUE_WIDTH_MAX 40

/* A property that counts: no higher source has it. All borrowed from the JSON. */
typedef struct row {
    const char *key;
    const json_t *value;
    const char *source;
} row;

typedef struct rows {
    row *items;
    size_t n_items;
    bool is_out_of_memory;
} rows;

/* ---- what counts ------------------------------------------------------------------ */

/* The key, or the name of the list that it is an item of: a list is replaced as a whole. */
static char *claimed_name(const char *key)
{
    size_t len = lint_list_len((cs_text){key, strlen(key)});
    return strndup(key, len > 0 ? len : strlen(key));
}

static bool add_row(rows *found, const row *added)
{
    row *items = realloc(found->items, (found->n_items + 1) * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    found->items = items;
    items[found->n_items++] = *added;
    return true;
}

/* Add what this source has and none above it, whose names are in `claimed`. */
static void add_source(rows *found, json_t *claimed, const json_t *source)
{
    const char *name = json_string_value(json_object_get(source, "name"));
    json_t *properties = json_object_get(source, "source");
    json_t *own = json_object();
    const char *key;
    json_t *value;
    json_object_foreach(properties, key, value)
    {
        char *base = claimed_name(key);
        bool is_claimed = base == NULL || json_object_get(claimed, base) != NULL;
        const row added = {key, value, name != NULL ? name : ""};
        if (base == NULL || json_object_set_new(own, base, json_true()) != 0 ||
            (!is_claimed && !add_row(found, &added))) {
            found->is_out_of_memory = true;
        }
        free(base);
    }
    if (json_object_update(claimed, own) != 0) {
        found->is_out_of_memory = true;
    }
    json_decref(own);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const row *)a)->key, ((const row *)b)->key);
}

static void find_rows(const json_t *environment, rows *ret_found)
{
    json_t *claimed = json_object();
    size_t i;
    json_t *source;
    json_array_foreach(json_object_get(environment, "propertySources"), i, source)
    {
        add_source(ret_found, claimed, source);
    }
    json_decref(claimed);
    if (ret_found->n_items > 0) {
        qsort(ret_found->items, ret_found->n_items, sizeof(*ret_found->items), by_key);
    }
}

/* ---- as a table ------------------------------------------------------------------- */

static int write_all(gw_buf *text, FILE *out, FILE *err)
{
    if (gw_buf_status(text) != GW_OK) {
        return tool_fail(err, TOOL_FAILED, "%s", gw_status_text(gw_buf_status(text)));
    }
    if (text->len > 0) {
        fwrite(text->data, 1, text->len, out);
    }
    return tool_flush(out, err);
}

static void write_row(const row *item, int key_width, bool show_secrets, gw_buf *text)
{
    gw_buf key;
    gw_buf value;
    gw_buf source;
    gw_buf_init(&key, 0);
    gw_buf_init(&value, 0);
    gw_buf_init(&source, 0);
    text_add_safe(&key, item->key, strlen(item->key), TEXT_LINE);
    text_add_safe(&source, item->source, strlen(item->source), TEXT_LINE);
    config_value_show(item->key, item->value, show_secrets, &value);
    gw_buf_addf(text, "%-*s  %-*s  %s\n", key_width, key.data != NULL ? key.data : "",
                VALUE_WIDTH_MAX, value.data != NULL ? value.data : "",
                source.data != NULL ? source.data : "");
    gw_buf_dispose(&key);
    gw_buf_dispose(&value);
    gw_buf_dispose(&source);
}

static int write_table(const options *given, const rows *found, FILE *out, FILE *err)
{
    int key_width = 3;
    for (size_t i = 0; i < found->n_items; i++) {
        int len = (int)strnlen(found->items[i].key, KEY_WIDTH_MAX);
        key_width = len > key_width ? len : key_width;
    }
    gw_buf text;
    gw_buf_init(&text, 0);
    gw_buf_addf(&text, "%-*s  %-*s  %s\n", key_width, "KEY", VALUE_WIDTH_MAX, "VALUE", "SOURCE");
    for (size_t i = 0; i < found->n_items; i++) {
        write_row(&found->items[i], key_width, given->config.show_secrets, &text);
    }
    int status = write_all(&text, out, err);
    gw_buf_dispose(&text);
    return status;
}

/* A key that stands for a list or a map has no value of its own. */
static int refuse_key(const rows *found, const char *key, FILE *err)
{
    size_t len = strlen(key);
    for (size_t i = 0; len > 0 && i < found->n_items; i++) {
        const char *at = found->items[i].key;
        if (strncmp(at, key, len) == 0 && (at[len] == '[' || at[len] == '.')) {
            return tool_fail(err, TOOL_FAILED,
                             "there is no key '%.128s', but there are keys below it: '%.128s'", key,
                             at);
        }
    }
    return tool_fail(err, TOOL_FAILED, "there is no key '%.128s'", key);
}

/* The value alone, as it is, for scripts. */
static int write_value(const options *given, const rows *found, FILE *out, FILE *err)
{
    const char *key = given->config.property;
    const row wanted = {.key = key};
    const row *item = found->n_items == 0
                          ? NULL
                          : bsearch(&wanted, found->items, found->n_items, sizeof(wanted), by_key);
    if (item == NULL) {
        return refuse_key(found, key, err);
    }
    gw_buf text;
    gw_buf_init(&text, 0);
    config_value_write(item->value, &text);
    gw_buf_add_char(&text, '\n');
    int status =
        isatty(fileno(out)) && !text_is_safe(text.data, text.len)
            ? tool_fail(err, TOOL_FAILED,
                        "the value has bytes that act on a terminal: write it to a file or a pipe")
            : write_all(&text, out, err);
    gw_buf_dispose(&text);
    return status;
}

static int get_environment(const options *given, const cs_request *req, FILE *out, FILE *err)
{
    gw_buf path;
    json_t *environment = NULL;
    gw_buf_init(&path, 0);
    config_names_write(req, &path);
    int status = config_server_get_json(given, path.data, &environment, err);
    if (status == TOOL_OK) {
        rows found = {.items = NULL};
        find_rows(environment, &found);
        if (found.is_out_of_memory) {
            status = tool_fail(err, TOOL_FAILED, "out of memory");
        } else {
            status = given->config.property != NULL ? write_value(given, &found, out, err)
                                                    : write_table(given, &found, out, err);
        }
        free(found.items);
    }
    json_decref(environment);
    gw_buf_dispose(&path);
    return status;
}

/* ---- as the server's own formats --------------------------------------------------- */

/* "/app-profile.yml", "/label/app-profile.yml". */
static void flat_path(const cs_request *req, const char *extension, gw_buf *path)
{
    if (req->has_label) {
        config_segment_write(req->label, path);
    }
    config_segment_write(req->name, path);
    gw_buf_add_char(path, '-');
    gw_buf profiles;
    gw_buf_init(&profiles, 0);
    config_segment_write(req->profiles, &profiles);
    gw_buf_add_str(path, profiles.data != NULL ? profiles.data + 1 : "");
    gw_buf_addf(path, ".%s", extension);
    gw_buf_dispose(&profiles);
}

static int get_flat(const options *given, const cs_request *req, const char *extension, FILE *out,
                    FILE *err)
{
    if (strchr(req->profiles, '-') != NULL) {
        return tool_fail(err, TOOL_FAILED,
                         "'%s': this format takes no profile with a hyphen, which stands between "
                         "application and profile there; use the table",
                         req->profiles);
    }
    gw_buf path;
    gw_buf body;
    gw_buf_init(&path, 0);
    gw_buf_init(&body, 0);
    flat_path(req, extension, &path);
    int status = config_server_get(given, path.data, &body, err);
    if (status == TOOL_OK && isatty(fileno(out))) {
        gw_buf safe;
        gw_buf_init(&safe, 0);
        text_add_safe(&safe, body.data != NULL ? body.data : "", body.len, TEXT_BLOCK);
        status = write_all(&safe, out, err);
        gw_buf_dispose(&safe);
    } else if (status == TOOL_OK) {
        status = write_all(&body, out, err);
    }
    gw_buf_dispose(&path);
    gw_buf_dispose(&body);
    return status;
}

int config_get(const options *given, FILE *out, FILE *err)
{
    static const struct {
        const char *name;
        const char *extension; /* NULL: the table */
    } formats[] = {
        {"table", NULL}, {"yaml", "yml"}, {"json", "json"}, {"properties", "properties"}};
    cs_request req;
    gw_error fault = GW_ERROR_INIT;
    const char *wanted = given->config.format != NULL ? given->config.format : "table";
    if (!config_names_read(given->words[0], &req, &fault)) {
        return tool_fail(err, TOOL_USAGE, "%s", fault.text);
    }
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (strcmp(formats[i].name, wanted) != 0) {
            continue;
        }
        if (formats[i].extension != NULL && given->config.property != NULL) {
            return tool_fail(err, TOOL_USAGE, "--key and --format exclude each other");
        }
        return formats[i].extension != NULL ? get_flat(given, &req, formats[i].extension, out, err)
                                            : get_environment(given, &req, out, err);
    }
    return tool_fail(err, TOOL_USAGE,
                     "--format '%.64s' is not one of table, yaml, json, properties", wanted);
}
