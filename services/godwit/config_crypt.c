/* SPDX-License-Identifier: MIT */
/* "godwit config encrypt" and "decrypt". */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_commands.h"
#include "config_key.h"
#include "text.h"

#define INPUT_MAX (4 * GW_CIPHER_TEXT_MAX) /* Base64 of RSA, and prefixes */

typedef gw_status (*convert_fn)(const gw_cipher *cipher, const char *text, size_t len, gw_buf *out,
                                gw_error *err);

static void wipe(gw_buf *buf)
{
    if (buf->data != NULL) {
        explicit_bzero(buf->data, buf->cap);
    }
    gw_buf_dispose(buf);
}

/* Standard input without the line break at its end. */
static int read_input(gw_buf *text, FILE *err)
{
    char piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof(piece), stdin)) > 0) {
        gw_buf_add(text, piece, n);
    }
    explicit_bzero(piece, sizeof(piece));
    if (ferror(stdin)) {
        return tool_fail(err, TOOL_FAILED, "standard input cannot be read");
    }
    if (gw_buf_status(text) != GW_OK) {
        return tool_fail(err, TOOL_FAILED, "standard input: %s",
                         gw_status_text(gw_buf_status(text)));
    }
    if (text->len > 0 && text->data[text->len - 1] == '\n') {
        text->len--;
        text->len -= text->len > 0 && text->data[text->len - 1] == '\r';
    }
    return TOOL_OK;
}

static int take_text(const options *given, gw_buf *text, FILE *err)
{
    const char *word = given->n_words > 0 ? given->words[0] : "-";
    gw_buf_init(text, INPUT_MAX);
    if (strcmp(word, "-") == 0) {
        return read_input(text, err);
    }
    gw_buf_add_str(text, word);
    return TOOL_OK;
}

/* A text that moves the cursor is for files and pipes. */
static int write_result(const gw_buf *result, FILE *out, FILE *err)
{
    const char *bytes = result->data != NULL ? result->data : "";
    if (isatty(fileno(out)) && !text_is_safe(bytes, result->len)) {
        return tool_fail(err, TOOL_FAILED,
                         "the text has bytes that act on a terminal: write it to a file or a pipe");
    }
    fwrite(bytes, 1, result->len, out);
    fputc('\n', out);
    return tool_flush(out, err);
}

static int convert(const options *given, convert_fn function, const char *prefix, FILE *out,
                   FILE *err)
{
    gw_cipher *cipher = NULL;
    gw_error why = GW_ERROR_INIT;
    gw_buf text;
    gw_buf result;
    if (config_key_open(given, &cipher, &why) != GW_OK) {
        return tool_fail(err, TOOL_FAILED, "%s", why.text);
    }
    int status = take_text(given, &text, err);
    gw_buf_init(&result, 0);
    gw_buf_add_str(&result, prefix);
    if (status == TOOL_OK) {
        status = function(cipher, text.data, text.len, &result, &why) == GW_OK
                     ? write_result(&result, out, err)
                     : tool_fail(err, TOOL_FAILED, "%s", why.text);
    }
    wipe(&text);
    wipe(&result);
    gw_cipher_free(cipher);
    return status;
}

int config_encrypt(const options *given, FILE *out, FILE *err)
{
    return convert(given, gw_cipher_encrypt, GW_CIPHER_PREFIX, out, err);
}

int config_decrypt(const options *given, FILE *out, FILE *err)
{
    return convert(given, gw_cipher_decrypt, "", out, err);
}
