/* SPDX-License-Identifier: MIT */
/* Parsed files as text that a table of expectations can hold. */
#ifndef CS_TEST_RENDERING_H
#define CS_TEST_RENDERING_H

#include <stdbool.h>

#include "files/document.h"

/*
 * One line a property: "key=text" or, for a JSON literal, "key:literal"; a line "---" between
 * documents. Newlines in values appear as "\n". Freed by the caller.
 */
char *render_file(const cs_file *file);

/* A string of `n` times `text`. Freed by the caller. */
char *repeat(const char *text, size_t n);

#endif
