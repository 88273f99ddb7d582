/* SPDX-License-Identifier: MIT */
#include "settings_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "answer/placeholders.h"
#include "files/bounds.h"
#include "files/document.h"
#include "files/format.h"

#define VARIABLE_MAX 256

typedef struct entry {
    cs_setting setting;
    bool is_used;
    bool is_open; /* it has a placeholder for which there is no variable */
} entry;

struct cs_settings_file {
    cs_file file;
    cs_arena arena;
    entry *entries; /* of the file */
    size_t n_entries;
};

/* ---- reading ------------------------------------------------------------------ */

static gw_status read_bytes(int fd, const char *path, gw_buf *out, gw_error *err)
{
    struct stat found;
    if (fstat(fd, &found) < 0) {
        return gw_error_set_errno(err, errno, "-config %s", path);
    }
    if (!S_ISREG(found.st_mode)) {
        return gw_error_set(err, GW_E_INVALID, 0, "-config %s: not a file", path);
    }
    char bytes[4096];
    ssize_t n;
    while ((n = read(fd, bytes, sizeof(bytes))) != 0) {
        if (n < 0 && errno != EINTR) {
            return gw_error_set_errno(err, errno, "-config %s", path);
        }
        gw_buf_add(out, bytes, n > 0 ? (size_t)n : 0);
    }
    gw_status st = gw_buf_status(out);
    return st == GW_OK ? GW_OK
                       : gw_error_set(err, st, 0, "-config %s: %s", path, gw_status_text(st));
}

/* `ctx` is a bool: whether one was missing. */
static bool find_variable(void *ctx, cs_text key, cs_text *ret_value)
{
    bool *is_missing = ctx;
    char name[VARIABLE_MAX];
    if (key.len == 0 || key.len >= sizeof(name)) {
        *is_missing = true;
        return false;
    }
    memcpy(name, key.bytes, key.len);
    name[key.len] = '\0';
    const char *value = getenv(name);
    *ret_value = (cs_text){value, value == NULL ? 0 : strlen(value)};
    *is_missing |= value == NULL;
    return value != NULL;
}

static gw_status add_entry(cs_settings_file *self, const cs_property *property, gw_error *err)
{
    gw_buf value;
    gw_buf_init(&value, CS_FILE_BYTES_MAX);
    bool is_missing = false;
    gw_status st =
        cs_placeholders_resolve(&value, property->value, find_variable, &is_missing, err);
    if (st != GW_OK) {
        gw_buf_dispose(&value);
        return gw_error_prefix(err, st, "%s:%u", self->file.path, property->line);
    }
    char place[32];
    int len = snprintf(place, sizeof(place), ":%u", property->line);
    gw_buf origin;
    gw_buf_init(&origin, 0);
    gw_buf_add_str(&origin, self->file.path);
    gw_buf_add(&origin, place, (size_t)len);
    cs_setting setting = {
        .key = property->key.bytes,
        .value = cs_arena_copy(&self->arena, value.len == 0 ? "" : value.data, value.len).bytes,
        .origin = cs_arena_copy(&self->arena, origin.data, origin.len).bytes,
    };
    /* With a default it is not, although the variable is missing. */
    bool is_open = is_missing && setting.value != NULL && strstr(setting.value, "${") != NULL;
    gw_buf_dispose(&value);
    gw_buf_dispose(&origin);
    self->entries[self->n_entries++] = (entry){setting, false, is_open};
    return setting.value == NULL || setting.origin == NULL
               ? gw_error_set(err, GW_E_LIMIT, 0, "%s: too large", self->file.path)
               : GW_OK;
}

static gw_status add_entries(cs_settings_file *self, gw_error *err)
{
    self->entries = calloc(self->file.n_properties + 1, sizeof(*self->entries));
    if (self->entries == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    if (self->file.n_documents > 1) {
        return gw_error_set(err, GW_E_INVALID, 0, "%s: it has %zu documents; the settings are one",
                            self->file.path, self->file.n_documents);
    }
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < self->file.n_documents; i++) {
        const cs_document *doc = &self->file.documents[i];
        for (size_t j = 0; st == GW_OK && j < doc->n_items; j++) {
            st = add_entry(self, &doc->items[j], err);
        }
    }
    return st;
}

static gw_status read_file(cs_settings_file *self, const char *path, gw_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return gw_error_set_errno(err, errno, "-config %s", path);
    }
    gw_buf text;
    gw_buf_init(&text, CS_FILE_BYTES_MAX);
    gw_status st = read_bytes(fd, path, &text, err);
    close(fd);
    if (st == GW_OK) {
        st = cs_format_read(&self->file, path, text.len == 0 ? "" : text.data, text.len, err);
    }
    gw_buf_dispose(&text);
    return st == GW_OK ? add_entries(self, err) : st;
}

gw_status cs_settings_file_open(const char *path, cs_settings_file **ret_file, gw_error *err)
{
    cs_settings_file *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    cs_arena_init(&self->arena, CS_FILE_MEMORY_MAX);
    gw_status st = GW_OK;
    if (path != NULL && !cs_format_is_known(path)) {
        st = gw_error_set(err, GW_E_INVALID, 0,
                          "-config %s: its name must end in .yml, .yaml or .properties", path);
    } else if (path != NULL) {
        st = read_file(self, path, err);
    }
    if (st != GW_OK) {
        cs_settings_file_close(self);
        return st;
    }
    *ret_file = self;
    return GW_OK;
}

void cs_settings_file_close(cs_settings_file *file)
{
    if (file != NULL) {
        cs_file_dispose(&file->file);
        cs_arena_dispose(&file->arena);
        free(file->entries);
        free(file);
    }
}

/* ---- finding -------------------------------------------------------------------- */

static bool is_filler(char c)
{
    return c == '-' || c == '_';
}

/* What follows `key` in a key as it is written; NULL if it does not begin with it. */
static const char *skip_key(const char *written, const char *key)
{
    for (;;) {
        while (is_filler(*written)) {
            written++;
        }
        while (is_filler(*key)) {
            key++;
        }
        if (*key == '\0') {
            return written;
        }
        if (tolower((unsigned char)*written) != tolower((unsigned char)*key)) {
            return NULL;
        }
        written++;
        key++;
    }
}

/* "git.search-paths" as GIT_SEARCH_PATHS, or, with `fill` 0, as GIT_SEARCHPATHS. */
static const char *get_variable(const char *key, char fill, char *name, size_t size)
{
    size_t n = 0;
    for (const char *p = key; *p != '\0' && n + 1 < size; p++) {
        if (isalnum((unsigned char)*p)) {
            name[n++] = (char)toupper((unsigned char)*p);
        } else if (*p != '-') {
            name[n++] = '_';
        } else if (fill != '\0') {
            name[n++] = fill;
        }
    }
    name[n] = '\0';
    return getenv(name);
}

static bool find_in_environment(cs_settings_file *file, const char *key, cs_setting *ret_setting)
{
    char name[VARIABLE_MAX];
    const char *value = get_variable(key, '\0', name, sizeof(name));
    value = value == NULL ? get_variable(key, '_', name, sizeof(name)) : value;
    if (value == NULL || value[0] == '\0') {
        return false;
    }
    char origin[VARIABLE_MAX + 32];
    int len = snprintf(origin, sizeof(origin), "environment variable %s", name);
    cs_text copy = cs_arena_copy(&file->arena, origin, (size_t)len);
    *ret_setting = (cs_setting){key, value, copy.bytes == NULL ? "the environment" : copy.bytes};
    return true;
}

bool cs_settings_find(cs_settings_file *file, const char *key, cs_setting *ret_setting)
{
    bool found = false;
    for (size_t i = 0; i < file->n_entries; i++) {
        const char *rest = skip_key(file->entries[i].setting.key, key);
        if (rest != NULL && *rest == '\0') {
            file->entries[i].is_used = true;
            *ret_setting = file->entries[i].setting;
            found = true;
        }
    }
    return find_in_environment(file, key, ret_setting) || (found && ret_setting->value[0] != '\0');
}

typedef struct list {
    const char **items;
    size_t n;
    size_t max;
    cs_arena *arena;
} list;

static gw_status add_item(list *self, const char *bytes, size_t len, const cs_setting *from,
                          gw_error *err)
{
    while (len > 0 && isspace((unsigned char)bytes[0])) {
        bytes++;
        len--;
    }
    while (len > 0 && isspace((unsigned char)bytes[len - 1])) {
        len--;
    }
    if (len == 0) {
        return GW_OK;
    }
    if (self->n == self->max) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s: '%s' has more than %zu items", from->origin,
                            from->key, self->max);
    }
    cs_text copy = cs_arena_copy(self->arena, bytes, len);
    self->items[self->n++] = copy.bytes;
    return copy.bytes == NULL ? gw_error_set(err, GW_E_NOMEM, 0, "out of memory") : GW_OK;
}

static gw_status add_items(list *self, const cs_setting *from, gw_error *err)
{
    gw_status st = GW_OK;
    const char *p = from->value;
    while (st == GW_OK) {
        size_t len = strcspn(p, ",");
        st = add_item(self, p, len, from, err);
        if (p[len] == '\0') {
            break;
        }
        p += len + 1;
    }
    return st;
}

/* Items are in the order of the file, which is that of their indexes. */
static gw_status add_indexed(cs_settings_file *file, list *self, const char *key, gw_error *err)
{
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < file->n_entries; i++) {
        const cs_setting *setting = &file->entries[i].setting;
        const char *rest = skip_key(setting->key, key);
        if (rest != NULL && rest[0] == '[') {
            size_t digits = strspn(rest + 1, "0123456789");
            if (digits > 0 && strcmp(rest + 1 + digits, "]") == 0) {
                file->entries[i].is_used = true;
                st = add_item(self, setting->value, strlen(setting->value), setting, err);
            }
        }
    }
    return st;
}

gw_status cs_settings_list(cs_settings_file *file, cs_arena *arena, const char *key, size_t max,
                           const char *const **ret_items, size_t *ret_n, gw_error *err)
{
    list found = {.max = max, .arena = arena};
    found.items = cs_arena_alloc(arena, max * sizeof(char *));
    if (found.items == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
    }
    cs_setting setting;
    gw_status st = cs_settings_find(file, key, &setting) ? add_items(&found, &setting, err)
                                                         : add_indexed(file, &found, key, err);
    *ret_items = found.items;
    *ret_n = found.n;
    return st;
}

/* The name that `rest`, which follows a prefix, begins with; 0 if there is none. */
static size_t name_of(const char *rest, const char **ret_name)
{
    if (rest[0] == '[') {
        *ret_name = rest + 1;
        size_t len = strcspn(rest + 1, "]");
        return rest[1 + len] == ']' ? len : 0;
    }
    *ret_name = rest + 1;
    return rest[0] == '.' ? strcspn(rest + 1, ".[") : 0;
}

/* Whether the entry is the first of its name below the prefix. */
static bool is_first_of_name(const cs_settings_file *file, const char *prefix, size_t place,
                             const char *name, size_t len)
{
    for (size_t i = 0; i < place; i++) {
        const char *rest = skip_key(file->entries[i].setting.key, prefix);
        const char *other;
        size_t other_len = rest == NULL ? 0 : name_of(rest, &other);
        if (other_len == len && len > 0 && memcmp(other, name, len) == 0) {
            return false;
        }
    }
    return true;
}

bool cs_settings_name_below(cs_settings_file *file, const char *prefix, size_t i, char *ret_name,
                            size_t size)
{
    for (size_t at = 0; at < file->n_entries; at++) {
        const char *rest = skip_key(file->entries[at].setting.key, prefix);
        const char *name;
        size_t len = rest == NULL ? 0 : name_of(rest, &name);
        if (len == 0 || len >= size || !is_first_of_name(file, prefix, at, name, len)) {
            continue;
        }
        if (i-- == 0) {
            memcpy(ret_name, name, len);
            ret_name[len] = '\0';
            return true;
        }
    }
    return false;
}

bool cs_settings_below(cs_settings_file *file, const char *prefix, size_t i, const char **ret_rest,
                       cs_setting *ret_setting)
{
    for (size_t at = 0; at < file->n_entries; at++) {
        const char *rest = skip_key(file->entries[at].setting.key, prefix);
        if (rest == NULL || (rest[0] != '.' && rest[0] != '[')) {
            continue;
        }
        if (i-- == 0) {
            file->entries[at].is_used = true;
            *ret_rest = rest[0] == '.' ? rest + 1 : rest;
            *ret_setting = file->entries[at].setting;
            return true;
        }
    }
    return false;
}

bool cs_settings_unknown(const cs_settings_file *file, const char *prefix, cs_setting *ret_setting)
{
    for (size_t i = 0; i < file->n_entries; i++) {
        const char *rest = skip_key(file->entries[i].setting.key, prefix);
        if (!file->entries[i].is_used && rest != NULL && strchr(".[", rest[0]) != NULL) {
            *ret_setting = file->entries[i].setting;
            return true;
        }
    }
    return false;
}

bool cs_settings_open(const cs_settings_file *file, const char *prefix, const char *but,
                      cs_setting *ret_setting)
{
    for (size_t i = 0; i < file->n_entries; i++) {
        const entry *it = &file->entries[i];
        bool is_below = skip_key(it->setting.key, prefix) != NULL;
        if (it->is_open && is_below && skip_key(it->setting.key, but) == NULL) {
            *ret_setting = it->setting;
            return true;
        }
    }
    return false;
}
