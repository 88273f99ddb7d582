/* SPDX-License-Identifier: MIT */
/**
 * @file outbox.h
 * "godwit outbox": what a service has accepted and not delivered, in its directory, with the
 * service running or not.
 */
#ifndef GODWIT_TOOL_OUTBOX_H
#define GODWIT_TOOL_OUTBOX_H

#include "tool.h"

extern const command_group outbox_group;

#endif
