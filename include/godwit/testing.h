/* SPDX-License-Identifier: MIT */
/**
 * @file testing.h
 * For unit tests of services: a look into the brokers of memory: URLs.
 *
 * A test gives its service the URL "memory:NAME" with a NAME of its own, and opens a client on the
 * same URL where it wants to send. Brokers exist while a client has them open. Limits can be part
 * of the first client's URL: "memory:NAME?max_messages=10&max_bytes=4096". Such a broker routes,
 * shares out and redelivers as RabbitMQ does; message priorities have no effect.
 *
 * Every function is shareable, and returns GW_E_NOT_FOUND when no client has the broker open and
 * GW_E_INVALID for a URL of another form.
 */
#ifndef GODWIT_TESTING_H
#define GODWIT_TESTING_H

#include <stddef.h>

#include <godwit/api.h>
#include <godwit/error.h>
#include <godwit/message.h>

GW_BEGIN_DECLS

/**
 * Take the first message out of a queue, waiting for one, and for the queue.
 *
 * @param ret_msg belongs to the caller.
 * @return GW_OK; GW_E_TIMEOUT; GW_E_NOMEM.
 */
GW_API GW_MUST_CHECK gw_status gw_testing_take(const char *url, const char *queue,
                                               unsigned timeout_ms, gw_message **ret_msg,
                                               gw_error *err);

/** Number of messages that wait in a queue; those at a consumer are not counted. GW_E_NOT_FOUND
 * also when there is no such queue. */
GW_API GW_MUST_CHECK gw_status gw_testing_queue_len(const char *url, const char *queue,
                                                    size_t *ret_len, gw_error *err);

/**
 * Wait until a queue has no messages and its consumers have settled all they got: everything
 * published to it before (see gw_flush()) has been handled.
 *
 * @return GW_OK; GW_E_TIMEOUT with the numbers; GW_E_NOT_FOUND also when there is no such queue.
 */
GW_API GW_MUST_CHECK gw_status gw_testing_wait_handled(const char *url, const char *queue,
                                                       unsigned timeout_ms, gw_error *err);

/**
 * Drop the connections of all clients of the broker. They reconnect at once, and what they had not
 * settled is delivered again, marked as redelivered.
 */
GW_API GW_MUST_CHECK gw_status gw_testing_disconnect(const char *url, gw_error *err);

GW_END_DECLS

#endif
