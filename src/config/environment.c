/* SPDX-License-Identifier: MIT */
#include "config/environment.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <godwit/buf.h>
#include <godwit/url.h>

#define ORIGIN_MAX 2048

static gw_status refuse(gw_error *err, const char *what)
{
    return gw_error_set(err, GW_E_PROTOCOL, 0, "the answer is not a configuration: %s", what);
}

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    case JSON_NULL: return "null";
    }
    return "?";
}

/* Jansson's own text quotes what it could not read, which may be a password. */
static gw_status refuse_json(const json_error_t *fault, gw_error *err)
{
    enum json_error_code code = json_error_code(fault);
    const char *what = code == json_error_duplicate_key      ? "a key stands twice in one object"
                       : code == json_error_stack_overflow   ? "it is nested too deeply"
                       : code == json_error_invalid_utf8     ? "it is not UTF-8"
                       : code == json_error_numeric_overflow ? "a number is too large"
                       : code == json_error_null_character || code == json_error_null_byte_in_key
                           ? "it holds a NUL"
                           : "it is not JSON";
    if (code == json_error_out_of_memory) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the configuration");
    }
    return gw_error_set(err, GW_E_PROTOCOL, 0,
                        "the answer is not a configuration: %s (line %d, column %d)", what,
                        fault->line, fault->column);
}

/* The shortest of the usual precisions that reads back as the same number. */
static void write_real(char *text, size_t size, double value)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            return;
        }
    }
}

const char *gw__scalar_text(const struct json_t *value, char *number, size_t size)
{
    switch (json_typeof(value)) {
    case JSON_STRING: return json_string_value(value);
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return ""; /* as the server has it for an empty value in YAML */
    case JSON_INTEGER:
        snprintf(number, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return number;
    case JSON_REAL: write_real(number, size, json_real_value(value)); return number;
    case JSON_OBJECT:
    case JSON_ARRAY: return NULL;
    }
    return NULL;
}

/* The line in "3:7"; also at the end of a longer text, "file.yml:3:7". 0: there is none. */
static unsigned line_of(const char *origin)
{
    const char *end = origin + strlen(origin);
    const char *number[2] = {NULL, NULL}; /* the last, and the one before */
    for (int i = 0; i < 2; i++) {
        const char *start = end;
        while (start > origin && start[-1] >= '0' && start[-1] <= '9') {
            start--;
        }
        if (start == end) {
            break;
        }
        number[i] = start;
        if (start == origin || start[-1] != ':') {
            break;
        }
        end = start - 1;
    }
    const char *line = number[1] != NULL ? number[1] : number[0];
    bool alone = line == origin || number[1] != NULL; /* a port's number is no line */
    unsigned long long value = line != NULL && alone ? strtoull(line, NULL, 10) : 0;
    return value <= UINT_MAX ? (unsigned)value : 0;
}

/* Take {"value":v,"origin":o} apart. Anything else is the value itself. */
static json_t *unwrap(json_t *value, unsigned *ret_line)
{
    json_t *inner = json_is_object(value) ? json_object_get(value, "value") : NULL;
    json_t *origin = json_object_get(value, "origin");
    *ret_line = 0;
    if (inner == NULL || json_object_size(value) > (origin != NULL ? 2u : 1u)) {
        return value;
    }
    if (json_is_string(origin)) {
        *ret_line = line_of(json_string_value(origin));
    }
    return inner;
}

static gw_status add_properties(gw__properties *props, json_t *source, const char *origin,
                                gw_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(source, key, value)
    {
        char number[GW__SCALAR_MAX];
        unsigned line;
        value = unwrap(value, &line);
        const char *text = gw__scalar_text(value, number, sizeof(number));
        if (text == NULL) {
            return gw_error_set(err, GW_E_PROTOCOL, 0,
                                "the answer is not a configuration: '%.100s' of %.200s is %s, not "
                                "a plain value",
                                key, origin, kind_of(value));
        }
        gw_status st = gw__properties_add_at(props, key, text, line, err);
        if (st != GW_OK) {
            return st;
        }
    }
    return GW_OK;
}

/* The source's name, which is often a URL, without its password. */
static gw_status write_origin(gw_buf *origin, const json_t *name, size_t number)
{
    if (json_is_string(name) && json_string_length(name) > 0) {
        gw_url_mask(origin, json_string_value(name));
    } else {
        gw_buf_addf(origin, "property source %zu", number);
    }
    return gw_buf_status(origin);
}

static gw_status add_source(gw__properties *props, json_t *entry, size_t number, gw_error *err)
{
    json_t *source = json_object_get(entry, "source");
    if (!json_is_object(entry) || !json_is_object(source)) {
        return gw_error_set(
            err, GW_E_PROTOCOL, 0,
            "the answer is not a configuration: property source %zu has no object 'source'",
            number);
    }
    gw_buf origin;
    gw_buf_init(&origin, ORIGIN_MAX);
    gw_status st = write_origin(&origin, json_object_get(entry, "name"), number);
    if (st == GW_OK) {
        st = gw__properties_add_source(props, origin.data, (unsigned)number, err);
    } else {
        st = gw_error_set(err, st, 0, "the name of property source %zu is too long", number);
    }
    if (st == GW_OK) {
        st = add_properties(props, source, origin.data, err);
    }
    gw_buf_dispose(&origin);
    return st;
}

static gw_status add_sources(gw__properties *props, json_t *sources, gw_error *err)
{
    size_t i;
    json_t *entry;
    gw_status st = GW_OK;
    json_array_foreach(sources, i, entry)
    {
        st = add_source(props, entry, i + 1, err);
        if (st != GW_OK) {
            break;
        }
    }
    return st;
}

static void copy_version(const json_t *version, char *ret_version)
{
    const char *text = json_is_string(version) ? json_string_value(version) : "";
    snprintf(ret_version, GW__VERSION_MAX + 1, "%s", text);
}

/* It goes into a header as it is: printable ASCII, or it is left out. */
static void copy_state(const json_t *state, char *ret_state)
{
    const char *text = json_is_string(state) ? json_string_value(state) : "";
    size_t len = strlen(text);
    bool fits = len <= GW__STATE_MAX;
    for (size_t i = 0; fits && i < len; i++) {
        fits = text[i] >= 0x20 && text[i] < 0x7f;
    }
    snprintf(ret_state, GW__STATE_MAX + 1, "%s", fits ? text : "");
}

static gw_status read_document(json_t *root, gw__environment *ret_env, gw_error *err)
{
    if (!json_is_object(root)) {
        return gw_error_set(err, GW_E_PROTOCOL, 0,
                            "the answer is not a configuration: it is %s, not an object",
                            kind_of(root));
    }
    json_t *sources = json_object_get(root, "propertySources");
    if (!json_is_array(sources)) {
        return refuse(err, sources == NULL ? "it has no 'propertySources'"
                                           : "its 'propertySources' is no array");
    }
    if (json_array_size(sources) > GW__SOURCES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "more than %d property sources", GW__SOURCES_MAX);
    }
    gw__properties *props = gw__properties_new();
    if (props == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for the configuration");
    }
    gw_status st = add_sources(props, sources, err);
    if (st != GW_OK) {
        gw__properties_unref(props);
        return st;
    }
    gw__properties_seal(props);
    ret_env->properties = props;
    ret_env->n_sources = json_array_size(sources);
    copy_version(json_object_get(root, "version"), ret_env->version);
    copy_state(json_object_get(root, "state"), ret_env->state);
    return GW_OK;
}

gw_status gw__environment_parse(const char *body, size_t len, gw__environment *ret_env,
                                gw_error *err)
{
    json_error_t fault;
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, &fault);
    if (root == NULL) {
        return len == 0 ? refuse(err, "it is empty") : refuse_json(&fault, err);
    }
    gw_status st = read_document(root, ret_env, err);
    json_decref(root);
    return st;
}

void gw__problem_detail(const char *body, size_t len, char *ret_detail, size_t size)
{
    static const char *const fields[] = {"detail", "message", "error", "title"};
    ret_detail[0] = '\0';
    json_t *root = len > 0 ? json_loadb(body, len, 0, NULL) : NULL;
    const char *text = NULL;
    for (size_t i = 0; text == NULL && i < sizeof(fields) / sizeof(fields[0]); i++) {
        text = json_string_value(json_object_get(root, fields[i]));
        text = text != NULL && text[0] != '\0' ? text : NULL;
    }
    if (text != NULL) {
        gw_buf masked;
        gw_buf_init(&masked, 0);
        gw_url_mask(&masked, text);
        snprintf(ret_detail, size, "%s", masked.data != NULL ? masked.data : "");
        gw_buf_dispose(&masked);
    }
    json_decref(root);
}
