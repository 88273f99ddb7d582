/* SPDX-License-Identifier: MIT */
/* What a key is in a snapshot: one value, a list, or nothing, and the text for the last. */
#ifndef GW_CONFIG_LOOKUP_H
#define GW_CONFIG_LOOKUP_H

#include <godwit/config.h>

#include "config/parse.h"

/* The value of a key that has one. GW_E_NOT_FOUND; GW_E_INVALID for a list. */
gw_status gw__lookup_text(const gw_config_snapshot *snapshot, const char *key, gw__text *ret_text,
                          gw_error *err);

/* A list out of a text with commas. GW_E_NOMEM. */
gw_status gw__list_of_text(const char *text, gw_config_list *ret_list, gw_error *err);

/* A list of the same items. GW_E_NOMEM. */
gw_status gw__list_copy(const gw_config_list *list, gw_config_list *ret_list, gw_error *err);

#endif
