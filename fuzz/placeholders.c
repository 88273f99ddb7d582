/* SPDX-License-Identifier: MIT */
/* "key=value" lines, an empty line, a text: what is resolved ends, and what has none stays. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "answer/placeholders.h"
#include "files/document.h"

#define OUT_MAX ((size_t)1 << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct table {
    cs_text lines; /* up to the empty one */
} table;

static bool find(void *ctx, cs_text key, cs_text *ret_value)
{
    const table *of = ctx;
    const char *end = of->lines.bytes + of->lines.len;
    for (const char *p = of->lines.bytes; p < end;) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        line_end = line_end == NULL ? end : line_end;
        const char *equals = memchr(p, '=', (size_t)(line_end - p));
        if (equals != NULL && cs_text_equal((cs_text){p, (size_t)(equals - p)}, key)) {
            *ret_value = (cs_text){equals + 1, (size_t)(line_end - equals - 1)};
            return true;
        }
        p = line_end == end ? end : line_end + 1;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *gap = size == 0 ? NULL : memmem(text, size, "\n\n", 2);
    table of = {{text, gap == NULL ? 0 : (size_t)(gap - text)}};
    cs_text rest = {gap == NULL ? text : gap + 2, gap == NULL ? size : size - of.lines.len - 2};
    gw_error err = GW_ERROR_INIT;
    gw_buf out;
    gw_buf_init(&out, OUT_MAX);
    gw_status st = rest.len == 0 ? GW_OK : cs_placeholders_resolve(&out, rest, find, &of, &err);
    if (st != err.status || out.len > OUT_MAX ||
        (st != GW_OK && strncmp(err.text, "placeholders: ", 14) != 0)) {
        abort();
    }
    if (st == GW_OK && rest.len <= OUT_MAX && !cs_has_placeholders(rest) &&
        (out.len != rest.len || (out.len > 0 && memcmp(out.data, rest.bytes, out.len) != 0))) {
        abort();
    }
    gw_buf_dispose(&out);
    return 0;
}
