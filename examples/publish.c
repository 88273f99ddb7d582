/* SPDX-License-Identifier: MIT */
/* Publish one text, without the chassis, and wait for the broker's confirm.
 *
 *   publish amqp://127.0.0.1:5672/ greetings Ada                     on a work queue
 *   publish amqp://127.0.0.1:5672/ news hello fanout                 to every subscriber
 *   publish amqp://127.0.0.1:5672/ weather rain topic europe.oslo    to those who want this key
 *   publish bus:run/bus greetings Ada                                on the embedded bus
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/messaging.h>

typedef struct target {
    const char *name; /* of the queue or exchange */
    const char *type; /* "fanout", "topic"; NULL: a queue */
    const char *key;  /* of a topic */
} target;

static gw_status publish_to(gw_client *client, const target *to, gw_message *msg, gw_error *err)
{
    if (to->type == NULL) {
        return gw_publish_on_queue(client, to->name, msg, err);
    }
    if (to->key == NULL) {
        return gw_publish(client, to->name, GW_EXCHANGE_FANOUT, msg, err);
    }
    gw_status st = gw_message_set_routing_key(msg, to->key);
    if (st == GW_OK) {
        return gw_publish(client, to->name, GW_EXCHANGE_TOPIC, msg, err);
    }
    return gw_error_set(err, st, 0, "the routing key: %s", gw_status_text(st));
}

static gw_status publish_text(gw_client *client, const target *to, const char *text, gw_error *err)
{
    gw_message *msg = gw_message_new(text, strlen(text));
    if (msg == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a message");
    }
    gw_status st = gw_message_set_content_type(msg, "text/plain");
    if (st == GW_OK) {
        st = publish_to(client, to, msg, err);
    }
    if (st == GW_OK) {
        printf("accepted as %s\n", gw_message_id(msg));
    }
    gw_message_free(msg);
    return st;
}

int main(int argc, char **argv)
{
    bool to_fanout = argc == 5 && strcmp(argv[4], "fanout") == 0;
    bool to_topic = argc == 6 && strcmp(argv[4], "topic") == 0;
    if (argc != 4 && !to_fanout && !to_topic) {
        fprintf(stderr, "usage: publish URL QUEUE TEXT\n"
                        "       publish URL EXCHANGE TEXT fanout\n"
                        "       publish URL EXCHANGE TEXT topic KEY\n");
        return 2;
    }
    target to = {argv[2], argc > 4 ? argv[4] : NULL, to_topic ? argv[5] : NULL};
    gw_error err = GW_ERROR_INIT;
    gw_client *client = NULL;
    gw_status st = gw_connect(argv[1], NULL, &client, &err);
    if (st == GW_OK) {
        st = publish_text(client, &to, argv[3], &err);
    }
    if (st == GW_OK) {
        st = gw_flush(client, 5000, &err); /* confirmed by the broker, or the time is over */
    }
    gw_status closed = gw_close(client, 1000, st == GW_OK ? &err : NULL);
    if (st != GW_OK || closed != GW_OK) {
        fprintf(stderr, "publish: %s\n", err.text);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
