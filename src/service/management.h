/* SPDX-License-Identifier: MIT */
/* GET /config and POST /actuator/refresh, and who may ask for them: the key `config_endpoint`. */
#ifndef GW_SERVICE_MANAGEMENT_H
#define GW_SERVICE_MANAGEMENT_H

#include <pthread.h>

#include <godwit/http.h>

#include "service/config_view.h"

typedef struct gw__management {
    gw__config_source source;
    pthread_mutex_t refreshing; /* one reload over HTTP at a time */
} gw__management;

/* @thread those of the HTTP server; ctx is a gw__management */
void gw__management_get_config(void *ctx, const gw_http_request *req, gw_http_response *res);
void gw__management_refresh(void *ctx, const gw_http_request *req, gw_http_response *res);

#endif
