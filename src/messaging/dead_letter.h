/* SPDX-License-Identifier: MIT */
/* What is left of a message that no handler could handle: the message as it was, with headers that
 * say why it is here. */
#ifndef GW_MESSAGING_DEAD_LETTER_H
#define GW_MESSAGING_DEAD_LETTER_H

#include <godwit/message.h>

#define GW__DEAD_SUFFIX ".dead"

typedef struct gw__dead_reason {
    const char *text;    /* x-godwit-reason */
    const char *queue;   /* x-godwit-queue: where it was waiting */
    const char *service; /* x-godwit-service: who gave up */
    unsigned n_attempts; /* x-godwit-attempts */
} gw__dead_reason;

/* NULL when out of memory. */
gw_message *gw__dead_letter_new(const gw_message *msg, const gw__dead_reason *reason);

#endif
