/* SPDX-License-Identifier: MIT */
/* One run of the tool, within the test. */
#ifndef TESTS_GODWIT_TOOL_OUTPUT_H
#define TESTS_GODWIT_TOOL_OUTPUT_H

typedef struct tool_output {
    int status;
    char *out;
    char *err;
} tool_output;

/* Run "godwit config ..." with these words, of which the last is followed by NULL. `input`:
 * standard input; NULL: none is read. */
tool_output tool_output_of(const char *const *words, const char *input);
void tool_output_free(tool_output *got);

/* The same, and fail unless it ends with this status and holds these texts; "" for in_err: nothing
 * is there. */
void tool_output_check(const char *const *words, const char *input, int status, const char *in_out,
                       const char *in_err);

#define CHECK(input, status, in_out, in_err, ...)                                                  \
    tool_output_check((const char *const[]){__VA_ARGS__, NULL}, input, status, in_out, in_err)

#endif
