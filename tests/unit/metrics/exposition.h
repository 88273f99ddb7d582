/* SPDX-License-Identifier: MIT */
/* A strict reader of the Prometheus text format 0.0.4: it refuses what a scraper would, and tells
 * why. */
#ifndef GW_TEST_EXPOSITION_H
#define GW_TEST_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

#define EXPOSITION_SAMPLES_MAX  4096
#define EXPOSITION_FAMILIES_MAX 2048
#define EXPOSITION_TEXT_MAX     512

typedef struct exposition_sample {
    char key[EXPOSITION_TEXT_MAX]; /* name{labels}, as written */
    double value;
    double le; /* of a bucket; NAN otherwise */
} exposition_sample;

typedef struct exposition_family {
    char name[EXPOSITION_TEXT_MAX];
    char help[EXPOSITION_TEXT_MAX]; /* unescaped */
    char type[16];
    size_t first_sample;
    size_t n_samples;
} exposition_family;

typedef struct exposition {
    exposition_family families[EXPOSITION_FAMILIES_MAX];
    size_t n_families;
    exposition_sample samples[EXPOSITION_SAMPLES_MAX];
    size_t n_samples;
    char fault[EXPOSITION_TEXT_MAX]; /* the first thing that is wrong; empty for a good page */
} exposition;

/* Read a page. False when it has a fault. */
bool exposition_read(exposition *page, const char *text);

/* The value of a sample, NAN when there is none. */
double exposition_value(const exposition *page, const char *key);

const exposition_family *exposition_family_of(const exposition *page, const char *name);

#endif
