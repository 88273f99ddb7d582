/* SPDX-License-Identifier: MIT */
/*
 * A file of accounts from anywhere. The first byte of the input says the format (its lowest bit)
 * and into what pieces the source cuts it. What is read has to be an account, and to be the same
 * when it was written and is read again.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "accounts_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct bytes {
    const char *at;
    size_t left;
    size_t piece;
} bytes;

static gw_status give(void *ctx, char *ret_bytes, size_t size, size_t *ret_n, gw_error *err)
{
    bytes *from = ctx;
    (void)err;
    size_t n = from->left < from->piece ? from->left : from->piece;
    n = n < size ? n : size;
    memcpy(ret_bytes, from->at, n);
    from->at += n;
    from->left -= n;
    *ret_n = n;
    return GW_OK;
}

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void write_and_read(const account *one, account_format format)
{
    gw_buf text;
    gw_buf_init(&text, 0);
    accounts_text_add_header(&text, format);
    accounts_text_add(&text, format, one);
    check(gw_buf_status(&text) == GW_OK);
    bytes from = {.at = text.data, .left = text.len, .piece = text.len};
    account_reader *reader = account_reader_new(format, give, &from);
    account again;
    check(reader != NULL && account_reader_next(reader, &again, NULL) == GW_OK);
    check(strcmp(one->id, again.id) == 0 && strcmp(one->name, again.name) == 0);
    check(account_reader_next(reader, &again, NULL) == GW_E_NOT_FOUND);
    account_reader_free(reader);
    gw_buf_dispose(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    account_format format = (data[0] & 1) != 0 ? ACCOUNT_CSV : ACCOUNT_NDJSON;
    bytes from = {.at = (const char *)data + 1, .left = size - 1, .piece = 1 + data[0] / 2u};
    account_reader *reader = account_reader_new(format, give, &from);
    check(reader != NULL);
    gw_status st = GW_OK;
    while (st == GW_OK || st == GW_E_INVALID) {
        account one;
        gw_error err = GW_ERROR_INIT;
        uint64_t line = account_reader_line(reader);
        st = account_reader_next(reader, &one, &err);
        check((st != GW_OK && st != GW_E_INVALID) || account_reader_line(reader) > line);
        check(st == GW_OK || st == GW_E_NOT_FOUND || err.text[0] != '\0');
        if (st == GW_OK) {
            check(account_id_is_valid(one.id) && account_name_is_valid(one.name));
            write_and_read(&one, ACCOUNT_CSV);
            write_and_read(&one, ACCOUNT_NDJSON);
        }
    }
    check(account_reader_bytes(reader) <= size);
    account_reader_free(reader);
    return 0;
}
