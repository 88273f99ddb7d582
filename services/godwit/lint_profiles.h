/* SPDX-License-Identifier: MIT */
/**
 * @file lint_profiles.h
 * Documents that say when they apply: can they ever?
 */
#ifndef GODWIT_TOOL_LINT_PROFILES_H
#define GODWIT_TOOL_LINT_PROFILES_H

#include "files/document.h"
#include "lint_findings.h"

/** Also what a server refuses about profiles and imports. */
void lint_profiles(lint_findings *findings, const cs_file *file, const cs_document *doc);

#endif
