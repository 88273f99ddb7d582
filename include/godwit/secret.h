/* SPDX-License-Identifier: MIT */
/**
 * @file secret.h
 * A password or a key that lives in a file, so that it is on no command line, in no URL and in no
 * environment, and can be changed while the program runs; and the names by which one is known in
 * a configuration.
 */
#ifndef GODWIT_SECRET_H
#define GODWIT_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/api.h>
#include <godwit/error.h>

GW_BEGIN_DECLS

/**
 * Read the file: a line, whose end is dropped, or text without one. Does not wait: only a regular
 * file (or a link to one) will do. Keeps nothing, and tells nobody what it read. Any thread.
 *
 * @param what       for error texts, such as "password_file".
 * @param is_one_line refuse further lines; otherwise they are part of it, as in a PEM key.
 * @param ret_secret `size` bytes, of which one is for the NUL; overwritten also on failure.
 * @return GW_OK; GW_E_IO with a reason that names the file, which may pass.
 */
GW_API GW_MUST_CHECK gw_status gw_secret_read(const char *what, const char *path, bool is_one_line,
                                              char *ret_secret, size_t size, gw_error *err);

/**
 * Whether a key holds a word such as "password" or "token", in any case: its value is shown to
 * nobody, in no log, error or page. Any thread.
 */
GW_API bool gw_secret_is_named(const char *key, size_t len);

GW_END_DECLS

#endif
