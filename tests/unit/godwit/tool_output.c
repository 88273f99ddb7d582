/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tool.h"
#include "tool_output.h"

/* Put a text in the place of standard input. Returns what it was. */
static int give_input(const char *input)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fputs(input, file);
    rewind(file);
    int before = dup(STDIN_FILENO);
    assert_true(dup2(fileno(file), STDIN_FILENO) >= 0);
    fclose(file);
    clearerr(stdin);
    return before;
}

tool_output tool_output_of(const char *const *words, const char *input)
{
    char *argv[34] = {(char[]){"godwit"}, (char[]){"config"}};
    int argc = 2;
    for (; *words != NULL; words++) {
        assert_true(argc < 33);
        argv[argc++] = (char *)(uintptr_t)*words;
    }
    tool_output got;
    size_t len;
    FILE *out = open_memstream(&got.out, &len);
    FILE *err = open_memstream(&got.err, &len);
    assert_true(out != NULL && err != NULL);
    int before = input != NULL ? give_input(input) : -1;
    got.status = tool_run(argc, argv, out, err);
    if (before >= 0) {
        dup2(before, STDIN_FILENO);
        close(before);
    }
    fclose(out);
    fclose(err);
    return got;
}

void tool_output_free(tool_output *got)
{
    free(got->out);
    free(got->err);
}

void tool_output_check(const char *const *words, const char *input, int status, const char *in_out,
                       const char *in_err)
{
    tool_output got = tool_output_of(words, input);
    if (got.status != status || strstr(got.out, in_out) == NULL ||
        strstr(got.err, in_err) == NULL || (in_err[0] == '\0' && got.err[0] != '\0')) {
        fail_msg("%s %s: %d and not %d\n%s\n%s", words[0], words[1] != NULL ? words[1] : "",
                 got.status, status, got.out, got.err);
    }
    tool_output_free(&got);
}
