/* SPDX-License-Identifier: MIT */
/**
 * @file dead.h
 * "godwit dead": the letters in a work queue's "<queue>.dead", over the broker.
 */
#ifndef GODWIT_DEAD_H
#define GODWIT_DEAD_H

#include "tool.h"

extern const command_group dead_group;

#endif
