/* SPDX-License-Identifier: MIT */
/**
 * @file broker_url.h
 * The broker's URL with the password that the environment has for it, as services have it.
 */
#ifndef GODWIT_BROKER_URL_H
#define GODWIT_BROKER_URL_H

#include <stdio.h>

#include <godwit/buf.h>

#define BROKER_PASSWORD_ENV      "GODWIT_AMQP_PASSWORD"
#define BROKER_PASSWORD_FILE_ENV "GODWIT_AMQP_PASSWORD_FILE"

/**
 * Write `url` into `ret_url`, which the caller initializes and gives to broker_url_dispose(). A
 * user without a password gets the one of GODWIT_AMQP_PASSWORD, or of the file that
 * GODWIT_AMQP_PASSWORD_FILE names.
 * @return TOOL_OK; TOOL_FAILED, with the reason on `err`.
 */
int broker_url_make(const char *url, gw_buf *ret_url, FILE *err);

/** Wipe and free it. */
void broker_url_dispose(gw_buf *url);

#endif
