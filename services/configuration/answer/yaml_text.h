/* SPDX-License-Identifier: MIT */
/*
 * The scalars and lines of YAML text. A scalar is plain where that means the same text, else in
 * single quotes, as a literal block if it has several lines, and in double quotes if it has
 * characters that the others cannot hold.
 */
#ifndef CS_YAML_TEXT_H
#define CS_YAML_TEXT_H

#include <stdint.h>

#include <godwit/buf.h>

#include "files/arena.h"

/* Failures are those of `out`. */
typedef struct cs_yaml_text {
    gw_buf *out;
    size_t column;
    uint32_t *chars; /* private: of the scalar at hand */
    size_t n_chars;
    size_t cap;
    cs_arena scratch;
} cs_yaml_text;

void cs_yaml_text_init(cs_yaml_text *w, gw_buf *out);
void cs_yaml_text_dispose(cs_yaml_text *w);

/* Append ASCII as it is, without newlines. */
void cs_yaml_text_add(cs_yaml_text *w, const char *text, size_t len);

/* Begin a line, unless one has just begun, and indent it. */
void cs_yaml_text_line(cs_yaml_text *w, size_t indent);

/* Append a text; lines that go on are indented. */
void cs_yaml_text_scalar(cs_yaml_text *w, cs_text text, size_t indent);

/* Append a text as a key, without its ':'. False, with nothing appended, for one that needs '?':
 * it is empty, long, or has several lines. */
bool cs_yaml_text_key(cs_yaml_text *w, cs_text text);

#endif
