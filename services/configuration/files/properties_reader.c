/* SPDX-License-Identifier: MIT */
#include "files/properties_reader.h"

#include <stdio.h>
#include <string.h>

#include <godwit/buf.h>
#include <godwit/utf8.h>

#include "files/bounds.h"
#include "files/utf8.h"

#define END_OF_TEXT (-1)

typedef struct reader {
    cs_file *file;
    const unsigned char *text;
    size_t len;
    bool is_utf8; /* all of it is; otherwise a byte is a character */
    size_t pos;   /* after the character at hand */
    unsigned line;
    size_t line_start;
    long c;              /* the character at hand, a Unicode code point, or END_OF_TEXT */
    bool is_escaped;     /* it was written with a backslash, so it separates nothing */
    int comment_before;  /* the mark of the comment in the line before, 0 for none */
    bool begin_document; /* the next property begins a document */
    gw_buf key;
    gw_buf value;
    gw_error *err;
} reader;

static gw_status fail(const reader *r, const char *what)
{
    return gw_error_set(r->err, GW_E_INVALID, 0, "%s:%u: %s", r->file->path, r->line, what);
}

static bool is_newline(int c)
{
    return c == '\n' || c == '\r';
}

static bool is_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static int peek(const reader *r)
{
    return r->pos < r->len ? r->text[r->pos] : END_OF_TEXT;
}

/* Past the end of a line: LF, CR or CR LF. */
static void skip_newline(reader *r)
{
    if (r->text[r->pos] == '\r' && r->pos + 1 < r->len && r->text[r->pos + 1] == '\n') {
        r->pos++;
    }
    r->pos++;
    r->line++;
    r->line_start = r->pos;
}

static void skip_blanks(reader *r)
{
    while (r->pos < r->len && is_blank(r->text[r->pos])) {
        r->pos++;
    }
}

static void skip_line(reader *r)
{
    while (r->pos < r->len && !is_newline(r->text[r->pos])) {
        r->pos++;
    }
}

/* Four hexadecimal digits at `pos`; -1 if they are not there. */
static long hex4(const reader *r, size_t pos)
{
    if (r->len - pos < 4 || pos > r->len) {
        return -1;
    }
    long value = 0;
    for (size_t i = 0; i < 4; i++) {
        int c = r->text[pos + i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* After "\u": UTF-16 units, so that a pair is one character and half of one is U+FFFD. */
static gw_status read_unicode(reader *r)
{
    long unit = hex4(r, r->pos);
    if (unit < 0) {
        return fail(r, "a \\u escape without four hexadecimal digits");
    }
    r->pos += 4;
    if (unit >= 0xd800 && unit <= 0xdbff && r->len - r->pos >= 6 && r->text[r->pos] == '\\' &&
        r->text[r->pos + 1] == 'u') {
        long low = hex4(r, r->pos + 2);
        if (low >= 0xdc00 && low <= 0xdfff) {
            r->pos += 6;
            r->c = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            return GW_OK;
        }
    }
    r->c = unit >= 0xd800 && unit <= 0xdfff ? 0xfffd : unit;
    return GW_OK;
}

/* Take the character that begins at `pos`. */
static void take(reader *r)
{
    uint32_t c = r->text[r->pos];
    size_t n = r->is_utf8 ? cs_utf8_next((cs_text){(const char *)r->text, r->len}, r->pos, &c) : 1;
    r->pos += n;
    r->c = (long)c;
}

/* Take the next character of a logical line. At the line's end c becomes '\n', unescaped. */
static gw_status advance(reader *r)
{
    r->is_escaped = false;
    for (;;) {
        int c = peek(r);
        if (c == END_OF_TEXT || is_newline(c)) {
            r->c = '\n';
            return GW_OK;
        }
        if (c != '\\') {
            take(r);
            return GW_OK;
        }
        r->pos++;
        c = peek(r);
        if (c == END_OF_TEXT) {
            r->c = '\n';
            return GW_OK;
        }
        if (!is_newline(c)) {
            break;
        }
        skip_newline(r); /* the logical line goes on, without the blanks it begins with */
        skip_blanks(r);
    }
    r->is_escaped = true;
    take(r);
    switch (r->c) {
    case 'u': return read_unicode(r);
    case 't': r->c = '\t'; return GW_OK;
    case 'n': r->c = '\n'; return GW_OK;
    case 'r': r->c = '\r'; return GW_OK;
    case 'f': r->c = '\f'; return GW_OK;
    default: return GW_OK;
    }
}

static bool at_line_end(const reader *r)
{
    return r->c == '\n' && !r->is_escaped;
}

static bool at_blank(const reader *r)
{
    return !r->is_escaped && (r->c == ' ' || r->c == '\t' || r->c == '\f');
}

static bool at(const reader *r, char c)
{
    return r->c == c && !r->is_escaped;
}

/* The key, up to a separator, which is taken too. The character at hand is its first. */
static gw_status read_key(reader *r)
{
    gw_status st = GW_OK;
    gw_buf_clear(&r->key);
    while (st == GW_OK && !at_line_end(r) && !at_blank(r) && !at(r, '=') && !at(r, ':')) {
        cs_utf8_add(&r->key, (uint32_t)r->c);
        st = advance(r);
    }
    while (st == GW_OK && at_blank(r)) {
        st = advance(r);
    }
    if (st == GW_OK && (at(r, '=') || at(r, ':'))) {
        st = advance(r);
    }
    while (st == GW_OK && at_blank(r)) {
        st = advance(r);
    }
    return st;
}

/* The value, or one item of a list of values. */
static gw_status read_value(reader *r, bool is_list)
{
    gw_status st = GW_OK;
    gw_buf_clear(&r->value);
    while (is_list && st == GW_OK && at_blank(r)) {
        st = advance(r);
    }
    while (st == GW_OK && !at_line_end(r) && !(is_list && at(r, ','))) {
        cs_utf8_add(&r->value, (uint32_t)r->c);
        st = advance(r);
    }
    return st;
}

static gw_status put(reader *r, unsigned line, unsigned column)
{
    gw_status st = GW_OK;
    if (r->key.len == 0) {
        return GW_OK;
    }
    if (gw_buf_status(&r->key) != GW_OK || gw_buf_status(&r->value) != GW_OK) {
        return gw_error_set(r->err, GW_E_LIMIT, 0, "%s:%u: the property is too long", r->file->path,
                            line);
    }
    if (r->begin_document) {
        st = cs_file_begin_document(r->file, r->err);
        r->begin_document = st != GW_OK;
    }
    cs_property property = {
        .key = {r->key.data, r->key.len},
        .value = {r->value.len == 0 ? "" : r->value.data, r->value.len},
        .kind = CS_VALUE_TEXT,
        .line = line,
        .column = column,
    };
    return st == GW_OK ? cs_file_put(r->file, &property, r->err) : st;
}

/* "key[]=a,b": one property an item; a comma at the end adds none. */
static gw_status put_list(reader *r, unsigned line, unsigned column)
{
    gw_status st = GW_OK;
    size_t stem = r->key.len - 2;
    size_t i = 0;
    do {
        st = read_value(r, true);
        r->key.len = stem;
        gw_buf_addf(&r->key, "[%zu]", i++);
        if (st == GW_OK) {
            st = put(r, line, column);
        }
        if (st == GW_OK && !at_line_end(r)) {
            st = advance(r);
        }
    } while (st == GW_OK && !at_line_end(r));
    return st;
}

static gw_status read_property(reader *r)
{
    unsigned line = r->line;
    unsigned column = (unsigned)(r->pos - r->line_start) + 1;
    gw_status st = advance(r);
    if (st == GW_OK) {
        st = read_key(r);
    }
    if (st != GW_OK) {
        return st;
    }
    if (r->key.len >= 2 && memcmp(r->key.data + r->key.len - 2, "[]", 2) == 0) {
        return put_list(r, line, column);
    }
    st = read_value(r, false);
    return st == GW_OK ? put(r, line, column) : st;
}

/* Whether the comment that begins at `pos` is "#---", in the first column and alone. */
static bool is_separator(const reader *r)
{
    if (r->pos != r->line_start || r->len - r->pos < 4 ||
        memcmp(r->text + r->pos + 1, "---", 3) != 0) {
        return false;
    }
    size_t end = r->pos + 4;
    while (end < r->len && is_blank(r->text[end])) {
        end++;
    }
    return end == r->len || is_newline(r->text[end]);
}

/* A separator does not count between two comments of its kind: it is a ruler in a comment box. */
static void read_comment(reader *r)
{
    int mark = r->text[r->pos];
    if (r->comment_before != mark && is_separator(r)) {
        r->begin_document = true;
    } else {
        if (r->file->n_documents > 0) {
            r->begin_document = false;
        }
        r->comment_before = mark;
    }
    skip_line(r);
}

static gw_status read_lines(reader *r)
{
    while (r->pos < r->len) {
        skip_blanks(r);
        int c = peek(r);
        if (c == END_OF_TEXT) {
            return GW_OK;
        }
        if (is_newline(c)) {
            skip_newline(r);
        } else if (c == '#' || c == '!') {
            read_comment(r);
        } else {
            r->comment_before = 0;
            gw_status st = read_property(r);
            if (st != GW_OK) {
                return st;
            }
        }
    }
    return GW_OK;
}

static gw_status read_all(cs_file *file, cs_text text, bool is_utf8, gw_error *err)
{
    if (text.len > CS_FILE_BYTES_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s:1: larger than %zu MiB", file->path,
                            CS_FILE_BYTES_MAX >> 20);
    }
    reader r = {
        .file = file,
        .text = (const unsigned char *)text.bytes,
        .len = text.len,
        .is_utf8 = is_utf8 && gw_utf8_is_valid(text.bytes, text.len),
        .line = 1,
        .begin_document = true,
        .err = err,
    };
    gw_buf_init(&r.key, CS_KEY_BYTES_MAX);
    gw_buf_init(&r.value, CS_FILE_MEMORY_MAX);
    gw_status st = read_lines(&r);
    if (st == GW_OK) {
        st = cs_file_seal(file, err);
    }
    gw_buf_dispose(&r.key);
    gw_buf_dispose(&r.value);
    return st;
}

gw_status cs_properties_read(cs_file *file, const char *text, size_t len, gw_error *err)
{
    return read_all(file, (cs_text){text, len}, false, err);
}

gw_status cs_properties_read_utf8(cs_file *file, const char *text, size_t len, gw_error *err)
{
    static const char mark[] = "\xef\xbb\xbf";
    if (len >= 3 && memcmp(text, mark, 3) == 0 && gw_utf8_is_valid(text, len)) {
        text += 3;
        len -= 3;
    }
    return read_all(file, (cs_text){text, len}, true, err);
}
