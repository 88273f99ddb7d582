/* SPDX-License-Identifier: MIT */
/* A client of a scripted config server, and what tests ask of it. Fails the running test itself. */
#ifndef TESTS_CONFIG_CLIENT_H
#define TESTS_CONFIG_CLIENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include <godwit/config.h>

/* Of accountservice, profile test, label main, with short times. */
gw_config_options options_for(const char *url);

gw_config *new_config(const gw_config_options *options);
void must_load(gw_config *config);

/* A configuration with one source, "file:///c/a-test.yml", of these properties ("\"k\":1"). Valid
 * until the next call. */
const char *document(const char *properties);

bool value_is(gw_config *config, const char *key, const char *value);

/* Until it is; fails after 10 s. */
void wait_value(gw_config *config, const char *key, const char *value);

void pause_ms(unsigned ms);

/* What a watcher was told: how often, and all keys with a blank after each. */
typedef struct seen {
    pthread_mutex_t lock;
    char text[512];
    unsigned n;
} seen;

void note_keys(void *ctx, const gw_config_snapshot *snapshot, const char *const *keys,
               size_t n_keys);
unsigned count_of(seen *it);

#endif
