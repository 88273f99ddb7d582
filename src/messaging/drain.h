/* SPDX-License-Identifier: MIT */
/*
 * What waits in an outbox on disk when a service comes to a local transport: it ran with a remote
 * one before, and its URL was changed. It is published there, in order, before anything new.
 */
#ifndef GW_MESSAGING_DRAIN_H
#define GW_MESSAGING_DRAIN_H

#include "messaging/relay.h"
#include "messaging/transport.h"

/*
 * Publish all of the outbox that the options name, if there is one; makes none. What can never be
 * delivered is kept with the dead messages of the outbox and reported, as ever.
 *
 * @param options as for gw__relay_open(); `wake` is not used.
 * @return GW_OK; as gw__relay_open(); what the transport said of the first message that it does not
 * take for now, GW_E_FULL say: that one and all behind it are still in the outbox.
 */
gw_status gw__drain(const gw__relay_options *options, gw__transport *transport, gw_error *err);

#endif
