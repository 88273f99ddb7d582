/* SPDX-License-Identifier: MIT */
/*
 * A password that lives in a file: read anew for every connection, so that it can be changed while
 * the program runs. It keeps nothing, and tells nobody what it read.
 */
#ifndef GW_AMQP_PASSWORD_H
#define GW_AMQP_PASSWORD_H

#include <stddef.h>

#include <godwit/error.h>

#define GW__PASSWORD_MAX 1020 /* bytes; what a URL's password may have as well */

/*
 * Read the file at `path`: one line, whose end is dropped, or text without one. Does not wait: only
 * a regular file (or a link to one) will do.
 *
 * @param ret_password gets GW__PASSWORD_MAX bytes at most and a NUL; overwritten also on failure.
 * @return GW_OK; GW_E_IO with a reason that names the file, which may pass.
 */
gw_status gw__password_read(const char *path, char ret_password[GW__PASSWORD_MAX + 1],
                            gw_error *err);

#endif
