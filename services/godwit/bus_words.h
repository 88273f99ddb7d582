/* SPDX-License-Identifier: MIT */
/**
 * @file bus_words.h
 * The words of a command of "godwit bus": which one is the directory, and the bus in it.
 */
#ifndef GODWIT_TOOL_BUS_WORDS_H
#define GODWIT_TOOL_BUS_WORDS_H

#include <stdbool.h>

#include <godwit/bus.h>

#include "tool.h"

#define BUS_DIR_DEFAULT "run/bus"

/** [DIR] and up to two words behind it. */
typedef struct bus_words {
    const char *dir; /**< as it was given, or BUS_DIR_DEFAULT */
    const char *rest[2];
    int n_rest;
} bus_words;

/**
 * The words of a command that has `n_rest` words behind the directory: one more is the directory.
 */
bus_words bus_words_read(const options *given, int n_rest);

/** Whether a word can only be a directory: "bus:...", or with a '/'. */
bool bus_words_is_dir(const char *word);

/** Open the bus, or say why not. @return TOOL_OK or TOOL_FAILED. */
int bus_words_open(const char *dir, gw_bus_mode mode, gw_bus **ret_bus, FILE *err);

/** What failed on a bus, and what is to be done about it. @return TOOL_FAILED. */
int bus_words_fail(const char *dir, gw_status st, const gw_error *why, FILE *err);

#endif
