/* SPDX-License-Identifier: MIT */
#include <godwit/error.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define JOINED_MAX (2 * GW_ERROR_TEXT_MAX + 2)

gw_status gw_error_set(gw_error *err, gw_status st, int native, const char *format, ...)
{
    if (err == NULL) {
        return st;
    }
    va_list args;
    va_start(args, format);
    gw__text_vformat(err->text, sizeof(err->text), format, args);
    va_end(args);
    err->status = st;
    err->native = native;
    return st;
}

static gw_status status_of_errno(int errnum)
{
    switch (errnum) {
    case ENOMEM: return GW_E_NOMEM;
    case ENOSPC:
    case EDQUOT: return GW_E_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS: return GW_E_DENIED;
    case ENOENT: return GW_E_NOT_FOUND;
    case EEXIST: return GW_E_EXISTS;
    case EINVAL: return GW_E_INVALID;
    case EADDRINUSE:
    case EAGAIN:
    case EBUSY: return GW_E_BUSY;
    case EMFILE:
    case ENFILE: return GW_E_FULL;
    case EFBIG:
    case ENAMETOOLONG: return GW_E_LIMIT;
    case ETIMEDOUT: return GW_E_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case EPIPE: return GW_E_UNAVAILABLE;
    default: return GW_E_IO;
    }
}

gw_status gw_error_set_errno(gw_error *err, int errnum, const char *format, ...)
{
    gw_status st = status_of_errno(errnum);
    if (err == NULL) {
        return st;
    }
    char room[128];
    const char *reason = strerror_r(errnum, room, sizeof(room));
    va_list args;
    va_start(args, format);
    size_t len = gw__text_vformat(err->text, sizeof(err->text) - strlen(reason) - 2, format, args);
    va_end(args);
    snprintf(err->text + len, sizeof(err->text) - len, ": %s", reason);
    err->status = st;
    err->native = errnum;
    return st;
}

gw_status gw_error_prefix(gw_error *err, gw_status st, const char *format, ...)
{
    if (err == NULL) {
        return st;
    }
    char what[GW_ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    gw__text_vformat(what, sizeof(what), format, args);
    va_end(args);
    char joined[JOINED_MAX];
    snprintf(joined, sizeof(joined), "%s: %s", what,
             err->text[0] != '\0' ? err->text : gw_status_text(st));
    gw__text_copy(err->text, sizeof(err->text), joined);
    err->status = st;
    return st;
}
