/* SPDX-License-Identifier: MIT */
#include "unit/config/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <godwit/clock.h>

gw_config_options options_for(const char *url)
{
    gw_config_options options = GW_CONFIG_OPTIONS_INIT;
    options.url = url;
    options.app = "accountservice";
    options.profile = "test";
    options.label = "main";
    options.timeout_ms = 800;
    options.refresh_quiet_ms = 20;
    options.refresh_max_ms = 200;
    return options;
}

gw_config *new_config(const gw_config_options *options)
{
    gw_config *config = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_config_new(options, &config, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
    return config;
}

const char *document(const char *properties)
{
    static char text[4096];
    snprintf(text, sizeof(text),
             "{\"version\":\"abc\",\"propertySources\":[{\"name\":\"file:///c/a-test.yml\","
             "\"source\":{%s}}]}",
             properties);
    return text;
}

void must_load(gw_config *config)
{
    gw_error err = GW_ERROR_INIT;
    if (gw_config_load(config, &err) != GW_OK) {
        fail_msg("%s", err.text);
    }
}

bool value_is(gw_config *config, const char *key, const char *value)
{
    const gw_config_snapshot *snap = gw_config_acquire(config);
    const char *text = NULL;
    bool same = gw_config_get_string(snap, key, &text, NULL) == GW_OK && strcmp(text, value) == 0;
    gw_config_release(snap);
    return same;
}

void pause_ms(unsigned ms)
{
    struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)ms * 1000000};
    nanosleep(&pause, NULL);
}

void wait_value(gw_config *config, const char *key, const char *value)
{
    for (uint64_t until = gw_clock_ms() + 10000; !value_is(config, key, value); pause_ms(1)) {
        if (gw_clock_ms() > until) {
            fail_msg("'%s' did not become '%s'", key, value);
        }
    }
}

void note_keys(void *ctx, const gw_config_snapshot *snapshot, const char *const *keys,
               size_t n_keys)
{
    seen *it = ctx;
    (void)snapshot;
    pthread_mutex_lock(&it->lock);
    it->n++;
    for (size_t i = 0; i < n_keys; i++) {
        size_t len = strlen(it->text);
        snprintf(it->text + len, sizeof(it->text) - len, "%s ", keys[i]);
    }
    pthread_mutex_unlock(&it->lock);
}

unsigned count_of(seen *it)
{
    pthread_mutex_lock(&it->lock);
    unsigned n = it->n;
    pthread_mutex_unlock(&it->lock);
    return n;
}
