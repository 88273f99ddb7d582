/* SPDX-License-Identifier: MIT */
/**
 * @file settings.h
 * What to ask, from flags and environment.
 */
#ifndef HEALTHCHECKER_SETTINGS_H
#define HEALTHCHECKER_SETTINGS_H

#include <stdbool.h>

#define URL_MAX 2048

/** Where to ask. Strings point into `storage`, or are static. */
typedef struct target {
    const char *host; /**< without the brackets of an IPv6 address */
    const char *port;
    const char *path;           /**< with its query */
    char text[URL_MAX + 64];    /**< all of it, for messages */
    char storage[URL_MAX + 16]; /**< private */
} target;

typedef struct settings {
    target target;
    unsigned timeout_ms;
    bool wants_help;
    bool wants_version;
} settings;

/**
 * Read the command line, then the environment, then the defaults.
 *
 * @param ret_fault what is wrong, in one line, with room for `size` bytes.
 * @return whether the settings can be used.
 */
bool settings_read(settings *ret_settings, int argc, char **argv, char *ret_fault,
                   unsigned long size);

void settings_print_help(void);

#endif
