/* SPDX-License-Identifier: MIT */
/**
 * @file config_show.h
 * Values of a configuration on a terminal: secrets are masked, what acts on it is made visible.
 */
#ifndef GODWIT_TOOL_CONFIG_SHOW_H
#define GODWIT_TOOL_CONFIG_SHOW_H

#include <stdbool.h>

#include <godwit/buf.h>
#include <jansson.h>

/** Append a JSON scalar as text, as it is: a string without quotes. */
void config_value_write(const json_t *value, gw_buf *out);

/** Append it in one line, fit for a terminal; unless `show_secrets`, "***" for a key that sounds
 * like a secret, "{cipher}***", and URLs without their passwords. */
void config_value_show(const char *key, const json_t *value, bool show_secrets, gw_buf *out);

#endif
