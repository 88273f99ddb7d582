/* SPDX-License-Identifier: MIT */
/* Print what comes on a work queue until Ctrl-C, without the chassis.
 *
 *   subscribe amqp://guest:guest@127.0.0.1:5672/ greetings
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

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

static void print_state(void *ctx, gw_client_state state, const char *reason)
{
    (void)ctx;
    fprintf(stderr, "subscribe: %s %s\n", gw_client_state_name(state), reason);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: subscribe URL QUEUE\n");
        return 2;
    }
    sigset_t
        ends; /* blocked before the client's threads are started, so that these do not get it */
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
        st = gw_subscribe_to_queue(client, argv[2], NULL, print_message, NULL, NULL, &err);
    }
    if (st == GW_OK) {
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
