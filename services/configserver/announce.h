/* SPDX-License-Identifier: MIT */
/*
 * What follows a push: the repositories are brought up to date, and then those who are concerned
 * are told, so that whoever asks again gets what is new. Nobody waits for it.
 */
#ifndef CS_ANNOUNCE_H
#define CS_ANNOUNCE_H

#include <godwit/error.h>

#include "app.h"
#include "webhook.h"

/*
 * Begin. Returns at once; the rest happens on threads of the estate.
 *
 * @param app  outlives it: the estate is closed before.
 * @param push copied. Repositories are known in any spelling; if it names none that the estate has,
 *             all are brought up to date.
 * @return GW_OK; GW_E_BUSY when CS_PUSHES_WAITING_MAX wait already; GW_E_NOMEM.
 */
gw_status cs_announce(const cs_app *app, const cs_push *push, gw_error *err);

/* Tell those who are concerned by files that changed without a push that told of it; for the
 * estate's on_files. Does nothing without a bus. @thread the estate's */
void cs_announce_files(const cs_app *app, const cs_changed *changed);

#endif
