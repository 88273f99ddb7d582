/* SPDX-License-Identifier: MIT */
/**
 * @file config_repo.h
 * What a server would answer from a repository on this machine, without a server.
 */
#ifndef GODWIT_TOOL_CONFIG_REPO_H
#define GODWIT_TOOL_CONFIG_REPO_H

#include <jansson.h>

#include "answer/request.h"
#include "tool.h"

/**
 * Explain as GET /explain does: with a label from the commit that it names, otherwise from the
 * files as they lie in the directory of --repo.
 *
 * @param key only keys that hold this text; NULL: all.
 * @param ret_environment the environment with its secrets if these are to be shown; otherwise NULL.
 *        Both are given back with json_decref().
 * @return TOOL_OK, or the status of a failure that was told.
 */
int config_repo_explain(const options *given, const cs_request *req, const char *key,
                        json_t **ret_explanation, json_t **ret_environment, FILE *err);

#endif
