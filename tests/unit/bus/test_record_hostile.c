/* SPDX-License-Identifier: MIT */
/* Records that are cut, changed, made up, or newer than the program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bus/record.h"
#include "messaging/message.h"
#include "sample.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* Read a copy of exactly `len` bytes; nothing may be handed out on failure. */
static gw_status read_exact(const uint8_t *bytes, size_t len, gw_message **ret_msg, gw_error *err)
{
    uint8_t *block = malloc(len + 1);
    assert_non_null(block);
    uint8_t *exact = block + 1; /* the end of the block, whatever malloc() makes of a size of 0 */
    memcpy(exact, bytes, len);
    gw_message *msg = NULL;
    gw_status st = gw__record_read(exact, len, &msg, err);
    free(block);
    assert_true((st == GW_OK) == (msg != NULL));
    *ret_msg = msg;
    return st;
}

static void expect_refused(const char *name, const uint8_t *bytes, size_t len, gw_status expected,
                           const char *part)
{
    gw_message *msg;
    gw_error err = GW_ERROR_INIT;
    gw_status st = read_exact(bytes, len, &msg, &err);
    gw_message_free(msg);
    if (st != expected || err.status != expected || strstr(err.text, part) == NULL) {
        fail_msg("%s: got %s, \"%s\", expected %s with \"%s\"", name, gw_status_name(st), err.text,
                 gw_status_name(expected), part);
    }
}

/* ---- versions ------------------------------------------------------------------- */

static void test_other_versions(void **state)
{
    (void)state;
    gw_message *msg = sample_full();
    size_t len;
    uint8_t *record = sample_record(msg, &len);
    record[0] = 2;
    expect_refused("version 2", record, len, GW_E_UNSUPPORTED, "version 2");
    expect_refused("version 2 alone", record, 1, GW_E_UNSUPPORTED, "version 2");
    record[0] = 255;
    expect_refused("version 255", record, len, GW_E_UNSUPPORTED, "none above 1");
    record[0] = 0;
    expect_refused("version 0", record, len, GW_E_PROTOCOL, "offset 0");
    free(record);
    gw_message_free(msg);
}

/* ---- cut and changed --------------------------------------------------------------- */

static void test_each_truncation(void **state)
{
    (void)state;
    gw_message *msg = sample_full();
    sample_nest(msg, "deep", GW_VALUE_DEPTH_MAX);
    size_t len;
    uint8_t *record = sample_record(msg, &len);
    for (size_t cut = 0; cut < len; cut++) {
        char name[64];
        snprintf(name, sizeof(name), "%zu of %zu bytes", cut, len);
        expect_refused(name, record, cut, GW_E_PROTOCOL, "stored message: offset ");
    }
    free(record);
    gw_message_free(msg);
}

static void test_bytes_too_many(void **state)
{
    (void)state;
    gw_message *msg = sample_full();
    size_t len;
    uint8_t *record = sample_record(msg, &len);
    uint8_t *longer = calloc(1, len + 1);
    assert_non_null(longer);
    memcpy(longer, record, len);
    expect_refused("one more", longer, len + 1, GW_E_PROTOCOL, "offset ");
    free(longer);
    free(record);
    gw_message_free(msg);
}

/* A changed byte is refused, or is what another message is stored as. */
static void test_each_wrong_byte(void **state)
{
    (void)state;
    gw_message *msg = sample_full();
    size_t len;
    uint8_t *record = sample_record(msg, &len);
    size_t n_read = 0;
    for (size_t at = 0; at < len; at++) {
        uint8_t right = record[at];
        for (unsigned byte = 0; byte < 256; byte++) {
            record[at] = (uint8_t)byte;
            gw_message *read;
            gw_error err = GW_ERROR_INIT;
            gw_status st = read_exact(record, len, &read, &err);
            if (st != GW_OK) {
                assert_true(st == GW_E_PROTOCOL || (st == GW_E_UNSUPPORTED && at == 0));
                assert_true(err.text[0] != '\0' && byte != right);
                continue;
            }
            size_t again_len;
            uint8_t *again = sample_record(read, &again_len);
            if (again_len != len || memcmp(again, record, len) != 0) {
                fail_msg("byte %u at %zu is read as another record", byte, at);
            }
            free(again);
            gw_message_free(read);
            n_read++;
        }
        record[at] = right;
    }
    assert_true(n_read > len);
    free(record);
    gw_message_free(msg);
}

static void test_no_error_wanted(void **state)
{
    (void)state;
    gw_message *msg = NULL;
    assert_int_equal(gw__record_read((const uint8_t *)"\1", 1, &msg, NULL), GW_E_PROTOCOL);
    assert_int_equal(gw__record_read(NULL, 0, &msg, NULL), GW_E_PROTOCOL);
    assert_null(msg);
}

/* ---- made up ------------------------------------------------------------------------- */

#define ZEROS8 "\0\0\0\0\0\0\0\0"
#define TIMES  ZEROS8 ZEROS8

/* Flags and texts, number of headers, length of the body, priority; what follows the head. */
#define HEAD(first, n_headers, body_len) "\1" first n_headers body_len "\0\0\0\0" TIMES
#define PLAIN                            HEAD("\1\0\0", "\0\0\0\0", "\0\0\0\0")
#define ONE_HEADER                       HEAD("\1\0\0", "\1\0\0\0", "\0\0\0\0")
#define TWO_HEADERS                      HEAD("\1\0\0", "\2\0\0\0", "\0\0\0\0")

#define BYTES(text)                      text, sizeof(text) - 1

static void test_made_up(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *bytes;
        size_t len;
        const char *part;
    } cases[] = {
        {"unknown flag", BYTES(HEAD("\4\0\0", "\0\0\0\0", "\0\0\0\0")), "offset 1: flags"},
        {"unknown text", BYTES(HEAD("\1\0\2", "\0\0\0\0", "\0\0\0\0")), "offset 2: texts"},
        {"body that is not there", BYTES(HEAD("\1\0\0", "\0\0\0\0", "\1\0\0\0")), "offset 8"},
        {"endless body", BYTES(HEAD("\1\0\0", "\0\0\0\0", "\xff\xff\xff\xff")), "offset 8"},
        {"headers that are not there", BYTES(ONE_HEADER "\1n"), "offset 4"},
        {"endless headers", BYTES(HEAD("\1\0\0", "\xff\xff\xff\xff", "\0\0\0\0") "\1n\0"),
         "offset 4"},
        {"padding", BYTES("\1\1\0\0" ZEROS8 "\0\1\0\0" TIMES), "offset 13"},
        {"expiration",
         BYTES("\1\1\0\0" ZEROS8 "\0\0\0\0" ZEROS8 "\xfe\xff\xff\xff\xff\xff\xff\xff"),
         "offset 24"},
        {"bytes too many", BYTES(PLAIN "x"), "offset 32: more bytes"},
        {"text without its length", BYTES(HEAD("\1\1\0", "\0\0\0\0", "\0\0\0\0")), "offset 32"},
        {"text that is not there", BYTES(HEAD("\1\1\0", "\0\0\0\0", "\0\0\0\0") "\3ab"),
         "takes 3 bytes, of which 2 are there"},
        {"text that reaches into the body", BYTES(HEAD("\1\1\0", "\0\0\0\0", "\2\0\0\0") "\3abcd"),
         "of which 2 are there"},
        {"text with a NUL", BYTES(HEAD("\1\1\0", "\0\0\0\0", "\0\0\0\0") "\3a\0b"), "a NUL"},
        {"header without a name", BYTES(ONE_HEADER "\0\0x"), "without a name"},
        {"name with a NUL", BYTES(ONE_HEADER "\2\0n\0"), "offset 33: a name has a NUL"},
        {"two of one name", BYTES(TWO_HEADERS "\1n\0\1n\0"), "offset 35: a second header"},
        {"unknown kind", BYTES(ONE_HEADER "\1n\x0b"), "offset 34: no kind"},
        {"boolean", BYTES(ONE_HEADER "\1n\1\2"), "offset 35: a boolean"},
        {"number cut short", BYTES(ONE_HEADER "\1n\2\0\0\0\0\0\0\0"), "takes 8 bytes"},
        {"decimal cut short", BYTES(ONE_HEADER "\1n\5\0\0\0\0"), "takes 5 bytes"},
        {"endless value", BYTES(ONE_HEADER "\1n\6\xff\xff\xff\xff"), "takes 4294967295 bytes"},
        {"endless array", BYTES(ONE_HEADER "\1n\x9\xff\xff\xff\xff\0\0"), "offset 35: more items"},
        {"endless table", BYTES(ONE_HEADER "\1n\xa\xff\xff\xff\xff\0\0"), "offset 35: more items"},
        {"table of less than it says", BYTES(ONE_HEADER "\1n\xa\2\0\0\0\1f\0"), "offset 35"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        expect_refused(cases[i].name, (const uint8_t *)cases[i].bytes, cases[i].len, GW_E_PROTOCOL,
                       cases[i].part);
    }
}

/* The record of a header that nests one level deeper than a message may: one more array around the
 * deepest there can be. */
static void test_one_level_too_deep(void **state)
{
    (void)state;
    static const uint8_t array[] = {GW_VALUE_ARRAY, 1, 0, 0, 0};
    gw_message *msg = gw_message_new(NULL, 0);
    assert_non_null(msg);
    sample_nest(msg, "n", GW_VALUE_DEPTH_MAX);
    size_t len;
    uint8_t *record = sample_record(msg, &len);
    uint8_t *deeper = malloc(len + sizeof(array));
    assert_non_null(deeper);
    size_t value_at = 32 + 2;
    memcpy(deeper, record, value_at);
    memcpy(deeper + value_at, array, sizeof(array));
    memcpy(deeper + value_at + sizeof(array), record + value_at, len - value_at);
    expect_refused("deeper", deeper, len + sizeof(array), GW_E_PROTOCOL, "too deeply");
    free(deeper);
    free(record);
    gw_message_free(msg);
}

/* Few bytes that would take much memory, and bytes above the limit of a message's headers. */
static void test_larger_than_a_message_may_be(void **state)
{
    (void)state;
    static const uint8_t head[] = {1, 1, 0, 0, 1};
    static const struct {
        const char *name;
        uint8_t kind;
        uint32_t n;
        const char *part;
    } cases[] = {
        {"array of nulls", GW_VALUE_ARRAY, 7282, "more items than a message may have"},
        {"table of nulls", GW_VALUE_TABLE, 6554, "more items than a message may have"},
        {"bytes", GW_VALUE_BYTES, 65536, "the headers are larger"},
    };
    size_t len = 200000;
    uint8_t *record = malloc(len);
    assert_non_null(record);
    for (size_t i = 0; i < N_OF(cases); i++) {
        uint32_t n = cases[i].n;
        const uint8_t value[] = {
            1, 'n', cases[i].kind, (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), 0};
        memset(record, 0, len);
        memcpy(record, head, sizeof(head));
        memcpy(record + 32, value, sizeof(value));
        expect_refused(cases[i].name, record, len, GW_E_PROTOCOL, cases[i].part);
    }
    memset(record, 0, len);
    memcpy(record, head, sizeof(head));
    record[5] = 0x20; /* 8193 headers */
    expect_refused("headers", record, len, GW_E_PROTOCOL, "offset 4");
    free(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_versions),
        cmocka_unit_test(test_each_truncation),
        cmocka_unit_test(test_bytes_too_many),
        cmocka_unit_test(test_each_wrong_byte),
        cmocka_unit_test(test_no_error_wanted),
        cmocka_unit_test(test_made_up),
        cmocka_unit_test(test_one_level_too_deep),
        cmocka_unit_test(test_larger_than_a_message_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
