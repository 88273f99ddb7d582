/* SPDX-License-Identifier: MIT */
/**
 * @file problem.h
 * Error bodies of the type application/problem+json (RFC 9457).
 */
#ifndef GW_HTTP_PROBLEM_H
#define GW_HTTP_PROBLEM_H

#include <stddef.h>

#include <godwit/buf.h>

#define GW__HTTP_PROBLEM_TYPE "application/problem+json"

/** Longest detail, in bytes, before it is escaped. */
#define GW__HTTP_DETAIL_MAX 1024

/** Append {"type":"about:blank","title":"Not Found","status":404,"detail":"..."}. */
void gw__http_problem_write(gw_buf *out, int status, const char *detail, size_t detail_len);

#endif
