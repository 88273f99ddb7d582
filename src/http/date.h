/* SPDX-License-Identifier: MIT */
/**
 * @file date.h
 * The value of the Date header. Made once a second and thread; libmicrohttpd would make it for each
 * answer.
 */
#ifndef GW_HTTP_DATE_H
#define GW_HTTP_DATE_H

#include <stdint.h>

/** "Sun, 06 Nov 1994 08:49:37 GMT", valid in this thread until the next call. */
const char *gw__http_date(uint64_t *ret_second);

#endif
