/* SPDX-License-Identifier: MIT */
/*
 * From files that changed to the applications that may have new configuration.
 */
#ifndef CS_NAMES_H
#define CS_NAMES_H

#include <stddef.h>

#include <godwit/status.h>

#include "files/arena.h"
#include "files/bounds.h"

/* Different names in the order they came up; "*" stands for all applications. */
typedef struct cs_names {
    cs_text items[CS_WEBHOOK_NAMES_MAX + 1];
    size_t n;
    size_t n_paths; /* that they came from */
    cs_arena arena;
} cs_names;

void cs_names_init(cs_names *names);
void cs_names_dispose(cs_names *names);

/*
 * The names for one changed file: "dir/tax-eu-dev.yml" may be tax-eu-dev, tax-eu with a profile, or
 * tax; "application.yml" is everybody. With too many names or files everybody is added instead.
 * GW_E_INVALID for a NUL, GW_E_LIMIT for a path that is too long, GW_E_NOMEM.
 */
gw_status cs_names_add_path(cs_names *names, cs_text path);

#endif
