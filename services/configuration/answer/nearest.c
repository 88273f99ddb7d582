/* SPDX-License-Identifier: MIT */
#include "answer/nearest.h"

#include <stdio.h>
#include <string.h>

#include "files/format.h"

#define DISTANCE_MAX 3u
#define SHARED       "application"

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* The optimal string alignment distance, or anything larger than `max` when it is. */
static unsigned distance(cs_text a, cs_text b, unsigned max)
{
    size_t longer = a.len > b.len ? a.len - b.len : b.len - a.len;
    if (longer > max || b.len > CS_NAME_BYTES_MAX) {
        return max + 1;
    }
    unsigned rows[3][CS_NAME_BYTES_MAX + 1];
    unsigned *before = rows[0];
    unsigned *last = rows[1];
    unsigned *row = rows[2];
    for (unsigned j = 0; j <= b.len; j++) {
        last[j] = j;
    }
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned best = row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            bool is_same = a.bytes[i - 1] == b.bytes[j - 1];
            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + !is_same);
            bool is_swap = i > 1 && j > 1 && a.bytes[i - 1] == b.bytes[j - 2] &&
                           a.bytes[i - 2] == b.bytes[j - 1];
            if (is_swap) {
                row[j] = least(row[j], before[j - 2] + 1);
            }
            best = least(best, row[j]);
        }
        if (best > max) {
            return max + 1;
        }
        unsigned *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[b.len];
}

static bool is_known(const cs_nearest *nearest, cs_text name)
{
    for (size_t i = 0; i < nearest->n; i++) {
        if (cs_text_is(name, nearest->names[i])) {
            return true;
        }
    }
    return false;
}

/* Keep the nearest in order; of names as near the one that came first. */
static void keep(cs_nearest *nearest, cs_text name, unsigned far)
{
    size_t at = nearest->n;
    while (at > 0 && nearest->distances[at - 1] > far) {
        at--;
    }
    if (at == CS_NEAREST_MAX) {
        return;
    }
    nearest->n += nearest->n < CS_NEAREST_MAX;
    for (size_t i = nearest->n - 1; i > at; i--) {
        memcpy(nearest->names[i], nearest->names[i - 1], sizeof(nearest->names[i]));
        nearest->distances[i] = nearest->distances[i - 1];
    }
    memcpy(nearest->names[at], name.bytes, name.len);
    nearest->names[at][name.len] = '\0';
    nearest->distances[at] = far;
}

static void consider(cs_nearest *nearest, cs_text candidate, cs_text name, unsigned max)
{
    if (candidate.len == 0 || cs_text_is(candidate, SHARED) || is_known(nearest, candidate)) {
        return;
    }
    unsigned far = distance(name, candidate, max);
    if (far <= max) {
        keep(nearest, candidate, far);
    }
}

/* The file's name without its directory, if that is one where applications are looked for, and
 * without its extension; empty otherwise. */
static cs_text stem_of(const cs_place *place, const char *path)
{
    for (size_t i = 0; i < place->n_dirs; i++) {
        size_t len = strlen(place->dirs[i]);
        if (strncmp(path, place->dirs[i], len) == 0 && strchr(path + len, '/') == NULL) {
            const char *dot = strrchr(path + len, '.');
            return dot == NULL || !cs_format_is_known(path)
                       ? (cs_text){path, 0}
                       : (cs_text){path + len, (size_t)(dot - path) - len};
        }
    }
    return (cs_text){path, 0};
}

void cs_nearest_find(const cs_place *place, cs_text name, cs_nearest *ret_nearest)
{
    ret_nearest->n = 0;
    unsigned max = least(DISTANCE_MAX, (unsigned)(name.len + 2) / 3);
    size_t n = cs_tree_n_entries(place->tree);
    cs_text before = {"", 0};
    for (size_t i = 0; i < n && i < CS_NEAREST_LOOKS_MAX; i++) {
        cs_text stem = stem_of(place, cs_tree_at(place->tree, i)->path);
        if (cs_text_equal(stem, before)) {
            continue; /* the same in another format */
        }
        before = stem;
        while (stem.len > 0) {
            consider(ret_nearest, stem, name, max);
            const char *hyphen = memrchr(stem.bytes, '-', stem.len);
            stem.len = hyphen == NULL ? 0 : (size_t)(hyphen - stem.bytes);
        }
    }
}

static bool has_files(const cs_tree *tree, const char *dir)
{
    size_t i = cs_tree_lower_bound(tree, dir);
    return i < cs_tree_n_entries(tree) && strncmp(cs_tree_at(tree, i)->path, dir, strlen(dir)) == 0;
}

/* "apps/foo/" is a directory of foo, and of apps. */
static bool is_dir_of(const char *dir, cs_text name)
{
    for (const char *end; (end = strchr(dir, '/')) != NULL; dir = end + 1) {
        if (cs_text_equal((cs_text){dir, (size_t)(end - dir)}, name)) {
            return true;
        }
    }
    return false;
}

/* Of the files whose paths begin with `path`, one that is this application's. */
static bool has_file_of(const cs_tree *tree, const char *path)
{
    size_t len = strlen(path);
    size_t n = cs_tree_n_entries(tree);
    for (size_t i = cs_tree_lower_bound(tree, path); i < n; i++) {
        const char *at = cs_tree_at(tree, i)->path;
        if (strncmp(at, path, len) != 0) {
            return false;
        }
        bool is_its = at[len] == '-' || (at[len] == '.' && strrchr(at + len, '.') == at + len);
        if (is_its && strchr(at + len, '/') == NULL && cs_format_is_known(at)) {
            return true;
        }
    }
    return false;
}

bool cs_place_knows(const cs_place *place, cs_text name)
{
    if (cs_text_is(name, SHARED)) {
        return true;
    }
    char path[CS_PATH_BYTES_MAX + CS_NAME_BYTES_MAX + 1];
    for (size_t i = 0; i < place->n_dirs; i++) {
        if (is_dir_of(place->dirs[i], name) && has_files(place->tree, place->dirs[i])) {
            return true;
        }
        int len = snprintf(path, sizeof(path), "%s%.*s", place->dirs[i], (int)name.len, name.bytes);
        if (len > 0 && (size_t)len < sizeof(path) && has_file_of(place->tree, path)) {
            return true;
        }
    }
    return false;
}
