/* SPDX-License-Identifier: MIT */
#include <godwit/error.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Make a text fit for one line: no control characters, and "..." where it was cut. */
static void tidy(gw_error *err, int wanted_len)
{
    for (char *p = err->text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
    }
    if (wanted_len >= GW_ERROR_TEXT_MAX) {
        memcpy(err->text + GW_ERROR_TEXT_MAX - 4, "...", 4);
    }
}

gw_status gw_error_set(gw_error *err, gw_status st, int native, const char *format, ...)
{
    if (err == NULL) {
        return st;
    }
    err->status = st;
    err->native = native;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    tidy(err, len);
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
    case EBUSY: return GW_E_BUSY;
    case ETIMEDOUT: return GW_E_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
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
    err->status = st;
    err->native = errnum;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    if (len >= 0 && len < GW_ERROR_TEXT_MAX) {
        char reason[128];
        const char *text = strerror_r(errnum, reason, sizeof(reason));
        len += snprintf(err->text + len, sizeof(err->text) - (size_t)len, ": %s", text);
    }
    tidy(err, len);
    return st;
}

gw_status gw_error_prefix(gw_error *err, gw_status st, const char *format, ...)
{
    if (err == NULL) {
        return st;
    }
    char rest[GW_ERROR_TEXT_MAX];
    memcpy(rest, err->text, sizeof(rest));
    va_list args;
    va_start(args, format);
    int len = vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    if (len >= 0 && len < GW_ERROR_TEXT_MAX) {
        len += snprintf(err->text + len, sizeof(err->text) - (size_t)len, ": %s", rest);
    }
    err->status = st;
    tidy(err, len);
    return st;
}
