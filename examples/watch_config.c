/* SPDX-License-Identifier: MIT */
/* A program without a broker and without the chassis that follows its configuration:
 *   watch_config http://127.0.0.1:8888 CACHE_FILE */
#include <signal.h>
#include <stdio.h>

#include <godwit/config.h>

static void print_greeting(const gw_config_snapshot *snapshot)
{
    const char *greeting = "hello";
    gw_error err = GW_ERROR_INIT;
    gw_status st = gw_config_optional(gw_config_get_string(snapshot, "greeting", &greeting, &err));
    const char *origin = gw_config_origin(snapshot, "greeting");
    printf("%s (from %s)\n", st == GW_OK ? greeting : err.text, origin != NULL ? origin : "here");
    fflush(stdout);
}

/* On the thread that watches. */
static void on_change(void *ctx, const gw_config_snapshot *snapshot, const char *const *keys,
                      size_t n_keys)
{
    (void)ctx;
    (void)keys;
    (void)n_keys;
    print_greeting(snapshot);
}

int main(int argc, char **argv)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL); /* before there are threads, which inherit it */

    gw_config_options options = GW_CONFIG_OPTIONS_INIT;
    options.url = argc > 1 ? argv[1] : "http://127.0.0.1:8888";
    options.app = "greeter";
    options.cache_file = argc > 2 ? argv[2] : NULL;
    options.timeout_ms = 2000;            /* for the server; after that the file has to do */
    options.watch = GW_CONFIG_WATCH_AUTO; /* there is no bus, so it does */
    gw_config *config = NULL;
    gw_error err = GW_ERROR_INIT;
    gw_status st = gw_config_new(&options, &config, &err);
    if (st == GW_OK) {
        st = gw_config_load(config, &err);
    }
    if (st == GW_OK) {
        st = gw_config_watch_add(config, on_change, NULL, NULL, &err);
    }
    if (st == GW_OK) { /* what is in force by now: no change falls between the two */
        const gw_config_snapshot *snapshot = gw_config_acquire(config);
        print_greeting(snapshot);
        gw_config_release(snapshot);
        int signum;
        sigwait(&ends, &signum);
    } else {
        fprintf(stderr, "watch_config: %s\n", err.text);
    }
    gw_config_free(config);
    return st == GW_OK ? 0 : 1;
}
