/* SPDX-License-Identifier: MIT */
/* What a handler may ask of its request. */
#include "http/exchange.h"

const char *gw_http_method(const gw_http_request *req)
{
    return req->method;
}

const char *gw_http_path(const gw_http_request *req)
{
    return req->path;
}

const char *gw_http_var(const gw_http_request *req, const char *name)
{
    return req->entry == NULL ? NULL : gw__http_entry_var(req->entry, req->target, name);
}

const char *gw_http_query(const gw_http_request *req, const char *name)
{
    return gw__http_query_find(req->pairs, req->pairs_len, name);
}

const char *gw_http_header(const gw_http_request *req, const char *name)
{
    return MHD_lookup_connection_value(req->mhd, MHD_HEADER_KIND, name);
}

const char *gw_http_body(const gw_http_request *req, size_t *ret_len)
{
    if (ret_len != NULL) {
        *ret_len = req->body.len;
    }
    return req->body.len > 0 ? req->body.data : "";
}

const char *gw_http_local_address(const gw_http_request *req)
{
    return req->local_address;
}

bool gw_http_wait_is_over(const gw_http_request *req)
{
    return req->wait_is_over;
}

bool gw_http_peer_is_loopback(const gw_http_request *req)
{
    return req->peer_is_loopback;
}
