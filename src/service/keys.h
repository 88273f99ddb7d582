/* SPDX-License-Identifier: MIT */
/* The configuration keys of a program, in one table, from which `--keys` and docs/configuration.md
 * are made. */
#ifndef GW_SERVICE_KEYS_H
#define GW_SERVICE_KEYS_H

#include <stdio.h>

#include <godwit/service.h>

/* Print the keys as a Markdown table: those of the chassis that apply to the program, then its own.
 */
void gw__keys_print(const gw_service_spec *spec, FILE *out);

/* The entry of a key that the program reads; NULL if it reads none of that name. */
const gw_key *gw__keys_find(const gw_service_spec *spec, const char *name);

#endif
