/* SPDX-License-Identifier: MIT */
#include <godwit/version.h>

const char *gw_version(void)
{
    return GW_VERSION;
}
