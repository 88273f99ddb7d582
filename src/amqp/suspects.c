/* SPDX-License-Identifier: MIT */
#include "amqp/suspects.h"

#include <stdio.h>
#include <string.h>

#include <amqp.h>
#include <amqp_framing.h>

/* So often must a message alone have ended the connection before it is given up. */
#define BLAMES_TO_GIVE_UP 2

bool gw__suspects_is_about_publish(const gw_error *why)
{
    switch (why->native) {
    case AMQP_CONTENT_TOO_LARGE:
    case AMQP_ACCESS_REFUSED:
    case AMQP_NOT_FOUND:
    case AMQP_PRECONDITION_FAILED:
    case AMQP_FRAME_ERROR:
    case AMQP_SYNTAX_ERROR:
    case AMQP_COMMAND_INVALID:
    case AMQP_UNEXPECTED_FRAME:
    case AMQP_NOT_ALLOWED:
    case AMQP_NOT_IMPLEMENTED:
    case AMQP_INTERNAL_ERROR: return true;
    default: return false;
    }
}

void gw__suspects_add(gw__suspects *suspects, size_t n)
{
    suspects->n = n > suspects->n ? n : suspects->n;
}

void gw__suspects_clear_one(gw__suspects *suspects)
{
    suspects->n -= suspects->n > 0;
}

/* Count how often this message stood alone when it happened. */
static unsigned blame(gw__suspects *suspects, const gw__outgoing *item)
{
    const char *id = gw_message_id(item->msg);
    id = id != NULL ? id : "";
    if (strcmp(suspects->blamed_id, id) != 0) {
        snprintf(suspects->blamed_id, sizeof(suspects->blamed_id), "%s", id);
        suspects->n_blames = 0;
    }
    return ++suspects->n_blames;
}

gw_status gw__suspects_judge(gw__suspects *suspects, const gw__outgoing *item, const gw_error *why)
{
    bool of_channel = why->status != GW_E_UNAVAILABLE;
    gw_status outcome = GW_E_INVALID;
    if (why->native == AMQP_NOT_FOUND || why->native == AMQP_ACCESS_REFUSED) {
        outcome = GW_E_REFUSED;
    } else if (!of_channel && blame(suspects, item) < BLAMES_TO_GIVE_UP) {
        return GW_OK;
    } else if (why->native == AMQP_INTERNAL_ERROR) {
        outcome = GW_E_REFUSED; /* the broker's own fault, which may pass */
    }
    gw__suspects_clear_one(suspects);
    return outcome;
}
