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

static const gw__bus_self own = {.own_id = OWN_ID};

static gw_status read_refresh(const char *body, size_t len, bool *ret_refresh, gw_error *err)
{
    gw__bus_event event;
    gw_status st = gw__bus_event_read(&own, body, len, &event, err);
    if (st == GW_OK) {
        *ret_refresh = event.kind == GW__EVENT_REFRESH;
        gw__bus_event_dispose(&event);
    }
    return st;
}

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
        {"f?o:**", "f\xc3\xb6o:8080", true}, /* one character, not one byte */
        {"f??o:**", "f\xc3\xb6o:8080", false},
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
        gw__bus_self self = {.own_id = cases[i].own_id};
        bool is_for = gw__bus_is_for(cases[i].destination, &self) ||
                      gw__bus_is_short_for(cases[i].destination, &self);
        if (is_for != cases[i].is_for) {
            fail_msg("'%s' for '%s': got %d, expected %d", cases[i].destination, cases[i].own_id,
                     is_for, cases[i].is_for);
        }
    }
}

/* By Spring's own rules alone; of the short forms it takes none. */
static void destinations_as_in_spring(void **state)
{
    (void)state;
    static const struct {
        const char *destination;
        const char *own_id;
        const char *names;
        bool is_for;
    } cases[] = {
        {"accountservice", OWN_ID, NULL, false},
        {"accountservice:*", OWN_ID, NULL, false},
        {"*", OWN_ID, NULL, false},
        {"accountservice:**", OWN_ID, NULL, true},
        {"billing:**", OWN_ID, NULL, false},
        {"billing:**", OWN_ID, "billing", true}, /* spring.cloud.config.name */
        {"billing:**", OWN_ID, "shared, billing", true},
        {"billing:test:6767:0192c1d5", OWN_ID, "shared,billing", true}, /* with our suffix */
        {"billing:test:6768:**", OWN_ID, "billing", false},
        {"billing:**", OWN_ID, "billing-old", false},
        {"billing:dev:**", "a:test,dev:1:x", "billing", true},
        {"billing:prod:**", "a:test,dev:1:x", "billing", false},
        {"a:dev:**", "a:test,dev", NULL, true},
        {"billing", "a", "billing", true},
        {"billing", "a", ",, ,", false},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw__bus_self self = {.own_id = cases[i].own_id, .config_names = cases[i].names};
        if (gw__bus_is_for(cases[i].destination, &self) != cases[i].is_for) {
            fail_msg("'%s' for '%s' and '%s': expected %d", cases[i].destination, cases[i].own_id,
                     cases[i].names != NULL ? cases[i].names : "", cases[i].is_for);
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
        gw_status st = read_refresh(cases[i].body, strlen(cases[i].body), &refresh, &err);
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
    assert_int_equal(read_refresh(large, GW__EVENT_MAX + 1, &refresh, &err), GW_E_LIMIT);
    assert_int_equal(read_refresh(large, GW__EVENT_MAX, &refresh, &err), GW_E_INVALID);
    size_t head = (size_t)sprintf(large, "{" REFRESH ",\"destinationService\":\"");
    for (size_t i = head; i < GW__EVENT_MAX - 2; i++) { /* a pattern of half a million parts */
        large[i] = i % 2 == 0 ? '*' : ':';
    }
    memcpy(large + GW__EVENT_MAX - 2, "\"}", 2);
    assert_int_equal(read_refresh(large, GW__EVENT_MAX, &refresh, &err), GW_OK);
    assert_false(refresh);
    for (size_t i = head; i < GW__EVENT_MAX - 2; i++) { /* and of as many wildcards in one part */
        large[i] = i % 2 == 0 ? '*' : 'x';
    }
    assert_int_equal(read_refresh(large, GW__EVENT_MAX, &refresh, &err), GW_OK);
    assert_false(refresh);
    free(large);
}

/* ---- values and acknowledgements -------------------------------------------------------- */

#define CHANGE(more)                                                                               \
    "{\"type\":\"EnvironmentChangeRemoteApplicationEvent\",\"originService\":\"config:8888:x\","   \
    "\"destinationService\":\"**\",\"id\":\"e1\"" more "}"

static gw_config *new_config(void)
{
    gw_config *config = NULL;
    assert_int_equal(gw_config_new(NULL, &config, NULL), GW_OK);
    return config;
}

static bool handle(gw_config *config, const char *body, gw_buf *ack)
{
    bool taken = false;
    gw_error err = GW_ERROR_INIT;
    if (gw_config_handle_event(config, OWN_ID, body, strlen(body), &taken, ack, &err) != GW_OK) {
        fail_msg("%s: %s", body, err.text);
    }
    return taken;
}

static void must_be(gw_config *config, const char *key, const char *value, const char *origin)
{
    const gw_config_snapshot *snapshot = gw_config_acquire(config);
    const char *got = "(none)";
    (void)!gw_config_get_string(snapshot, key, &got, NULL);
    assert_string_equal(got, value);
    if (origin != NULL) {
        assert_string_equal(gw_config_origin(snapshot, key), origin);
    }
    gw_config_release(snapshot);
}

static void on_change(void *ctx, const gw_config_snapshot *snapshot, const char *const *keys,
                      size_t n_keys)
{
    (void)snapshot;
    unsigned *n_calls = ctx;
    ++*n_calls;
    assert_int_equal(n_keys, 3); /* all of an event at once */
    assert_string_equal(keys[0], "a");
}

static void values_of_an_event(void **state)
{
    (void)state;
    gw_config *config = new_config();
    unsigned n_calls = 0;
    gw_config_watch *watch = NULL;
    assert_int_equal(gw_config_watch_add(config, on_change, &n_calls, &watch, NULL), GW_OK);
    assert_true(handle(config, CHANGE(",\"values\":{\"a\":\"1\",\"b\":2,\"c\":true}"), NULL));
    assert_int_equal(n_calls, 1);
    gw_config_watch_remove(config, watch);
    must_be(config, "a", "1", "bus event");
    must_be(config, "b", "2", "bus event");
    must_be(config, "c", "true", "bus event");
    assert_true(handle(config, CHANGE(",\"values\":{\"a\":\"3\",\"b\":null}"), NULL));
    must_be(config, "a", "3", NULL);
    must_be(config, "b", "(none)", NULL);
    must_be(config, "c", "true", NULL);
    assert_int_equal(gw_config_set(config, "a", "flag", "the flag -a", NULL), GW_OK);
    must_be(config, "a", "flag", "the flag -a"); /* who started it knows better */
    assert_true(handle(config, CHANGE(",\"values\":{\"l[0]\":\"x\",\"l[1]\":\"y\"}"), NULL));
    assert_true(handle(config, CHANGE(",\"values\":{\"l\":\"z\"}"), NULL)); /* replaces the list */
    must_be(config, "l", "z", NULL);
    assert_true(handle(config, CHANGE(""), NULL));
    gw_config_free(config);
}

static void values_that_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        CHANGE(",\"values\":[]"),
        CHANGE(",\"values\":\"a=b\""),
        CHANGE(",\"values\":{\"a\":{}}"),
        CHANGE(",\"values\":{\"b\":\"2\",\"a\":[1]}"),
        CHANGE(",\"values\":{\"b\":\"2\",\"\":\"1\"}"),
    };
    gw_config *config = new_config();
    for (size_t i = 0; i < N_OF(bodies); i++) {
        assert_int_equal(
            gw_config_handle_event(config, OWN_ID, bodies[i], strlen(bodies[i]), NULL, NULL, NULL),
            GW_E_INVALID);
    }
    must_be(config, "b", "(none)", NULL); /* whole or not at all */

    gw_buf many;
    gw_buf_init(&many, 0);
    gw_buf_add_str(&many, "{\"type\":\"EnvironmentChangeRemoteApplicationEvent\",\"values\":{");
    for (int i = 0; i <= GW__EVENT_VALUES_MAX; i++) {
        gw_buf_addf(&many, "%s\"k%d\":\"v\"", i > 0 ? "," : "", i);
    }
    gw_buf_add_str(&many, "}}");
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_config_handle_event(config, OWN_ID, many.data, many.len, NULL, NULL, &err),
                     GW_E_LIMIT);
    assert_string_equal(err.text, "a bus event with more than 1000 values");
    gw_buf_dispose(&many);

    /* For others, and our own: nothing is set. */
    assert_false(handle(config,
                        "{\"type\":\"EnvironmentChangeRemoteApplicationEvent\",\"values\":{\"b\":"
                        "\"1\"},\"destinationService\":\"vipservice:**\"}",
                        NULL));
    assert_false(handle(config,
                        "{\"type\":\"EnvironmentChangeRemoteApplicationEvent\",\"values\":{\"b\":"
                        "\"1\"},\"originService\":\"" OWN_ID "\"}",
                        NULL));
    must_be(config, "b", "(none)", NULL);
    gw_config_free(config);
}

/* The value that stands behind a field's name; "" when it is not there. */
static const char *field(const gw_buf *json, const char *name)
{
    static char value[256];
    char start[64];
    snprintf(start, sizeof(start), "\"%s\":\"", name);
    const char *at = strstr(json->data, start);
    snprintf(value, sizeof(value), "%s", at != NULL ? at + strlen(start) : "");
    value[strcspn(value, "\"")] = '\0';
    return value;
}

static void what_is_acknowledged(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *class_name; /* NULL: no acknowledgement */
        const char *id;
        const char *destination;
    } cases[] = {
        {"{" REFRESH ",\"originService\":\"c:1:x\",\"destinationService\":\"**\",\"id\":\"e1\"}",
         "RefreshRemoteApplicationEvent", "e1", "**"},
        {"{" REFRESH "}", "RefreshRemoteApplicationEvent", "", "**"},
        {CHANGE(""), "EnvironmentChangeRemoteApplicationEvent", "e1", "**"},
        {"{\"type\":\"ShutdownRemoteApplicationEvent\",\"destinationService\":\"*:**\",\"id\":"
         "\"e2\"}",
         "ShutdownRemoteApplicationEvent", "e2", "*:**"},
        {"{\"type\":\"MineRemoteApplicationEvent\",\"id\":\"e3\"}", "UnknownRemoteApplicationEvent",
         "e3", "**"},
        /* by ourselves, but for us too */
        {"{" REFRESH ",\"originService\":\"" OWN_ID
         "\",\"destinationService\":\"accountservice:**\",\"id\":\"e4\"}",
         "RefreshRemoteApplicationEvent", "e4", "accountservice:**"},
        {"{" REFRESH ",\"destinationService\":\"vipservice:**\",\"id\":\"e5\"}", NULL, NULL, NULL},
        {"{\"type\":\"AckRemoteApplicationEvent\",\"destinationService\":\"**\",\"id\":\"e6\"}",
         NULL, NULL, NULL},
    };
    gw_config *config = new_config();
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_buf ack;
        gw_buf_init(&ack, 0);
        handle(config, cases[i].body, &ack);
        if (cases[i].class_name == NULL) {
            assert_int_equal(ack.len, 0);
            continue;
        }
        char class_name[128];
        snprintf(class_name, sizeof(class_name), "org.springframework.cloud.bus.event.%s",
                 cases[i].class_name);
        assert_non_null(ack.data);
        assert_string_equal(field(&ack, "type"), "AckRemoteApplicationEvent");
        assert_string_equal(field(&ack, "originService"), OWN_ID);
        assert_string_equal(field(&ack, "destinationService"), "**");
        assert_int_equal(strlen(field(&ack, "id")), 36);
        assert_string_equal(field(&ack, "ackId"), cases[i].id);
        assert_string_equal(field(&ack, "ackDestinationService"), cases[i].destination);
        assert_string_equal(field(&ack, "event"), class_name);
        assert_non_null(strstr(ack.data, "\"timestamp\":1"));
        size_t n_fields = 0;
        for (const char *at = ack.data; (at = strstr(at, "\":")) != NULL; at++) {
            n_fields++;
        }
        assert_int_equal(n_fields, 8); /* these, and no other */
        gw_buf_dispose(&ack);
    }
    gw_config_free(config);
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
        cmocka_unit_test(destinations_as_in_spring),
        cmocka_unit_test(events),
        cmocka_unit_test(hostile_events),
        cmocka_unit_test(values_of_an_event),
        cmocka_unit_test(values_that_are_refused),
        cmocka_unit_test(what_is_acknowledged),
        cmocka_unit_test(own_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
