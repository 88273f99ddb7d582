/* SPDX-License-Identifier: MIT */
/* GET of environments, in all their forms, and of plain files. */
#ifndef CS_ENVIRONMENT_ROUTES_H
#define CS_ENVIRONMENT_ROUTES_H

#include <godwit/http.h>

/* With the variables {first}, {second}, {third} and {rest}, as many as the pattern has; `ctx` is
 * the cs_app. */
void cs_get_environment(void *ctx, const gw_http_request *req, gw_http_response *res);

/* /explain/{first}/{second}[/{third}] */
void cs_get_explanation(void *ctx, const gw_http_request *req, gw_http_response *res);

#endif
