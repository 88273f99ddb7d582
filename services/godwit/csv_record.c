/* SPDX-License-Identifier: MIT */
#include "csv_record.h"

#include <string.h>

void csv_record_init(csv_record *record)
{
    memset(record, 0, sizeof(*record));
    gw_buf_init(&record->text, CSV_RECORD_MAX);
}

void csv_record_dispose(csv_record *record)
{
    gw_buf_dispose(&record->text);
}

void csv_record_give_up(csv_record *record)
{
    record->in_quotes = false;
}

static size_t column(const csv_record *record)
{
    return record->n_fields + 1;
}

static gw_status end_field(csv_record *record, gw_error *err)
{
    if (record->n_fields == CSV_FIELDS_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "more than %d fields", CSV_FIELDS_MAX);
    }
    record->ends[record->n_fields++] = record->text.len;
    gw_buf_add_char(&record->text, '\0');
    return GW_OK;
}

/* Bytes of a line end here: 0 for none, which a CR alone is not either. */
static size_t line_end(const char *at, const char *end)
{
    if (at < end && *at == '\n') {
        return 1;
    }
    return end - at >= 2 && at[0] == '\r' && at[1] == '\n' ? 2 : 0;
}

/* The rest of a field in quotes: behind the closing quote, or to the end of the line. */
static const char *add_quoted(csv_record *record, const char *at, const char *end)
{
    while (at < end) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        gw_buf_add(&record->text, at, (size_t)((quote != NULL ? quote : end) - at));
        if (quote == NULL) {
            return end;
        }
        at = quote + 1;
        if (at == end || *at != '"') {
            record->in_quotes = false;
            return at;
        }
        gw_buf_add_char(&record->text, '"');
        at++;
    }
    return end;
}

static gw_status add_plain(csv_record *record, const char **at, const char *end, gw_error *err)
{
    const char *from = *at;
    while (*at < end && **at != ',' && **at != '\n' && **at != '\r') {
        if (**at == '"') {
            return gw_error_set(err, GW_E_INVALID, 0,
                                "a quote within field %zu: the whole field has to be in quotes, "
                                "and the quote doubled",
                                column(record));
        }
        (*at)++;
    }
    gw_buf_add(&record->text, from, (size_t)(*at - from));
    return GW_OK;
}

/* Fields up to the end of the line, or until one goes on behind it. */
static gw_status add_fields(csv_record *record, const char *at, const char *end, gw_error *err)
{
    for (;;) {
        gw_status st = GW_OK;
        bool is_quoted = record->in_quotes || (at < end && *at == '"');
        if (is_quoted) {
            at += record->in_quotes ? 0 : 1;
            record->in_quotes = true;
            at = add_quoted(record, at, end);
            if (record->in_quotes) {
                return GW_OK;
            }
        } else {
            st = add_plain(record, &at, end, err);
        }
        if (st == GW_OK) {
            st = end_field(record, err);
        }
        if (st != GW_OK || at == end || line_end(at, end) > 0) {
            return st;
        }
        if (*at != ',') {
            return *at == '\r' ? gw_error_set(err, GW_E_INVALID, 0,
                                              "a carriage return within a line, behind field %zu",
                                              record->n_fields)
                               : gw_error_set(err, GW_E_INVALID, 0,
                                              "text behind the closing quote of field %zu",
                                              record->n_fields);
        }
        at++;
    }
}

gw_status csv_record_add(csv_record *record, const char *line, size_t len, bool *ret_is_done,
                         gw_error *err)
{
    if (!record->in_quotes) {
        gw_buf_clear(&record->text);
        record->n_fields = 0;
    }
    gw_status st = add_fields(record, line, line + len, err);
    if (st == GW_OK) {
        st = gw_buf_status(&record->text);
        st = st == GW_OK ? st
                         : gw_error_set(err, st, 0,
                                        st == GW_E_LIMIT ? "the record is longer than %zu bytes"
                                                         : "no memory for a record of %zu bytes",
                                        CSV_RECORD_MAX);
    }
    if (st != GW_OK) {
        record->in_quotes = false;
        return st;
    }
    *ret_is_done = !record->in_quotes;
    return GW_OK;
}

size_t csv_record_n_fields(const csv_record *record)
{
    return record->n_fields;
}

csv_field csv_record_field(const csv_record *record, size_t i)
{
    size_t begin = i == 0 ? 0 : record->ends[i - 1] + 1;
    return (csv_field){.text = record->text.data + begin, .len = record->ends[i] - begin};
}

void csv_add_field(gw_buf *out, const char *text)
{
    if (text[strcspn(text, ",\"\r\n")] == '\0') {
        gw_buf_add_str(out, text);
        return;
    }
    gw_buf_add_char(out, '"');
    for (const char *quote = strchr(text, '"'); quote != NULL; quote = strchr(text, '"')) {
        gw_buf_add(out, text, (size_t)(quote - text));
        gw_buf_add_str(out, "\"\"");
        text = quote + 1;
    }
    gw_buf_add_str(out, text);
    gw_buf_add_char(out, '"');
}
