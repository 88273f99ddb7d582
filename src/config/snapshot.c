/* SPDX-License-Identifier: MIT */
#include "config/snapshot.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

#define N_OF(array)  (sizeof(array) / sizeof((array)[0]))
#define ENV_NAME_MAX (GW_CONFIG_KEY_MAX + 64)

gw_config_snapshot *gw__snapshot_new(const gw__layers *layers, const char *env_prefix,
                                     const char *where)
{
    size_t prefix_len = strlen(env_prefix) + 1;
    size_t where_len = strlen(where) + 1;
    gw_config_snapshot *snapshot = calloc(1, sizeof(*snapshot) + prefix_len + where_len);
    if (snapshot == NULL) {
        return NULL;
    }
    atomic_init(&snapshot->refs, 1);
    snapshot->layers = *layers;
    gw__properties_ref(layers->set);
    gw__properties_ref(layers->env);
    if (layers->bus != NULL) {
        gw__properties_ref(layers->bus);
    }
    gw__properties_ref(layers->server.properties);
    memcpy(snapshot->text, env_prefix, prefix_len);
    memcpy(snapshot->text + prefix_len, where, where_len);
    snapshot->env_prefix = snapshot->text;
    snapshot->where = snapshot->text + prefix_len;
    return snapshot;
}

const gw_config_snapshot *gw__snapshot_ref(const gw_config_snapshot *snapshot)
{
    atomic_size_t *refs = &((gw_config_snapshot *)(uintptr_t)snapshot)->refs;
    atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
    return snapshot;
}

void gw_config_release(const gw_config_snapshot *const_snapshot)
{
    /* Only the count changes, which no reader sees. */
    gw_config_snapshot *snapshot = (gw_config_snapshot *)(uintptr_t)const_snapshot;
    if (snapshot == NULL ||
        atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    gw__properties_unref(snapshot->layers.set);
    gw__properties_unref(snapshot->layers.env);
    gw__properties_unref(snapshot->layers.bus);
    gw__properties_unref(snapshot->layers.server.properties);
    free(snapshot);
}

/* ---- the environment --------------------------------------------------------- */

bool gw__env_name(const char *prefix, const char *key, size_t key_len, char *name, size_t size)
{
    size_t prefix_len = strlen(prefix);
    if (prefix_len == 0 || prefix_len + key_len >= size) {
        return false;
    }
    memcpy(name, prefix, prefix_len);
    for (size_t i = 0; i < key_len; i++) {
        unsigned char c = (unsigned char)key[i];
        bool plain = c < 0x80 && isalnum(c);
        name[prefix_len + i] = (char)(plain ? toupper(c) : '_');
    }
    name[prefix_len + key_len] = '\0';
    return true;
}

static gw_status add_variable(gw__properties *props, const char *variable, size_t name_len,
                              gw_error *err)
{
    char name[ENV_NAME_MAX + 1];
    char origin[ENV_NAME_MAX + 32];
    memcpy(name, variable, name_len);
    name[name_len] = '\0';
    snprintf(origin, sizeof(origin), "environment variable %s", name);
    gw_status st = gw__properties_add_source(props, origin, 0, err);
    return st == GW_OK ? gw__properties_add(props, name, variable + name_len + 1, err) : st;
}

gw_status gw__env_read(const char *prefix, gw__properties **ret_props, gw_error *err)
{
    gw__properties *props = gw__properties_new();
    if (props == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the configuration");
    }
    size_t prefix_len = strlen(prefix);
    gw_status st = GW_OK;
    for (char **it = environ; prefix_len > 0 && it != NULL && *it != NULL && st == GW_OK; it++) {
        size_t name_len = strcspn(*it, "=");
        if ((*it)[name_len] == '=' && name_len > prefix_len && name_len <= GW_CONFIG_KEY_MAX &&
            strncmp(*it, prefix, prefix_len) == 0) {
            st = add_variable(props, *it, name_len, err);
        }
    }
    if (st != GW_OK) {
        gw__properties_unref(props);
        return st;
    }
    gw__properties_seal(props);
    *ret_props = props;
    return GW_OK;
}

/* ---- looking up ---------------------------------------------------------------- */

static gw__group env_group(const gw_config_snapshot *snapshot, const char *name, size_t len)
{
    char variable[ENV_NAME_MAX + 1];
    if (!gw__env_name(snapshot->env_prefix, name, len, variable, sizeof(variable))) {
        return (gw__group){NULL, 0};
    }
    return gw__properties_group(snapshot->layers.env, variable, strlen(variable));
}

static gw__group group_in(const gw__properties *props, const char *name, size_t len)
{
    return props != NULL ? gw__properties_group(props, name, len) : (gw__group){NULL, 0};
}

gw__group gw__snapshot_group(const gw_config_snapshot *snapshot, const char *name, size_t len)
{
    gw__group group = gw__properties_group(snapshot->layers.set, name, len);
    if (group.n == 0) {
        group = env_group(snapshot, name, len);
    }
    if (group.n == 0) {
        group = group_in(snapshot->layers.bus, name, len);
    }
    if (group.n == 0) {
        group = gw__properties_group(snapshot->layers.server.properties, name, len);
    }
    return group;
}

const gw__property *gw__snapshot_child(const gw_config_snapshot *snapshot, const char *key)
{
    size_t len = strlen(key);
    const gw__property *child = gw__properties_child(snapshot->layers.set, key, len);
    return child != NULL ? child
                         : gw__properties_child(snapshot->layers.server.properties, key, len);
}

static const gw__property *find_in(gw__group group, const char *key)
{
    for (size_t i = 0; i < group.n; i++) {
        if (strcmp(group.items[i].key, key) == 0) {
            return &group.items[i];
        }
    }
    return NULL;
}

const gw__property *gw__snapshot_find(const gw_config_snapshot *snapshot, const char *key)
{
    size_t len = gw__key_group_len(key);
    gw__group group = gw__properties_group(snapshot->layers.set, key, len);
    if (group.n > 0) {
        return find_in(group, key);
    }
    group = env_group(snapshot, key, len);
    if (group.n > 0) { /* a variable replaces a list as a whole: there are no items any more */
        return key[len] == '\0' ? &group.items[0] : NULL;
    }
    group = group_in(snapshot->layers.bus, key, len);
    if (group.n > 0) {
        return find_in(group, key);
    }
    return find_in(gw__properties_group(snapshot->layers.server.properties, key, len), key);
}

const char *gw_config_origin(const gw_config_snapshot *snapshot, const char *key)
{
    const gw__property *item = gw__snapshot_find(snapshot, key);
    if (item != NULL) {
        return item->origin;
    }
    gw__group group = gw__snapshot_group(snapshot, key, strlen(key)); /* a list */
    return group.n > 0 ? group.items[0].origin : NULL;
}

const char *gw_config_version(const gw_config_snapshot *snapshot)
{
    return snapshot->layers.server.version;
}

size_t gw_config_n_sources(const gw_config_snapshot *snapshot)
{
    return snapshot->layers.server.n_sources;
}

/* ---- comparing ------------------------------------------------------------------- */

typedef struct name_ref {
    const char *text;
    size_t len;
} name_ref;

static int compare_refs(const void *left, const void *right)
{
    const name_ref *a = left;
    const name_ref *b = right;
    int rc = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
    return rc != 0 ? rc : (a->len > b->len) - (a->len < b->len);
}

static size_t count(const gw__properties *props)
{
    return props != NULL ? gw__properties_count(props) : 0;
}

static size_t collect(const gw__properties *props, name_ref *refs)
{
    size_t n = count(props);
    for (size_t i = 0; i < n; i++) {
        const gw__property *item = gw__properties_at(props, i);
        refs[i] = (name_ref){item->key, item->group_len};
    }
    return n;
}

void gw__names_free(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(names[i]);
    }
    free(names);
}

static bool keep_changed(const gw_config_snapshot *before, const gw_config_snapshot *after,
                         const name_ref *refs, size_t n_refs, char **names, size_t *ret_n)
{
    size_t n = 0;
    for (size_t i = 0; i < n_refs; i++) {
        bool again = i > 0 && compare_refs(&refs[i - 1], &refs[i]) == 0;
        if (again || gw__group_equal(gw__snapshot_group(before, refs[i].text, refs[i].len),
                                     gw__snapshot_group(after, refs[i].text, refs[i].len))) {
            continue;
        }
        names[n] = strndup(refs[i].text, refs[i].len);
        if (names[n] == NULL) {
            *ret_n = n;
            return false;
        }
        n++;
    }
    *ret_n = n;
    return true;
}

bool gw__snapshot_diff(const gw_config_snapshot *before, const gw_config_snapshot *after,
                       char ***ret_names, size_t *ret_n)
{
    const gw__properties *all[] = {before->layers.set,
                                   after->layers.set,
                                   before->layers.bus,
                                   after->layers.bus,
                                   before->layers.server.properties,
                                   after->layers.server.properties};
    size_t n_refs = 0;
    for (size_t i = 0; i < N_OF(all); i++) {
        n_refs += count(all[i]);
    }
    name_ref *refs = calloc(n_refs + 1, sizeof(*refs));
    char **names = calloc(n_refs + 1, sizeof(*names));
    size_t n_names = 0;
    bool ok = refs != NULL && names != NULL;
    if (ok) {
        size_t at = 0;
        for (size_t i = 0; i < N_OF(all); i++) {
            at += collect(all[i], refs + at);
        }
        qsort(refs, n_refs, sizeof(*refs), compare_refs);
        ok = keep_changed(before, after, refs, n_refs, names, &n_names);
    }
    free(refs);
    if (!ok) {
        gw__names_free(names, n_names);
        return false;
    }
    *ret_names = names;
    *ret_n = n_names;
    return true;
}
