/* SPDX-License-Identifier: MIT */
#include "answer/yaml_text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "files/document.h"
#include "files/utf8.h"
#include "files/yaml_scalar.h"

#define WIDTH         80u
#define KEY_CHARS_MAX 122u /* of a key without '?' */
#define SCRATCH_BYTES ((size_t)1 << 20)

/* What a text is like; the names of YAML's own rules. */
typedef struct traits {
    bool has_indicators; /* that end or forbid a plain scalar */
    bool has_breaks;
    bool has_special; /* characters that only double quotes can hold */
    bool begins_with_space;
    bool ends_with_space;
    bool begins_or_ends_with_break;
    bool has_break_then_space;
    bool has_space_then_break;
} traits;

void cs_yaml_text_init(cs_yaml_text *w, gw_buf *out)
{
    *w = (cs_yaml_text){.out = out};
    cs_arena_init(&w->scratch, SCRATCH_BYTES);
}

void cs_yaml_text_dispose(cs_yaml_text *w)
{
    free(w->chars);
    cs_arena_dispose(&w->scratch);
}

/* ---- output --------------------------------------------------------------------------- */

void cs_yaml_text_add(cs_yaml_text *w, const char *text, size_t len)
{
    gw_buf_add(w->out, text, len);
    w->column += len;
}

static void add_break(cs_yaml_text *w)
{
    gw_buf_add_char(w->out, '\n');
    w->column = 0;
}

static void pad(cs_yaml_text *w, size_t n)
{
    static const char blanks[] = "                                                                ";
    while (n > 0) {
        size_t part = n < sizeof(blanks) - 1 ? n : sizeof(blanks) - 1;
        cs_yaml_text_add(w, blanks, part);
        n -= part;
    }
}

void cs_yaml_text_line(cs_yaml_text *w, size_t indent)
{
    if (w->column > 0) {
        add_break(w);
    }
    pad(w, indent);
}

/* Java counts beyond the first plane twice. */
static void add_chars(cs_yaml_text *w, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        cs_utf8_add(w->out, w->chars[i]);
        w->column += w->chars[i] > 0xffff ? 2 : 1;
    }
}

/* ---- input ------------------------------------------------------------------------------ */

static bool load(cs_yaml_text *w, cs_text text)
{
    if (text.len > w->cap) {
        uint32_t *chars = realloc(w->chars, text.len * sizeof(*chars));
        if (chars == NULL) {
            w->out->status = GW_E_NOMEM;
            return false;
        }
        w->chars = chars;
        w->cap = text.len;
    }
    w->n_chars = 0;
    for (size_t at = 0; at < text.len;) {
        uint32_t c = 0xfffd;
        size_t n = cs_utf8_next(text, at, &c);
        w->chars[w->n_chars++] = n == 0 ? 0xfffd : c;
        at += n == 0 ? 1 : n;
    }
    return true;
}

/* Other line breaks of YAML become "\n" when they are read, and a mark of the byte order may get
 * lost: they go into double quotes. */
static bool is_special(uint32_t c)
{
    bool is_plain = c == '\n' || (c >= 0x20 && c <= 0x7e) || (c >= 0xa0 && c <= 0xd7ff) ||
                    (c >= 0xe000 && c <= 0xfffd) || c >= 0x10000;
    return !is_plain || c == 0x2028 || c == 0x2029 || c == 0xfeff;
}

static bool is_white(const cs_yaml_text *w, size_t i)
{
    return i >= w->n_chars || w->chars[i] == ' ' || w->chars[i] == '\n' || w->chars[i] == '\t';
}

static bool is_any(uint32_t c, const char *set)
{
    return c != 0 && c < 0x80 && strchr(set, (int)c) != NULL;
}

static bool is_indicator(const cs_yaml_text *w, size_t i)
{
    uint32_t c = w->chars[i];
    if (i == 0) {
        return is_any(c, "#,[]{}&*!|>'\"%@`") || (is_any(c, "?:-") && is_white(w, 1));
    }
    return (c == ':' && is_white(w, i + 1)) || (c == '#' && is_white(w, i - 1));
}

static bool begins_like_a_marker(const cs_yaml_text *w)
{
    return w->n_chars >= 3 && w->chars[0] == w->chars[1] && w->chars[1] == w->chars[2] &&
           (w->chars[0] == '-' || w->chars[0] == '.');
}

static traits look_at(const cs_yaml_text *w)
{
    size_t n = w->n_chars;
    traits t = {.has_indicators = begins_like_a_marker(w)};
    if (n == 0) {
        return t;
    }
    t.begins_with_space = w->chars[0] == ' ';
    t.ends_with_space = w->chars[n - 1] == ' ';
    t.begins_or_ends_with_break = w->chars[0] == '\n' || w->chars[n - 1] == '\n';
    for (size_t i = 0; i < n; i++) {
        uint32_t c = w->chars[i];
        uint32_t before = i > 0 ? w->chars[i - 1] : 0;
        t.has_indicators = t.has_indicators || is_indicator(w, i);
        t.has_special = t.has_special || is_special(c);
        t.has_breaks = t.has_breaks || c == '\n';
        t.has_break_then_space = t.has_break_then_space || (c == ' ' && before == '\n');
        t.has_space_then_break = t.has_space_then_break || (c == '\n' && before == ' ');
    }
    return t;
}

static size_t skip_digits(const char **p, size_t max)
{
    size_t n = 0;
    while (n < max && **p >= '0' && **p <= '9') {
        (*p)++;
        n++;
    }
    return n;
}

static bool skip(const char **p, const char *set)
{
    if (**p == '\0' || strchr(set, **p) == NULL) {
        return false;
    }
    (*p)++;
    return true;
}

static void skip_blanks(const char **p)
{
    while (skip(p, " \t")) {}
}

/* "2026-11-25", "2026-11-25 20:00:00.5 +01:00": other readers than ours make dates of them. */
static bool is_timestamp(const char *p)
{
    const char *begin = p;
    size_t n = 0;
    if (skip_digits(&p, 4) != 4 || !skip(&p, "-") || skip_digits(&p, 2) == 0 || !skip(&p, "-") ||
        skip_digits(&p, 2) == 0) {
        return false;
    }
    if (*p == '\0') {
        return p - begin == 10;
    }
    if (!skip(&p, "Tt")) {
        if (*p != ' ' && *p != '\t') {
            return false;
        }
        skip_blanks(&p);
    }
    if (skip_digits(&p, 2) == 0 || !skip(&p, ":") || skip_digits(&p, 2) != 2 || !skip(&p, ":") ||
        skip_digits(&p, 2) != 2) {
        return false;
    }
    if (skip(&p, ".")) {
        skip_digits(&p, SIZE_MAX);
    }
    skip_blanks(&p);
    if (*p == '\0' || skip(&p, "Z")) {
        return *p == '\0';
    }
    if (!skip(&p, "+-") || skip_digits(&p, 2) == 0) {
        return false;
    }
    if (skip(&p, ":")) {
        n = skip_digits(&p, 2);
        return n == 2 && *p == '\0';
    }
    return *p == '\0';
}

/* Whether the text, written plain, is that text and nothing else. */
static bool means_itself(cs_yaml_text *w, cs_text text)
{
    cs_scalar scalar;
    char copy[64];
    if (text.len == 0 || cs_text_is(text, "=")) {
        return false;
    }
    if (strchr("yYnNtTfFoO~<.+-0123456789", text.bytes[0]) == NULL) {
        return true; /* no word and no number begins so */
    }
    if (text.len < sizeof(copy)) {
        memcpy(copy, text.bytes, text.len);
        copy[text.len] = '\0';
        if (is_timestamp(copy)) {
            return false;
        }
    }
    gw_status st = cs_scalar_resolve(&w->scratch, text, NULL, true, &scalar);
    bool is_same = st == GW_OK && scalar.type == CS_SCALAR_TEXT && cs_text_equal(scalar.text, text);
    if (w->scratch.used > SCRATCH_BYTES / 2) {
        cs_arena_dispose(&w->scratch);
    }
    return is_same;
}

/* ---- styles --------------------------------------------------------------------------------- */

/* Words up to the last one that reaches past the width, then a new line in the place of a blank. */
static void write_plain(cs_yaml_text *w, size_t indent, bool may_fold)
{
    const uint32_t *c = w->chars;
    for (size_t i = 0; i < w->n_chars;) {
        size_t end = i;
        bool is_blank = c[i] == ' ';
        while (end < w->n_chars && (c[end] == ' ') == is_blank) {
            end++;
        }
        if (is_blank && end == i + 1 && may_fold && w->column > WIDTH) {
            cs_yaml_text_line(w, indent);
        } else {
            add_chars(w, i, end);
        }
        i = end;
    }
}

static void write_single_quoted(cs_yaml_text *w, size_t indent, bool may_fold)
{
    const uint32_t *c = w->chars;
    size_t n = w->n_chars;
    cs_yaml_text_add(w, "'", 1);
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && c[end] == c[i] && (c[i] == ' ' || c[i] == '\n')) {
            end++;
        }
        if (c[i] == '\n') {
            add_break(w); /* the first of them is a fold */
            for (size_t k = i; k < end; k++) {
                add_break(w);
            }
            pad(w, indent);
        } else if (c[i] == ' ' && end == i + 1 && may_fold && w->column > WIDTH && i > 0 &&
                   end < n) {
            cs_yaml_text_line(w, indent);
        } else if (c[i] == '\'') {
            cs_yaml_text_add(w, "''", 2);
        } else {
            add_chars(w, i, end);
        }
        i = end;
    }
    cs_yaml_text_add(w, "'", 1);
}

static void add_escaped(cs_yaml_text *w, uint32_t c)
{
    static const struct {
        uint32_t c;
        const char *escape;
    } names[] = {
        {0x07, "\\a"}, {0x08, "\\b"}, {0x09, "\\t"},   {0x0a, "\\n"},   {0x0b, "\\v"},
        {0x0c, "\\f"}, {0x0d, "\\r"}, {0x1b, "\\e"},   {'"', "\\\""},   {'\\', "\\\\"},
        {0x85, "\\N"}, {0xa0, "\\_"}, {0x2028, "\\L"}, {0x2029, "\\P"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].c == c) {
            cs_yaml_text_add(w, names[i].escape, strlen(names[i].escape));
            return;
        }
    }
    size_t before = w->out->len;
    if (!is_special(c)) {
        cs_utf8_add(w->out, c);
        w->column += c > 0xffff ? 2 : 1;
        return;
    }
    gw_buf_addf(w->out, c <= 0xff ? "\\x%02x" : "\\u%04x", c);
    w->column += w->out->len - before;
}

/* A line may end before a blank, which is kept on the next one behind a backslash, and on both
 * sides of what is escaped. */
static void write_double_quoted(cs_yaml_text *w, size_t indent)
{
    const uint32_t *c = w->chars;
    size_t n = w->n_chars;
    bool was_escaped = false;
    cs_yaml_text_add(w, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        bool may_fold = i > 0 && i + 1 < n;
        bool is_escaped = c[i] < ' ' || c[i] > '~' || c[i] == '"' || c[i] == '\\';
        if (is_escaped) {
            add_escaped(w, c[i]);
            may_fold = may_fold && w->column > WIDTH + 1;
        } else {
            may_fold = may_fold && (c[i] == ' ' || was_escaped) && w->column > WIDTH;
        }
        if (may_fold) {
            cs_yaml_text_add(w, "\\", 1);
            cs_yaml_text_line(w, indent);
            if (c[is_escaped ? i + 1 : i] == ' ') {
                cs_yaml_text_add(w, "\\", 1);
            }
        }
        if (!is_escaped) {
            add_chars(w, i, i + 1);
        }
        was_escaped = is_escaped;
    }
    cs_yaml_text_add(w, "\"", 1);
}

static void write_double_quoted_key(cs_yaml_text *w)
{
    cs_yaml_text_add(w, "\"", 1);
    for (size_t i = 0; i < w->n_chars; i++) {
        add_escaped(w, w->chars[i]);
    }
    cs_yaml_text_add(w, "\"", 1);
}

/* "|", with how far its lines are indented if they do not show it, and what becomes of the newlines
 * at its end. */
static void write_literal(cs_yaml_text *w, size_t indent)
{
    const uint32_t *c = w->chars;
    size_t n = w->n_chars;
    cs_yaml_text_add(w, "|", 1);
    if (c[0] == ' ' || c[0] == '\n') {
        cs_yaml_text_add(w, "2", 1);
    }
    if (c[n - 1] != '\n') {
        cs_yaml_text_add(w, "-", 1);
    } else if (n == 1 || c[n - 2] == '\n') {
        cs_yaml_text_add(w, "+", 1);
    }
    add_break(w);
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end < n && c[end] != '\n') {
            end++;
        }
        if (end > i) {
            pad(w, indent);
            add_chars(w, i, end);
        }
        add_break(w);
        i = end + 1;
    }
}

void cs_yaml_text_scalar(cs_yaml_text *w, cs_text text, size_t indent)
{
    if (!load(w, text)) {
        return;
    }
    traits t = look_at(w);
    bool needs_double = t.has_special || t.has_space_then_break;
    bool has_edges = t.begins_with_space || t.ends_with_space || t.begins_or_ends_with_break;
    if (t.has_breaks && !needs_double && !t.ends_with_space) {
        write_literal(w, indent);
    } else if (needs_double || t.has_break_then_space) {
        write_double_quoted(w, indent);
    } else if (t.has_breaks || has_edges || t.has_indicators || !means_itself(w, text)) {
        write_single_quoted(w, indent, true);
    } else {
        write_plain(w, indent, true);
    }
}

bool cs_yaml_text_key(cs_yaml_text *w, cs_text text)
{
    if (text.len == 0 || text.len > (size_t)KEY_CHARS_MAX * 4 || !load(w, text)) {
        return false;
    }
    size_t n_units = 0;
    for (size_t i = 0; i < w->n_chars; i++) {
        n_units += w->chars[i] > 0xffff ? 2 : 1;
    }
    traits t = look_at(w);
    if (t.has_breaks || n_units > KEY_CHARS_MAX) {
        return false;
    }
    if (t.has_special) {
        write_double_quoted_key(w);
    } else if (t.begins_with_space || t.ends_with_space || t.has_indicators ||
               !means_itself(w, text)) {
        write_single_quoted(w, 0, false);
    } else {
        write_plain(w, 0, false);
    }
    return true;
}
