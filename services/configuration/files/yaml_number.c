/* SPDX-License-Identifier: MIT */
#include "files/yaml_number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/bounds.h"

/* The digits of a number without its sign and its underscores. */
typedef struct digits {
    char text[CS_NUMBER_BYTES_MAX + 1];
    size_t len;
    bool is_negative;
} digits;

static bool is_sign(char c)
{
    return c == '+' || c == '-';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* False when it is too long to be looked at as a number. */
static bool split_sign(cs_text text, digits *ret)
{
    if (text.len == 0 || text.len > CS_NUMBER_BYTES_MAX) {
        return false;
    }
    ret->len = 0;
    ret->is_negative = text.bytes[0] == '-';
    for (size_t i = is_sign(text.bytes[0]) ? 1 : 0; i < text.len; i++) {
        ret->text[ret->len++] = text.bytes[i];
    }
    ret->text[ret->len] = '\0';
    return ret->len > 0;
}

static void drop_underscores(digits *number)
{
    size_t n = 0;
    for (size_t i = 0; i < number->len; i++) {
        if (number->text[i] != '_') {
            number->text[n++] = number->text[i];
        }
    }
    number->len = n;
    number->text[n] = '\0';
}

static int digit_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return 99;
}

/* Digits of `base` and underscores, at least one digit. */
static bool is_in_base(const char *text, int base)
{
    bool seen = false;
    for (; *text != '\0'; text++) {
        if (*text == '_') {
            continue;
        }
        if (digit_value(*text) >= base) {
            return false;
        }
        seen = true;
    }
    return seen;
}

/* Append `text`, digits of `base`, as decimal: long multiplication, since any size is allowed. */
static void add_decimal(gw_buf *out, const char *text, int base, bool is_negative)
{
    unsigned char decimal[CS_NUMBER_BYTES_MAX * 2] = {0}; /* least digit first */
    size_t n = 1;
    for (; *text != '\0'; text++) {
        int carry = digit_value(*text);
        for (size_t i = 0; i < n; i++) {
            carry += decimal[i] * base;
            decimal[i] = (unsigned char)(carry % 10);
            carry /= 10;
        }
        while (carry > 0) {
            decimal[n++] = (unsigned char)(carry % 10);
            carry /= 10;
        }
    }
    while (n > 1 && decimal[n - 1] == 0) {
        n--;
    }
    if (is_negative && (n > 1 || decimal[0] != 0)) {
        gw_buf_add_char(out, '-');
    }
    while (n > 0) {
        gw_buf_add_char(out, (char)('0' + decimal[--n]));
    }
}

/* "1:30", "190:20:30": a digit other than 0 first, then groups of one or two digits below 60. */
static bool is_sexagesimal(const char *text)
{
    size_t lead = strspn(text, "0123456789_");
    if (text[0] < '1' || text[0] > '9' || text[lead] != ':') {
        return false;
    }
    text += lead;
    while (*text == ':') {
        text++;
        size_t n = strspn(text, "0123456789");
        if (n == 0 || n > 2 || (n == 2 && text[0] > '5')) {
            return false;
        }
        text += n;
    }
    return *text == '\0' || *text == '.';
}

static double sexagesimal_value(const char *text)
{
    double value = 0;
    for (;;) {
        char *end = NULL;
        value = value * 60 + strtod(text, &end);
        if (*end != ':') {
            return value;
        }
        text = end + 1;
    }
}

bool cs_yaml_integer(cs_text text, gw_buf *out)
{
    digits number;
    if (!split_sign(text, &number)) {
        return false;
    }
    const char *t = number.text;
    if (strchr(t, ':') != NULL) {
        if (!is_sexagesimal(t) || strchr(t, '.') != NULL) {
            return false;
        }
        drop_underscores(&number);
        double value = sexagesimal_value(t);
        if (value >= 9007199254740992.0) {
            return false;
        }
        gw_buf_addf(out, "%s%.0f", number.is_negative ? "-" : "", value);
        return true;
    }
    int base = 10;
    size_t skip = 0;
    if (t[0] == '0' && (t[1] == 'b' || t[1] == 'x')) {
        base = t[1] == 'b' ? 2 : 16;
        skip = 2;
    } else if (t[0] == '0' && t[1] != '\0') {
        base = 8;
    }
    if (!(is_digit(t[0]) && is_in_base(t + skip, base))) {
        return false;
    }
    drop_underscores(&number);
    add_decimal(out, t + skip, base, number.is_negative);
    return true;
}

static size_t skip_exponent(const char *text)
{
    if (text[0] != 'e' && text[0] != 'E') {
        return 0;
    }
    size_t n = is_sign(text[1]) ? 2 : 1;
    size_t n_digits = strspn(text + n, "0123456789");
    return n_digits == 0 ? 0 : n + n_digits;
}

/* "1.5", "1.", ".5", "1e3", "1_0.5E-3"; an integer without dot and exponent is none. */
static bool is_decimal_float(const char *text)
{
    size_t n_digits = is_digit(text[0]) ? 1 : 0;
    const char *p = text;
    if (n_digits > 0) {
        p += strspn(p, "0123456789_");
    }
    bool has_dot = *p == '.';
    if (has_dot) {
        for (p++; is_digit(*p) || *p == '_'; p++) {
            n_digits += is_digit(*p);
        }
    }
    size_t exponent = skip_exponent(p);
    return p[exponent] == '\0' && n_digits > 0 && (has_dot || exponent > 0);
}

static bool is_one_of(const char *text, const char *a, const char *b, const char *c)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0 || strcmp(text, c) == 0;
}

/* Write the digits of `value` (17 at most) with its decimal exponent. */
static void shortest(double value, char ret_digits[32], int *ret_exponent)
{
    char text[64];
    for (int precision = 0; precision <= 16; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    char *e = strchr(text, 'e');
    *ret_exponent = atoi(e + 1);
    size_t n = 0;
    for (const char *p = text; p < e; p++) {
        if (is_digit(*p)) {
            ret_digits[n++] = *p;
        }
    }
    ret_digits[n] = '\0';
}

/* As Java's Double.toString: 0.001 to below 10^7 in full, otherwise with an exponent; always a dot.
 */
static void add_double(gw_buf *out, double value)
{
    if (signbit(value)) {
        gw_buf_add_char(out, '-');
        value = -value;
    }
    if (value == 0) {
        gw_buf_add_str(out, "0.0");
        return;
    }
    char text[32];
    int exponent = 0;
    shortest(value, text, &exponent);
    int n = (int)strlen(text);
    if (exponent < -3 || exponent >= 7) {
        gw_buf_addf(out, "%c.%sE%d", text[0], n > 1 ? text + 1 : "0", exponent);
    } else if (exponent < 0) {
        gw_buf_addf(out, "0.%.*s%s", -exponent - 1, "000", text);
    } else if (n <= exponent + 1) {
        gw_buf_addf(out, "%s%.*s.0", text, exponent + 1 - n, "0000000");
    } else {
        gw_buf_addf(out, "%.*s.%s", exponent + 1, text, text + exponent + 1);
    }
}

bool cs_yaml_float(cs_text text, gw_buf *out, bool *ret_is_finite)
{
    digits number;
    if (!split_sign(text, &number)) {
        return false;
    }
    const char *t = number.text;
    *ret_is_finite = false;
    if (is_one_of(t, ".inf", ".Inf", ".INF")) {
        gw_buf_add_str(out, number.is_negative ? "-Infinity" : "Infinity");
        return true;
    }
    if (is_one_of(t, ".nan", ".NaN", ".NAN") && !is_sign(text.bytes[0])) {
        gw_buf_add_str(out, "NaN");
        return true;
    }
    double value = 0;
    if (strchr(t, ':') != NULL) {
        const char *dot = strchr(t, '.');
        if (dot == NULL || !is_sexagesimal(t) || dot[1 + strspn(dot + 1, "0123456789_")] != '\0') {
            return false;
        }
        drop_underscores(&number);
        value = sexagesimal_value(t);
    } else {
        if (!is_decimal_float(t)) {
            return false;
        }
        drop_underscores(&number);
        value = strtod(t, NULL);
    }
    if (isinf(value)) {
        gw_buf_add_str(out, number.is_negative ? "-Infinity" : "Infinity");
        return true;
    }
    *ret_is_finite = true;
    add_double(out, number.is_negative ? -value : value);
    return true;
}
