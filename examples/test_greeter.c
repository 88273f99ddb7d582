/* SPDX-License-Identifier: MIT */
/* The unit test of a service's handler, with the broker in memory: no RabbitMQ, no port, no wait.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <godwit/testing.h>

/* The program under test is one file. One with several links them, and leaves its main.c out. */
#define main greeter_main
int greeter_main(int argc, char **argv);
#include "greeter.c"
#undef main

#define URL "memory:test_greeter"

static int connect_client(void **state)
{
    (void)state;
    return gw_connect(URL, NULL, &client, NULL) == GW_OK ? 0 : -1;
}

static int close_client(void **state)
{
    (void)state;
    return gw_close(client, 1000, NULL) == GW_OK ? 0 : -1;
}

static void send_greeting(const char *name)
{
    gw_message *msg = gw_message_new(name, strlen(name));
    assert_int_equal(gw_publish_on_queue(client, "greetings", msg, NULL), GW_OK);
    gw_message_free(msg);
    assert_int_equal(
        gw_subscribe_to_queue(client, "greetings", NULL, on_greeting, NULL, NULL, NULL), GW_OK);
    assert_int_equal(gw_testing_wait_handled(URL, "greetings", 5000, NULL), GW_OK);
}

static void test_greets(void **state)
{
    (void)state;
    send_greeting("Ada");
    size_t n_dead;
    assert_int_equal(gw_testing_queue_len(URL, "greetings.dead", &n_dead, NULL), GW_E_NOT_FOUND);
}

static void test_rejects_an_endless_name(void **state)
{
    (void)state;
    send_greeting("Pablo Diego José Francisco de Paula Juan Nepomuceno");
    gw_message *letter;
    assert_int_equal(gw_testing_take(URL, "greetings.dead", 5000, &letter, NULL), GW_OK);
    assert_string_equal(gw_message_header_text(letter, "x-godwit-reason"), "a name of 52 bytes");
    gw_message_free(letter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_greets, connect_client, close_client),
        cmocka_unit_test_setup_teardown(test_rejects_an_endless_name, connect_client, close_client),
    };
    return cmocka_run_group_tests_name("greeter", tests, NULL, NULL);
}
