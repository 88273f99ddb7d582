/* SPDX-License-Identifier: MIT */
/**
 * @file health.h
 * What this process depends on, and how each of it is: a registry that modules fill and /health
 * reads.
 *
 * A component is up or down, with a reason and the time since when. Ready means that every
 * component that is required is up; alive means that the process answers. Shareable between
 * threads; components live until the process ends or gw_health_remove().
 */
#ifndef GODWIT_HEALTH_H
#define GODWIT_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include <godwit/api.h>
#include <godwit/buf.h>

GW_BEGIN_DECLS

typedef struct gw_health gw_health;

#define GW_HEALTH_REASON_MAX 256

/**
 * Register a component, such as "broker" or "config"; it is down with the reason "starting" until
 * it is set.
 *
 * @param name     copied; a name that exists returns the same component.
 * @param required whether the process is not ready while this is down.
 * @return NULL when out of memory, and for no name; the functions below accept NULL.
 */
GW_API gw_health *gw_health_add(const char *name, bool required);

GW_API void gw_health_up(gw_health *component);

/** Down, and why, in one line without secrets. The time of the first failure is kept while it stays
 * down. */
GW_API void gw_health_down(gw_health *component, const char *format, ...) GW_PRINTF(2, 3);

/** Forget the component. The pointer is invalid afterwards. */
GW_API void gw_health_remove(gw_health *component);

#define GW_HEALTH_VERSION_MAX 63

/**
 * What this process is, for the JSON: its version and the commit it was built from. Copied, and cut
 * to GW_HEALTH_VERSION_MAX; NULL leaves one out. gw_service_run() does it with what the spec says.
 */
GW_API void gw_health_set_version(const char *version, const char *commit);

/** Whether every required component is up. */
GW_API bool gw_health_is_ready(void);

/**
 * Append {"status":"UP"} or
 * {"status":"DOWN","components":{"broker":{"status":"DOWN","reason":"...", "since":"..."}}}.
 * It is DOWN, with all components, when not ready; `details` writes them also when ready. One that
 * is not required carries "required":false, so that its DOWN beside an UP is understood.
 * "version" and "commit" follow the status once they were set.
 * @return whether it says UP: for the HTTP status, which has to agree with it.
 */
GW_API bool gw_health_write_json(gw_buf *out, bool details);

/** Append the reasons of what is down in one line: "broker: connection refused (since ...)". */
GW_API void gw_health_write_text(gw_buf *out);

GW_END_DECLS

#endif
