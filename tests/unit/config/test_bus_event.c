/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <godwit/config.h>

#include "config/bus_event.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))
#define OWN_ID  "accountservice:test:6767:0192c1d5"

static void paths_match_as_in_spring(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *id;
        bool matches;
    } cases[] = {
        {"foo:**", "foo", true},
        {"foo:**", "foo:8080", true},
        {"foo:**", "foo:8080:abc", true},
        {"foo:*", "foo:8080", true},
        {"foo:*", "foo:8080:abc", false},
        {"foo:*", "foo", false},
        {"foo", "foo:8080:abc", false},
        {"foo:8080:abc", "foo:8080:abc", true},
        {"foo:8080:abc", "foo:8080:abd", false},
        {"**", "foo:8080:abc", true},
        {"**", "", true},
        {"*:**", "foo:8080:abc", true},
        {"*", "foo:8080:abc", false},
        {"*:*:*", "foo:8080:abc", true},
        {"**:abc", "foo:8080:abc", true},
        {"**:abd", "foo:8080:abc", false},
        {"foo:**:abc", "foo:abc", true},
        {"foo:**:abc", "foo:1:2:3:abc", true},
        {"foo:**:abc:**", "foo:1:abc:2", true},
        {"Foo:**", "foo:8080", false},
        {"fo?:**", "foo:8080", true},
        {"fo?:**", "fo:8080", false},
        {"f*:**", "foo:8080", true},
        {"*o:**", "foo:8080", true},
        {"f*o*x:**", "foo:8080", false},
        {"{app}:**", "foo:8080", true},
        {"{app}:8080", "foo:8081", false},
        {"f{rest}:**", "foo:8080", true},
        {"{app:**", "foo:8080", false},
        {"foo::**", "foo:8080", true}, /* empty parts count for nothing */
        {":foo:**:", "foo:8080", true},
        {"foo::8080", "foo:8080", true},
        {"", "foo", false},
        {"***", "foo", true},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        bool matches = gw__bus_path_matches(cases[i].pattern, cases[i].id);
        if (matches != cases[i].matches) {
            fail_msg("'%s' and '%s': got %d, expected %d", cases[i].pattern, cases[i].id, matches,
                     cases[i].matches);
        }
    }
}

static void destinations(void **state)
{
    (void)state;
    static const struct {
        const char *destination;
        const char *own_id;
        bool is_for;
    } cases[] = {
        {NULL, OWN_ID, true},
        {"", OWN_ID, true},
        {"  ", OWN_ID, true},
        {"**", OWN_ID, true},
        {"*:**", OWN_ID, true},
        {"*", OWN_ID, true},
        {"accountservice:**", OWN_ID, true},
        {"accountservice", OWN_ID, true},
        {"accountservice:*", OWN_ID, true},
        {"accountservice:test", OWN_ID, false},
        {"accountservice:test:**", OWN_ID, true},
        {"accountservice:prod:**", OWN_ID, false},
        {"accountservice:test:6767:0192c1d5", OWN_ID, true},
        {"accountservice:test:6768:0192c1d5", OWN_ID, false},
        {"vipservice:**", OWN_ID, false},
        {"vipservice", OWN_ID, false},
        {"account", OWN_ID, false},
        {"account*", OWN_ID, true},
        {"accountservice:dev:**", "accountservice:test,dev:6767:x", true},
        {"accountservice:test:**", "accountservice:test,dev:6767:x", true},
        {"accountservice:test,dev:**", "accountservice:test,dev:6767:x", true},
        {"accountservice:prod:**", "accountservice:test,dev:6767:x", false},
        {"accountservice:6767:**", "accountservice:6767:x", true},
        {"accountservice:**", "accountservice", true},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        bool is_for = gw__bus_is_for(cases[i].destination, cases[i].own_id);
        if (is_for != cases[i].is_for) {
            fail_msg("'%s' for '%s': got %d, expected %d", cases[i].destination, cases[i].own_id,
                     is_for, cases[i].is_for);
        }
    }
}

#define REFRESH "\"type\":\"RefreshRemoteApplicationEvent\""

static void events(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        gw_status st;
        bool refresh;
        const char *says;
    } cases[] = {
        {"{" REFRESH ",\"timestamp\":1494514362123,\"originService\":\"config-server:docker:8888\","
         "\"destinationService\":\"accountservice:**\",\"id\":\"c4151\"}",
         GW_OK, true, NULL},
        {"{" REFRESH ",\"destinationService\":\"accountservice:**\"}", GW_OK, true, NULL},
        {"{" REFRESH ",\"destinationService\":null,\"originService\":null}", GW_OK, true, NULL},
        {"{" REFRESH "}", GW_OK, true, NULL},
        {"{" REFRESH ",\"destinationService\":\"xxxaccoun:**\",\"originService\":"
         "\"configserver:8888\"}",
         GW_OK, false, NULL},
        {"{" REFRESH ",\"destinationService\":\"vipservice:**\"}", GW_OK, false, NULL},
        {"{" REFRESH ",\"destinationService\":\"**\",\"originService\":\"" OWN_ID "\"}", GW_OK,
         false, NULL}, /* our own */
        {"{\"type\":\"EnvironmentChangeRemoteApplicationEvent\",\"destinationService\":\"**\","
         "\"values\":{\"k\":\"v\"}}",
         GW_OK, false, NULL},
        {"{\"type\":\"AckRemoteApplicationEvent\",\"destinationService\":\"**\"}", GW_OK, false,
         NULL},
        {"{\"type\":\"ShutdownRemoteApplicationEvent\",\"destinationService\":\"**\"}", GW_OK,
         false, NULL},
        {"{\"type\":\"\"}", GW_OK, false, NULL},
        {"", GW_E_INVALID, false, "without a body"},
        {"refresh now", GW_E_INVALID, false, "not JSON"},
        {"{" REFRESH, GW_E_INVALID, false, "not JSON"},
        {"{" REFRESH "} trailing", GW_E_INVALID, false, "not JSON"},
        {"[{" REFRESH "}]", GW_E_INVALID, false, "not a JSON object"},
        {"{}", GW_E_INVALID, false, "without a type"},
        {"{\"type\":null}", GW_E_INVALID, false, "without a type"},
        {"{\"type\":1}", GW_E_INVALID, false, "'type' is not a text"},
        {"{" REFRESH ",\"destinationService\":[\"**\"]}", GW_E_INVALID, false,
         "'destinationService' is not a text"},
        {"{" REFRESH ",\"originService\":{}}", GW_E_INVALID, false,
         "'originService' is not a text"},
        {"{" REFRESH ",\"x\":\"\xff\"}", GW_E_INVALID, false, "not JSON"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        bool refresh = false;
        gw_error err = GW_ERROR_INIT;
        gw_status st =
            gw__bus_event_read(OWN_ID, cases[i].body, strlen(cases[i].body), &refresh, &err);
        if (st != cases[i].st || refresh != cases[i].refresh ||
            (cases[i].says != NULL && strstr(err.text, cases[i].says) == NULL)) {
            fail_msg("%s: got %s %d '%s', expected %s %d", cases[i].body, gw_status_name(st),
                     refresh, err.text, gw_status_name(cases[i].st), cases[i].refresh);
        }
    }
}

/* Sizes and shapes that would take long, or much, if nothing bounded them. */
static void hostile_events(void **state)
{
    (void)state;
    bool refresh = false;
    char *large = calloc(1, GW__EVENT_MAX + 2);
    assert_non_null(large);
    memset(large, '[', GW__EVENT_MAX + 1);
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw__bus_event_read(OWN_ID, large, GW__EVENT_MAX + 1, &refresh, &err),
                     GW_E_LIMIT);
    assert_int_equal(gw__bus_event_read(OWN_ID, large, GW__EVENT_MAX, &refresh, &err),
                     GW_E_INVALID);
    size_t head = (size_t)sprintf(large, "{" REFRESH ",\"destinationService\":\"");
    for (size_t i = head; i < GW__EVENT_MAX - 2; i++) { /* a pattern of half a million parts */
        large[i] = i % 2 == 0 ? '*' : ':';
    }
    memcpy(large + GW__EVENT_MAX - 2, "\"}", 2);
    assert_int_equal(gw__bus_event_read(OWN_ID, large, GW__EVENT_MAX, &refresh, &err), GW_OK);
    assert_false(refresh);
    for (size_t i = head; i < GW__EVENT_MAX - 2; i++) { /* and of as many wildcards in one part */
        large[i] = i % 2 == 0 ? '*' : 'x';
    }
    assert_int_equal(gw__bus_event_read(OWN_ID, large, GW__EVENT_MAX, &refresh, &err), GW_OK);
    assert_false(refresh);
    free(large);
}

static void own_ids(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *profile;
        const char *start;
    } cases[] = {
        {"accountservice", "test", "accountservice:test:6767:"},
        {"accountservice", "test,dev", "accountservice:test,dev:6767:"},
        {"accountservice", NULL, "accountservice:6767:"},
        {"accountservice", "", "accountservice:6767:"},
        {"a:b", "c:d", "a-b:c-d:6767:"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf id;
        gw_buf_init(&id, 0);
        gw_config_bus_id(&id, cases[i].name, cases[i].profile, 6767);
        size_t len = strlen(cases[i].start);
        if (id.len != len + 32 || strncmp(id.data, cases[i].start, len) != 0) {
            fail_msg("got '%s', expected '%s' and 32 digits", id.data, cases[i].start);
        }
        gw_buf_dispose(&id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_match_as_in_spring),
        cmocka_unit_test(destinations),
        cmocka_unit_test(events),
        cmocka_unit_test(hostile_events),
        cmocka_unit_test(own_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
