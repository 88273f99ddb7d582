/* SPDX-License-Identifier: MIT */
/* What must hold for any configuration file: it is refused with a place, or becomes valid JSON. */
#ifndef FUZZ_CONFIG_FILE_H
#define FUZZ_CONFIG_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/buf.h>
#include <jansson.h>

#include "answer/environment.h"
#include "answer/json.h"
#include "files/document.h"

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

typedef gw_status (*config_reader)(cs_file *file, const char *text, size_t len, gw_error *err);

static inline void check_json(const cs_file *file)
{
    cs_source *sources = calloc(file->n_documents + 1, sizeof(*sources));
    REQUIRE(sources != NULL);
    for (size_t i = 0; i < file->n_documents; i++) {
        REQUIRE(file->documents[i].n_items > 0);
        sources[i] = (cs_source){
            .name = file->path,
            .path = file->path,
            .items = file->documents[i].items,
            .n_items = file->documents[i].n_items,
        };
    }
    cs_environment env = {.sources = sources, .n_sources = file->n_documents};
    cs_request req;
    gw_buf out;
    gw_buf_init(&out, 0);
    REQUIRE(cs_request_init(&req, "app", "dev", NULL, NULL) == GW_OK);
    cs_json_write_environment(&out, &req, &env, true);
    if (gw_buf_status(&out) == GW_OK) {
        json_t *json =
            json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
        REQUIRE(json != NULL);
        json_decref(json);
    }
    gw_buf_dispose(&out);
    free(sources);
}

static inline int check_config_file(config_reader read, const uint8_t *data, size_t size)
{
    cs_file file;
    gw_error err = GW_ERROR_INIT;
    REQUIRE(cs_file_init(&file, "app.x") == GW_OK);
    gw_status st = read(&file, (const char *)data, size, &err);
    if (st == GW_OK) {
        check_json(&file);
    } else {
        REQUIRE(err.status == st);
        REQUIRE(strncmp(err.text, "app.x:", 6) == 0);
    }
    cs_file_dispose(&file);
    return 0;
}

#endif
