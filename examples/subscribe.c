/* SPDX-License-Identifier: MIT */
/* Print what comes on a queue or from an exchange until Ctrl-C, without the chassis.
 *
 *   subscribe amqp://127.0.0.1:5672/ greetings                  instances share a work queue
 *   subscribe amqp://127.0.0.1:5672/ news fanout                every instance gets everything
 *   subscribe amqp://127.0.0.1:5672/ weather topic 'europe.*'   and here what has such a key
 *   subscribe bus:run/bus greetings                             the embedded bus
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/messaging.h>

static gw_verdict print_message(void *ctx, const gw_message *msg, gw_error *why)
{
    (void)ctx;
    size_t len;
    const char *body = gw_message_body(msg, &len);
    if (printf("%.*s\n", (int)len, body) < 0 || fflush(stdout) != 0) {
        gw_error_set(why, GW_E_IO, 0, "standard output cannot be written");
        return GW_RETRY;
    }
    return GW_DONE;
}

/* `type` NULL: a queue; `key` NULL: a fanout exchange. */
static gw_status subscribe_to(gw_client *client, const char *name, const char *type,
                              const char *key, gw_error *err)
{
    if (type == NULL) {
        return gw_subscribe_to_queue(client, name, NULL, print_message, NULL, NULL, err);
    }
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.binding_key = key;
    return gw_subscribe(client, name, key == NULL ? GW_EXCHANGE_FANOUT : GW_EXCHANGE_TOPIC,
                        &options, print_message, NULL, NULL, err);
}

static void print_state(void *ctx, gw_client_state state, const char *reason)
{
    (void)ctx;
    fprintf(stderr, "subscribe: %s %s\n", gw_client_state_name(state), reason);
}

/* What is published from then on will come. False when asked to end before. */
static bool wait_until_up(gw_client *client, const sigset_t *ends)
{
    static const struct timespec at_once = {0, 0};
    while (gw_wait_up(client, 200, NULL) != GW_OK) {
        if (sigtimedwait(ends, NULL, &at_once) > 0) {
            return false;
        }
    }
    fputs("subscribe: listening\n", stderr);
    return true;
}

int main(int argc, char **argv)
{
    bool from_fanout = argc == 4 && strcmp(argv[3], "fanout") == 0;
    bool from_topic = argc == 5 && strcmp(argv[3], "topic") == 0;
    if (argc != 3 && !from_fanout && !from_topic) {
        fprintf(stderr, "usage: subscribe URL QUEUE\n"
                        "       subscribe URL EXCHANGE fanout\n"
                        "       subscribe URL EXCHANGE topic KEY\n");
        return 2;
    }
    sigset_t ends; /* blocked before the client's threads start, so that these do not get them */
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);

    gw_error err = GW_ERROR_INIT;
    gw_client_options options = GW_CLIENT_OPTIONS_INIT;
    options.name = "subscribe";
    options.on_state = print_state;
    gw_client *client = NULL;
    gw_status st = gw_connect(argv[1], &options, &client, &err);
    if (st == GW_OK) {
        st = subscribe_to(client, argv[2], argc > 3 ? argv[3] : NULL, from_topic ? argv[4] : NULL,
                          &err);
    }
    if (st == GW_OK && wait_until_up(client, &ends)) {
        int signum;
        sigwait(&ends, &signum);
    }
    gw_status closed = gw_close(client, 5000, st == GW_OK ? &err : NULL);
    if (st != GW_OK || closed != GW_OK) {
        fprintf(stderr, "subscribe: %s\n", err.text);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
