/* SPDX-License-Identifier: MIT */
/**
 * @file accounts_commands.h
 * The commands of accounts.c, and what they have in common: the store and the format.
 */
#ifndef GODWIT_TOOL_ACCOUNTS_COMMANDS_H
#define GODWIT_TOOL_ACCOUNTS_COMMANDS_H

#include "accounts_text.h"
#include "tool.h"

#define ACCOUNTS_STORE_DEFAULT     "data/accountservice"
#define ACCOUNTS_PASSWORD_ENV      "GODWIT_STORE_PASSWORD"
#define ACCOUNTS_PASSWORD_FILE_ENV "GODWIT_STORE_PASSWORD_FILE"
#define ACCOUNTS_BATCH             10000
#define ACCOUNTS_BATCH_MAX         100000

int accounts_import(const options *given, FILE *out, FILE *err);
int accounts_export(const options *given, FILE *out, FILE *err);

/** The file of the command line; NULL for standard input or output. */
const char *accounts_file(const options *given);

/** The format that is asked for, or that of the file's ending. @return TOOL_OK or TOOL_USAGE. */
int accounts_format(const options *given, account_format *ret_format, FILE *err);

/**
 * Open the store of --store, or of the environment, or where accountservice has it.
 *
 * @param must_exist a directory without a store is an error, instead of becoming one.
 * @return TOOL_OK or TOOL_FAILED, which was said.
 */
int accounts_open(const options *given, bool must_exist, account_store **ret_store, FILE *err);

#endif
