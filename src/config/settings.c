/* SPDX-License-Identifier: MIT */
/* A struct filled from a table of rows. Values are read into a list first, so that one that is
 * wrong leaves the struct as it is. */
#include "config/settings.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/secret.h>

#include "config/lookup.h"
#include "config/snapshot.h"

typedef union value {
    char *text; /* owned */
    int64_t number;
    uint64_t amount;
    bool flag;
    gw_config_list list; /* owned */
    unsigned word;
    uint16_t port;
} value;

static size_t size_of(gw_setting_type type)
{
    switch (type) {
    case GW_SETTING_IS_STRING: return sizeof(char *);
    case GW_SETTING_IS_INT: return sizeof(int64_t);
    case GW_SETTING_IS_SIZE:
    case GW_SETTING_IS_DURATION: return sizeof(uint64_t);
    case GW_SETTING_IS_BOOL: return sizeof(bool);
    case GW_SETTING_IS_LIST: return sizeof(gw_config_list);
    case GW_SETTING_IS_WORD: return sizeof(unsigned);
    case GW_SETTING_IS_PORT: return sizeof(uint16_t);
    }
    return 0;
}

static void get(const gw_setting *row, const void *settings, value *ret_value)
{
    memset(ret_value, 0, sizeof(*ret_value));
    memcpy(ret_value, (const char *)settings + row->offset, size_of(row->type));
}

static void put(const gw_setting *row, const value *from, void *settings)
{
    memcpy((char *)settings + row->offset, from, size_of(row->type));
}

static void wipe(const char *text)
{
    explicit_bzero((char *)(uintptr_t)text, strlen(text)); /* it was allocated here */
}

static void dispose(const gw_setting *row, value *val)
{
    bool secret =
        (row->flags & GW_SETTING_SECRET) != 0 || gw_secret_is_named(row->key, strlen(row->key));
    if (row->type == GW_SETTING_IS_STRING) {
        if (secret && val->text != NULL) {
            wipe(val->text);
        }
        free(val->text);
    } else if (row->type == GW_SETTING_IS_LIST) {
        for (size_t i = 0; secret && i < val->list.n_items; i++) {
            wipe(val->list.items[i]);
        }
        gw_config_list_dispose(&val->list);
    }
    memset(val, 0, sizeof(*val));
}

void gw_settings_dispose(const gw_setting *table, size_t n_rows, void *settings)
{
    for (size_t i = 0; i < n_rows; i++) {
        value val;
        get(&table[i], settings, &val);
        dispose(&table[i], &val);
        put(&table[i], &val, settings);
    }
}

/* ---- reading ----------------------------------------------------------------- */

static gw_status no_memory(gw_error *err)
{
    return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the settings");
}

static gw_status check_text(const gw_setting *row, const gw__text *text, gw_error *err)
{
    const char *what = row->check != NULL ? row->check(text->value) : NULL;
    return what == NULL ? GW_OK : gw__text_wrong(text, what, err);
}

static gw_status check_items(const gw_setting *row, const gw_config_list *list, gw__text text,
                             gw_error *err)
{
    for (size_t i = 0; i < list->n_items; i++) {
        text.value = list->items[i];
        gw_status st = check_text(row, &text, err);
        if (st != GW_OK) {
            return st;
        }
    }
    return GW_OK;
}

static gw_status read_string(const gw_setting *row, const gw__text *text, value *ret_value,
                             gw_error *err)
{
    gw_status st = check_text(row, text, err);
    if (st == GW_OK && (ret_value->text = strdup(text->value)) == NULL) {
        return no_memory(err);
    }
    return st;
}

static gw_status read_port(const gw__text *text, value *ret_value, gw_error *err)
{
    int64_t number;
    gw_status st = gw__text_int(text, 0, UINT16_MAX, &number, err);
    if (st == GW_OK) {
        ret_value->port = (uint16_t)number;
    }
    return st;
}

static gw_status read_word(const gw_setting *row, const gw__text *text, value *ret_value,
                           gw_error *err)
{
    size_t index;
    gw_status st = gw__text_word(text, row->words, &index, err);
    if (st == GW_OK) {
        ret_value->word = (unsigned)index;
    }
    return st;
}

/* A text that is there, of the server or the default. */
static gw_status read_text(const gw_setting *row, const gw__text *text, value *ret_value,
                           gw_error *err)
{
    switch (row->type) {
    case GW_SETTING_IS_STRING: return read_string(row, text, ret_value, err);
    case GW_SETTING_IS_INT:
        return gw__text_int(text, (int64_t)row->min, (int64_t)row->max, &ret_value->number, err);
    case GW_SETTING_IS_SIZE:
        return gw__text_size(text, row->min, row->max, &ret_value->amount, err);
    case GW_SETTING_IS_BOOL: return gw__text_bool(text, &ret_value->flag, err);
    case GW_SETTING_IS_DURATION:
        return gw__text_duration_ms(text, row->min, row->max, &ret_value->amount, err);
    case GW_SETTING_IS_WORD: return read_word(row, text, ret_value, err);
    case GW_SETTING_IS_PORT: return read_port(text, ret_value, err);
    case GW_SETTING_IS_LIST: return gw__list_of_text(text->value, &ret_value->list, err);
    }
    return GW_E_INVALID;
}

static gw_status read_default(const gw_setting *row, value *ret_value, gw_error *err)
{
    gw__text text = {.key = row->key, .value = row->fallback, .origin = "the default"};
    bool has_none = row->fallback[0] == '\0' && row->type != GW_SETTING_IS_STRING;
    if (has_none) {
        return GW_OK; /* the member is zero */
    }
    if (row->type == GW_SETTING_IS_STRING && row->fallback[0] == '\0') {
        return (ret_value->text = strdup("")) != NULL ? GW_OK : no_memory(err);
    }
    return read_text(row, &text, ret_value, err);
}

static gw_status read_list(const gw_config_snapshot *snapshot, const gw_setting *row,
                           value *ret_value, gw_error *err)
{
    gw_status st = gw_config_get_list(snapshot, row->key, &ret_value->list, err);
    gw__text text = {.key = row->key,
                     .origin = gw_config_origin(snapshot, row->key),
                     .secret = (row->flags & GW_SETTING_SECRET) != 0};
    return st == GW_OK ? check_items(row, &ret_value->list, text, err) : st;
}

static gw_status read_row(const gw_config_snapshot *snapshot, const gw_setting *row,
                          value *ret_value, gw_error *err)
{
    gw__text text;
    gw_status st = GW_E_NOT_FOUND;
    if (snapshot != NULL && row->type == GW_SETTING_IS_LIST) {
        st = read_list(snapshot, row, ret_value, err);
    } else if (snapshot != NULL) {
        st = gw__lookup_text(snapshot, row->key, &text, err);
        if (st == GW_OK) {
            text.secret = text.secret || (row->flags & GW_SETTING_SECRET) != 0;
            st = read_text(row, &text, ret_value, err);
        }
    }
    bool is_required = snapshot != NULL && (row->flags & GW_SETTING_REQUIRED) != 0;
    return st == GW_E_NOT_FOUND && !is_required ? read_default(row, ret_value, err) : st;
}

/* ---- binding ------------------------------------------------------------------------ */

static gw_status summarize(size_t n_faults, gw_status st, const gw_error *first, gw_error *err)
{
    if (n_faults == 1) {
        return gw_error_set(err, st, 0, "%s", first->text);
    }
    return gw_error_set(err, st, 0, "%zu settings are wrong: %.400s (and %zu more)", n_faults,
                        first->text, n_faults - 1);
}

static gw_status read_all(const gw_config_snapshot *snapshot, const gw_setting *table,
                          size_t n_rows, value *values, gw_buf *faults, gw_error *err)
{
    gw_error first = GW_ERROR_INIT;
    gw_status result = GW_OK;
    size_t n_faults = 0;
    for (size_t i = 0; i < n_rows; i++) {
        gw_error why = GW_ERROR_INIT;
        gw_status st = read_row(snapshot, &table[i], &values[i], &why);
        if (st == GW_OK) {
            continue;
        }
        if (st != GW_E_INVALID && st != GW_E_NOT_FOUND) {
            return gw_error_set(err, st, 0, "%s", why.text); /* no memory for any more of them */
        }
        if (n_faults++ == 0) {
            first = why;
        }
        result = result == GW_E_INVALID ? GW_E_INVALID : st;
        if (faults != NULL) {
            gw_buf_addf(faults, "%s\n", why.text);
        }
    }
    return n_faults == 0 ? GW_OK : summarize(n_faults, result, &first, err);
}

gw_status gw_settings_bind(const gw_config_snapshot *snapshot, const gw_setting *table,
                           size_t n_rows, void *ret_settings, gw_buf *faults, gw_error *err)
{
    value *values = calloc(n_rows + 1, sizeof(*values));
    if (values == NULL) {
        return no_memory(err);
    }
    gw_status st = read_all(snapshot, table, n_rows, values, faults, err);
    for (size_t i = 0; i < n_rows; i++) {
        if (st == GW_OK) {
            put(&table[i], &values[i], ret_settings);
        } else {
            dispose(&table[i], &values[i]);
        }
    }
    free(values);
    return st;
}

/* ---- comparing and copying ------------------------------------------------------------ */

static bool lists_equal(const gw_config_list *a, const gw_config_list *b)
{
    bool equal = a->n_items == b->n_items;
    for (size_t i = 0; equal && i < a->n_items; i++) {
        equal = strcmp(a->items[i], b->items[i]) == 0;
    }
    return equal;
}

bool gw__setting_equal(const gw_setting *row, const void *a, const void *b)
{
    value left;
    value right;
    get(row, a, &left);
    get(row, b, &right);
    switch (row->type) {
    case GW_SETTING_IS_STRING: return strcmp(left.text, right.text) == 0;
    case GW_SETTING_IS_LIST: return lists_equal(&left.list, &right.list);
    default: return memcmp(&left, &right, size_of(row->type)) == 0;
    }
}

gw_status gw__setting_copy(const gw_setting *row, const void *from, void *to, gw_error *err)
{
    value val;
    get(row, from, &val);
    if (row->type == GW_SETTING_IS_STRING) {
        val.text = strdup(val.text);
        if (val.text == NULL) {
            return no_memory(err);
        }
    } else if (row->type == GW_SETTING_IS_LIST) {
        gw_config_list copy;
        gw_status st = gw__list_copy(&val.list, &copy, err);
        if (st != GW_OK) {
            return st;
        }
        val.list = copy;
    }
    value old;
    get(row, to, &old);
    dispose(row, &old);
    put(row, &val, to);
    return GW_OK;
}

/* ---- describing --------------------------------------------------------------------------- */

static void add_duration(gw_buf *out, uint64_t ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (ms > 0 && ms % units[i].ms == 0) {
            gw_buf_addf(out, "%" PRIu64 "%s", ms / units[i].ms, units[i].name);
            return;
        }
    }
    gw_buf_addf(out, "%" PRIu64 "ms", ms);
}

static void add_size(gw_buf *out, uint64_t bytes)
{
    static const char *const names[] = {"", "KB", "MB", "GB", "TB"};
    size_t i = 0;
    while (i < 4 && bytes > 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        i++;
    }
    gw_buf_addf(out, "%" PRIu64 "%s", bytes, names[i]);
}

static void add_range(gw_buf *out, const gw_setting *row, uint64_t unlimited,
                      void (*add)(gw_buf *out, uint64_t number))
{
    add(out, row->min);
    if (row->max < unlimited) {
        gw_buf_add_str(out, " to ");
        add(out, row->max);
    } else {
        gw_buf_add_str(out, " or more");
    }
}

static void add_int(gw_buf *out, uint64_t number)
{
    gw_buf_addf(out, "%" PRId64, (int64_t)number);
}

void gw__setting_describe(const gw_setting *row, gw_buf *out)
{
    switch (row->type) {
    case GW_SETTING_IS_STRING: gw_buf_add_str(out, "text"); break;
    case GW_SETTING_IS_LIST: gw_buf_add_str(out, "a list"); break;
    case GW_SETTING_IS_BOOL: gw_buf_add_str(out, "true or false"); break;
    case GW_SETTING_IS_INT: add_range(out, row, INT64_MAX, add_int); break;
    case GW_SETTING_IS_PORT: gw_buf_add_str(out, "0 to 65535"); break;
    case GW_SETTING_IS_SIZE: add_range(out, row, UINT64_MAX, add_size); break;
    case GW_SETTING_IS_DURATION: add_range(out, row, UINT64_MAX, add_duration); break;
    case GW_SETTING_IS_WORD:
        for (size_t i = 0; row->words[i] != NULL; i++) {
            gw_buf_addf(out, "%s%s",
                        i == 0                      ? ""
                        : row->words[i + 1] == NULL ? " or "
                                                    : ", ",
                        row->words[i]);
        }
        break;
    }
}
