/* SPDX-License-Identifier: MIT */
/**
 * @file csv_record.h
 * One record of a CSV file, by RFC 4180 and nothing else: fields between commas; in quotes when
 * they hold a comma, a quote (doubled) or a line break. Lines end with CR LF or with LF. What
 * others guess at (a quote within a field, a text behind a closing quote, a CR alone) is an error.
 */
#ifndef GODWIT_TOOL_CSV_RECORD_H
#define GODWIT_TOOL_CSV_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/buf.h>
#include <godwit/error.h>

#define CSV_FIELDS_MAX 64
#define CSV_RECORD_MAX ((size_t)64 << 10) /**< bytes of all its fields */

typedef struct csv_field {
    const char *text; /**< NUL-terminated; may hold others */
    size_t len;
} csv_field;

/** Zeroed by csv_record_init(); its fields are private. */
typedef struct csv_record {
    gw_buf text;                 /* the fields, a NUL behind each */
    size_t ends[CSV_FIELDS_MAX]; /* of each one, where its NUL is */
    size_t n_fields;
    bool in_quotes; /* the line that was added ends within a field */
} csv_record;

void csv_record_init(csv_record *record);
void csv_record_dispose(csv_record *record);

/**
 * Add a line, with its end. The first line of a record empties it.
 *
 * @param ret_is_done false: a field in quotes goes on in the next line.
 * @return GW_OK; GW_E_INVALID, GW_E_LIMIT, GW_E_NOMEM: it is no record, and the next line begins
 *         another one.
 */
gw_status csv_record_add(csv_record *record, const char *line, size_t len, bool *ret_is_done,
                         gw_error *err);

/** Give up a record that is not done: the next line begins another one. */
void csv_record_give_up(csv_record *record);

size_t csv_record_n_fields(const csv_record *record);

/** Borrowed until a line is added. */
csv_field csv_record_field(const csv_record *record, size_t i);

/** Append a text as a field, in quotes if it needs them. */
void csv_add_field(gw_buf *out, const char *text);

#endif
