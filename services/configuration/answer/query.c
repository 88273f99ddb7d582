/* SPDX-License-Identifier: MIT */
#include "answer/query.h"

#include <stdlib.h>
#include <string.h>

#define JSON_TYPE  "application/json"
#define V2_TYPE    "application/vnd.spring-cloud.config-server.v2+json"
#define HTML_TYPE  "text/html"
#define BYTES_TYPE "application/octet-stream"

/* ---- what is accepted ----------------------------------------------------------- */

/* "0.8" in thousandths; 1000 for what is no number. */
static unsigned read_quality(const char *text)
{
    if (text[0] != '0' && text[0] != '1') {
        return 1000;
    }
    unsigned q = (unsigned)(text[0] - '0') * 1000;
    if (text[1] == '.') {
        unsigned unit = 100;
        for (text += 2; *text >= '0' && *text <= '9' && unit > 0; text++, unit /= 10) {
            q += (unsigned)(*text - '0') * unit;
        }
    }
    return q > 1000 ? 1000 : q;
}

static unsigned quality_of(const char *range, size_t len)
{
    for (const char *p = memchr(range, ';', len); p != NULL;
         p = memchr(p, ';', (size_t)(range + len - p))) {
        p++;
        p += strspn(p, " \t");
        if ((p[0] == 'q' || p[0] == 'Q') && p[1] == '=') {
            return read_quality(p + 2);
        }
    }
    return 1000;
}

/* How much a header wants what it names by this very name, in thousandths; of two wanted alike the
 * one named first is wanted a little more. 0 for what it does not name. */
static unsigned wanted(const char *header, const char *name)
{
    size_t name_len = strlen(name);
    unsigned place = 100;
    while (header != NULL && *header != '\0') {
        header += strspn(header, " \t,");
        size_t len = strcspn(header, ",");
        size_t type_len = strcspn(header, " \t,;");
        if (type_len == name_len && strncasecmp(header, name, name_len) == 0) {
            unsigned q = quality_of(header, len);
            return q == 0 ? 0 : q * 100 + place;
        }
        header += len;
        place -= place > 1;
    }
    return 0;
}

/* Whether `name` is named, and not less wanted than JSON. */
static bool is_preferred(const char *accept, const char *name)
{
    unsigned q = wanted(accept, name);
    return q > 0 && q > wanted(accept, JSON_TYPE);
}

/* ---- the forms ------------------------------------------------------------------ */

static gw_status no_route(gw_error *err)
{
    return gw_error_set(err, GW_E_NOT_FOUND, 0,
                        "no such page; an environment is at /{name}/{profiles}, a flat one at "
                        "/{name}-{profiles}.yml, .yaml, .properties or .json");
}

static gw_status read_resolve(cs_query *query, const char *text, gw_error *err)
{
    if (text == NULL || text[0] == '\0' || strcasecmp(text, "true") == 0) {
        return GW_OK;
    }
    if (strcasecmp(text, "false") == 0) {
        query->keep_placeholders = true;
        return GW_OK;
    }
    return gw_error_set(err, GW_E_INVALID, 0, "resolvePlaceholders is neither true nor false");
}

/* "name-profiles.yml": the last hyphen separates. False when it is not of that form. */
static bool split_file(const char *file, cs_form *ret_form, char ret_name[CS_NAME_BYTES_MAX + 2],
                       char ret_profiles[CS_NAME_BYTES_MAX + 2])
{
    static const struct {
        const char *extension;
        cs_form form;
    } formats[] = {{"yml", CS_FORM_YAML},
                   {"yaml", CS_FORM_YAML},
                   {"properties", CS_FORM_PROPERTIES},
                   {"json", CS_FORM_JSON}};
    const char *dot = strrchr(file, '.');
    const char *hyphen = dot == NULL ? NULL : memrchr(file, '-', (size_t)(dot - file));
    for (size_t i = 0; hyphen != NULL && i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (strcmp(dot + 1, formats[i].extension) == 0) {
            /* One byte more than may be is kept, so that the check sees what is too long. */
            size_t name_len = (size_t)(hyphen - file);
            size_t profiles_len = (size_t)(dot - hyphen) - 1;
            name_len = name_len > CS_NAME_BYTES_MAX ? CS_NAME_BYTES_MAX + 1 : name_len;
            profiles_len = profiles_len > CS_NAME_BYTES_MAX ? CS_NAME_BYTES_MAX + 1 : profiles_len;
            *(char *)mempcpy(ret_name, file, name_len) = '\0';
            *(char *)mempcpy(ret_profiles, hyphen + 1, profiles_len) = '\0';
            *ret_form = formats[i].form;
            return true;
        }
    }
    return false;
}

static gw_status read_flat(cs_query *query, const cs_asked *asked, const char *file,
                           const char *label, gw_error *err)
{
    char name[CS_NAME_BYTES_MAX + 2];
    char profiles[CS_NAME_BYTES_MAX + 2];
    if (!split_file(file, &query->form, name, profiles)) {
        return no_route(err);
    }
    gw_status st = cs_request_init(&query->names, name, profiles, label, err);
    return st == GW_OK ? read_resolve(query, asked->resolve_placeholders, err) : st;
}

static gw_status read_environment(cs_query *query, const cs_asked *asked, gw_error *err)
{
    query->form =
        is_preferred(asked->accept, V2_TYPE) ? CS_FORM_ENVIRONMENT_ORIGINS : CS_FORM_ENVIRONMENT;
    return cs_request_init(&query->names, asked->first, asked->second, asked->third, err);
}

static gw_status read_text(cs_query *query, const cs_asked *asked, const char *label,
                           const char *path, gw_error *err)
{
    query->form = is_preferred(asked->accept, BYTES_TYPE) ? CS_FORM_BYTES : CS_FORM_TEXT;
    query->is_latin1 =
        wanted(asked->accept_charset, "iso-8859-1") > wanted(asked->accept_charset, "utf-8");
    gw_status st = cs_request_init(&query->names, asked->first, asked->second, label, err);
    if (st == GW_OK) {
        st = cs_path_init(query->path, path, err);
    }
    return st == GW_OK ? read_resolve(query, asked->resolve_placeholders, err) : st;
}

static void clear(cs_query *query)
{
    query->keep_placeholders = false;
    query->is_latin1 = false;
    query->key = NULL;
    query->path[0] = '\0';
}

gw_status cs_query_read(cs_query *query, const cs_asked *asked, gw_error *err)
{
    clear(query);
    if (asked->rest != NULL && asked->rest[0] != '\0') {
        return read_text(query, asked, asked->third, asked->rest, err);
    }
    if (asked->second == NULL) {
        return read_flat(query, asked, asked->first, NULL, err);
    }
    if (asked->third == NULL) {
        return cs_profiles_have_extension(asked->second)
                   ? read_flat(query, asked, asked->second, asked->first, err)
                   : read_environment(query, asked, err);
    }
    return asked->use_default_label != NULL ? read_text(query, asked, NULL, asked->third, err)
                                            : read_environment(query, asked, err);
}

gw_status cs_query_read_explain(cs_query *query, const cs_asked *asked, gw_error *err)
{
    clear(query);
    query->form =
        is_preferred(asked->accept, HTML_TYPE) ? CS_FORM_EXPLAIN_PAGE : CS_FORM_EXPLAIN_JSON;
    if (asked->key != NULL && asked->key[0] != '\0') {
        if (strlen(asked->key) > CS_NAME_BYTES_MAX) {
            return gw_error_set(err, GW_E_INVALID, 0, "the key has more than %u bytes",
                                CS_NAME_BYTES_MAX);
        }
        query->key = asked->key;
    }
    return cs_request_init(&query->names, asked->first, asked->second, asked->third, err);
}
