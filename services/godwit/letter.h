/* SPDX-License-Identifier: MIT */
/**
 * @file letter.h
 * What a dead letter says of itself, and the message that it was. Takes those of Godwit (headers
 * x-godwit-*) and those of a broker's dead letter exchange (x-death).
 */
#ifndef GODWIT_LETTER_H
#define GODWIT_LETTER_H

#include <stdbool.h>
#include <stdint.h>

#include <godwit/message.h>

/** Where a work queue's dead letters are. */
#define LETTER_SUFFIX   ".dead"
#define LETTER_TIME_LEN 40

/** Borrowed from the message, and not to be trusted. Each NULL, "" or -1 when it is not known. */
typedef struct letter {
    const char *reason;
    char time[LETTER_TIME_LEN + 1];
    int64_t n_attempts;
    const char *queue; /**< where it had been waiting */
} letter;

letter letter_read(const gw_message *msg);

bool letter_has_id(const gw_message *msg, const char *id);

/** The message as it was sent, without what was added when it was given up, and without the user
 * id, which the broker compares with the connection's. NULL when out of memory. */
gw_message *letter_restore(const gw_message *msg);

#endif
