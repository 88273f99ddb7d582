/* SPDX-License-Identifier: MIT */
/**
 * @file bus.h
 * "godwit bus": an embedded bus, while services use it or not.
 */
#ifndef GODWIT_TOOL_BUS_H
#define GODWIT_TOOL_BUS_H

#include "tool.h"

extern const command_group bus_group;

#endif
