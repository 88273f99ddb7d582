/* SPDX-License-Identifier: MIT */
/* Binding keys of topic exchanges; the answers are RabbitMQ's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "messaging/topic.h"

static void test_matching(void **state)
{
    (void)state;
    static const struct {
        const char *binding;
        const char *key;
        bool matches;
    } cases[] = {
        {"a", "a", true},
        {"a", "b", false},
        {"a", "A", false},
        {"a", "ab", false},
        {"ab", "a", false},
        {"a.b", "a.b", true},
        {"a.b", "a", false},
        {"a", "a.b", false},
        {"*", "a", true},
        {"*", "a.b", false},
        {"*.*", "a.b", true},
        {"*.b", "a.b", true},
        {"a.*", "a.b", true},
        {"a.*", "a", false},
        {"a.*.c", "a.b.c", true},
        {"a.*.c", "a.b.d", false},
        {"#", "", true},
        {"#", "a", true},
        {"#", "a.b.c", true},
        {"#", "..", true},
        {"#.#", "a", true},
        {"#.#", "", true},
        {"a.#", "a", true},
        {"a.#", "a.b.c", true},
        {"a.#", "ab", false},
        {"a.#", "b.a", false},
        {"#.a", "a", true},
        {"#.a", "b.c.a", true},
        {"#.a", "a.b", false},
        {"#.a.#", "x.a.y", true},
        {"#.a.#", "x.y", false},
        {"#.b.c", "a.b.b.c", true},
        {"#.b.c", "a.b.c.b", false},
        {"#.*", "", false},
        {"#.*", "a", true},
        {"#.*.#.*", "a", false},
        {"#.*.#.*", "a.b", true},
        {"a.#.b.#.c", "a.b.c", true},
        {"a.#.b.#.c", "a.x.b.y.b.z.c", true},
        {"a.#.b.#.c", "a.x.c", false},
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"*", "", false},
        {"a.", "a.", true},
        {"a.*", "a.", true},
        {"a.", "a", false},
        {".", ".", true},
        {"*.*", ".", true},
        {"*", ".", false},
        {"a..b", "a..b", true},
        {"a.*.b", "a..b", true},
        {"a*", "ab", false},
        {"a*", "a*", true},
        {"##", "a", false},
        {"#a", "#a", true},
        {"vip_queue", "vip_queue", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool matches = gw__topic_matches(cases[i].binding, cases[i].key);
        if (matches != cases[i].matches) {
            fail_msg("binding '%s', key '%s': got %d, expected %d", cases[i].binding, cases[i].key,
                     matches, cases[i].matches);
        }
    }
}

/* The worst a peer can send: it must not take exponential time. */
static void test_hostile_length(void **state)
{
    (void)state;
    char binding[256];
    char key[256];
    for (size_t i = 0; i < 254; i += 4) {
        memcpy(binding + i, "#.a.", 4);
    }
    memcpy(binding + 252, "b", 2);
    for (size_t i = 0; i < 254; i += 2) {
        memcpy(key + i, "a.", 2);
    }
    memcpy(key + 254, "a", 2);
    assert_false(gw__topic_matches(binding, key));
    key[254] = 'b';
    assert_true(gw__topic_matches(binding, key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matching),
        cmocka_unit_test(test_hostile_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
