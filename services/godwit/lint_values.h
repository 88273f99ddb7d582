/* SPDX-License-Identifier: MIT */
/**
 * @file lint_values.h
 * Values: those that are encrypted and do not open, and those that should be encrypted.
 */
#ifndef GODWIT_TOOL_LINT_VALUES_H
#define GODWIT_TOOL_LINT_VALUES_H

#include <godwit/cipher.h>

#include "files/document.h"
#include "lint_findings.h"

/** No value is ever part of a message. `cipher` may be NULL. */
void lint_values(lint_findings *findings, const cs_file *file, const cs_document *doc,
                 const gw_cipher *cipher);

#endif
