/* SPDX-License-Identifier: MIT */
#include "accounts_text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "csv_record.h"
#include "text.h"

enum { ID, NAME, N_COLUMNS };

static const char *const columns[N_COLUMNS] = {"id", "name"};

struct account_reader {
    account_format format;
    line_reader *lines;
    uint64_t line; /* where the record begins */
    csv_record record;
    bool has_header;
    size_t n_fields; /* of the header */
    size_t places[N_COLUMNS];
};

bool account_format_of_name(const char *name, account_format *ret_format)
{
    *ret_format = strcmp(name, "csv") == 0 ? ACCOUNT_CSV : ACCOUNT_NDJSON;
    return *ret_format == ACCOUNT_CSV || strcmp(name, "ndjson") == 0;
}

bool account_format_of_file(const char *path, account_format *ret_format)
{
    const char *ending = strrchr(path, '.');
    if (ending == NULL) {
        return false;
    }
    *ret_format = strcasecmp(ending, ".csv") == 0 ? ACCOUNT_CSV : ACCOUNT_NDJSON;
    return *ret_format == ACCOUNT_CSV || strcasecmp(ending, ".ndjson") == 0 ||
           strcasecmp(ending, ".jsonl") == 0;
}

account_reader *account_reader_new(account_format format, line_source source, void *ctx)
{
    account_reader *reader = calloc(1, sizeof(*reader));
    line_reader *lines = line_reader_new(source, ctx);
    if (reader == NULL || lines == NULL) {
        free(reader);
        line_reader_free(lines);
        return NULL;
    }
    reader->format = format;
    reader->lines = lines;
    csv_record_init(&reader->record);
    return reader;
}

void account_reader_free(account_reader *reader)
{
    if (reader != NULL) {
        csv_record_dispose(&reader->record);
        line_reader_free(reader->lines);
        free(reader);
    }
}

static gw_status take(account *ret_account, csv_field id, csv_field name, gw_error *err)
{
    if (strlen(id.text) != id.len || !account_id_is_valid(id.text)) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "'%.80s' is no account id: 1 to %d letters, digits, '-' or '_'",
                            id.text, ACCOUNT_ID_MAX);
    }
    if (strlen(name.text) != name.len || !account_name_is_valid(name.text)) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "the name of account '%s' is not UTF-8, has a NUL, or is longer than "
                            "%d bytes",
                            id.text, ACCOUNT_NAME_MAX);
    }
    memcpy(ret_account->id, id.text, id.len + 1);
    memcpy(ret_account->name, name.text, name.len + 1);
    return GW_OK;
}

/* ---- JSON ------------------------------------------------------------------------------ */

static gw_status json_field(const json_t *object, const char *name, csv_field *ret_field,
                            gw_error *err)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value)) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            value == NULL ? "there is no \"%s\"" : "\"%s\" is no string", name);
    }
    *ret_field = (csv_field){.text = json_string_value(value), .len = json_string_length(value)};
    return GW_OK;
}

static gw_status read_json(const char *line, size_t len, account *ret_account, gw_error *err)
{
    json_error_t why;
    json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (object == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "no JSON, at column %d: %s", why.column,
                            why.text);
    }
    csv_field id;
    csv_field name;
    gw_status st = json_is_object(object)
                       ? json_field(object, columns[ID], &id, err)
                       : gw_error_set(err, GW_E_INVALID, 0, "an array, and no object of JSON");
    if (st == GW_OK) {
        st = json_field(object, columns[NAME], &name, err);
    }
    if (st == GW_OK) {
        st = take(ret_account, id, name, err);
    }
    json_decref(object);
    return st;
}

/* ---- CSV ------------------------------------------------------------------------------- */

/* What is too long is a line of JSON that is skipped. It ends the reading of CSV: it may have
 * opened a quote, and then what follows is a part of a field and no account. */
static gw_status too_long(const account_reader *reader)
{
    return reader->format == ACCOUNT_CSV ? GW_E_UNSUPPORTED : GW_E_INVALID;
}

/* Read the lines of the record that begins with this one. */
static gw_status read_record(account_reader *reader, const char *line, size_t len, gw_error *err)
{
    bool is_done;
    gw_status st = csv_record_add(&reader->record, line, len, &is_done, err);
    while (st == GW_OK && !is_done) {
        st = line_reader_next(reader->lines, &line, &len, err);
        if (st == GW_OK) {
            st = csv_record_add(&reader->record, line, len, &is_done, err);
        } else if (st == GW_E_NOT_FOUND) {
            st = gw_error_set(err, GW_E_INVALID, 0,
                              "a field in quotes is not closed before the end of the file");
        }
    }
    csv_record_give_up(&reader->record);
    return st == GW_E_LIMIT ? too_long(reader) : st;
}

static gw_status find_columns(account_reader *reader, gw_error *err)
{
    const csv_record *record = &reader->record;
    reader->n_fields = csv_record_n_fields(record);
    for (size_t column = 0; column < N_COLUMNS; column++) {
        size_t n_found = 0;
        for (size_t i = 0; i < reader->n_fields; i++) {
            csv_field field = csv_record_field(record, i);
            if (field.len == strlen(columns[column]) && strcmp(field.text, columns[column]) == 0) {
                reader->places[column] = i;
                n_found++;
            }
        }
        if (n_found != 1) {
            return gw_error_set(err, GW_E_UNSUPPORTED, 0,
                                "the header has to name the columns id and name, each once, and "
                                "has %s '%s'",
                                n_found == 0 ? "no" : "more than one", columns[column]);
        }
    }
    return GW_OK;
}

static gw_status read_csv(account_reader *reader, const char *line, size_t len,
                          account *ret_account, gw_error *err)
{
    gw_status st = read_record(reader, line, len, err);
    if (st != GW_OK) {
        return st;
    }
    size_t n_fields = csv_record_n_fields(&reader->record);
    if (n_fields != reader->n_fields) {
        return gw_error_set(err, GW_E_INVALID, 0, "%zu field%s, and the header has %zu", n_fields,
                            n_fields == 1 ? "" : "s", reader->n_fields);
    }
    return take(ret_account, csv_record_field(&reader->record, reader->places[ID]),
                csv_record_field(&reader->record, reader->places[NAME]), err);
}

static gw_status read_header(account_reader *reader, const char *line, size_t len, gw_error *err)
{
    gw_status st = read_record(reader, line, len, err);
    st = st == GW_OK ? find_columns(reader, err) : st;
    reader->has_header = st == GW_OK;
    return st == GW_E_INVALID ? GW_E_UNSUPPORTED : st;
}

/* ---- both ------------------------------------------------------------------------------ */

static bool is_blank(const account_reader *reader, const char *line, size_t len)
{
    const char *blanks = reader->format == ACCOUNT_CSV ? "\r\n" : " \t\r\n";
    size_t i = 0;
    while (i < len && line[i] != '\0' && strchr(blanks, line[i]) != NULL) {
        i++;
    }
    return i == len;
}

/* The next line that has something on it. */
static gw_status next_line(account_reader *reader, const char **ret_line, size_t *ret_len,
                           gw_error *err)
{
    gw_status st;
    do {
        st = line_reader_next(reader->lines, ret_line, ret_len, err);
    } while (st == GW_OK && is_blank(reader, *ret_line, *ret_len));
    reader->line = line_reader_number(reader->lines);
    return st == GW_E_LIMIT ? too_long(reader) : st;
}

gw_status account_reader_next(account_reader *reader, account *ret_account, gw_error *err)
{
    const char *line;
    size_t len;
    gw_status st = next_line(reader, &line, &len, err);
    if (reader->format == ACCOUNT_CSV && !reader->has_header) {
        if (st == GW_OK) {
            st = read_header(reader, line, len, err);
        } else if (st == GW_E_NOT_FOUND) {
            st = gw_error_set(err, GW_E_UNSUPPORTED, 0, "there is no header: id,name");
        }
        if (st == GW_OK) {
            st = next_line(reader, &line, &len, err);
        } else {
            st = st == GW_E_INVALID ? GW_E_UNSUPPORTED : st;
        }
    }
    if (st != GW_OK) {
        return st;
    }
    return reader->format == ACCOUNT_CSV ? read_csv(reader, line, len, ret_account, err)
                                         : read_json(line, len, ret_account, err);
}

uint64_t account_reader_line(const account_reader *reader)
{
    return reader->line;
}

uint64_t account_reader_bytes(const account_reader *reader)
{
    return line_reader_bytes(reader->lines);
}

void accounts_text_add_header(gw_buf *out, account_format format)
{
    gw_buf_add_str(out, format == ACCOUNT_CSV ? "id,name\r\n" : "");
}

void accounts_text_add(gw_buf *out, account_format format, const account *one)
{
    if (format == ACCOUNT_CSV) {
        csv_add_field(out, one->id);
        gw_buf_add_char(out, ',');
        csv_add_field(out, one->name);
        gw_buf_add_str(out, "\r\n");
        return;
    }
    gw_buf_add_str(out, "{\"id\":");
    text_add_json(out, one->id, strlen(one->id));
    gw_buf_add_str(out, ",\"name\":");
    text_add_json(out, one->name, strlen(one->name));
    gw_buf_add_str(out, "}\n");
}
