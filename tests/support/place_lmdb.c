/* SPDX-License-Identifier: MIT */
#include "support/place.h"

#include "support/child.h"

static char dir[256];

const char *place_make(void)
{
    make_test_dir(dir, sizeof(dir));
    return dir;
}

void place_remove(void)
{
    remove_test_dir(dir);
}
