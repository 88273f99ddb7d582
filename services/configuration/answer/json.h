/* SPDX-License-Identifier: MIT */
/* The environment on the wire, as Spring Cloud Config's clients and goblog's read it. */
#ifndef CS_JSON_H
#define CS_JSON_H

#include <godwit/buf.h>

#include "answer/environment.h"

/*
 * Append {"name","profiles","label","version","state","propertySources"}: exactly these fields. The
 * label is null when the request had none; profiles is one string in an array, whatever its commas.
 *
 * @param with_origins each value is {"value":v,"origin":"line:column"}, as
 *                     application/vnd.spring-cloud.config-server.v2+json has it.
 */
void cs_json_write_environment(gw_buf *out, const cs_request *req, const cs_environment *env,
                               bool with_origins);

/* Append one value: a literal as it is, a text as a JSON string. */
void cs_json_write_value(gw_buf *out, cs_text value, cs_value_kind kind);

#endif
