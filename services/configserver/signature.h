/* SPDX-License-Identifier: MIT */
/*
 * Whether a webhook comes from the git host: a digest of the body that only who knows the secret
 * can make, or the secret itself where a host sends that.
 */
#ifndef CS_SIGNATURE_H
#define CS_SIGNATURE_H

#include "webhook.h"

typedef enum cs_signature {
    CS_SIGNATURE_NONE,
    CS_SIGNATURE_GOOD,
    CS_SIGNATURE_WRONG /* or more than one, of which one is wrong */
} cs_signature;

/*
 * Look at all headers in which hosts sign. Takes as long for a wrong one as for a good one.
 *
 * @param secret not empty.
 * @param ret_header the last header that was looked at; untouched when there is none. Static.
 */
cs_signature cs_signature_check(const cs_webhook *hook, const char *secret,
                                const char **ret_header);

#endif
