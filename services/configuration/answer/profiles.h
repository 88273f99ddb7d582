/* SPDX-License-Identifier: MIT */
/* A set of profile names in order, and expressions over it such as "prod & (eu | us)". */
#ifndef CS_PROFILES_H
#define CS_PROFILES_H

#include <stdbool.h>

#include <godwit/error.h>

#include "files/arena.h"
#include "files/bounds.h"

/* Names are borrowed. */
typedef struct cs_profiles {
    cs_text items[CS_PROFILES_MAX];
    size_t n;
} cs_profiles;

bool cs_profiles_contain(const cs_profiles *profiles, cs_text name);

/* Add the names of a comma list that are not there yet. GW_E_LIMIT past CS_PROFILES_MAX. */
gw_status cs_profiles_add_list(cs_profiles *profiles, cs_text list);

/*
 * Take the next name of a comma list, without the blanks around it. False at its end; empty names
 * are passed over. Begin with `rest` as the whole list.
 */
bool cs_list_next(cs_text *rest, cs_text *ret_name);

/*
 * Whether an expression of names, '!', '&', '|' and parentheses holds. '&' and '|' side by side
 * need parentheses, as in Spring.
 *
 * @return GW_OK; GW_E_INVALID for a malformed expression, without a text: the caller knows where it
 *         stands; GW_E_LIMIT when it is too long or too deep.
 */
gw_status cs_profiles_match(const cs_profiles *profiles, cs_text expression, bool *ret_match);

#endif
