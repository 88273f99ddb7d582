/* SPDX-License-Identifier: MIT */
/* What is let through to the decoder, and what is not: table driven, hostile inputs included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "amqp/frame.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---- frames -------------------------------------------------------------- */

typedef struct frame_case {
    const char *what;
    const char *bytes;
    size_t len;
    gw_status st;
    size_t frame_len;
    const char *text; /* in the error */
} frame_case;

#define BYTES(literal) (literal), sizeof(literal) - 1

static const frame_case frame_cases[] = {
    {"nothing", BYTES(""), GW_OK, 0, NULL},
    {"half a head", BYTES("\x01\0\0\0\0\0"), GW_OK, 0, NULL},
    {"a head only", BYTES("\x01\0\0\0\0\0\x04"), GW_OK, 0, NULL},
    {"no end byte yet", BYTES("\x01\0\0\0\0\0\x04\0\x0a\0\x0a"), GW_OK, 0, NULL},
    {"a method", BYTES("\x01\0\0\0\0\0\x04\0\x0a\0\x0a\xce"), GW_OK, 12, NULL},
    {"a method and more", BYTES("\x01\0\0\0\0\0\x04\0\x0a\0\x0a\xce\x01"), GW_OK, 12, NULL},
    {"a heartbeat", BYTES("\x08\0\0\0\0\0\0\xce"), GW_OK, 8, NULL},
    {"an empty body", BYTES("\x03\0\x01\0\0\0\0\xce"), GW_OK, 8, NULL},
    {"type 0", BYTES("\0\0\0\0\0\0\0"), GW_E_PROTOCOL, 0, "unknown type 0"},
    {"type 4", BYTES("\x04\0\0\0\0\0\0\xce"), GW_E_PROTOCOL, 0, "unknown type 4"},
    {"type 9", BYTES("\x09\0\0\0\0\0\0\xce"), GW_E_PROTOCOL, 0, "unknown type 9"},
    {"type 255", BYTES("\xff\0\0\0\0\0\0\xce"), GW_E_PROTOCOL, 0, "unknown type 255"},
    {"text", BYTES("HTTP/1.1 400"), GW_E_PROTOCOL, 0, "unknown type 72"},
    {"a method of 3 bytes", BYTES("\x01\0\0\0\0\0\x03\0\x0a\0\xce"), GW_E_PROTOCOL, 0, "only 3"},
    {"a method of 0 bytes", BYTES("\x01\0\0\0\0\0\0\xce"), GW_E_PROTOCOL, 0, "only 0"},
    {"a header of 13 bytes", BYTES("\x02\0\x01\0\0\0\x0d"), GW_E_PROTOCOL, 0, "only 13"},
    {"a frame too large, at once", BYTES("\x03\0\x01\0\0\x0f\xf9"), GW_E_PROTOCOL, 0, "4089"},
    {"a frame of 4 GiB", BYTES("\x03\0\x01\xff\xff\xff\xff"), GW_E_PROTOCOL, 0, "4294967295"},
    {"a wrong end byte", BYTES("\x08\0\0\0\0\0\0\xcd"), GW_E_PROTOCOL, 0, "end byte"},
    {"a heartbeat on a channel", BYTES("\x08\0\x01\0\0\0\0\xce"), GW_E_PROTOCOL, 0, "channel 1"},
};

static void test_frames(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(frame_cases); i++) {
        const frame_case *it = &frame_cases[i];
        /* a copy of its exact size, so that a sanitizer sees a read past its end */
        uint8_t *data = malloc(it->len + 1);
        memcpy(data, it->bytes, it->len);
        gw__frame frame;
        size_t len = 99;
        gw_error err = GW_ERROR_INIT;
        gw_status st = gw__frame_parse(data, it->len, 4096, &frame, &len, &err);
        if (st != it->st || len != it->frame_len) {
            fail_msg("%s: %s, %zu bytes; expected %s, %zu", it->what, gw_status_name(st), len,
                     gw_status_name(it->st), it->frame_len);
        }
        if (it->text != NULL && strstr(err.text, it->text) == NULL) {
            fail_msg("%s: '%s' does not say '%s'", it->what, err.text, it->text);
        }
        free(data);
    }
}

static void test_parts_of_a_frame(void **state)
{
    (void)state;
    static const uint8_t data[] = "\x03\x12\x34\0\0\0\x02hi\xce";
    gw__frame frame;
    size_t len;
    assert_int_equal(gw__frame_parse(data, sizeof(data) - 1, 4096, &frame, &len, NULL), GW_OK);
    assert_int_equal(frame.type, 3);
    assert_int_equal(frame.channel, 0x1234);
    assert_int_equal(frame.len, 2);
    assert_memory_equal(frame.payload, "hi", 2);
}

/* The largest frame that was agreed on passes, one byte more does not. */
static void test_largest_frame(void **state)
{
    (void)state;
    uint8_t *data = calloc(1, 4096);
    gw__frame frame;
    size_t len;
    data[0] = 3;
    data[2] = 1;
    data[5] = (4096 - 8) >> 8;
    data[6] = (4096 - 8) & 0xff;
    data[4095] = 0xce;
    assert_int_equal(gw__frame_parse(data, 4096, 4096, &frame, &len, NULL), GW_OK);
    assert_int_equal(len, 4096);
    assert_int_equal(gw__frame_parse(data, 4096, 4095, &frame, &len, NULL), GW_E_PROTOCOL);
    free(data);
}

/* ---- tables -------------------------------------------------------------- */

typedef struct table_case {
    const char *what;
    const char *bytes;
    size_t len;
    gw_status st;
    size_t table_len;
} table_case;

static const table_case table_cases[] = {
    {"nothing", BYTES(""), GW_E_PROTOCOL, 0},
    {"half a length", BYTES("\0\0\0"), GW_E_PROTOCOL, 0},
    {"empty", BYTES("\0\0\0\0"), GW_OK, 4},
    {"empty and more", BYTES("\0\0\0\0rest"), GW_OK, 4},
    {"longer than there is", BYTES("\0\0\0\x05\x01"), GW_E_PROTOCOL, 0},
    {"4 GiB", BYTES("\xff\xff\xff\xff\x01"), GW_E_PROTOCOL, 0},
    {"a boolean", BYTES("\0\0\0\x04\x01kt\x01"), GW_OK, 8},
    {"a void", BYTES("\0\0\0\x03\x01kV"), GW_OK, 7},
    {"a name without a value", BYTES("\0\0\0\x02\x01k"), GW_E_PROTOCOL, 0},
    {"a name past the end", BYTES("\0\0\0\x02\x09k"), GW_E_PROTOCOL, 0},
    {"a name of 255 in a table of 3", BYTES("\0\0\0\x03\xffkV"), GW_E_PROTOCOL, 0},
    {"an unknown kind", BYTES("\0\0\0\x04\x01k?\x01"), GW_E_PROTOCOL, 0},
    {"an integer cut short", BYTES("\0\0\0\x05\x01kI\0\0"), GW_E_PROTOCOL, 0},
    {"a text", BYTES("\0\0\0\x09\x01kS\0\0\0\x02hi"), GW_OK, 13},
    {"a text past the end", BYTES("\0\0\0\x09\x01kS\0\0\0\x03hi"), GW_E_PROTOCOL, 0},
    {"a text of 4 GiB", BYTES("\0\0\0\x09\x01kS\xff\xff\xff\xffhi"), GW_E_PROTOCOL, 0},
    {"a table in a table", BYTES("\0\0\0\x0b\x01kF\0\0\0\x04\x01xt\x01"), GW_OK, 15},
    {"an inner table past the outer", BYTES("\0\0\0\x0b\x01kF\0\0\0\x05\x01xt\x01\0"),
     GW_E_PROTOCOL, 0},
    {"an array", BYTES("\0\0\0\x0b\x01kA\0\0\0\x04t\x01t\0"), GW_OK, 15},
    {"an array cut in an item", BYTES("\0\0\0\x0a\x01kA\0\0\0\x03t\x01t"), GW_E_PROTOCOL, 0},
    {"every kind of number",
     BYTES("\0\0\0\x50"
           "\x01"
           "ab\x01\x01"
           "bB\x01\x01"
           "cs\0\x01\x01"
           "du\0\x01\x01"
           "eI\0\0\0\x01\x01"
           "fi\0\0\0\x01\x01"
           "gl\0\0\0\0\0\0\0\x01\x01"
           "hL\0\0\0\0\0\0\0\x01\x01"
           "jf\0\0\0\0\x01"
           "kd\0\0\0\0\0\0\0\0\x01"
           "mD\x02\0\0\0\x01"),
     GW_OK, 84},
};

static void test_tables(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(table_cases); i++) {
        const table_case *it = &table_cases[i];
        uint8_t *data = malloc(it->len + 1);
        memcpy(data, it->bytes, it->len);
        size_t len = 0;
        gw_status st = gw__table_measure(data, it->len, &len);
        if (st != it->st || len != it->table_len) {
            fail_msg("%s: %s, %zu bytes; expected %s, %zu", it->what, gw_status_name(st), len,
                     gw_status_name(it->st), it->table_len);
        }
        free(data);
    }
}

/* A table with `depth` tables (or arrays) inside of each other, the outermost included. */
static uint8_t *nested(size_t depth, char kind, size_t *ret_len)
{
    size_t item = kind == 'F' ? 7 : 5; /* name, kind, length; in an array no name */
    size_t len = 4 + 7 + (depth - 2) * item;
    uint8_t *data = calloc(1, len);
    size_t at = 0;
    for (size_t i = 0; i < depth; i++) {
        size_t rest = len - at - 4;
        if (i > 0) {
            bool named = i == 1 || kind == 'F';
            if (named) {
                data[at++] = 1;
                data[at++] = 'k';
            }
            data[at++] = (uint8_t)kind;
            rest = len - at - 4;
        }
        data[at++] = (uint8_t)(rest >> 24);
        data[at++] = (uint8_t)(rest >> 16);
        data[at++] = (uint8_t)(rest >> 8);
        data[at++] = (uint8_t)rest;
    }
    assert_int_equal(at, len);
    *ret_len = len;
    return data;
}

static void test_nesting(void **state)
{
    (void)state;
    static const struct {
        size_t depth;
        gw_status st;
    } cases[] = {{2, GW_OK},
                 {GW__TABLE_DEPTH_MAX, GW_OK},
                 {GW__TABLE_DEPTH_MAX + 1, GW_E_LIMIT},
                 {18000, GW_E_LIMIT}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        for (int arrays = 0; arrays <= 1; arrays++) {
            size_t len;
            uint8_t *data = nested(cases[i].depth, arrays ? 'A' : 'F', &len);
            size_t measured = 0;
            gw_status st = gw__table_measure(data, len, &measured);
            if (st != cases[i].st || measured != len) {
                fail_msg("%zu levels: %s, %zu of %zu bytes; expected %s", cases[i].depth,
                         gw_status_name(st), measured, len, gw_status_name(cases[i].st));
            }
            free(data);
        }
    }
}

/* ---- where the headers are ---------------------------------------------------------------------
 */

static const struct {
    const char *what;
    const char *bytes;
    size_t len;
    gw_status st;
    size_t at;
    size_t table_len;
} property_cases[] = {
    {"nothing", BYTES(""), GW_E_PROTOCOL, 0, 0},
    {"one byte", BYTES("\x20"), GW_E_PROTOCOL, 0, 0},
    {"no properties", BYTES("\0\0"), GW_OK, 0, 0},
    {"more flags to come", BYTES("\x20\x01\0\0\0\0"), GW_E_PROTOCOL, 0, 0},
    {"only headers", BYTES("\x20\0\0\0\0\0"), GW_OK, 2, 4},
    {"after a content type", BYTES("\xa0\0\x02hi\0\0\0\0"), GW_OK, 5, 4},
    {"after type and encoding", BYTES("\xe0\0\x02hi\x01x\0\0\0\0"), GW_OK, 7, 4},
    {"an encoding past the end", BYTES("\xe0\0\x02hi\x09x"), GW_E_PROTOCOL, 0, 0},
    {"no encoding", BYTES("\xe0\0\x02hi"), GW_E_PROTOCOL, 0, 0},
    {"no table", BYTES("\xa0\0\x02hi"), GW_E_PROTOCOL, 0, 0},
    {"half a table", BYTES("\x20\0\0\0\0\x01"), GW_E_PROTOCOL, 0, 0},
};

static void test_finding_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OF(property_cases); i++) {
        uint8_t *data = malloc(property_cases[i].len + 1);
        memcpy(data, property_cases[i].bytes, property_cases[i].len);
        size_t at;
        size_t len;
        gw_status st = gw__properties_find_headers(data, property_cases[i].len, &at, &len);
        if (st != property_cases[i].st || at != property_cases[i].at ||
            len != property_cases[i].table_len) {
            fail_msg("%s: %s, %zu bytes at %zu; expected %s, %zu at %zu", property_cases[i].what,
                     gw_status_name(st), len, at, gw_status_name(property_cases[i].st),
                     property_cases[i].table_len, property_cases[i].at);
        }
        free(data);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),        cmocka_unit_test(test_parts_of_a_frame),
        cmocka_unit_test(test_largest_frame), cmocka_unit_test(test_tables),
        cmocka_unit_test(test_nesting),       cmocka_unit_test(test_finding_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
