/* SPDX-License-Identifier: MIT */
#include "crypt_body.h"

#include <string.h>
#include <strings.h>

#include <godwit/url.h>

#define FORM  "application/x-www-form-urlencoded"
#define PLAIN "text/plain"

/* Whether a Content-Type is this one, whatever its parameters. */
static bool is_type(const char *content_type, const char *type)
{
    size_t len = strlen(type);
    return strncasecmp(content_type, type, len) == 0 && strchr("; \t", content_type[len]) != NULL;
}

static gw_status decode_form(const char *body, size_t len, bool is_cipher, gw_buf *out,
                             gw_error *err)
{
    gw_buf blanks;
    gw_buf_init(&blanks, 0);
    for (size_t i = 0; i < len; i++) {
        gw_buf_add_char(&blanks, body[i] == '+' && !is_cipher ? ' ' : body[i]);
    }
    gw_status st = gw_buf_status(&blanks);
    if (st == GW_OK && blanks.len > 0) {
        st = gw_url_decode(out, blanks.data, blanks.len);
    }
    if (st == GW_E_INVALID) {
        st = gw_error_set(err, st, 0,
                          "the body is not form-encoded as its Content-Type says: use curl's "
                          "--data-urlencode, or -H 'Content-Type: text/plain'");
    } else if (st != GW_OK) {
        st = gw_error_set(err, st, 0, "%s", gw_status_text(st));
    }
    if (blanks.data != NULL) {
        explicit_bzero(blanks.data, blanks.cap);
    }
    gw_buf_dispose(&blanks);
    return st;
}

/* Hex and Base64 have an even length, so that a '=' which makes it odd was not theirs. */
static bool has_one_too_many(const gw_buf *text, size_t start)
{
    size_t prefix = text->len;
    while (prefix > start && text->data[prefix - 1] != '}') {
        prefix--;
    }
    return (text->len - prefix) % 2 == 1;
}

static void mend_cipher(gw_buf *text, size_t start)
{
    for (size_t i = start; i < text->len; i++) {
        if (text->data[i] == ' ') {
            text->data[i] = '+';
        }
    }
    if (text->len > start && text->data[text->len - 1] == '=' && has_one_too_many(text, start)) {
        text->data[--text->len] = '\0';
    }
}

gw_status cs_crypt_body(const char *content_type, const char *body, size_t len, bool is_cipher,
                        gw_buf *out, gw_error *err)
{
    bool is_form = content_type != NULL && is_type(content_type, FORM);
    bool is_plain = content_type == NULL || is_type(content_type, PLAIN);
    bool ends_in_sign = len > 0 && body[len - 1] == '=';
    size_t start = out->len;
    if (is_plain || (!is_form && !ends_in_sign)) {
        gw_buf_add(out, body, len);
        gw_status st = gw_buf_status(out);
        return st == GW_OK ? GW_OK : gw_error_set(err, st, 0, "%s", gw_status_text(st));
    }
    if (ends_in_sign && !is_cipher) {
        len--;
    }
    gw_status st = decode_form(body, len, is_cipher, out, err);
    if (st == GW_OK && is_cipher) {
        mend_cipher(out, start);
    }
    return st;
}
