/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/flags.h"
#include "service/keys.h"

#define N_OF(a)  (sizeof(a) / sizeof((a)[0]))
#define ARGS_MAX 8

static const gw_flag table[] = {
    {"configServerUrl", "TEST_URL", "URL", "http://configserver:8888", "the config server"},
    {"profile", "TEST_PROFILE", "NAME", NULL, "the environment"},
    {"quiet", NULL, "YES", "no", "has no variable"},
};

static gw_status parse(gw__flags *flags, const char *const *args, gw_error *err)
{
    char *argv[ARGS_MAX + 2] = {(char *)(uintptr_t) "program"};
    int argc = 1;
    for (; args[argc - 1] != NULL; argc++) {
        assert_true(argc <= ARGS_MAX);
        argv[argc] = (char *)(uintptr_t)args[argc - 1];
    }
    memset(flags, 0, sizeof(*flags));
    gw__flags_add(flags, table, N_OF(table));
    return gw__flags_parse(flags, argc, argv, err);
}

static void clear_environment(void)
{
    unsetenv("TEST_URL");
    unsetenv("TEST_PROFILE");
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *args[ARGS_MAX];
        const char *url;
        const char *profile;
    } cases[] = {
        {{NULL}, "http://configserver:8888", NULL},
        {{"-profile", "dev"}, "http://configserver:8888", "dev"},
        {{"--profile", "dev"}, "http://configserver:8888", "dev"},
        {{"-profile=dev"}, "http://configserver:8888", "dev"},
        {{"--profile=dev"}, "http://configserver:8888", "dev"},
        {{"-profile=a=b"}, "http://configserver:8888", "a=b"},
        {{"-profile="}, "http://configserver:8888", ""},
        {{"-profile", ""}, "http://configserver:8888", ""},
        {{"-profile", "-dev"}, "http://configserver:8888", "-dev"},
        {{"-profile", "one", "-profile=two"}, "http://configserver:8888", "two"},
        {{"-profile", "a b", "--configServerUrl", "http://x"}, "http://x", "a b"},
        {{"-profile", "\xec\x96\xb4"}, "http://configserver:8888", "\xec\x96\xb4"},
    };
    clear_environment();
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw__flags flags;
        gw_error err = GW_ERROR_INIT;
        if (parse(&flags, cases[i].args, &err) != GW_OK) {
            fail_msg("case %zu: %s", i, err.text);
        }
        assert_string_equal(gw__flags_get(&flags, "configServerUrl"), cases[i].url);
        const char *profile = gw__flags_get(&flags, "profile");
        if (cases[i].profile == NULL) {
            assert_null(profile);
        } else {
            assert_string_equal(profile, cases[i].profile);
        }
        assert_int_equal(gw__flags_is_given(&flags, "profile"), cases[i].profile != NULL);
    }
}

static void test_environment(void **state)
{
    (void)state;
    static const struct {
        const char *variable;
        const char *args[ARGS_MAX];
        const char *profile;
        const char *origin;
    } cases[] = {
        {"env", {NULL}, "env", "environment variable TEST_PROFILE"},
        {"env", {"-profile=flag"}, "flag", "the flag -profile"},
        {"", {NULL}, NULL, NULL}, /* empty is as good as unset */
        {"bad\nvalue", {"-profile=flag"}, "flag", "the flag -profile"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        clear_environment();
        setenv("TEST_PROFILE", cases[i].variable, 1);
        gw__flags flags;
        gw_error err = GW_ERROR_INIT;
        if (parse(&flags, cases[i].args, &err) != GW_OK) {
            fail_msg("case %zu: %s", i, err.text);
        }
        const char *profile = gw__flags_get(&flags, "profile");
        assert_int_equal(gw__flags_is_given(&flags, "profile"), cases[i].profile != NULL);
        if (cases[i].profile == NULL) {
            assert_null(profile);
            continue;
        }
        assert_string_equal(profile, cases[i].profile);
        char origin[128];
        gw__flags_origin(&flags, "profile", origin, sizeof(origin));
        assert_string_equal(origin, cases[i].origin);
    }
    clear_environment();
}

static void test_questions(void **state)
{
    (void)state;
    static const struct {
        const char *arg;
        bool help;
        bool version;
        bool keys;
    } cases[] = {
        {"-h", true, false, false},       {"--help", true, false, false},
        {"-help", true, false, false},    {"--h", true, false, false},
        {"-version", false, true, false}, {"--version", false, true, false},
        {"--keys", false, false, true},
    };
    setenv("TEST_PROFILE", "bad\nvalue", 1); /* is no reason not to answer */
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw__flags flags;
        const char *args[] = {cases[i].arg, NULL};
        assert_int_equal(parse(&flags, args, NULL), GW_OK);
        assert_int_equal(flags.help, cases[i].help);
        assert_int_equal(flags.version, cases[i].version);
        assert_int_equal(flags.keys, cases[i].keys);
    }
    clear_environment();
}

static char long_value[GW__FLAG_VALUE_MAX + 2];
static char long_flag[3000];

static void test_wrong(void **state)
{
    (void)state;
    memset(long_value, 'v', sizeof(long_value) - 1);
    memset(long_flag, 'f', sizeof(long_flag) - 1);
    long_flag[0] = '-';
    static const struct {
        const char *args[ARGS_MAX];
        gw_status expected;
        const char *text;
    } cases[] = {
        {{"word"}, GW_E_INVALID, "'word' is not a flag (see --help)"},
        {{""}, GW_E_INVALID, "'' is not a flag (see --help)"},
        {{"-"}, GW_E_INVALID, "'-' is not a flag (see --help)"},
        {{"--"}, GW_E_INVALID, "'--' is not a flag (see --help)"},
        {{"-wrong"}, GW_E_INVALID, "there is no flag -wrong (see --help)"},
        {{"--wrong=1"}, GW_E_INVALID, "there is no flag -wrong (see --help)"},
        {{"---profile=x"}, GW_E_INVALID, "there is no flag --profile (see --help)"},
        {{"-Profile=x"}, GW_E_INVALID, "there is no flag -Profile (see --help)"},
        {{"-prof=x"}, GW_E_INVALID, "there is no flag -prof (see --help)"},
        {{"-profilex=x"}, GW_E_INVALID, "there is no flag -profilex (see --help)"},
        {{"-=x"}, GW_E_INVALID, "there is no flag - (see --help)"},
        {{"-help=yes"}, GW_E_INVALID, "there is no flag -help (see --help)"},
        {{"-profile"}, GW_E_INVALID, "the flag -profile needs a value: -profile NAME"},
        {{"-wr\nong"}, GW_E_INVALID, "there is no flag -wr?ong (see --help)"},
        {{"-profile", "a\nb"},
         GW_E_INVALID,
         "the value of the flag -profile holds a control character"},
        {{"-profile", "\x7f"},
         GW_E_INVALID,
         "the value of the flag -profile holds a control character"},
        {{"-profile", long_value},
         GW_E_LIMIT,
         "the value of the flag -profile is longer than 4096 bytes"},
        {{long_flag}, GW_E_INVALID, "there is no flag -ffff"},
        {{"-profile", "dev", "word"}, GW_E_INVALID, "'word' is not a flag (see --help)"},
    };
    clear_environment();
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw__flags flags;
        gw_error err = GW_ERROR_INIT;
        gw_status st = parse(&flags, cases[i].args, &err);
        if (st != cases[i].expected ||
            strncmp(err.text, cases[i].text, strlen(cases[i].text)) != 0) {
            fail_msg("case %zu: got %s '%s', expected %s '%s'", i, gw_status_name(st), err.text,
                     gw_status_name(cases[i].expected), cases[i].text);
        }
    }
}

static void test_wrong_environment(void **state)
{
    (void)state;
    memset(long_value, 'v', sizeof(long_value) - 1);
    static const struct {
        const char *value;
        gw_status expected;
        const char *text;
    } cases[] = {
        {"a\tb", GW_E_INVALID, "TEST_PROFILE holds a control character"},
        {long_value, GW_E_LIMIT, "TEST_PROFILE is longer than 4096 bytes"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        setenv("TEST_PROFILE", cases[i].value, 1);
        gw__flags flags;
        gw_error err = GW_ERROR_INIT;
        const char *args[] = {NULL};
        assert_int_equal(parse(&flags, args, &err), cases[i].expected);
        assert_string_equal(err.text, cases[i].text);
    }
    clear_environment();
}

static void test_unknown_names(void **state)
{
    (void)state;
    gw__flags flags;
    const char *args[] = {NULL};
    assert_int_equal(parse(&flags, args, NULL), GW_OK);
    assert_null(gw__flags_get(&flags, "nothing"));
    assert_null(gw__flags_get(&flags, ""));
    assert_false(gw__flags_is_given(&flags, "nothing"));
    assert_false(gw__flags_is_given(&flags, "quiet"));
    assert_string_equal(gw__flags_get(&flags, "quiet"), "no");
}

/* ---- what is printed ------------------------------------------------------------------ */

typedef struct settings {
    const char *vip_queue;
    gw_config_list paths;
} settings;

static const gw_setting rows[] = {
    GW_SETTING_STRING(settings, vip_queue, "vip_queue", "vip_queue", 0, NULL,
                      "queue of the notifications"),
    GW_SETTING_LIST(settings, paths, "store-dir.path", "", GW_SETTING_LIVE, NULL, "has no default"),
};

static void test_help(void **state)
{
    (void)state;
    gw__flags flags;
    const char *args[] = {NULL};
    assert_int_equal(parse(&flags, args, NULL), GW_OK);
    gw_service_spec spec = {
        .name = "program", .summary = "does things", .example = "program -profile dev"};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    gw__flags_print_help(&flags, &spec, out);
    fclose(out);
    static const char expected[] = "program: does things\n"
                                   "\n"
                                   "usage: program [-flag value]...\n"
                                   "\n"
                                   "  -configServerUrl URL     the config server "
                                   "(http://configserver:8888)\n"
                                   "                             [TEST_URL]\n"
                                   "  -profile NAME            the environment [TEST_PROFILE]\n"
                                   "  -quiet YES               has no variable (no)\n"
                                   "  --help --version --keys  ";
    text[strlen(expected)] = '\0';
    assert_string_equal(text, expected);
    free(text);
}

static void test_keys(void **state)
{
    (void)state;
    static const struct {
        uint16_t port;
        bool use_broker;
        const char *first;
        const char *second;
    } cases[] = {
        {6767, true, "| `server_port` | `GODWIT_SERVER_PORT` | `6767` | ", "| `server_address` | "},
        {0, true, "| `amqp_server_url` | `GODWIT_AMQP_SERVER_URL` |  | ", "| `amqp_password` | "},
        {0, false,
         "| `vip_queue` | `GODWIT_VIP_QUEUE` | `vip_queue` | text | queue of the notifications |",
         "| `store-dir.path` | `GODWIT_STORE_DIR_PATH` |  | a list | has no default; takes "
         "effect at once |"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        gw_service_spec spec = {.name = "program",
                                .settings = rows,
                                .n_settings = N_OF(rows),
                                .use_broker = cases[i].use_broker,
                                .default_port = cases[i].port};
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        assert_non_null(out);
        gw__keys keys;
        gw__keys_init(&keys, &spec);
        gw__keys_print(&keys, out);
        fclose(out);
        static const char head[] = "| key | environment | default | value | meaning |\n"
                                   "|---|---|---|---|---|\n";
        assert_memory_equal(text, head, strlen(head));
        const char *first = text + strlen(head);
        if (strncmp(first, cases[i].first, strlen(cases[i].first)) != 0) {
            fail_msg("case %zu: got\n%s\nexpected first\n%s", i, first, cases[i].first);
        }
        const char *second = strchr(first, '\n') + 1;
        assert_memory_equal(second, cases[i].second, strlen(cases[i].second));
        assert_non_null(strstr(text, "\n| `log_level` | `GODWIT_LOG_LEVEL` | `info` | "));
        assert_int_equal(text[len - 1], '\n');
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_questions),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_wrong_environment),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests_name("flags", tests, NULL, NULL);
}
