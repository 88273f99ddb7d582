/* SPDX-License-Identifier: MIT */
/* What the program says of itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char output[8192];

static void ask_for_help(void)
{
    FILE *program = popen(CONFIGSERVER " --help", "re");
    assert_non_null(program);
    size_t len = fread(output, 1, sizeof(output) - 1, program);
    output[len] = '\0';
    assert_int_equal(pclose(program), 0);
}

/* Every user of the machine reads command lines. */
static void help_keeps_passwords_off_the_command_line(void **state)
{
    (void)state;
    ask_for_help();
    assert_non_null(strstr(output, "GODWIT_AMQP keeps passwords out of the process list\n"));
    assert_non_null(strstr(output, "-amqp amqp://127.0.0.1:5672/\n")); /* of the example */
    assert_null(strchr(output, '@'));
    for (const char *line = output; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        assert_in_range(strcspn(line, "\n"), 0, 80);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_keeps_passwords_off_the_command_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
