/* SPDX-License-Identifier: MIT */
/* The applications of a repository whose names are like one that is not there. */
#ifndef CS_NEAREST_H
#define CS_NEAREST_H

#include <stdbool.h>
#include <stddef.h>

#include "files/bounds.h"

#include "repo/estate.h"

#define CS_NEAREST_MAX 3u

typedef struct cs_nearest {
    char names[CS_NEAREST_MAX][CS_NAME_BYTES_MAX + 1]; /* the nearest first */
    unsigned distances[CS_NEAREST_MAX];
    size_t n;
} cs_nearest;

/*
 * Find names that can be had from `name` by a third as many insertions, deletions, replacements and
 * swaps of neighbours as it has characters, at most 3. "tax-eu-dev.yml" stands for tax-eu-dev,
 * tax-eu and tax, whichever of these is an application. At most CS_NEAREST_LOOKS_MAX files are
 * looked at.
 */
void cs_nearest_find(const cs_place *place, cs_text name, cs_nearest *ret_nearest);

/*
 * Whether the application has a file of its own, of whatever profile: "tax-eu-dev.yml" is one of
 * tax-eu and of tax, and so are the files of a search path with a directory of its name.
 * `application` has one always.
 */
bool cs_place_knows(const cs_place *place, cs_text name);

#endif
