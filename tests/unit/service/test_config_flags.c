/* SPDX-License-Identifier: MIT */
/* How a program is told where its config server is, and what is secret about it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/config_server.h"

#define N_OF(a) (sizeof(a) / sizeof((a)[0]))

static gw__config_server server;
static gw_error err;
static char file[64];

static int setup(void **state)
{
    (void)state;
    clearenv();
    err = (gw_error)GW_ERROR_INIT;
    snprintf(file, sizeof(file), "/tmp/godwit-secret-XXXXXX");
    int fd = mkstemp(file);
    if (fd < 0 || write(fd, "of a file\n", 10) != 10) {
        return -1;
    }
    return close(fd);
}

static int teardown(void **state)
{
    (void)state;
    gw__config_server_dispose(&server);
    return unlink(file);
}

static gw_status read_with(const char *flag, const char *value)
{
    static gw__flags flags;
    static char program[] = "x";
    char *argv[] = {program, (char *)(uintptr_t)flag, (char *)(uintptr_t)value, NULL};
    flags = (gw__flags){.n_flags = 0};
    gw__flags_add(&flags, gw__config_flags, GW__N_CONFIG_FLAGS);
    assert_int_equal(gw__flags_parse(&flags, flag != NULL ? 3 : 1, argv, &err), GW_OK);
    return gw__config_server_read(&flags, "app", &server, &err);
}

static void defaults(void **state)
{
    (void)state;
    assert_int_equal(read_with(NULL, NULL), GW_OK);
    assert_string_equal(server.options.url, "http://configserver:8888");
    assert_string_equal(server.options.app, "app");
    assert_string_equal(server.options.profile, "test");
    assert_string_equal(server.options.label, "main");
    assert_null(server.options.cache_file);
    assert_null(server.options.username);
    assert_null(server.options.password);
    assert_null(server.options.token);
    assert_null(server.options.cipher.key);
    assert_null(server.options.cipher.key_file);
    assert_int_equal(server.options.watch, GW_CONFIG_WATCH_AUTO);
    assert_int_equal(server.options.watch_interval_ms, 30000);
}

static void ways_to_watch(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        gw_config_watch_mode mode;
        unsigned interval_ms;
    } cases[] = {{"auto", GW_CONFIG_WATCH_AUTO, 30000},
                 {"on", GW_CONFIG_WATCH_ALWAYS, 30000},
                 {"off", GW_CONFIG_WATCH_NEVER, 30000},
                 {"5s", GW_CONFIG_WATCH_ALWAYS, 5000},
                 {"24h", GW_CONFIG_WATCH_ALWAYS, 86400000}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        assert_int_equal(read_with("-configWatch", cases[i].text), GW_OK);
        assert_int_equal(server.options.watch, cases[i].mode);
        assert_int_equal(server.options.watch_interval_ms, cases[i].interval_ms);
    }
    static const char *const bad[] = {"yes", "0", "999ms", "25h", "30x", "-1s"};
    for (size_t i = 0; i < N_OF(bad); i++) {
        assert_int_equal(read_with("-configWatch", bad[i]), GW_E_INVALID);
        assert_non_null(strstr(err.text, "from the flag -configWatch is none of auto, on, off"));
    }
    setenv("GODWIT_CONFIG_WATCH", "now", 1);
    assert_int_equal(read_with(NULL, NULL), GW_E_INVALID);
    assert_non_null(strstr(err.text, "'now' from environment variable GODWIT_CONFIG_WATCH"));
}

/* After that they are nowhere where a key of the configuration, a child, or who reads
 * /proc/PID/environ would find them. */
static void secrets_leave_the_environment(void **state)
{
    (void)state;
    setenv("GODWIT_CONFIG_USER", "me", 1);
    setenv("GODWIT_CONFIG_PASSWORD", "geheim", 1);
    setenv("GODWIT_CONFIG_TOKEN", "t-1", 1);
    setenv("GODWIT_ENCRYPT_KEY", "foo", 1);
    const char *place =
        getenv("GODWIT_CONFIG_PASSWORD"); /* which stays, as that at the start of a process */
    assert_int_equal(read_with("-configCache", "/var/cache/x"), GW_OK);
    assert_string_equal(server.options.cache_file, "/var/cache/x");
    assert_string_equal(server.options.username, "me");
    assert_string_equal(server.options.password, "geheim");
    assert_string_equal(server.options.token, "t-1");
    assert_string_equal(server.options.cipher.key, "foo");
    assert_null(getenv("GODWIT_CONFIG_PASSWORD"));
    assert_memory_equal(place, "\0\0\0\0\0\0", strlen("geheim"));
    assert_null(getenv("GODWIT_CONFIG_TOKEN"));
    assert_null(getenv("GODWIT_ENCRYPT_KEY"));
}

static void secrets_in_files(void **state)
{
    (void)state;
    setenv("GODWIT_CONFIG_USER", "me", 1);
    setenv("GODWIT_CONFIG_PASSWORD_FILE", file, 1);
    setenv("GODWIT_CONFIG_TOKEN_FILE", file, 1);
    setenv("GODWIT_ENCRYPT_KEY_FILE", "/run/key", 1);
    assert_int_equal(read_with(NULL, NULL), GW_OK);
    assert_string_equal(server.options.password, "of a file");
    assert_string_equal(server.options.token, "of a file");
    assert_string_equal(server.options.cipher.key_file, "/run/key");
    assert_null(server.options.cipher.key);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    char long_secret[GW__SECRET_SIZE + 1];
    memset(long_secret, 'x', sizeof(long_secret) - 1);
    long_secret[sizeof(long_secret) - 1] = '\0';
    const struct {
        const char *name;
        const char *value;
        const char *also;
        const char *also_value;
        gw_status st;
        const char *says;
    } cases[] = {
        {"GODWIT_CONFIG_PASSWORD", "geheim", "X", "", GW_E_INVALID, "no GODWIT_CONFIG_USER"},
        {"GODWIT_CONFIG_TOKEN", "geheim", "GODWIT_CONFIG_TOKEN_FILE", "/x", GW_E_INVALID,
         "both GODWIT_CONFIG_TOKEN and GODWIT_CONFIG_TOKEN_FILE are set"},
        {"GODWIT_ENCRYPT_KEY", "geheim", "GODWIT_ENCRYPT_KEY_FILE", "/x", GW_E_INVALID,
         "both GODWIT_ENCRYPT_KEY and GODWIT_ENCRYPT_KEY_FILE are set"},
        {"GODWIT_CONFIG_TOKEN_FILE", "/nonexistent", "X", "", GW_E_IO,
         "GODWIT_CONFIG_TOKEN_FILE '/nonexistent'"},
        {"GODWIT_CONFIG_TOKEN", long_secret, "X", "", GW_E_LIMIT,
         "GODWIT_CONFIG_TOKEN is longer than 4095 bytes"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        clearenv();
        setenv(cases[i].name, cases[i].value, 1);
        setenv(cases[i].also, cases[i].also_value, 1);
        gw_status st = read_with(NULL, NULL);
        if (st != cases[i].st || strstr(err.text, cases[i].says) == NULL ||
            strstr(err.text, "geheim") != NULL) {
            fail_msg("case %zu: %s '%s'", i, gw_status_name(st), err.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(ways_to_watch, setup, teardown),
        cmocka_unit_test_setup_teardown(secrets_leave_the_environment, setup, teardown),
        cmocka_unit_test_setup_teardown(secrets_in_files, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
