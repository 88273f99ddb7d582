/* SPDX-License-Identifier: MIT */
/**
 * @file config.h
 * "godwit config": what a configuration server gives and why, encrypted values, and faults of a
 * repository before it is pushed.
 */
#ifndef GODWIT_TOOL_CONFIG_H
#define GODWIT_TOOL_CONFIG_H

#include "tool.h"

extern const command_group config_group;

#endif
