/* SPDX-License-Identifier: MIT */
#include "bus_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/clock.h>

#include "base/cond.h"
#include "support/child.h"

char bus_dir[256];

static char place[128];

int bus_make_dir(void **state)
{
    (void)state;
    make_test_dir(place, sizeof(place));
    snprintf(bus_dir, sizeof(bus_dir), "%s/bus", place);
    return 0;
}

int bus_remove_dir(void **state)
{
    (void)state;
    remove_test_dir(place);
    return 0;
}

gw_client *bus_client(const char *url_options)
{
    char url[512];
    snprintf(url, sizeof(url), "bus:%s%s", bus_dir, url_options);
    gw_client *client = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_connect(url, NULL, &client, &err) != GW_OK ||
        gw_wait_up(client, BUS_WAIT_MS, &err) != GW_OK) {
        fail_msg("%s: %s", url, err.text);
    }
    return client;
}

void bus_close_client(gw_client *client)
{
    assert_int_equal(gw_close(client, BUS_WAIT_MS, NULL), GW_OK);
}

gw_status bus_send(gw_client *client, const char *queue, const char *text, gw_error *err)
{
    gw_message *msg = gw_message_new(text, strlen(text));
    assert_non_null(msg);
    gw_status st = gw_publish_on_queue(client, queue, msg, err);
    gw_message_free(msg);
    return st;
}

gw_status bus_send_with(gw_client *client, const char *queue, const char *text, uint8_t priority,
                        int64_t expiration_ms)
{
    gw_message *msg = gw_message_new(text, strlen(text));
    assert_non_null(msg);
    gw_message_set_priority(msg, priority);
    gw_message_set_expiration_ms(msg, expiration_ms);
    gw_status st = gw_publish_on_queue(client, queue, msg, NULL);
    gw_message_free(msg);
    return st;
}

bus_box *bus_new_box(void)
{
    bus_box *box = calloc(1, sizeof(*box));
    assert_non_null(box);
    pthread_mutex_init(&box->lock, NULL);
    gw__cond_init(&box->changed);
    return box;
}

void bus_free_box(bus_box *box)
{
    pthread_cond_destroy(&box->changed);
    pthread_mutex_destroy(&box->lock);
    free(box);
}

gw_verdict bus_keep(void *ctx, const gw_message *msg, gw_error *why)
{
    (void)why;
    bus_box *box = ctx;
    size_t len;
    const char *body = gw_message_body(msg, &len);
    pthread_mutex_lock(&box->lock);
    if (box->n < sizeof(box->texts) / sizeof(box->texts[0])) {
        snprintf(box->texts[box->n], sizeof(box->texts[0]), "%.*s", (int)len, body);
        box->redelivered[box->n] = gw_message_is_redelivered(msg);
        const char *reason = gw_message_header_text(msg, "x-godwit-reason");
        snprintf(box->reason, sizeof(box->reason), "%s", reason != NULL ? reason : "");
        box->n++;
    }
    pthread_cond_broadcast(&box->changed);
    pthread_mutex_unlock(&box->lock);
    return GW_DONE;
}

gw_subscription *bus_collect(gw_client *client, const char *queue, uint16_t prefetch, bus_box *box)
{
    gw_subscribe_options options = GW_SUBSCRIBE_OPTIONS_INIT;
    options.prefetch = prefetch;
    gw_subscription *sub = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw_subscribe_to_queue(client, queue, &options, bus_keep, box, &sub, &err) != GW_OK ||
        gw_wait_up(client, BUS_WAIT_MS, &err) != GW_OK) {
        fail_msg("subscription to %s: %s", queue, err.text);
    }
    return sub;
}

void bus_wait(bus_box *box, size_t n)
{
    uint64_t until_ms = gw_clock_ms() + BUS_WAIT_MS;
    bool in_time = true;
    pthread_mutex_lock(&box->lock);
    while (box->n < n && in_time) {
        in_time = gw__cond_wait_until(&box->changed, &box->lock, until_ms);
    }
    size_t came = box->n;
    pthread_mutex_unlock(&box->lock);
    if (came < n) {
        fail_msg("%zu messages came, %zu were expected", came, n);
    }
}

void bus_assert_texts(bus_box *box, const char *texts)
{
    size_t n = 1;
    for (const char *at = texts; *at != '\0'; at++) {
        n += *at == ' ' ? 1 : 0;
    }
    bus_wait(box, n);
    char all[1024] = "";
    pthread_mutex_lock(&box->lock);
    for (size_t i = 0; i < box->n; i++) {
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i > 0 ? " " : "",
                 box->texts[i]);
    }
    pthread_mutex_unlock(&box->lock);
    assert_string_equal(all, texts);
}

gw__bus *bus_open(void)
{
    gw__bus_place place_of_bus = {.dir = ""};
    snprintf(place_of_bus.dir, sizeof(place_of_bus.dir), "%s", bus_dir);
    gw__bus *bus = NULL;
    gw_error err = GW_ERROR_INIT;
    if (gw__bus_open(&place_of_bus, "test", &bus, &err) != GW_OK) {
        fail_msg("bus in %s: %s", bus_dir, err.text);
    }
    return bus;
}
