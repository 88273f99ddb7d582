/* SPDX-License-Identifier: MIT */
/* An expression means something or is refused; its negation means the opposite. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "answer/profiles.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const cs_profiles profiles = {.items = {{"a", 1}, {"dev", 3}}, .n = 2};
    bool match = false;
    gw_status st = cs_profiles_match(&profiles, (cs_text){(const char *)data, size}, &match);
    if (st != GW_OK || size + 3 > CS_EXPRESSION_BYTES_MAX) {
        return 0;
    }
    char negated[CS_EXPRESSION_BYTES_MAX];
    negated[0] = '!';
    negated[1] = '(';
    memcpy(negated + 2, data, size);
    negated[size + 2] = ')';
    bool opposite = match;
    st = cs_profiles_match(&profiles, (cs_text){negated, size + 3}, &opposite);
    if (st != GW_E_LIMIT && (st != GW_OK || opposite == match)) {
        abort();
    }
    return 0;
}
