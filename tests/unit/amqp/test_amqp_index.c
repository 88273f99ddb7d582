/* SPDX-License-Identifier: MIT */
/*
 * The index of what is known to go wrong between RabbitMQ and its clients: each trap that this code
 * could fall into, with the tests that watch over it. That these exist is checked here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct trap {
    const char *what; /* NULL with the further tests of a trap */
    const char *file; /* test_amqp_<file>.c in this folder */
    const char *test; /* test_<test>() in it */
} trap;

/* clang-format off */
static const trap traps[] = {
    /* Sending and receiving */
    {"a publish that blocks without limit",               "publisher",    "broker_that_does_not_read"},
    {"a send without a deadline, the peer still beating", "publisher",    "broker_that_does_not_read"},
    {"a writer is stuck and the reader does not notice",  "publisher",    "broker_that_does_not_read"},
    {"data on the way to a peer that is gone",            "connection",   "user_timeout"},
    {"frames of other channels are dropped",              "consumer",     "channel_closed_by_the_broker"},
    {"the last frame of an exact multiple is held back",  "publisher",    "bodies_at_frame_edges"},
    {"a body larger than a frame",                        "publisher",    "bodies_at_frame_edges"},
    {NULL,                                                "publisher",    "large_body"},
    {NULL,                                                "consumer",     "body_in_many_frames"},
    {"inbound memory grows under backpressure",           "publisher",    "window"},
    {NULL,                                                "consumer",     "wrong_deliveries"},
    {"heartbeats too late",                               "session",      "heartbeats_are_sent_at_half_the_interval"},
    {"heartbeat 0 is off",                                "session",      "tuning"},
    {NULL,                                                "endpoint",     "urls"},
    {"silence",                                           "session",      "silence_is_noticed"},
    {NULL,                                                "connection",   "heartbeats"},
    {"half a frame, and the rest later or never",         "connection",   "half_frames"},
    {NULL,                                                "consumer",     "delivery_byte_by_byte"},
    {NULL,                                                "consumer",     "connection_lost_within_a_body"},
    {"connecting or looking up without a limit",          "connection",   "no_answer_to_connecting_or_looking_up"},
    {"the first address hides the others",                "connection",   "hosts_are_tried_in_turn"},
    /* (A port of this machine that connects to itself, link.c: no test can bring it about.) */

    /* Hostile input */
    {"undersized frames (CVE-2026-44235)",                "frame",        "frames"},
    {NULL,                                                "consumer",     "wrong_deliveries"},
    {"frame_max below 4096 (CVE-2026-44236)",             "session",      "tuning"},
    {NULL,                                                "connection",   "frame_max_1"},
    {"frames of an unknown type or channel",              "frame",        "frames"},
    {NULL,                                                "session",      "what_must_not_come"},
    {NULL,                                                "consumer",     "wrong_deliveries"},
    {"tables nested 18,000 levels deep",                  "frame",        "nesting"},
    {NULL,                                                "session",      "deep_table_in_start"},
    {NULL,                                                "consumer",     "deep_headers"},
    {"going on after bad data",                           "consumer",     "wrong_deliveries"},
    {"a frame that is too large, or ends wrong",          "frame",        "frames"},
    {NULL,                                                "consumer",     "wrong_deliveries"},
    {"a confirm of what was not, or not wholly, sent",    "publisher",    "confirm_of_what_was_not_sent"},
    {NULL,                                                "publisher",    "confirm_of_half_a_message"},

    /* The protocol */
    {"capabilities that are not announced",               "connection",   "who_we_are"},
    {"a channel exception",                               "publisher",    "channel_lost_over_a_missing_exchange"},
    {"a channel number used again before close-ok",       "session",      "late_frames_of_a_closed_channel"},
    {"no close-ok for the broker's close",                "connection",   "close_reason_in_words"},
    {NULL,                                                "session",      "channel_closed_by_the_broker"},
    {"calls without an answer, phantom consumers",        "session",      "call_without_an_answer"},
    {NULL,                                                "conversation", "declaration_without_an_answer"},
    {"confirm numbers that go on over a new channel",     "publisher",    "lost_connection_sends_again_in_order"},
    {"confirms out of order, multiple, twice",            "publisher",    "confirms_out_of_order_and_multiple"},
    {NULL,                                                "confirms",     "confirms_in_any_order"},
    {"a message that is refused (basic.nack)",            "publisher",    "nack"},
    {"a channel that refuses for ever (basic.nack)",      "conversation", "channel_that_refuses_everything"},
    {"a return before its confirm",                       "publisher",    "returned_before_its_ack"},
    {"confirms that never come",                          "conversation", "confirms_that_never_come"},
    {NULL,                                                "hosts",        "host_that_confirms_nothing_is_left"},
    {NULL,                                                "hosts",        "queue_that_nobody_confirms_is_put_off"},
    {"one message that ends the channel again and again", "publisher",    "one_poisonous_message"},
    {NULL,                                                "publisher",    "message_that_ends_the_connection"},

    /* Recovery */
    {"server-named queues, auto-delete, exclusive",       "consumer",     "temporary_queue"},
    {"a temporary queue that was on another node",        "hosts",        "temporary_queue_of_another_host"},
    {"a locked queue (405)",                              "consumer",     "locked_temporary_queue"},
    {NULL,                                                "consumer",     "locked_work_queue"},
    {"a consumer tag used again",                         "consumer",     "stale_settlements"},
    {"settlements of another epoch",                      "consumer",     "stale_settlements"},
    {"a subscription is forgotten after a failure",       "consumer",     "refused_declarations"},
    {"a 406 at declaring stalls everything",              "consumer",     "queue_with_other_properties"},
    {"a 404 while a node restarts",                       "consumer",     "refused_declarations"},
    {"consumer_timeout closes the channel",               "consumer",     "channel_closed_by_the_broker"},
    {"the broker cancels a consumer",                     "consumer",     "cancelled_by_the_broker"},
    {NULL,                                                "consumer",     "cancelled_by_both"},
    {"a new prefetch loses or repeats what is out",       "consumer",     "other_prefetch"},
    {"subscribing while the broker is away",              "connection",   "subscribe_before_the_broker"},
    {"storms, giving up",                                 "recovery",     "backoff"},
    {NULL,                                                "recovery",     "two_are_not_alike"},
    {"a host that takes connections and no more",         "hosts",        "host_that_takes_and_does_not_answer"},
    {NULL,                                                "hosts",        "host_that_failed_is_tried_last"},
    {"flapping",                                          "recovery",     "flapping_is_capped"},
    {"hammering with a refused login",                    "recovery",     "refused_waits_longer"},
    {NULL,                                                "connection",   "refused_login_is_not_tried_by_both"},
    {"credentials lost after the first login, or old",    "connection",   "login_again"},
    {NULL,                                                "connection",   "password_file_is_read_each_time"},
    {"an alarm that blocks, or looks like a dead peer",   "publisher",    "blocked"},
    {NULL,                                                "publisher",    "blocked_broker_that_does_not_read"},
    {NULL,                                                "consumer",     "second_connection"},
    {"close reasons that nobody understands",             "connection",   "reasons"},
    {"deliveries before cancel-ok are thrown away",       "consumer",     "cancel"},
    {"a shutdown that gives back what was handled",       "consumer",     "release"},
};
/* clang-format on */

static char *read_source(const char *file)
{
    const char *end = strrchr(__FILE__, '/');
    char path[4096];
    snprintf(path, sizeof(path), "%.*s/test_amqp_%s.c", (int)(end != NULL ? end - __FILE__ : 1),
             end != NULL ? __FILE__ : ".", file);
    FILE *source = fopen(path, "r");
    if (source == NULL) {
        fail_msg("%s cannot be read", path);
    }
    enum { SIZE = 1 << 20 };
    char *text = calloc(1, SIZE);
    assert_non_null(text);
    assert_true(fread(text, 1, SIZE - 1, source) < SIZE - 1);
    fclose(source);
    return text;
}

/* It is defined, and run. */
static bool has_test(const char *source, const char *test)
{
    char defined[256];
    char run[256];
    snprintf(defined, sizeof(defined), "\nstatic void test_%s(void **state)", test);
    snprintf(run, sizeof(run), "test_%s)", test);
    char run_as[256];
    snprintf(run_as, sizeof(run_as), "test_%s,", test); /* with a setup */
    return strstr(source, defined) != NULL &&
           (strstr(source, run) != NULL || strstr(source, run_as) != NULL);
}

static void test_each_is_watched(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(traps) / sizeof(traps[0]); i++) {
        char *source = read_source(traps[i].file);
        if (!has_test(source, traps[i].test)) {
            fail_msg("test_amqp_%s.c has no test_%s()", traps[i].file, traps[i].test);
        }
        free(source);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_is_watched)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
