/* SPDX-License-Identifier: MIT */
/* An event of the bus: read, followed, acknowledged. What is taken can be read back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <godwit/config.h>
#include <godwit/log.h>

#define OWN_ID "accountservice:test,dev:6767:0192c1d5"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gw_config *config = NULL;
    gw_error err = GW_ERROR_INIT;
    bool taken = false;
    gw_buf ack;
    gw_log_set_level(GW_LOG_OFF);
    if (gw_config_new(NULL, &config, NULL) != GW_OK) {
        return 0;
    }
    gw_buf_init(&ack, 0);
    gw_status st = gw_config_handle_event(config, OWN_ID, data, size, &taken, &ack, &err);
    if (st != GW_OK && (err.text[0] == '\0' || taken || ack.len > 0)) {
        abort();
    }
    if (ack.len > 0) { /* it is an event itself, and is not answered again */
        gw_buf again;
        gw_buf_init(&again, 0);
        st = gw_config_handle_event(config, OWN_ID, ack.data, ack.len, &taken, &again, &err);
        if (st != GW_OK || again.len > 0) {
            abort();
        }
        gw_buf_dispose(&again);
    }
    gw_buf_dispose(&ack);
    gw_config_free(config);
    return 0;
}
