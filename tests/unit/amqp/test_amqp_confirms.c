/* SPDX-License-Identifier: MIT */
/* The two lists of what is not settled yet: published messages and deliveries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "amqp/confirms.h"
#include "amqp/unsettled.h"

/* ---- confirms ------------------------------------------------------------ */

static gw__target target = {.exchange = "x", .type = GW_EXCHANGE_TOPIC};

static gw__outgoing *new_item(const char *id, const char *key)
{
    gw__outgoing *item = calloc(1, sizeof(*item));
    item->msg = gw_message_new("", 0);
    if (id != NULL) {
        assert_int_equal(gw_message_set_id(item->msg, id), GW_OK);
    }
    item->target = &target;
    item->routing_key = key;
    item->mandatory = true;
    return item;
}

static void free_item(gw__outgoing *item)
{
    gw_message_free(item->msg);
    free(item);
}

static void test_confirms_in_any_order(void **state)
{
    (void)state;
    gw__confirms *confirms = calloc(1, sizeof(*confirms));
    gw__outgoing items[5] = {0};
    uint64_t sent_ns;
    gw__confirms_reset(confirms);
    assert_false(gw__confirms_is_known(confirms, 0));
    assert_false(gw__confirms_is_known(confirms, 1));
    for (uint64_t i = 0; i < 5; i++) {
        gw__confirms_add(confirms, &items[i], 100 + i);
    }
    assert_false(gw__confirms_is_known(confirms, 0));
    assert_true(gw__confirms_is_known(confirms, 5));
    assert_false(gw__confirms_is_known(confirms, 6));
    assert_ptr_equal(gw__confirms_take(confirms, 3, &sent_ns), &items[2]);
    assert_int_equal(sent_ns, 102);
    assert_int_equal(gw__confirms_count(confirms), 5);
    assert_null(gw__confirms_take(confirms, 3, &sent_ns)); /* twice */
    assert_ptr_equal(gw__confirms_take(confirms, 1, &sent_ns), &items[0]);
    assert_int_equal(gw__confirms_count(confirms), 4);
    assert_int_equal(gw__confirms_oldest_ns(confirms), 101);
    assert_ptr_equal(gw__confirms_take(confirms, 2, &sent_ns), &items[1]);
    assert_int_equal(gw__confirms_count(confirms), 2);
    assert_ptr_equal(gw__confirms_take(confirms, 5, &sent_ns), &items[4]);
    assert_ptr_equal(gw__confirms_take(confirms, 4, &sent_ns), &items[3]);
    assert_int_equal(gw__confirms_count(confirms), 0);
    assert_int_equal(gw__confirms_oldest_ns(confirms), 0);
    free(confirms);
}

static void test_confirms_round_and_round(void **state)
{
    (void)state;
    gw__confirms *confirms = calloc(1, sizeof(*confirms));
    static gw__outgoing items[GW__CONFIRM_WINDOW];
    uint64_t sent_ns;
    gw__confirms_reset(confirms);
    uint64_t next = 1;
    for (int round = 0; round < 5; round++) {
        uint64_t first = next;
        for (; next < first + GW__CONFIRM_WINDOW; next++) {
            gw__confirms_add(confirms, &items[next % GW__CONFIRM_WINDOW], next);
        }
        assert_int_equal(gw__confirms_count(confirms), GW__CONFIRM_WINDOW);
        for (uint64_t tag = next - 1; tag >= first; tag--) { /* the worst order */
            assert_ptr_equal(gw__confirms_take(confirms, tag, &sent_ns),
                             &items[tag % GW__CONFIRM_WINDOW]);
        }
        assert_int_equal(gw__confirms_count(confirms), 0);
    }
    free(confirms);
}

/* A return says neither number nor anything unique: with ids that are the same, order decides. */
static void test_returned_with_the_same_id(void **state)
{
    (void)state;
    gw__confirms *confirms = calloc(1, sizeof(*confirms));
    gw__outgoing *items[] = {new_item("same", "k"), new_item("other", "k"), new_item("same", "k"),
                             new_item("same", "k2"), new_item(NULL, "k")};
    uint64_t sent_ns;
    gw__confirms_reset(confirms);
    for (size_t i = 0; i < 5; i++) {
        gw__confirms_add(confirms, items[i], 1 + i);
    }
    assert_null(gw__confirms_take_returned(confirms, "y", "k", "same"));
    assert_null(gw__confirms_take_returned(confirms, "x", "k", "unknown"));
    assert_ptr_equal(gw__confirms_take_returned(confirms, "x", "k", "same"), items[0]);
    assert_ptr_equal(gw__confirms_take_returned(confirms, "x", "k", "same"), items[2]);
    assert_null(gw__confirms_take_returned(confirms, "x", "k", "same"));
    assert_ptr_equal(gw__confirms_take_returned(confirms, "x", "k2", "same"), items[3]);
    /* one out of order is found all the same */
    assert_ptr_equal(gw__confirms_take_returned(confirms, "x", "k", "other"), items[1]);
    assert_ptr_equal(gw__confirms_take_returned(confirms, "x", "k", NULL), items[4]);
    /* the confirms that follow find them settled */
    for (uint64_t tag = 1; tag <= 5; tag++) {
        assert_null(gw__confirms_take(confirms, tag, &sent_ns));
        assert_int_equal(sent_ns, tag);
    }
    assert_int_equal(gw__confirms_count(confirms), 0);
    for (size_t i = 0; i < 5; i++) {
        free_item(items[i]);
    }
    free(confirms);
}

static void test_returned_that_was_not_mandatory(void **state)
{
    (void)state;
    gw__confirms *confirms = calloc(1, sizeof(*confirms));
    gw__outgoing *item = new_item("id", "k");
    item->mandatory = false;
    gw__confirms_reset(confirms);
    gw__confirms_add(confirms, item, 1);
    assert_null(gw__confirms_take_returned(confirms, "x", "k", "id"));
    free_item(item);
    free(confirms);
}

/* ---- deliveries ---------------------------------------------------------- */

/* What a batch of settlements comes to on the wire: "a3*" acks up to 3, "r5" requeues 5. */
static void settle(gw__unsettled *unsettled, const char *batch, char *frames)
{
    uint64_t tags[32];
    size_t n_tags = 0;
    for (const char *p = batch; *p != '\0';) {
        gw__settlement how = *p == 'a' ? GW__ACK : GW__REQUEUE;
        char *end;
        tags[n_tags] = strtoull(p + 1, &end, 10);
        (void)gw__unsettled_mark(unsettled, tags[n_tags++], how);
        p = *end == ' ' ? end + 1 : end;
    }
    uint64_t tag;
    bool multiple;
    gw__settlement how;
    size_t n;
    frames[0] = '\0';
    while (gw__unsettled_next_run(unsettled, &tag, &multiple, &how, &n)) {
        sprintf(frames + strlen(frames), "%c%llu%s ", how == GW__ACK ? 'a' : 'r',
                (unsigned long long)tag, multiple ? "*" : "");
    }
    for (size_t i = 0; i < n_tags; i++) {
        if (gw__unsettled_take(unsettled, tags[i], &how)) {
            sprintf(frames + strlen(frames), "%c%llu ", how == GW__ACK ? 'a' : 'r',
                    (unsigned long long)tags[i]);
        }
    }
}

/* Ten deliveries, then batches of settlements, with what each must come to. */
static const struct {
    const char *batches[4];
    const char *frames[4];
} settle_cases[] = {
    {{"a1"}, {"a1 "}},
    {{"a1 a2 a3"}, {"a3* "}},
    {{"a3 a1 a2"}, {"a3* "}},
    {{"a2 a3"}, {"a2 a3 "}},
    {{"a2", "a1", "a3"}, {"a2 ", "a1 ", "a3 "}},
    {{"a2 a4", "a1 a3", "a5 a6"}, {"a2 a4 ", "a3* ", "a6* "}},
    {{"a1 a2 r3 r4 a5"}, {"a2* r4* a5 "}},
    {{"r1"}, {"r1 "}},
    {{"a1 a1", "a1", "a2"}, {"a1 ", "", "a2 "}},
    {{"a1 r1"}, {"a1 "}},
    {{"a0 a11 a99"}, {""}},
    {{"a1 a2 a3 a4 a5 a6 a7 a8 a9 a10", "a10"}, {"a10* ", ""}},
    {{"a10 a9 a8", "a1", "a7 a6 a5 a4 a3", "a2"}, {"a10 a9 a8 ", "a1 ", "a7 a6 a5 a4 a3 ", "a2 "}},
    {{"a2 a1 a4"}, {"a2* a4 "}},
};

static void test_few_frames(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(settle_cases) / sizeof(settle_cases[0]); i++) {
        gw__unsettled unsettled;
        gw__unsettled_init(&unsettled);
        for (uint64_t tag = 1; tag <= 10; tag++) {
            assert_int_equal(gw__unsettled_add(&unsettled, tag), GW_OK);
        }
        for (size_t k = 0; k < 4 && settle_cases[i].batches[k] != NULL; k++) {
            char frames[256];
            settle(&unsettled, settle_cases[i].batches[k], frames);
            if (strcmp(frames, settle_cases[i].frames[k]) != 0) {
                fail_msg("case %zu: '%s' came to '%s' instead of '%s'", i,
                         settle_cases[i].batches[k], frames, settle_cases[i].frames[k]);
            }
        }
        gw__unsettled_dispose(&unsettled);
    }
}

static void test_tags_must_grow(void **state)
{
    (void)state;
    gw__unsettled unsettled;
    gw__unsettled_init(&unsettled);
    assert_int_equal(gw__unsettled_add(&unsettled, 0), GW_E_PROTOCOL);
    assert_int_equal(gw__unsettled_add(&unsettled, 5), GW_OK);
    assert_int_equal(gw__unsettled_add(&unsettled, 5), GW_E_PROTOCOL);
    assert_int_equal(gw__unsettled_add(&unsettled, 4), GW_E_PROTOCOL);
    assert_int_equal(gw__unsettled_add(&unsettled, 6), GW_OK);
    assert_int_equal(unsettled.n_open, 2);
    char frames[64];
    settle(&unsettled, "a5 a6", frames); /* nor are they used again once they are settled */
    assert_int_equal(gw__unsettled_add(&unsettled, 6), GW_E_PROTOCOL);
    gw__unsettled_reset(&unsettled);
    assert_int_equal(gw__unsettled_add(&unsettled, 1), GW_OK);
    gw__unsettled_dispose(&unsettled);
}

/* One delivery stays open while a million pass it: the list does not grow. */
static void test_one_stays_open(void **state)
{
    (void)state;
    gw__unsettled unsettled;
    char frames[64];
    char batch[32];
    gw__unsettled_init(&unsettled);
    assert_int_equal(gw__unsettled_add(&unsettled, 1), GW_OK);
    for (uint64_t tag = 2; tag <= 100000; tag++) {
        assert_int_equal(gw__unsettled_add(&unsettled, tag), GW_OK);
        snprintf(batch, sizeof(batch), "a%llu", (unsigned long long)tag);
        settle(&unsettled, batch, frames);
    }
    assert_true(unsettled.cap <= 256);
    settle(&unsettled, "a1", frames);
    assert_string_equal(frames, "a1 ");
    assert_int_equal(unsettled.n_open, 0);
    gw__unsettled_dispose(&unsettled);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_confirms_in_any_order),
        cmocka_unit_test(test_confirms_round_and_round),
        cmocka_unit_test(test_returned_with_the_same_id),
        cmocka_unit_test(test_returned_that_was_not_mandatory),
        cmocka_unit_test(test_few_frames),
        cmocka_unit_test(test_tags_must_grow),
        cmocka_unit_test(test_one_stays_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
