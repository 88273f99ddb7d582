/* SPDX-License-Identifier: MIT */
/**
 * @file lint_file.h
 * One configuration file: is it read, can anybody get it, is it what was meant?
 */
#ifndef GODWIT_TOOL_LINT_FILE_H
#define GODWIT_TOOL_LINT_FILE_H

#include <godwit/cipher.h>

#include "files/document.h"
#include "lint_findings.h"

/** Characters that .properties lose, since they are ISO-8859-1. */
void lint_charset(lint_findings *findings, const char *path, const char *text, size_t len);

/** Whether a request can ever name this file, by its path. */
void lint_name(lint_findings *findings, const char *path);

/** A fault of a reader: "path:line: what". */
void lint_fault(lint_findings *findings, const char *path, const gw_error *err);

/** A file that could not be parsed, and what may be why: tabs, {cipher} without quotes. */
void lint_unread(lint_findings *findings, const char *path, const char *text, size_t len,
                 const gw_error *err);

/** A file that was read: keys twice, profiles, secrets. `cipher` may be NULL. */
void lint_parsed(lint_findings *findings, const cs_file *file, const gw_cipher *cipher);

#endif
