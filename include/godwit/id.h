/* SPDX-License-Identifier: MIT */
/**
 * @file id.h
 * Unique ids: UUID version 7 (RFC 9562 section 5.7), 48 bits of Unix milliseconds first, so that
 * ids sort by the time they were made. Within one thread each id is greater than the one before.
 */
#ifndef GODWIT_ID_H
#define GODWIT_ID_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/api.h>

GW_BEGIN_DECLS

/** Characters of an id, without the NUL. */
#define GW_ID_LEN 36

/** Write a new id and a NUL. Any thread; no lock, and a system call only once in several hundred
 * ids. */
GW_API void gw_id_new(char ret_id[GW_ID_LEN + 1]);

/** Whether `text` has the form of a UUID of any version, in either case. */
GW_API bool gw_id_is_valid(const char *text, size_t len);

GW_END_DECLS

#endif
