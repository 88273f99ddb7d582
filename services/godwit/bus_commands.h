/* SPDX-License-Identifier: MIT */
/**
 * @file bus_commands.h
 * What each command of "godwit bus" does. bus.c has their names and their help.
 */
#ifndef GODWIT_TOOL_BUS_COMMANDS_H
#define GODWIT_TOOL_BUS_COMMANDS_H

#include "tool.h"

/* bus_list.c */
int bus_status(const options *given, FILE *out, FILE *err);
int bus_list(const options *given, FILE *out, FILE *err);

/* bus_messages.c */
int bus_peek(const options *given, FILE *out, FILE *err);
int bus_publish(const options *given, FILE *out, FILE *err);
int bus_consume(const options *given, FILE *out, FILE *err);

/* bus_care.c */
int bus_purge(const options *given, FILE *out, FILE *err);
int bus_limit(const options *given, FILE *out, FILE *err);
int bus_backup(const options *given, FILE *out, FILE *err);
int bus_recover(const options *given, FILE *out, FILE *err);
int bus_move(const options *given, FILE *out, FILE *err);

#endif
