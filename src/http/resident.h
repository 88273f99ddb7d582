/* SPDX-License-Identifier: MIT */
/**
 * @file resident.h
 * Giving back memory that libraries touched once.
 *
 * GnuTLS (under libmicrohttpd) initializes itself when it is loaded, OpenSSL (under libcurl) when
 * libcurl is; neither is needed for plain http, and neither can be unloaded. What is left are pages
 * of code and constants that nobody looks at again: 1.7 MiB and 2.9 MiB of resident memory of a
 * service that has 8. They are dropped from the process, not from the page cache, and come back
 * with a page fault if they are needed after all.
 */
#ifndef GW_HTTP_RESIDENT_H
#define GW_HTTP_RESIDENT_H

/** Drop the read-only pages of the loaded libraries whose file names begin with one of `names`
 * (such as "libssl.so"), which ends in NULL. */
void gw__resident_drop(const char *const *names);

#endif
