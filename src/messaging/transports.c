/* SPDX-License-Identifier: MIT */
/* Which transport carries a URL's scheme. The transports live in folders above this one; the linker
 * joins them here. */
#include <string.h>

#include "messaging/transport.h"

static const gw__transport_type *const types[] = {&gw__amqp_transport, &gw__bus_transport,
                                                  &gw__memory_transport};

static const struct {
    const char *scheme;
    const char *text;
} missing[] = {
    {"amqps",
     "amqps:// (TLS) is not supported yet; use amqp:// over a trusted network or a TLS tunnel"},
};

static bool has_scheme(const char *url, const char *scheme)
{
    size_t len = strlen(scheme);
    return strncasecmp(url, scheme, len) == 0 && url[len] == ':';
}

gw_status gw__transport_find(const char *url, const gw__transport_type **ret_type, gw_error *err)
{
    if (url == NULL || url[0] == '\0') {
        return gw_error_set(err, GW_E_INVALID, 0, "no broker URL given, such as amqp://host:5672/");
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (has_scheme(url, types[i]->scheme)) {
            *ret_type = types[i];
            return GW_OK;
        }
    }
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        if (has_scheme(url, missing[i].scheme)) {
            return gw_error_set(err, GW_E_UNSUPPORTED, 0, "%s", missing[i].text);
        }
    }
    gw_buf masked;
    gw_buf_init(&masked, GW_URL_MAX);
    gw_url_mask(&masked, url);
    gw_error_set(err, GW_E_UNSUPPORTED, 0,
                 "broker URL '%s' has no scheme that is known: use amqp://, bus: or memory:",
                 masked.data != NULL ? masked.data : "");
    gw_buf_dispose(&masked);
    return GW_E_UNSUPPORTED;
}
