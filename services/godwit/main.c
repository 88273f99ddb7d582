/* SPDX-License-Identifier: MIT */
/* godwit: what an operator does with messages by hand. */
#include <stdio.h>

#include "tool.h"

int main(int argc, char **argv)
{
    return tool_run(argc, argv, stdout, stderr);
}
