/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "messaging/targets.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static gw__target *get_queue(gw__targets *targets, const char *name)
{
    gw__target *target = NULL;
    assert_int_equal(gw__targets_queue(targets, name, &target, NULL), GW_OK);
    return target;
}

static gw__target *get_exchange(gw__targets *targets, const char *name, gw_exchange_type type)
{
    gw__target *target = NULL;
    assert_int_equal(gw__targets_exchange(targets, name, type, &target, NULL), GW_OK);
    return target;
}

static void test_one_of_each(void **state)
{
    (void)state;
    gw__targets *targets = gw__targets_new(GW_QUEUE_QUORUM);
    assert_non_null(targets);
    char name[] = "vip_queue";
    gw__target *queue = get_queue(targets, name);
    memset(name, 'x', sizeof(name) - 1); /* it was copied */
    assert_string_equal(queue->queue, "vip_queue");
    assert_string_equal(queue->exchange, "");
    assert_int_equal(queue->queue_type, GW_QUEUE_QUORUM);
    assert_int_equal(queue->declared_epoch, 0);

    gw__target *topic = get_exchange(targets, "vip_queue", GW_EXCHANGE_TOPIC);
    gw__target *fanout = get_exchange(targets, "vip_queue", GW_EXCHANGE_FANOUT);
    assert_string_equal(topic->exchange, "vip_queue");
    assert_null(topic->queue);
    assert_int_equal(topic->type, GW_EXCHANGE_TOPIC);
    assert_int_equal(fanout->type, GW_EXCHANGE_FANOUT);
    assert_ptr_not_equal(topic, queue);
    assert_ptr_not_equal(topic, fanout);

    assert_ptr_equal(get_queue(targets, "vip_queue"), queue);
    assert_ptr_equal(get_exchange(targets, "vip_queue", GW_EXCHANGE_TOPIC), topic);
    assert_ptr_equal(get_exchange(targets, "vip_queue", GW_EXCHANGE_FANOUT), fanout);
    assert_ptr_not_equal(get_queue(targets, "VIP_queue"), queue);
    gw__targets_free(targets);
    gw__targets_free(NULL);
}

static void test_delayed(void **state)
{
    (void)state;
    gw__targets *targets = gw__targets_new(GW_QUEUE_CLASSIC);
    gw__target *plain = get_queue(targets, "q");
    assert_int_equal(plain->delay_ms, 0);
    assert_null(plain->waiting_queue);
    gw__target *delayed[2];
    static const unsigned delays_ms[] = {1, UINT_MAX};
    static const char *const names[] = {"q.retry.1", "q.retry.4294967295"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(gw__targets_delayed_queue(targets, "q", delays_ms[i], &delayed[i], NULL),
                         GW_OK);
        assert_string_equal(delayed[i]->queue, "q");
        assert_string_equal(delayed[i]->exchange, "");
        assert_string_equal(delayed[i]->waiting_queue, names[i]);
        assert_int_equal(delayed[i]->delay_ms, delays_ms[i]);
        assert_ptr_not_equal(delayed[i], plain);
        gw__target *again = NULL;
        assert_int_equal(gw__targets_delayed_queue(targets, "q", delays_ms[i], &again, NULL),
                         GW_OK);
        assert_ptr_equal(again, delayed[i]);
    }
    assert_ptr_not_equal(delayed[0], delayed[1]);

    char longest[GW_MESSAGE_TEXT_MAX - GW__RETRY_SUFFIX_MAX + 2];
    memset(longest, 'n', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    gw_error err = GW_ERROR_INIT;
    gw__target *target = NULL;
    assert_int_equal(gw__targets_delayed_queue(targets, longest, 1, &target, &err), GW_E_LIMIT);
    assert_non_null(strstr(err.text, "leaves no room for '.retry.1' within 255 bytes: nnn"));
    longest[sizeof(longest) - 2] = '\0';
    assert_int_equal(gw__targets_delayed_queue(targets, longest, UINT_MAX, &target, &err), GW_OK);
    assert_int_equal(strlen(target->waiting_queue), GW_MESSAGE_TEXT_MAX);
    assert_int_equal(gw__targets_delayed_queue(targets, NULL, 1, &target, &err), GW_E_INVALID);
    gw__targets_free(targets);
}

static void test_names(void **state)
{
    (void)state;
    char longest[GW_MESSAGE_TEXT_MAX + 1];
    memset(longest, 'n', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    char too_long[GW_MESSAGE_TEXT_MAX + 2];
    memset(too_long, 'n', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    const struct {
        const char *name;
        gw_status expected;
        const char *text;
    } cases[] = {
        {"a", GW_OK, ""},
        {"with blanks, commas and ;", GW_OK, ""},
        {"\xec\x96\xb4", GW_OK, ""},
        {longest, GW_OK, ""},
        {NULL, GW_E_INVALID, "the queue has no name"},
        {"", GW_E_INVALID, "the queue has no name"},
        {too_long, GW_E_LIMIT, "the name of the queue is longer than 255 bytes: nnnn"},
        {"a\nb", GW_E_INVALID, "the name of the queue 'a?b' holds a control character"},
        {"\x7f", GW_E_INVALID, "holds a control character"},
    };
    gw__targets *targets = gw__targets_new(GW_QUEUE_CLASSIC);
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_error err = GW_ERROR_INIT;
        gw__target *target = NULL;
        gw_status st = gw__targets_queue(targets, cases[i].name, &target, &err);
        if (st != cases[i].expected || strstr(err.text, cases[i].text) == NULL) {
            fail_msg("'%s': got %s '%s', expected %s '%s'", cases[i].name, gw_status_name(st),
                     err.text, gw_status_name(cases[i].expected), cases[i].text);
        }
        assert_int_equal(target != NULL, st == GW_OK);
    }
    gw_error err = GW_ERROR_INIT;
    gw__target *target = NULL;
    assert_int_equal(gw__targets_exchange(targets, "", GW_EXCHANGE_TOPIC, &target, &err),
                     GW_E_INVALID);
    assert_string_equal(err.text, "the exchange has no name");
    gw__targets_free(targets);
}

static void test_many(void **state)
{
    (void)state;
    gw__targets *targets = gw__targets_new(GW_QUEUE_CLASSIC);
    gw__target **made = calloc(GW__TARGETS_MAX, sizeof(gw__target *));
    assert_non_null(made);
    char name[32];
    for (unsigned i = 0; i < GW__TARGETS_MAX; i++) {
        snprintf(name, sizeof(name), "queue %u", i);
        made[i] = get_queue(targets, name);
    }
    for (unsigned i = 0; i < GW__TARGETS_MAX; i++) {
        snprintf(name, sizeof(name), "queue %u", i);
        assert_ptr_equal(get_queue(targets, name), made[i]);
    }
    gw_error err = GW_ERROR_INIT;
    gw__target *target = NULL;
    assert_int_equal(gw__targets_queue(targets, "one more", &target, &err), GW_E_LIMIT);
    assert_string_equal(err.text, "more than 4096 exchanges and queues are published to: "
                                  "'one more' is one too many");
    assert_null(target);
    free(made);
    gw__targets_free(targets);
}

/* ---- several threads ask for the same --------------------------------------------- */

#define N_NAMES 200

typedef struct asker {
    gw__targets *targets;
    gw__target *got[N_NAMES];
} asker;

static void *asker_main(void *ctx)
{
    asker *self = ctx;
    for (unsigned i = 0; i < N_NAMES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "q%u", i);
        self->got[i] = get_queue(self->targets, name);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    gw__targets *targets = gw__targets_new(GW_QUEUE_CLASSIC);
    asker askers[4];
    pthread_t threads[N_OF(askers)];
    for (size_t i = 0; i < N_OF(askers); i++) {
        askers[i].targets = targets;
        assert_int_equal(pthread_create(&threads[i], NULL, asker_main, &askers[i]), 0);
    }
    for (size_t i = 0; i < N_OF(askers); i++) {
        pthread_join(threads[i], NULL);
        assert_memory_equal(askers[i].got, askers[0].got, sizeof(askers[0].got));
    }
    gw__targets_free(targets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_of_each), cmocka_unit_test(test_delayed),
        cmocka_unit_test(test_names),       cmocka_unit_test(test_many),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests_name("targets", tests, NULL, NULL);
}
