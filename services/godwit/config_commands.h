/* SPDX-License-Identifier: MIT */
/**
 * @file config_commands.h
 * What each command of "godwit config" does. config.c has their names and their help.
 */
#ifndef GODWIT_TOOL_CONFIG_COMMANDS_H
#define GODWIT_TOOL_CONFIG_COMMANDS_H

#include "tool.h"

/* config_get.c */
int config_get(const options *given, FILE *out, FILE *err);

/* config_explain.c */
int config_explain(const options *given, FILE *out, FILE *err);

/* config_crypt.c */
int config_encrypt(const options *given, FILE *out, FILE *err);
int config_decrypt(const options *given, FILE *out, FILE *err);

/* config_lint.c */
int config_lint(const options *given, FILE *out, FILE *err);

#endif
