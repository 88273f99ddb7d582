/* SPDX-License-Identifier: MIT */
/* Errors that both kinds of client read: RFC 9457's members and those of Spring Boot's. */
#ifndef CS_PROBLEM_H
#define CS_PROBLEM_H

#include <godwit/http.h>

/*
 * Answer with {"type","title","status","detail","timestamp","error","message","path"}. `detail` is
 * made valid UTF-8.
 */
void cs_problem(const gw_http_request *req, gw_http_response *res, int status, const char *detail);

#endif
