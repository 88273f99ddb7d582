/* SPDX-License-Identifier: MIT */
/*
 * What a configuration file comes to, whatever its format: documents of flat properties in file
 * order, each with its place in the file.
 */
#ifndef CS_DOCUMENT_H
#define CS_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/error.h>

#include "files/arena.h"

typedef enum cs_value_kind {
    CS_VALUE_TEXT,   /* a JSON string */
    CS_VALUE_LITERAL /* a JSON number, true or false, written as it is */
} cs_value_kind;

typedef struct cs_property {
    cs_text key;
    cs_text value;
    cs_value_kind kind;
    unsigned line; /* both count from 1 */
    unsigned column;
} cs_property;

typedef struct cs_document {
    cs_property *items;
    size_t n_items;
    size_t cap; /* private */
} cs_document;

/* A key that a document gives twice; the later value counts. */
typedef struct cs_duplicate {
    const struct cs_duplicate *next; /* one that was found before */
    cs_text key;
    unsigned line;
    unsigned earlier_line;
} cs_duplicate;

/* One file. Built by one thread, then immutable. */
typedef struct cs_file {
    const char *path; /* relative to the repository */
    cs_document *documents;
    size_t n_documents;
    size_t n_properties;            /* put so far, in all documents */
    const cs_duplicate *duplicates; /* once sealed: at most CS_DUPLICATES_MAX */
    size_t n_duplicates;
    cs_arena arena; /* private: owns every string */
} cs_file;

/* Copies `path`. GW_E_NOMEM leaves a file that may be disposed. */
gw_status cs_file_init(cs_file *file, const char *path);

void cs_file_dispose(cs_file *file);

/* Begin a document; what is put from now on belongs to it. */
gw_status cs_file_begin_document(cs_file *file, gw_error *err);

/*
 * Append a property to the last document; key and value are copied. A key that was put before gives
 * the older place its newer value, once the file is sealed. GW_E_INVALID for a NUL character,
 * GW_E_LIMIT; the text names file and line.
 */
gw_status cs_file_put(cs_file *file, const cs_property *property, gw_error *err);

/* Settle keys that were put twice and drop documents that hold nothing. Once, at the end. */
gw_status cs_file_seal(cs_file *file, gw_error *err);

bool cs_text_equal(cs_text a, cs_text b);
bool cs_text_is(cs_text text, const char *str);

/* Order by bytes, as memcmp. */
int cs_text_compare(cs_text a, cs_text b);

#endif
