/* SPDX-License-Identifier: MIT */
/**
 * @file godwit.h
 * All of Godwit's public headers.
 */
#ifndef GODWIT_GODWIT_H
#define GODWIT_GODWIT_H

#include <godwit/api.h>
#include <godwit/browse.h>
#include <godwit/buf.h>
#include <godwit/bus.h>
#include <godwit/cipher.h>
#include <godwit/clock.h>
#include <godwit/config.h>
#include <godwit/duplicates.h>
#include <godwit/error.h>
#include <godwit/health.h>
#include <godwit/http.h>
#include <godwit/http_client.h>
#include <godwit/id.h>
#include <godwit/log.h>
#include <godwit/message.h>
#include <godwit/messaging.h>
#include <godwit/metrics.h>
#include <godwit/outbox.h>
#include <godwit/secret.h>
#include <godwit/service.h>
#include <godwit/settings.h>
#include <godwit/status.h>
#include <godwit/testing.h>
#include <godwit/url.h>
#include <godwit/utf8.h>
#include <godwit/version.h>

#endif
