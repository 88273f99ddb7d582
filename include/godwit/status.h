/* SPDX-License-Identifier: MIT */
/**
 * @file status.h
 * What a call came to. One list gives the constants, their names and their texts.
 */
#ifndef GODWIT_STATUS_H
#define GODWIT_STATUS_H

#include <stdbool.h>

#include <godwit/api.h>

GW_BEGIN_DECLS

/* X(constant, text, retriable): retriable means that the same call can succeed later, unchanged. */
#define GW_STATUS_MAP(X)                                                                           \
    X(GW_OK, "success", false)                                                                     \
    X(GW_E_INVALID, "invalid argument or input", false)                                            \
    X(GW_E_NOMEM, "out of memory", true)                                                           \
    X(GW_E_LIMIT, "a limit was exceeded", false)                                                   \
    X(GW_E_FULL, "no room at present", true)                                                       \
    X(GW_E_NOT_FOUND, "not found", false)                                                          \
    X(GW_E_EXISTS, "exists already, and differs", false)                                           \
    X(GW_E_DENIED, "access refused", false)                                                        \
    X(GW_E_TIMEOUT, "timed out", true)                                                             \
    X(GW_E_UNAVAILABLE, "the peer cannot be reached", true)                                        \
    X(GW_E_PROTOCOL, "the peer broke the protocol", true)                                          \
    X(GW_E_IO, "input or output failed", true)                                                     \
    X(GW_E_NO_SPACE, "the disk is full", true)                                                     \
    X(GW_E_BUSY, "in use by another", true)                                                        \
    X(GW_E_CLOSED, "closed", false)                                                                \
    X(GW_E_UNSUPPORTED, "not supported", false)                                                    \
    X(GW_E_UNROUTABLE, "no queue takes the message", false)                                        \
    X(GW_E_REFUSED, "the broker refused the message", true)                                        \
    X(GW_E_INTERNAL, "internal error", false)

typedef enum gw_status {
#define X(constant, text, retriable) constant,
    GW_STATUS_MAP(X)
#undef X
} gw_status;

/** The constant's name, such as "GW_E_FULL"; "GW_E_?" for a value that is none. Static. */
GW_API const char *gw_status_name(gw_status st);

/** What it means, in a few words, without a full stop. Static. */
GW_API const char *gw_status_text(gw_status st);

/** Whether the same call can succeed later without a change by the caller. */
GW_API bool gw_status_is_retriable(gw_status st);

GW_END_DECLS

#endif
