/* SPDX-License-Identifier: MIT */
/**
 * @file accounts.h
 * "godwit accounts": the accounts of accountservice from a file and into one, with the service
 * running or not.
 */
#ifndef GODWIT_TOOL_ACCOUNTS_H
#define GODWIT_TOOL_ACCOUNTS_H

#include "tool.h"

extern const command_group accounts_group;

#endif
