/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <godwit/clock.h>
#include <godwit/id.h>

#include "configserver/rendering.h"
#include "event.h"
#include "files/bounds.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static void destinations_are_a_publishers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {NULL, "**"},
        {"", "**"},
        {"**", "**"},
        {"customers", "customers:**"},
        {"customers:9000", "customers:9000:**"},
        {"customers:**", "customers:**"},
        {"*:**", "*:**"},
        {"a:b:c", "a:b:c"},
        {"a:b:**", "a:b:**"},
        {"*", "*:**"},
        {"a:", "a::**"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf out;
        gw_buf_init(&out, 0);
        assert_int_equal(cs_destination_write(&out, cases[i].text, NULL), GW_OK);
        assert_string_equal(out.data, cases[i].expected);
        gw_buf_dispose(&out);
    }
}

static void hostile_destinations_are_refused(void **state)
{
    (void)state;
    char *huge = repeat("x", CS_DESTINATION_BYTES_MAX + 1);
    const char *const cases[] = {"a\nb", "\x01", "a\x7f", huge};
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf out;
        gw_error err = GW_ERROR_INIT;
        gw_buf_init(&out, 0);
        assert_int_equal(cs_destination_write(&out, cases[i], &err), GW_E_INVALID);
        assert_int_equal(out.len, 0);
        gw_buf_dispose(&out);
    }
    free(huge);
}

static void the_event_has_exactly_springs_fields(void **state)
{
    (void)state;
    gw_buf out;
    gw_buf_init(&out, 0);
    cs_event_write_refresh(&out, "config\"server:8888:x", "accountservice:**", 1494514362123,
                           "0190163d-8694-739b-aea5-966c26f8ad91");
    assert_string_equal(out.data,
                        "{\"type\":\"RefreshRemoteApplicationEvent\",\"timestamp\":1494514362123,"
                        "\"originService\":\"config\\\"server:8888:x\","
                        "\"destinationService\":\"accountservice:**\","
                        "\"id\":\"0190163d-8694-739b-aea5-966c26f8ad91\"}");
    gw_buf_dispose(&out);
}

static gw_status keep(void *ctx, const char *json, size_t len, gw_error *err)
{
    (void)err;
    json_t **kept = ctx;
    *kept = json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL);
    return GW_OK;
}

static gw_status refuse(void *ctx, const char *json, size_t len, gw_error *err)
{
    (void)ctx;
    (void)json;
    (void)len;
    return gw_error_set(err, GW_E_FULL, 0, "the outbox is full");
}

static void a_refresh_is_published(void **state)
{
    (void)state;
    json_t *event = NULL;
    cs_bus bus = {keep, &event, "configserver:8888:x"};
    uint64_t before_ms = gw_clock_unix_ns() / GW_NS_PER_MS;
    assert_int_equal(cs_bus_refresh(&bus, "customers", NULL), GW_OK);
    assert_non_null(event);
    assert_int_equal(json_object_size(event), 5);
    assert_string_equal(json_string_value(json_object_get(event, "originService")),
                        "configserver:8888:x");
    assert_string_equal(json_string_value(json_object_get(event, "destinationService")),
                        "customers:**");
    uint64_t timestamp = (uint64_t)json_integer_value(json_object_get(event, "timestamp"));
    assert_in_range(timestamp, before_ms, before_ms + 60000);
    const char *id = json_string_value(json_object_get(event, "id"));
    assert_true(gw_id_is_valid(id, strlen(id)));
    json_decref(event);
}

static void failures_are_told(void **state)
{
    (void)state;
    gw_error err = GW_ERROR_INIT;
    cs_bus none = {NULL, NULL, NULL};
    assert_int_equal(cs_bus_refresh(&none, NULL, &err), GW_E_UNAVAILABLE);
    assert_string_equal(err.text,
                        "there is no bus to publish on: start configserver with -amqp URL");
    cs_bus full = {refuse, NULL, "x"};
    assert_int_equal(cs_bus_refresh(&full, NULL, &err), GW_E_FULL);
    assert_string_equal(err.text, "the outbox is full");
    assert_int_equal(cs_bus_refresh(&full, "\n", &err), GW_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(destinations_are_a_publishers),
        cmocka_unit_test(hostile_destinations_are_refused),
        cmocka_unit_test(the_event_has_exactly_springs_fields),
        cmocka_unit_test(a_refresh_is_published),
        cmocka_unit_test(failures_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
