/* SPDX-License-Identifier: MIT */
#include "lint_values.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/url.h>

#include "answer/keys.h"
#include "files/secret_words.h"

static bool opens(const gw_cipher *cipher, cs_text value)
{
    gw_buf plain;
    gw_buf_init(&plain, 0);
    gw_status st = gw_cipher_decrypt(cipher, value.bytes, value.len, &plain, NULL);
    if (plain.data != NULL) {
        explicit_bzero(plain.data, plain.cap);
    }
    gw_buf_dispose(&plain);
    return st != GW_E_INVALID;
}

/* Whether a value is a URL, or a list of them, with a password. Placeholders are none. */
static bool has_password(cs_text value)
{
    if (memmem(value.bytes, value.len, "://", 3) == NULL) {
        return false;
    }
    char *text = strndup(value.bytes, value.len);
    gw_buf masked;
    gw_buf_init(&masked, 0);
    bool has = false;
    if (text != NULL) {
        gw_url_mask(&masked, text);
        has = masked.data != NULL && strcmp(masked.data, text) != 0 && strstr(text, ":${") == NULL;
    }
    gw_buf_dispose(&masked);
    free(text);
    return has;
}

static bool is_one_of(cs_text value, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (cs_text_is(value, words[i])) {
            return true;
        }
    }
    return false;
}

/* Values that nobody has to hide. */
static bool is_harmless(const cs_property *item)
{
    static const char *const words[] = {"", "true", "false", "none", "null"};
    return is_one_of(item->value, words, sizeof(words) / sizeof(words[0])) ||
           (item->value.len > 1 && memcmp(item->value.bytes, "${", 2) == 0);
}

/* As people write it in .properties, who know it from YAML. */
static bool is_quoted_cipher(cs_text value)
{
    const cs_text inner = {value.bytes + 1, value.len > 0 ? value.len - 1 : 0};
    return value.len > 0 && strchr("'\"", value.bytes[0]) != NULL && value.bytes[0] != '\0' &&
           cs_value_is_cipher(inner);
}

static void lint_value(lint_findings *findings, const cs_file *file, const cs_property *item,
                       const gw_cipher *cipher)
{
    int len = (int)item->key.len;
    const char *key = item->key.bytes;
    if (cs_value_is_cipher(item->value)) {
        if (cipher != NULL && !opens(cipher, item->value)) {
            lint_add(findings, LINT_ERROR, file->path, item->line,
                     "the value of '%.*s' cannot be decrypted with this key", len, key);
        }
    } else if (is_quoted_cipher(item->value)) {
        lint_add(findings, LINT_ERROR, file->path, item->line,
                 "the quotes are part of the value of '%.*s', which therefore is not decrypted",
                 len, key);
    } else if (memmem(item->value.bytes, item->value.len, "PRIVATE KEY-----", 16) != NULL) {
        lint_add(findings, LINT_WARNING, file->path, item->line,
                 "'%.*s' is a private key: encrypt it (godwit config encrypt)", len, key);
    } else if (!is_harmless(item) && cs_key_names_secret(item->key)) {
        lint_add(findings, LINT_WARNING, file->path, item->line,
                 "'%.*s' looks like a secret: encrypt it (godwit config encrypt)", len, key);
    } else if (has_password(item->value)) {
        lint_add(findings, LINT_WARNING, file->path, item->line,
                 "'%.*s' is a URL with a password: encrypt it (godwit config encrypt)", len, key);
    }
}

void lint_values(lint_findings *findings, const cs_file *file, const cs_document *doc,
                 const gw_cipher *cipher)
{
    for (size_t i = 0; i < doc->n_items; i++) {
        lint_value(findings, file, &doc->items[i], cipher);
    }
}
