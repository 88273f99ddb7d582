/* SPDX-License-Identifier: MIT */
#include "line_reader.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

struct line_reader {
    line_source source;
    void *ctx;
    uint64_t number;
    uint64_t n_bytes;
    size_t begin; /* of what is in `bytes` and was not read yet */
    size_t end;
    bool is_over;   /* the source has no more */
    bool is_broken; /* it failed */
    char bytes[LINE_READER_MAX];
};

line_reader *line_reader_new(line_source source, void *ctx)
{
    line_reader *reader = malloc(sizeof(*reader));
    if (reader != NULL) {
        memset(reader, 0, offsetof(line_reader, bytes));
        reader->source = source;
        reader->ctx = ctx;
    }
    return reader;
}

void line_reader_free(line_reader *reader)
{
    free(reader);
}

/* Get more bytes behind those that are there; there is room. */
static gw_status fill(line_reader *reader, gw_error *err)
{
    if (reader->begin > 0) {
        memmove(reader->bytes, reader->bytes + reader->begin, reader->end - reader->begin);
        reader->end -= reader->begin;
        reader->begin = 0;
    }
    size_t n = 0;
    gw_status st = reader->source(reader->ctx, reader->bytes + reader->end,
                                  sizeof(reader->bytes) - reader->end, &n, err);
    reader->is_broken = st != GW_OK;
    reader->is_over = st == GW_OK && n == 0;
    reader->end += st == GW_OK ? n : 0;
    return st;
}

static size_t waiting(const line_reader *reader)
{
    return reader->end - reader->begin;
}

static void take(line_reader *reader, size_t n)
{
    reader->begin += n;
    reader->n_bytes += n;
}

/* The number of bytes up to the end of the line, or of what fits, or of the source. Looks at each
 * byte once. */
static gw_status find_end(line_reader *reader, size_t *ret_len, bool *ret_has_end, gw_error *err)
{
    size_t seen = 0;
    for (;;) {
        const char *from = reader->bytes + reader->begin;
        size_t n = waiting(reader);
        const char *end = n > seen ? memchr(from + seen, '\n', n - seen) : NULL;
        *ret_has_end = end != NULL;
        *ret_len = end != NULL ? (size_t)(end - from) + 1 : n;
        if (end != NULL || n == sizeof(reader->bytes) || reader->is_over) {
            return GW_OK;
        }
        seen = n;
        gw_status st = fill(reader, err);
        if (st != GW_OK) {
            return st;
        }
    }
}

static gw_status skip_mark(line_reader *reader, gw_error *err)
{
    size_t len = strlen(BYTE_ORDER_MARK);
    while (waiting(reader) < len && !reader->is_over) {
        gw_status st = fill(reader, err);
        if (st != GW_OK) {
            return st;
        }
    }
    if (waiting(reader) >= len && memcmp(reader->bytes, BYTE_ORDER_MARK, len) == 0) {
        take(reader, len);
    }
    return GW_OK;
}

/* What is there is a part of a line that is too long: drop it, with the rest. */
static gw_status skip_line(line_reader *reader, gw_error *err)
{
    bool has_end = false;
    while (!has_end) {
        size_t len;
        take(reader, waiting(reader));
        gw_status st = find_end(reader, &len, &has_end, err);
        if (st != GW_OK) {
            return st;
        }
        if (len == 0) { /* the source is at its end */
            break;
        }
        if (has_end) {
            take(reader, len);
        }
    }
    return gw_error_set(err, GW_E_LIMIT, 0, "the line is longer than %zu bytes", LINE_READER_MAX);
}

gw_status line_reader_next(line_reader *reader, const char **ret_line, size_t *ret_len,
                           gw_error *err)
{
    if (reader->is_broken) {
        return gw_error_set(err, GW_E_CLOSED, 0, "reading has failed before");
    }
    gw_status st = reader->number == 0 ? skip_mark(reader, err) : GW_OK;
    size_t len = 0;
    bool has_end = false;
    if (st == GW_OK) {
        st = find_end(reader, &len, &has_end, err);
    }
    if (st != GW_OK) {
        return st;
    }
    if (len == 0) {
        return GW_E_NOT_FOUND;
    }
    reader->number++;
    if (!has_end && len == sizeof(reader->bytes)) {
        return skip_line(reader, err);
    }
    *ret_line = reader->bytes + reader->begin;
    *ret_len = len;
    take(reader, len);
    return GW_OK;
}

uint64_t line_reader_number(const line_reader *reader)
{
    return reader->number;
}

uint64_t line_reader_bytes(const line_reader *reader)
{
    return reader->n_bytes;
}
