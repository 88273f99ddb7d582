/* SPDX-License-Identifier: MIT */
/**
 * @file error.h
 * The detail of a failure, in a struct that the caller owns and may leave out.
 *
 * A function fills it in only when it fails. The text is one line that names the file, queue, host
 * or key concerned and carries no secret: passwords in URLs are masked before they get here.
 */
#ifndef GODWIT_ERROR_H
#define GODWIT_ERROR_H

#include <godwit/api.h>
#include <godwit/status.h>

GW_BEGIN_DECLS

#define GW_ERROR_TEXT_MAX 512

typedef struct gw_error {
    gw_status status;             /**< what the failing function returned */
    int native;                   /**< errno, an AMQP reply code, an HTTP status, ...; 0 for none */
    char text[GW_ERROR_TEXT_MAX]; /**< one line, cut with "..." if it is longer */
} gw_error;

/** A gw_error that holds no error. */
#define GW_ERROR_INIT                                                                              \
    {                                                                                              \
        GW_OK, 0,                                                                                  \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/**
 * Fill in `err` and return `st`, so that a failing function ends in `return gw_error_set(...)`.
 * Control characters in the text become '?', so that outside input cannot forge a log line. The
 * arguments may point into `err`, here and below.
 *
 * @param err    may be NULL.
 * @param native errno or another system's code; 0 for none.
 */
GW_API gw_status gw_error_set(gw_error *err, gw_status st, int native, const char *format, ...)
    GW_PRINTF(4, 5);

/**
 * As gw_error_set() for an errno value: appends its description (a long text is cut before it, not
 * after), and maps ENOMEM, ENOSPC, EACCES, ENOENT and the like to their status, others to GW_E_IO.
 */
GW_API gw_status gw_error_set_errno(gw_error *err, int errnum, const char *format, ...)
    GW_PRINTF(3, 4);

/**
 * Put "what: " in front of the text of an error that is passed on, and make its status `st`; the
 * native code stays. An error without a text gets that of its status.
 * @return st.
 */
GW_API gw_status gw_error_prefix(gw_error *err, gw_status st, const char *format, ...)
    GW_PRINTF(3, 4);

GW_END_DECLS

#endif
