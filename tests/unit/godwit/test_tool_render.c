/* SPDX-License-Identifier: MIT */
/* A message for people and for programs, and the message that a dead letter was. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "letter.h"
#include "render.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static gw_message *new_message(const void *body, size_t len)
{
    gw_message *msg = gw_message_new(body, len);
    assert_non_null(msg);
    return msg;
}

static gw_message *dead_message(const char *body)
{
    gw_message *msg = new_message(body, strlen(body));
    assert_int_equal(gw_message_set_id(msg, "id-1"), GW_OK);
    assert_int_equal(gw_message_set_content_type(msg, "text/plain"), GW_OK);
    assert_int_equal(gw_message_set_correlation_id(msg, "c-1"), GW_OK);
    assert_int_equal(gw_message_set_user_id(msg, "somebody"), GW_OK);
    gw_message_set_timestamp(msg, 1700000000);
    gw_message_set_priority(msg, 3);
    gw_message_set_expiration_ms(msg, 5000);
    assert_int_equal(gw_message_set_header_text(msg, "mine", "kept"), GW_OK);
    assert_int_equal(gw_message_set_header_text(msg, "x-godwit-reason", "not \x1b[1mJSON"), GW_OK);
    assert_int_equal(gw_message_set_header_text(msg, "x-godwit-time", "2026-11-22T10:42:13.667Z"),
                     GW_OK);
    assert_int_equal(gw_message_set_header_int(msg, "x-godwit-attempts", 5), GW_OK);
    assert_int_equal(gw_message_set_header_text(msg, "x-godwit-queue", "work"), GW_OK);
    assert_int_equal(gw_message_set_header_text(msg, "x-first-death-queue", "work"), GW_OK);
    return msg;
}

static void set_death(gw_message *msg)
{
    const gw_header entries[] = {
        {"reason", {.kind = GW_VALUE_TEXT, .as.bytes = {"expired", 7}}},
        {"queue", {.kind = GW_VALUE_TEXT, .as.bytes = {"work", 4}}},
        {"count", {.kind = GW_VALUE_INT, .as.integer = 2}},
        {"time", {.kind = GW_VALUE_TIME, .as.uinteger = 1700000000}},
    };
    const gw_value table = {.kind = GW_VALUE_TABLE, .as.table = {entries, N_OF(entries)}};
    const gw_value array = {.kind = GW_VALUE_ARRAY, .as.array = {&table, 1}};
    assert_int_equal(gw_message_set_header(msg, "x-death", &array), GW_OK);
}

static char *render(void (*how)(gw_buf *, size_t, const gw_message *), const gw_message *msg)
{
    gw_buf buf;
    gw_buf_init(&buf, 0);
    how(&buf, 7, msg);
    char *text = gw_buf_detach(&buf, NULL);
    assert_non_null(text);
    return text;
}

static json_t *render_to_json(void (*how)(gw_buf *, size_t, const gw_message *),
                              const gw_message *msg)
{
    char *text = render(how, msg);
    char *end = strchr(text, '\n');
    assert_true(end != NULL && end[1] == '\0'); /* one line */
    json_error_t fault;
    json_t *json = json_loads(text, JSON_ALLOW_NUL, &fault);
    if (json == NULL) {
        fail_msg("%s: %s", text, fault.text);
    }
    free(text);
    return json;
}

static const char *json_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "(none)";
}

static void test_row(void **state)
{
    (void)state;
    gw_message *msg = dead_message("hello");
    char *text = render(render_row, msg);
    assert_string_equal(text, "     7  id-1                                  2026-11-22T10:42:13Z"
                              "         5          5  not \\x1b[1mJSON\n");
    free(text);
    json_t *json = render_to_json(render_row_json, msg);
    assert_string_equal(json_text(json, "reason"), "not \x1b[1mJSON");
    assert_int_equal(json_integer_value(json_object_get(json, "attempts")), 5);
    json_decref(json);
    gw_message_free(msg);
}

/* The broker's own dead letters, and messages that say nothing. */
static void test_rows_of_others(void **state)
{
    (void)state;
    gw_message *msg = new_message("", 0);
    char *text = render(render_row, msg);
    assert_string_equal(text, "     7  -                                     -                   "
                              "         -          0  -\n");
    free(text);
    json_decref(render_to_json(render_row_json, msg));
    set_death(msg);
    letter dead = letter_read(msg);
    assert_string_equal(dead.reason, "expired");
    assert_string_equal(dead.queue, "work");
    assert_int_equal(dead.n_attempts, 2);
    assert_int_equal(strncmp(dead.time, "2023-11-14T22:13:20", 19), 0);
    gw_message_free(msg);
}

/* Headers of other kinds than expected are not believed. */
static void test_hostile_headers(void **state)
{
    (void)state;
    gw_message *msg = new_message("x", 1);
    const gw_value number = {.kind = GW_VALUE_INT, .as.integer = 1};
    const gw_value array = {.kind = GW_VALUE_ARRAY, .as.array = {&number, 1}};
    char longest[4000];
    memset(longest, 'z', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(gw_message_set_header(msg, "x-death", &array), GW_OK);
    assert_int_equal(gw_message_set_header(msg, "x-godwit-reason", &number), GW_OK);
    assert_null(letter_read(msg).reason);
    assert_int_equal(gw_message_set_header_text(msg, "x-godwit-reason", longest), GW_OK);
    assert_int_equal(gw_message_set_header_text(msg, "x-godwit-time", longest), GW_OK);
    assert_int_equal(gw_message_set_header_text(msg, "x-godwit-attempts", "many"), GW_OK);
    letter dead = letter_read(msg);
    assert_int_equal(strlen(dead.time), LETTER_TIME_LEN);
    assert_int_equal(dead.n_attempts, -1);
    free(render(render_row, msg));
    free(render(render_page, msg));
    gw_message_free(msg);
}

static void test_page(void **state)
{
    (void)state;
    gw_message *msg = dead_message("two\nlines \x1b[2J");
    char *text = render(render_page, msg);
    static const char *const parts[] = {
        "message 7 of queue -\n",
        "\n  message_id         id-1\n",
        "\n  user_id            somebody\n",
        "\n  timestamp          2023-11-14T22:13:20Z\n",
        "\n  mine               kept\n",
        "\n  x-godwit-reason    not \\x1b[1mJSON\n",
        "\nbody, 14 bytes\ntwo\nlines \\x1b[2J\n",
    };
    for (size_t i = 0; i < N_OF(parts); i++) {
        if (strstr(text, parts[i]) == NULL) {
            fail_msg("'%s' is not in '%s'", parts[i], text);
        }
    }
    assert_null(strchr(text, '\x1b'));
    free(text);
    gw_message_free(msg);
}

static void test_large_page(void **state)
{
    (void)state;
    size_t len = RENDER_BODY_MAX + 9; /* the cut would go through the last character */
    char *body = malloc(len);
    assert_non_null(body);
    memset(body, 'a', len);
    memcpy(body + RENDER_BODY_MAX - 1, "\xc3\xbc", 2);
    gw_message *msg = new_message(body, len);
    char *text = render(render_page, msg);
    assert_non_null(strstr(text, "aaa\n... 10 more bytes"));
    free(text);
    gw_message_free(msg);
    free(body);
}

static void test_json(void **state)
{
    (void)state;
    gw_message *msg = dead_message("\"quoted\"\n\x01");
    const gw_value values[] = {
        {.kind = GW_VALUE_NULL},
        {.kind = GW_VALUE_BOOL, .as.boolean = true},
        {.kind = GW_VALUE_INT, .as.integer = INT64_MIN},
        {.kind = GW_VALUE_DOUBLE, .as.real = 0.5},
        {.kind = GW_VALUE_DOUBLE, .as.real = NAN},
        {.kind = GW_VALUE_DOUBLE, .as.real = -INFINITY},
        {.kind = GW_VALUE_DECIMAL, .as.decimal = {2, 12345}},
        {.kind = GW_VALUE_BYTES, .as.bytes = {"\xff\x00", 2}},
        {.kind = GW_VALUE_TIME, .as.uinteger = 1700000000},
        {.kind = GW_VALUE_TIME, .as.uinteger = UINT64_MAX},
        {.kind = GW_VALUE_ARRAY},
        {.kind = GW_VALUE_TABLE},
    };
    const gw_value all = {.kind = GW_VALUE_ARRAY, .as.array = {values, N_OF(values)}};
    assert_int_equal(gw_message_set_header(msg, "all \"of\" them", &all), GW_OK);
    set_death(msg);
    json_t *json = render_to_json(render_json, msg);
    assert_string_equal(json_text(json, "body"), "\"quoted\"\n\x01");
    assert_int_equal(json_integer_value(json_object_get(json, "number")), 7);
    json_t *properties = json_object_get(json, "properties");
    assert_string_equal(json_text(properties, "correlation_id"), "c-1");
    assert_string_equal(json_text(properties, "expiration"), "5000");
    assert_int_equal(json_integer_value(json_object_get(properties, "priority")), 3);
    json_t *headers = json_object_get(json, "headers");
    json_t *list = json_object_get(headers, "all \"of\" them");
    assert_int_equal(json_array_size(list), N_OF(values));
    assert_string_equal(json_string_value(json_array_get(list, 4)), "nan");
    assert_string_equal(json_string_value(json_array_get(list, 6)), "12345e-2");
    assert_string_equal(json_text(json_array_get(list, 7), "base64"), "/wA=");
    assert_string_equal(json_string_value(json_array_get(list, 8)), "2023-11-14T22:13:20Z");
    json_decref(json);
    gw_message_free(msg);

    msg = new_message("\xff\x00", 2);
    json = render_to_json(render_json, msg);
    assert_string_equal(json_text(json, "body_base64"), "/wA=");
    assert_null(json_object_get(json, "body"));
    json_decref(json);
    gw_message_free(msg);
}

static void test_restore(void **state)
{
    (void)state;
    gw_message *msg = dead_message("hello");
    set_death(msg);
    gw_message *restored = letter_restore(msg);
    assert_non_null(restored);
    assert_int_equal(gw_message_n_headers(restored), 1);
    assert_string_equal(gw_message_header_text(restored, "mine"), "kept");
    assert_string_equal(gw_message_id(restored), "id-1");
    assert_string_equal(gw_message_content_type(restored), "text/plain");
    assert_string_equal(gw_message_correlation_id(restored), "c-1");
    assert_null(gw_message_user_id(restored));
    assert_int_equal(gw_message_timestamp(restored), 1700000000);
    assert_int_equal(gw_message_priority(restored), 3);
    assert_int_equal(gw_message_expiration_ms(restored), 5000);
    assert_true(gw_message_is_persistent(restored));
    size_t len;
    assert_memory_equal(gw_message_body(restored, &len), "hello", 5);
    assert_int_equal(len, 5);
    gw_message_free(restored);
    gw_message_free(msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row),        cmocka_unit_test(test_rows_of_others),
        cmocka_unit_test(test_page),       cmocka_unit_test(test_hostile_headers),
        cmocka_unit_test(test_large_page), cmocka_unit_test(test_json),
        cmocka_unit_test(test_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
