/* SPDX-License-Identifier: MIT */
#include "exposition.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LETTERS    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
#define DIGITS     "0123456789"
#define LABELS_MAX 16

static bool fault(exposition *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fault(exposition *page, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(page->fault, sizeof(page->fault), format, args);
    va_end(args);
    return false;
}

static bool take(char *to, const char *from, size_t len)
{
    if (len == 0 || len >= EXPOSITION_TEXT_MAX) {
        return false;
    }
    memcpy(to, from, len);
    to[len] = '\0';
    return true;
}

static size_t name_len(const char *text, bool colons)
{
    size_t n = strspn(text, colons ? LETTERS ":" : LETTERS);
    return n == 0 ? 0 : n + strspn(text + n, colons ? LETTERS DIGITS ":" : LETTERS DIGITS);
}

/* "# HELP name text": begins a family. */
static bool read_help(exposition *page, const char *line)
{
    exposition_family *fam = &page->families[page->n_families];
    size_t len = name_len(line, true);
    if (page->n_families == EXPOSITION_FAMILIES_MAX || !take(fam->name, line, len) ||
        line[len] != ' ') {
        return fault(page, "bad HELP: %s", line);
    }
    for (size_t i = 0; i < page->n_families; i++) {
        if (strcmp(page->families[i].name, fam->name) >= 0) {
            return fault(page, "family %s is twice there or not sorted", fam->name);
        }
    }
    char *to = fam->help;
    for (const char *p = line + len + 1; *p != '\0'; p++) {
        if (*p == '\\' && p[1] != '\\' && p[1] != 'n') {
            return fault(page, "bad escape in HELP of %s", fam->name);
        }
        p += *p == '\\';
        *to++ = p[-1] == '\\' && *p == 'n' ? '\n' : *p;
    }
    *to = '\0';
    fam->first_sample = page->n_samples;
    page->n_families++;
    return true;
}

/* "# TYPE name type": follows the HELP of its family, before its samples. */
static bool read_type(exposition *page, const char *line)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    exposition_family *fam = page->n_families > 0 ? &page->families[page->n_families - 1] : NULL;
    size_t len = fam != NULL ? strlen(fam->name) : 0;
    if (fam == NULL || strncmp(line, fam->name, len) != 0 || line[len] != ' ' ||
        fam->type[0] != '\0' || fam->n_samples > 0) {
        return fault(page, "TYPE out of place: %s", line);
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(line + len + 1, types[i]) == 0) {
            strcpy(fam->type, types[i]);
            return true;
        }
    }
    return fault(page, "unknown type: %s", line);
}

/* {key="value",...}: stores the value of le. Returns what follows, NULL for a fault. */
static const char *read_labels(exposition *page, const char *p, double *ret_le)
{
    char names[LABELS_MAX][EXPOSITION_TEXT_MAX];
    for (size_t n = 0; n < LABELS_MAX; n++) {
        size_t len = name_len(p, false);
        if (!take(names[n], p, len) || strncmp(p + len, "=\"", 2) != 0) {
            fault(page, "bad label at: %s", p);
            return NULL;
        }
        for (size_t i = 0; i < n; i++) {
            if (strcmp(names[i], names[n]) == 0) {
                fault(page, "label %s twice", names[n]);
                return NULL;
            }
        }
        p += len + 2;
        if (strcmp(names[n], "le") == 0) {
            *ret_le = strncmp(p, "+Inf\"", 5) == 0 ? INFINITY : strtod(p, NULL);
        }
        while (*p != '"') {
            if (*p == '\0' || (*p == '\\' && (p[1] == '\0' || strchr("\\\"n", p[1]) == NULL))) {
                fault(page, "bad value of label %s", names[n]);
                return NULL;
            }
            p += *p == '\\' ? 2 : 1;
        }
        p++;
        if (*p == '}') {
            return p + 1;
        }
        if (*p != ',') {
            break;
        }
        p++;
    }
    fault(page, "bad end of labels at: %s", p);
    return NULL;
}

/* Whether a sample of this name may stand in the family. */
static bool belongs(const exposition_family *fam, const char *name, size_t len, bool has_le)
{
    size_t fam_len = strlen(fam->name);
    if (len < fam_len || strncmp(name, fam->name, fam_len) != 0) {
        return false;
    }
    const char *suffix = name + fam_len;
    size_t suffix_len = len - fam_len;
    if (strcmp(fam->type, "histogram") != 0) {
        return suffix_len == 0 && !has_le;
    }
    return has_le ? suffix_len == 7 && strncmp(suffix, "_bucket", 7) == 0
                  : (suffix_len == 4 && strncmp(suffix, "_sum", 4) == 0) ||
                        (suffix_len == 6 && strncmp(suffix, "_count", 6) == 0);
}

static bool read_sample(exposition *page, const char *line)
{
    exposition_family *fam = page->n_families > 0 ? &page->families[page->n_families - 1] : NULL;
    exposition_sample *sample = &page->samples[page->n_samples];
    size_t len = name_len(line, true);
    const char *p = line + len;
    sample->le = NAN;
    if (page->n_samples == EXPOSITION_SAMPLES_MAX || len == 0) {
        return fault(page, "bad sample: %s", line);
    }
    p = *p == '{' ? read_labels(page, p + 1, &sample->le) : p;
    if (p == NULL) {
        return false;
    }
    char *end;
    sample->value = strtod(p, &end);
    if (!take(sample->key, line, (size_t)(p - line)) || *p != ' ' || end == p || *end != '\0') {
        return fault(page, "bad value: %s", line);
    }
    if (fam == NULL || fam->type[0] == '\0' || !belongs(fam, line, len, !isnan(sample->le))) {
        return fault(page, "sample outside of its family: %s", line);
    }
    for (size_t i = fam->first_sample; i < page->n_samples; i++) {
        if (strcmp(page->samples[i].key, sample->key) == 0) {
            return fault(page, "sample twice: %s", line);
        }
    }
    fam->n_samples++;
    page->n_samples++;
    return true;
}

/* Buckets come in the order of their bounds, count upwards and end in +Inf, which is what _count
 * says. */
static bool check_histogram(exposition *page, const exposition_family *fam)
{
    const exposition_sample *samples = page->samples + fam->first_sample;
    for (size_t i = 0; i < fam->n_samples;) {
        size_t n = 0;
        while (i + n < fam->n_samples && !isnan(samples[i + n].le)) {
            const exposition_sample *bucket = &samples[i + n];
            if (n > 0 && (bucket->le <= bucket[-1].le || bucket->value < bucket[-1].value)) {
                return fault(page, "buckets out of order at %s", bucket->key);
            }
            n++;
        }
        if (n == 0 || i + n + 2 > fam->n_samples || samples[i + n - 1].le != (double)INFINITY) {
            return fault(page, "%s has no bucket +Inf, no _sum or no _count", fam->name);
        }
        if (strstr(samples[i + n].key, "_sum") == NULL ||
            strstr(samples[i + n + 1].key, "_count") == NULL ||
            samples[i + n + 1].value != samples[i + n - 1].value) {
            return fault(page, "%s: _count is not the bucket +Inf", samples[i].key);
        }
        i += n + 2;
    }
    return true;
}

static bool read_line(exposition *page, const char *line)
{
    if (strncmp(line, "# HELP ", 7) == 0) {
        return read_help(page, line + 7);
    }
    if (strncmp(line, "# TYPE ", 7) == 0) {
        return read_type(page, line + 7);
    }
    return read_sample(page, line);
}

bool exposition_read(exposition *page, const char *text)
{
    memset(page, 0, sizeof(*page));
    while (*text != '\0') {
        char line[4 * EXPOSITION_TEXT_MAX];
        size_t len = strcspn(text, "\n");
        if (text[len] != '\n' || len >= sizeof(line)) {
            return fault(page, "a line too long or without its end");
        }
        memcpy(line, text, len);
        line[len] = '\0';
        if (!read_line(page, line)) {
            return false;
        }
        text += len + 1;
    }
    for (size_t i = 0; i < page->n_families; i++) {
        const exposition_family *fam = &page->families[i];
        if (fam->type[0] == '\0' || fam->n_samples == 0) {
            return fault(page, "%s has no type or no samples", fam->name);
        }
        if (strcmp(fam->type, "histogram") == 0 && !check_histogram(page, fam)) {
            return false;
        }
    }
    return true;
}

double exposition_value(const exposition *page, const char *key)
{
    for (size_t i = 0; i < page->n_samples; i++) {
        if (strcmp(page->samples[i].key, key) == 0) {
            return page->samples[i].value;
        }
    }
    return NAN;
}

const exposition_family *exposition_family_of(const exposition *page, const char *name)
{
    for (size_t i = 0; i < page->n_families; i++) {
        if (strcmp(page->families[i].name, name) == 0) {
            return &page->families[i];
        }
    }
    return NULL;
}
