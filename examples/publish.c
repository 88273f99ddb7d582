/* SPDX-License-Identifier: MIT */
/* Publish one text on a work queue, without the chassis, and wait for the broker's confirm.
 *
 *   publish amqp://guest:guest@127.0.0.1:5672/ greetings Ada
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/messaging.h>

static gw_status publish_text(gw_client *client, const char *queue, const char *text, gw_error *err)
{
    gw_message *msg = gw_message_new(text, strlen(text));
    if (msg == NULL) {
        return gw_error_set(err, GW_E_NOMEM, 0, "no memory for a message");
    }
    gw_status st = gw_message_set_content_type(msg, "text/plain");
    if (st == GW_OK) {
        st = gw_publish_on_queue(client, queue, msg, err);
    }
    if (st == GW_OK) {
        printf("accepted as %s\n", gw_message_id(msg));
    }
    gw_message_free(msg);
    return st;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: publish URL QUEUE TEXT\n");
        return 2;
    }
    gw_error err = GW_ERROR_INIT;
    gw_client *client = NULL;
    gw_status st = gw_connect(argv[1], NULL, &client, &err);
    if (st == GW_OK) {
        st = publish_text(client, argv[2], argv[3], &err);
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
