/* SPDX-License-Identifier: MIT */
#include "answer/import.h"

#include <string.h>

#include "files/format.h"

#define OPTIONAL "optional:"

static gw_status refuse(const cs_file *file, const cs_property *property, cs_text location,
                        gw_status st, const char *why, gw_error *err)
{
    return gw_error_set(err, st, 0, "%s:%u: the import of '%.*s': %s", file->path, property->line,
                        (int)(location.len < 128 ? location.len : 128), location.bytes, why);
}

static bool has(cs_text text, char c)
{
    return memchr(text.bytes, c, text.len) != NULL;
}

/* Why a location is none of ours by its looks; NULL if it may be one. */
static const char *find_fault(cs_text location, gw_status *ret_st)
{
    *ret_st = GW_E_DENIED;
    if (location.len == 0 || location.bytes[0] == '/' || has(location, ':') ||
        has(location, '\\')) {
        return "only files of the repository can be imported, as a path relative to this file";
    }
    *ret_st = GW_E_UNSUPPORTED;
    if (has(location, '$') || has(location, '*') || has(location, '[')) {
        return "placeholders, patterns and hints are not supported";
    }
    if (location.bytes[location.len - 1] == '/') {
        return "directories are not supported; name the files";
    }
    return NULL;
}

/* Append one part of a path, or go up; false when there is nothing above, or no room. */
static bool step(char path[CS_PATH_BYTES_MAX + 1], size_t *len, const char *part, size_t part_len)
{
    if (part_len == 0 || (part_len == 1 && part[0] == '.')) {
        return true;
    }
    if (part_len == 2 && memcmp(part, "..", 2) == 0) {
        if (*len == 0) {
            return false;
        }
        while (*len > 0 && path[*len - 1] != '/') {
            (*len)--;
        }
        *len -= *len > 0 ? 1 : 0;
        return true;
    }
    size_t slash = *len > 0 ? 1 : 0;
    if (part_len > CS_PATH_BYTES_MAX - *len - slash) {
        return false;
    }
    if (slash == 1) {
        path[(*len)++] = '/';
    }
    memcpy(path + *len, part, part_len);
    *len += part_len;
    return true;
}

static bool join(char path[CS_PATH_BYTES_MAX + 1], size_t *len, cs_text relative)
{
    const char *end = relative.bytes + relative.len;
    for (const char *p = relative.bytes; p < end;) {
        const char *slash = memchr(p, '/', (size_t)(end - p));
        const char *part_end = slash == NULL ? end : slash;
        if (!step(path, len, p, (size_t)(part_end - p))) {
            return false;
        }
        p = slash == NULL ? end : slash + 1;
    }
    return true;
}

gw_status cs_import_resolve(const cs_file *file, const cs_property *property, cs_text location,
                            char ret_path[CS_PATH_BYTES_MAX + 1], gw_error *err)
{
    cs_text rest = location;
    if (rest.len >= strlen(OPTIONAL) && memcmp(rest.bytes, OPTIONAL, strlen(OPTIONAL)) == 0) {
        rest.bytes += strlen(OPTIONAL);
        rest.len -= strlen(OPTIONAL);
    }
    gw_status st = GW_OK;
    const char *fault = find_fault(rest, &st);
    if (fault != NULL) {
        return refuse(file, property, location, st, fault, err);
    }
    char path[CS_PATH_BYTES_MAX + 1];
    size_t len = 0;
    const char *slash = strrchr(file->path, '/');
    cs_text dir = {file->path, slash == NULL ? 0 : (size_t)(slash - file->path)};
    if (!join(path, &len, dir) || !join(path, &len, rest)) {
        return refuse(file, property, location, GW_E_DENIED, "it leads out of the repository", err);
    }
    path[len] = '\0';
    if (!cs_format_is_known(path)) {
        return refuse(file, property, location, GW_E_UNSUPPORTED,
                      "only .yml, .yaml, .xml and .properties can be imported", err);
    }
    memcpy(ret_path, path, len + 1);
    return GW_OK;
}
