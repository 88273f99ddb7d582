/* SPDX-License-Identifier: MIT */
/*
 * Expat's events to properties. An entity of one's own is refused where it is declared, so nothing
 * expands; a DTD is named by each of these files, and never read.
 */
#include "files/xml_reader.h"

#include <string.h>

#include <expat.h>

#include <godwit/buf.h>

#include "files/bounds.h"

typedef enum place { OUTSIDE, IN_PROPERTIES, IN_COMMENT, IN_ENTRY } place;

typedef struct reader {
    cs_file *file;
    XML_Parser parser;
    place place;
    gw_buf key;
    gw_buf value;
    unsigned line; /* of the entry at hand */
    unsigned column;
    gw_status st; /* of the first failure */
    gw_error *err;
} reader;

static unsigned current_line(const reader *r)
{
    return (unsigned)XML_GetCurrentLineNumber(r->parser);
}

/* Keep a failure whose text is there already, and end the parsing. */
static void stop(reader *r, gw_status st)
{
    if (r->st == GW_OK) {
        r->st = st;
        XML_StopParser(r->parser, XML_FALSE);
    }
}

static void refuse(reader *r, const char *what)
{
    if (r->st == GW_OK) {
        stop(r, gw_error_set(r->err, GW_E_INVALID, 0, "%s:%u: %s", r->file->path, current_line(r),
                             what));
    }
}

static void begin_entry(reader *r, const char **attributes)
{
    if (attributes[0] == NULL || strcmp(attributes[0], "key") != 0 || attributes[2] != NULL) {
        refuse(r, "an <entry> must have a 'key' and nothing else");
        return;
    }
    r->place = IN_ENTRY;
    r->line = current_line(r);
    r->column = (unsigned)XML_GetCurrentColumnNumber(r->parser) + 1;
    gw_buf_clear(&r->key);
    gw_buf_clear(&r->value);
    gw_buf_add_str(&r->key, attributes[1]);
}

static void XMLCALL on_start(void *ctx, const char *name, const char **attributes)
{
    reader *r = ctx;
    if (r->place == OUTSIDE && strcmp(name, "properties") == 0) {
        r->place = IN_PROPERTIES;
    } else if (r->place == OUTSIDE) {
        refuse(r, "the root is not <properties>");
    } else if (r->place == IN_PROPERTIES && strcmp(name, "comment") == 0) {
        r->place = IN_COMMENT;
    } else if (r->place == IN_PROPERTIES && strcmp(name, "entry") == 0) {
        begin_entry(r, attributes);
    } else if (r->place == IN_PROPERTIES) {
        refuse(r, "only <comment> and <entry> are allowed in <properties>");
    } else {
        refuse(r, "an element within <comment> or <entry>");
    }
}

static void put(reader *r)
{
    if (gw_buf_status(&r->key) != GW_OK || gw_buf_status(&r->value) != GW_OK) {
        stop(r, gw_error_set(r->err, GW_E_LIMIT, 0, "%s:%u: the property is too long",
                             r->file->path, r->line));
        return;
    }
    cs_property property = {
        .key = {r->key.len == 0 ? "" : r->key.data, r->key.len},
        .value = {r->value.len == 0 ? "" : r->value.data, r->value.len},
        .kind = CS_VALUE_TEXT,
        .line = r->line,
        .column = r->column,
    };
    gw_status st = cs_file_put(r->file, &property, r->err);
    if (st != GW_OK) {
        stop(r, st);
    }
}

static void XMLCALL on_end(void *ctx, const char *name)
{
    (void)name;
    reader *r = ctx;
    if (r->st != GW_OK) {
        return;
    }
    if (r->place == IN_ENTRY) {
        put(r);
    }
    r->place = r->place == IN_PROPERTIES ? OUTSIDE : IN_PROPERTIES;
}

static void XMLCALL on_text(void *ctx, const char *text, int len)
{
    reader *r = ctx;
    if (r->place == IN_ENTRY) {
        gw_buf_add(&r->value, text, (size_t)len);
    }
}

static void XMLCALL on_entity_declared(void *ctx, const char *name, int is_parameter,
                                       const char *value, int value_len, const char *base,
                                       const char *system_id, const char *public_id,
                                       const char *notation)
{
    (void)name;
    (void)is_parameter;
    (void)value;
    (void)value_len;
    (void)base;
    (void)system_id;
    (void)public_id;
    (void)notation;
    refuse(ctx, "entity declarations are not allowed");
}

/* One that the DTD, which is not read, may declare. */
static void XMLCALL on_entity_skipped(void *ctx, const char *name, int is_parameter)
{
    (void)name;
    (void)is_parameter;
    refuse(ctx, "an entity that is not one of XML's own");
}

static gw_status fail_syntax(const reader *r)
{
    enum XML_Error code = XML_GetErrorCode(r->parser);
    if (code == XML_ERROR_NO_MEMORY) {
        return gw_error_set(r->err, GW_E_NOMEM, 0, "%s: out of memory", r->file->path);
    }
    return gw_error_set(r->err, GW_E_INVALID, 0, "%s:%u: %s", r->file->path, current_line(r),
                        XML_ErrorString(code));
}

static gw_status parse(reader *r, const char *text, size_t len)
{
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    XML_SetEntityDeclHandler(r->parser, on_entity_declared);
    XML_SetSkippedEntityHandler(r->parser, on_entity_skipped);
    gw_status st = cs_file_begin_document(r->file, r->err);
    if (st != GW_OK) {
        return st;
    }
    enum XML_Status status = XML_Parse(r->parser, text, (int)len, XML_TRUE);
    if (r->st != GW_OK) {
        return r->st;
    }
    return status == XML_STATUS_OK ? cs_file_seal(r->file, r->err) : fail_syntax(r);
}

gw_status cs_xml_read(cs_file *file, const char *text, size_t len, gw_error *err)
{
    if (len > CS_FILE_BYTES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s:1: larger than %zu MiB", file->path,
                            CS_FILE_BYTES_MAX >> 20);
    }
    reader r = {.file = file, .parser = XML_ParserCreate(NULL), .st = GW_OK, .err = err};
    if (r.parser == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "%s: out of memory", file->path);
    }
    gw_buf_init(&r.key, CS_KEY_BYTES_MAX);
    gw_buf_init(&r.value, CS_FILE_MEMORY_MAX);
    gw_status st = parse(&r, text, len);
    gw_buf_dispose(&r.key);
    gw_buf_dispose(&r.value);
    XML_ParserFree(r.parser);
    return st;
}
