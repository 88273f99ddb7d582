/* SPDX-License-Identifier: MIT */
/**
 * @file config_server.h
 * Questions to a configuration server, over HTTP.
 */
#ifndef GODWIT_TOOL_CONFIG_SERVER_H
#define GODWIT_TOOL_CONFIG_SERVER_H

#include <godwit/buf.h>
#include <jansson.h>

#include "answer/request.h"
#include "tool.h"

#define CONFIG_SERVER_DEFAULT "http://configserver:8888"

/** APP/PROFILE[/LABEL], as the command line has it, checked as a server does. A '/' in the label is
 * its own. False with `fault` set. */
bool config_names_read(const char *word, cs_request *ret_req, gw_error *fault);

/** Append "/a/b" or "/a/b/label", percent-encoded, with "(_)" for slashes. */
void config_names_write(const cs_request *req, gw_buf *out);

/** Append one segment of a path, the same way. */
void config_segment_write(const char *text, gw_buf *out);

/**
 * GET a path, of the first of the servers that answers.
 *
 * @param ret_body initialized by the caller; to be disposed of in any case.
 * @return TOOL_OK for a 200; otherwise the status of a failure that was told.
 */
int config_server_get(const options *given, const char *path, gw_buf *ret_body, FILE *err);

/** The same for a JSON object, to be given back with json_decref(). */
int config_server_get_json(const options *given, const char *path, json_t **ret_json, FILE *err);

#endif
