/* SPDX-License-Identifier: MIT */
#include "files/format.h"

#include <stdatomic.h>
#include <string.h>

#include "files/properties_reader.h"
#include "files/xml_reader.h"
#include "files/yaml_reader.h"

typedef gw_status (*read_fn)(cs_file *file, const char *text, size_t len, gw_error *err);

typedef struct format {
    const char *extension;
    read_fn read;
} format;

static atomic_bool utf8_properties;

static gw_status read_properties(cs_file *file, const char *text, size_t len, gw_error *err)
{
    return atomic_load(&utf8_properties) ? cs_properties_read_utf8(file, text, len, err)
                                         : cs_properties_read(file, text, len, err);
}

/* From the lowest precedence to the highest. */
static const format formats[] = {
    {"yaml", cs_yaml_read},
    {"yml", cs_yaml_read},
    {"xml", cs_xml_read},
    {"properties", read_properties},
};

#define N_FORMATS (sizeof(formats) / sizeof(formats[0]))

static const format *find_format(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash == NULL ? path : slash, '.');
    for (size_t i = 0; dot != NULL && i < N_FORMATS; i++) {
        if (strcmp(dot + 1, formats[i].extension) == 0) {
            return &formats[i];
        }
    }
    return NULL;
}

const char *cs_format_extension(size_t i)
{
    return i < N_FORMATS ? formats[i].extension : NULL;
}

bool cs_format_is_known(const char *path)
{
    return find_format(path) != NULL;
}

gw_status cs_format_read(cs_file *file, const char *path, const char *text, size_t len,
                         gw_error *err)
{
    gw_status st = cs_file_init(file, path);
    if (st != GW_OK) {
        return gw_error_set(err, st, 0, "%s: %s", path, gw_status_text(st));
    }
    const format *found = find_format(path);
    if (found == NULL) {
        return gw_error_set(err, GW_E_UNSUPPORTED, 0, "%s:1: not a format of configuration files",
                            path);
    }
    return found->read(file, len == 0 ? "" : text, len, err);
}

void cs_format_set_utf8_properties(bool is_utf8)
{
    atomic_store(&utf8_properties, is_utf8);
}
