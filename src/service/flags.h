/* SPDX-License-Identifier: MIT */
/* Command line flags and their environment variables. Knows nothing of what they mean. */
#ifndef GW_SERVICE_FLAGS_H
#define GW_SERVICE_FLAGS_H

#include <stdio.h>

#include <godwit/service.h>

#define GW__FLAGS_MAX      32
#define GW__FLAG_VALUE_MAX 4096 /* bytes of a value, from the command line or the environment */

/* The flags of a program: its own behind those of the chassis. Zero it first. */
typedef struct gw__flags {
    const gw_flag *table[GW__FLAGS_MAX];
    const char *values[GW__FLAGS_MAX]; /* from argv or the environment; NULL: not given; borrowed */
    bool given[GW__FLAGS_MAX];         /* on the command line */
    size_t n_flags;
    const char *notes; /* lines for the end of --help; NULL for none */
    bool help;
    bool version;
    bool keys;
} gw__flags;

/* Add flags to the table. More than GW__FLAGS_MAX is a mistake of the program. */
void gw__flags_add(gw__flags *flags, const gw_flag *table, size_t n_flags);

/* GW_E_INVALID and GW_E_LIMIT name the flag or variable that is wrong. A value that is given twice
 * is the last one. The environment is not looked at when there is a question to answer. */
gw_status gw__flags_parse(gw__flags *flags, int argc, char **argv, gw_error *err);

/* Flag, environment or fallback; NULL when there is none, or no such flag. */
const char *gw__flags_get(const gw__flags *flags, const char *name);

/* Whether it was given, on the command line or by the environment. */
bool gw__flags_is_given(const gw__flags *flags, const char *name);

/* Where its value comes from: "the flag -port", "environment variable GODWIT_PORT". For one that
 * was given. */
void gw__flags_origin(const gw__flags *flags, const char *name, char *ret_origin, size_t size);

void gw__flags_print_help(const gw__flags *flags, const gw_service_spec *spec, FILE *out);

#endif
