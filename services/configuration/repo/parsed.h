/* SPDX-License-Identifier: MIT */
/*
 * What a configuration file comes to, as trees keep it and hand it on: its properties or what is
 * wrong with it, in one piece of memory. Immutable and counted; any thread.
 */
#ifndef CS_PARSED_H
#define CS_PARSED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <godwit/error.h>

#include "files/document.h"

typedef struct cs_parsed {
    atomic_uint n_refs;
    bool is_kept;      /* counts against CS_PARSED_BYTES_MAX; set before others see it */
    size_t size;       /* bytes of all of it */
    gw_status st;      /* GW_OK, or that the file is at fault */
    const char *fault; /* then its text */
    cs_file file;      /* otherwise; without an arena: never disposed of by itself */
} cs_parsed;

/* A copy of a file's properties. NULL when out of memory. */
cs_parsed *cs_parsed_of_file(const cs_file *file);

/* A copy of what is wrong. NULL when out of memory. */
cs_parsed *cs_parsed_of_fault(gw_status st, const char *text);

/* Count it against what the process may keep, which it does until it is freed. False: no room. */
bool cs_parsed_keep(cs_parsed *parsed);

cs_parsed *cs_parsed_ref(cs_parsed *parsed);
void cs_parsed_unref(cs_parsed *parsed); /* accepts NULL */

/* The one that holds a file of cs_parsed_of_file(). */
const cs_parsed *cs_parsed_around(const cs_file *file);

/* Bytes kept by the process. */
size_t cs_parsed_bytes(void);

#endif
