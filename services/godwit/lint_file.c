/* SPDX-License-Identifier: MIT */
#include "lint_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/request.h"
#include "files/utf8.h"
#include "lint_profiles.h"
#include "lint_values.h"

static bool has_extension(const char *path, const char *extension)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL && strcmp(dot + 1, extension) == 0;
}

/* ---- the bytes ------------------------------------------------------------------- */

static void lint_tab(lint_findings *findings, const char *path, unsigned number, cs_text line)
{
    for (size_t i = 0; i < line.len && (line.bytes[i] == ' ' || line.bytes[i] == '\t'); i++) {
        if (line.bytes[i] == '\t') {
            lint_add(findings, LINT_WARNING, path, number,
                     "a tab where the line is indented: YAML takes blanks only");
            return;
        }
    }
}

/* "key: {cipher}..." begins a map for YAML. */
static void lint_unquoted(lint_findings *findings, const char *path, unsigned number, cs_text line)
{
    const char *found = memmem(line.bytes, line.len, "{cipher}", 8);
    const char *before = found;
    while (before != NULL && before > line.bytes && before[-1] == ' ') {
        before--;
    }
    if (before != NULL && before < found && before > line.bytes &&
        strchr(":-", before[-1]) != NULL) {
        lint_add(findings, LINT_WARNING, path, number,
                 "a {cipher} value needs quotes in YAML: '{cipher}...'");
    }
}

static void lint_properties_line(lint_findings *findings, const char *path, unsigned number,
                                 cs_text line)
{
    for (size_t i = 0; i < line.len; i++) {
        uint32_t c = 0;
        if ((unsigned char)line.bytes[i] < 0x80) {
            continue;
        }
        if (cs_utf8_next(line, i, &c) > 0) {
            lint_add(findings, LINT_WARNING, path, number,
                     "a character in UTF-8: .properties are ISO-8859-1, where services get two or "
                     "more others for it; write \\u%04x, or see --utf8-properties",
                     (unsigned)c);
        } else if ((unsigned char)line.bytes[i] < 0xa0) {
            lint_add(findings, LINT_WARNING, path, number,
                     "the byte 0x%02x is no character of ISO-8859-1, which .properties are",
                     (unsigned)(unsigned char)line.bytes[i]);
        } else {
            continue; /* a character of ISO-8859-1 */
        }
        return;
    }
}

/* `line` is given each line of the text. */
static void for_lines(lint_findings *findings, const char *path, const char *text, size_t len,
                      void (*line)(lint_findings *findings, const char *path, unsigned number,
                                   cs_text line))
{
    unsigned number = 1;
    for (size_t at = 0; at < len; number++) {
        const char *end = memchr(text + at, '\n', len - at);
        const cs_text found = {text + at, end != NULL ? (size_t)(end - text) - at : len - at};
        line(findings, path, number, found);
        at += found.len + 1;
    }
}

void lint_charset(lint_findings *findings, const char *path, const char *text, size_t len)
{
    if (has_extension(path, "properties")) {
        for_lines(findings, path, text, len, lint_properties_line);
    }
}

/* ---- the name -------------------------------------------------------------------- */

/* The path without its extension, with "(_)" for '/', as a request has it. False when it does not
 * fit. */
static bool requested_name(const char *path, char *ret, size_t size)
{
    size_t end = (size_t)(strrchr(path, '.') - path);
    size_t len = 0;
    for (size_t i = 0; i < end; i++) {
        const char *part = path[i] == '/' ? "(_)" : (char[]){path[i], '\0'};
        size_t n = strlen(part);
        if (len + n >= size) {
            return false;
        }
        memcpy(ret + len, part, n);
        len += n;
    }
    ret[len] = '\0';
    return true;
}

void lint_name(lint_findings *findings, const char *path)
{
    char name[CS_PATH_BYTES_MAX + 1];
    cs_request req;
    gw_error err = GW_ERROR_INIT;
    if (!requested_name(path, name, sizeof(name))) {
        lint_add(findings, LINT_WARNING, path, 0,
                 "no application can ask for this file: its path is too long");
    } else if (strchr(name, ',') != NULL) {
        lint_add(findings, LINT_WARNING, path, 0,
                 "no application can ask for this file: its name has a comma, which separates "
                 "names");
    } else if (cs_request_init(&req, name, "default", NULL, &err) != GW_OK) {
        lint_add(findings, LINT_WARNING, path, 0,
                 "no application can ask for this file by its name: %s", err.text);
    }
}

/* ---- what it comes to ------------------------------------------------------------ */

void lint_fault(lint_findings *findings, const char *path, const gw_error *err)
{
    size_t path_len = strlen(path);
    const char *text = err->text;
    unsigned line = 0;
    /* The path itself is not compared: errors show control characters of it as '?'. */
    if (strlen(text) > path_len && text[path_len] == ':') {
        char *end = NULL;
        line = (unsigned)strtoul(text + path_len + 1, &end, 10);
        text = *end == ':' ? end + 1 : text + path_len + 1;
    }
    lint_add(findings, LINT_ERROR, path, line, "%s", text + strspn(text, " "));
}

void lint_unread(lint_findings *findings, const char *path, const char *text, size_t len,
                 const gw_error *err)
{
    lint_fault(findings, path, err);
    if (has_extension(path, "yml") || has_extension(path, "yaml")) {
        for_lines(findings, path, text, len, lint_tab);
        for_lines(findings, path, text, len, lint_unquoted);
    }
}

void lint_parsed(lint_findings *findings, const cs_file *file, const gw_cipher *cipher)
{
    for (const cs_duplicate *item = file->duplicates; item != NULL; item = item->next) {
        lint_add(findings, LINT_ERROR, file->path, item->line,
                 "the key '%.*s' is there twice (first in line %u); the later value counts",
                 (int)item->key.len, item->key.bytes, item->earlier_line);
    }
    for (size_t i = 0; i < file->n_documents; i++) {
        lint_profiles(findings, file, &file->documents[i]);
        lint_values(findings, file, &file->documents[i], cipher);
    }
}
