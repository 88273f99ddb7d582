/* SPDX-License-Identifier: MIT */
#include "amqp/reasons.h"

#include <stdio.h>
#include <string.h>

#include <amqp_framing.h>

typedef struct reason {
    int code;
    const char *part; /* of the broker's text; NULL: any */
    const char *words;
} reason;

/* Special cases of a code come before the code alone. The parts are RabbitMQ's words. */
static const reason reasons[] = {
    {AMQP_CONTENT_TOO_LARGE, NULL, "the message is larger than the broker takes"},
    {AMQP_CONNECTION_FORCED, "CONNECTION_FORCED - broker forced",
     "the broker is shutting down or restarting; nothing to do"},
    {AMQP_CONNECTION_FORCED, NULL,
     "an operator closed the connection, or the broker goes down; nothing to do here"},
    {AMQP_INVALID_PATH, NULL, "the virtual host in the URL does not exist; create it"},
    {AMQP_ACCESS_REFUSED, "in exclusive use",
     "another consumer has the queue for itself; stop it, or use another queue"},
    {AMQP_ACCESS_REFUSED, NULL,
     "the user lacks a permission for it; grant it with rabbitmqctl set_permissions"},
    {AMQP_NOT_FOUND, "is down",
     "the queue is on a node of the cluster that is down; it comes back with the node"},
    {AMQP_NOT_FOUND, NULL, "it does not exist, or not any more; it is declared again"},
    {AMQP_RESOURCE_LOCKED, NULL,
     "a queue of that name belongs to another connection alone, perhaps a dead one that the broker "
     "has not noticed yet; it is tried again"},
    {AMQP_PRECONDITION_FAILED, "timed out",
     "a message was not acknowledged within the broker's consumer_timeout, 30 minutes unless it is "
     "configured: the handler hangs or is too slow, or prefetch is too high for it; what was out "
     "is "
     "delivered again"},
    {AMQP_PRECONDITION_FAILED, "inequivalent arg",
     "it exists with other properties; delete it, or change its declaration"},
    {AMQP_PRECONDITION_FAILED, "unknown delivery tag",
     "a delivery was acknowledged twice; please report this"},
    {AMQP_PRECONDITION_FAILED, "larger than configured max size",
     "the message is larger than the broker's max_message_size"},
    {AMQP_PRECONDITION_FAILED, "user_id property",
     "a message's user id must be the user of the login, or none"},
    {AMQP_PRECONDITION_FAILED, NULL, "what exists at the broker does not allow it"},
    {AMQP_FRAME_ERROR, NULL,
     "the broker could not read what it was sent: data was damaged on the way, or please report "
     "this"},
    {AMQP_SYNTAX_ERROR, NULL, "the broker found a wrong value in a frame; please report this"},
    {AMQP_COMMAND_INVALID, NULL, "a method came out of order; please report this"},
    {AMQP_CHANNEL_ERROR, NULL,
     "something was sent on a channel that is not open; please report this"},
    {AMQP_UNEXPECTED_FRAME, NULL, "a frame came out of order; please report this"},
    {AMQP_RESOURCE_ERROR, NULL,
     "the broker is out of memory, disk or file descriptors, or a limit is reached; see its log"},
    {AMQP_NOT_ALLOWED, "vhost",
     "the virtual host does not exist, is down or full, or the user may not use it; see the URL, "
     "and rabbitmqctl list_permissions"},
    {AMQP_NOT_ALLOWED, "consumer tag", "a consumer tag was used twice; please report this"},
    {AMQP_NOT_ALLOWED, NULL, "the broker's rules forbid it; see its policies and limits"},
    {AMQP_NOT_IMPLEMENTED, NULL, "the broker does not know how; is it RabbitMQ 3.8 or later?"},
    {AMQP_INTERNAL_ERROR, NULL,
     "the broker failed over it, which may pass, as when a quorum queue has no leader; see its "
     "log"},
};

const char *gw__reason_words(int code, const char *text)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        const reason *it = &reasons[i];
        if (it->code == code && (it->part == NULL || strstr(text, it->part) != NULL)) {
            return it->words;
        }
    }
    return NULL;
}

gw_status gw__reason_set(gw_error *err, gw_status st, int code, amqp_bytes_t text)
{
    char said[256]; /* a short string */
    snprintf(said, sizeof(said), "%.*s", (int)(text.len < 255 ? text.len : 255),
             (const char *)text.bytes);
    const char *words = gw__reason_words(code, said);
    return words == NULL ? gw_error_set(err, st, code, "%d %s", code, said)
                         : gw_error_set(err, st, code, "%d %s (%s)", code, said, words);
}
