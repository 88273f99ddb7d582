/* SPDX-License-Identifier: MIT */
/**
 * @file accounts_text.h
 * Accounts as text, in files from anywhere: an object of JSON a line, or CSV with a header.
 *
 * Strict about what an account is (an id and a name, both once, within their bounds), and silent
 * about further members and columns, which are not kept.
 */
#ifndef GODWIT_TOOL_ACCOUNTS_TEXT_H
#define GODWIT_TOOL_ACCOUNTS_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include <godwit/buf.h>

#include "accounts/account_store.h"
#include "line_reader.h"

typedef enum account_format { ACCOUNT_NDJSON, ACCOUNT_CSV } account_format;

/** The format of a name such as "csv"; false for another name. */
bool account_format_of_name(const char *name, account_format *ret_format);

/** The format by a file's ending: .ndjson, .jsonl or .csv, in any case; false for another one. */
bool account_format_of_file(const char *path, account_format *ret_format);

/** One thread at a time. */
typedef struct account_reader account_reader;

/** NULL: no memory. */
account_reader *account_reader_new(account_format format, line_source source, void *ctx);

/** Accepts NULL. */
void account_reader_free(account_reader *reader);

/**
 * The next account.
 *
 * @return GW_OK; GW_E_NOT_FOUND at the end, without `err`; GW_E_INVALID: what stands here is no
 *         account, and the next call goes on behind it; anything else ends the reading:
 *         GW_E_UNSUPPORTED for CSV without a header that names id and name, or with a record that
 * is too long to tell where it ends, GW_E_NOMEM, and what the source returned.
 */
gw_status account_reader_next(account_reader *reader, account *ret_account, gw_error *err);

/** The line in which what was read last begins, from 1. */
uint64_t account_reader_line(const account_reader *reader);

/** Bytes that were read. */
uint64_t account_reader_bytes(const account_reader *reader);

/** Append what stands above the first account: the header of CSV. */
void accounts_text_add_header(gw_buf *out, account_format format);

/** Append an account, with its line's end. */
void accounts_text_add(gw_buf *out, account_format format, const account *one);

#endif
