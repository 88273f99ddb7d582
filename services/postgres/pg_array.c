/* SPDX-License-Identifier: MIT */
#include "postgres/pg_array.h"

#include <string.h>

#define ARRAY_MAX ((size_t)64 << 20)

static void begin_item(gw_buf *array)
{
    if (array->len > 1) {
        gw_buf_add_char(array, ',');
    }
}

void pg_array_init(gw_buf *array)
{
    gw_buf_init(array, ARRAY_MAX);
    gw_buf_add_char(array, '{');
}

void pg_array_add_text(gw_buf *array, const char *text)
{
    begin_item(array);
    gw_buf_add_char(array, '"');
    for (const char *from = text; *from != '\0';) {
        size_t len = strcspn(from, "\"\\");
        gw_buf_add(array, from, len);
        from += len;
        if (*from != '\0') {
            gw_buf_add_char(array, '\\');
            gw_buf_add_char(array, *from++);
        }
    }
    gw_buf_add_char(array, '"');
}

void pg_array_add_bytes(gw_buf *array, const char *text)
{
    static const char digits[] = "0123456789abcdef";
    begin_item(array);
    gw_buf_add_str(array, "\"\\\\x"); /* the array's escape before bytea's */
    for (; *text != '\0'; text++) {
        gw_buf_add_char(array, digits[(unsigned char)*text >> 4]);
        gw_buf_add_char(array, digits[(unsigned char)*text & 15]);
    }
    gw_buf_add_char(array, '"');
}

void pg_array_add_number(gw_buf *array, uint64_t number)
{
    begin_item(array);
    gw_buf_addf(array, "%llu", (unsigned long long)number);
}

const char *pg_array_close(gw_buf *array)
{
    gw_buf_add_char(array, '}');
    return gw_buf_status(array) == GW_OK ? array->data : NULL;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool pg_decode_hex(const char *digits, char *ret_text, size_t size)
{
    size_t n = strlen(digits);
    if (n % 2 != 0 || n / 2 >= size) {
        return false;
    }
    for (size_t i = 0; i < n; i += 2) {
        int high = digit_of(digits[i]);
        int low = digit_of(digits[i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret_text[i / 2] = (char)(high << 4 | low);
    }
    ret_text[n / 2] = '\0';
    return true;
}
