/* SPDX-License-Identifier: MIT */
/**
 * @file settings.h
 * Configuration keys bound to the members of a C struct, from one declared table.
 *
 *   typedef struct shop_settings {
 *       const char *store_dir;
 *       uint64_t timeout_ms;
 *   } shop_settings;
 *
 *   static const gw_setting shop_table[] = {
 *       GW_SETTING_STRING(shop_settings, store_dir, "store_dir", "data/shop", 0, NULL,
 *                         "directory of the orders"),
 *       GW_SETTING_DURATION(shop_settings, timeout_ms, "timeout", "3s", 100, 60000,
 *                           GW_SETTING_LIVE, "time for one order"),
 *   };
 *
 * The struct is filled whole or not at all, and all that is wrong is named, not the first alone. A
 * member of the wrong type does not compile. A program on the chassis gives its table to
 * gw_service_run(), see <godwit/service.h>.
 */
#ifndef GODWIT_SETTINGS_H
#define GODWIT_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/api.h>
#include <godwit/buf.h>
#include <godwit/config.h>
#include <godwit/error.h>

GW_BEGIN_DECLS

/** @name The table @{ */

typedef enum gw_setting_type {
    GW_SETTING_IS_STRING,   /**< `const char *`, never NULL */
    GW_SETTING_IS_INT,      /**< `int64_t` */
    GW_SETTING_IS_SIZE,     /**< `uint64_t`, bytes: see gw_config_get_size() */
    GW_SETTING_IS_BOOL,     /**< `bool` */
    GW_SETTING_IS_DURATION, /**< `uint64_t`, milliseconds: see gw_config_get_duration_ms() */
    GW_SETTING_IS_LIST,     /**< `gw_config_list` */
    GW_SETTING_IS_WORD,     /**< an enum, `int` or `unsigned`: the index in `words` */
    GW_SETTING_IS_PORT      /**< `uint16_t`, 0 to 65535 */
} gw_setting_type;

/** Flags of a row. Without GW_SETTING_LIVE a change takes effect at the next start. */
enum {
    GW_SETTING_LIVE = 1,    /**< a change takes effect at once */
    GW_SETTING_SECRET = 2,  /**< its value is shown nowhere, whatever the key is called */
    GW_SETTING_REQUIRED = 4 /**< without a value the program does not start; has no default */
};

/** What a text, or an item of a list, should be, such as "an account id"; NULL when it is that. */
typedef const char *(*gw_setting_check)(const char *text);

/** One row; static, as its strings are. Made by the macros below, which check the member's type. */
typedef struct gw_setting {
    const char *key;
    gw_setting_type type;
    unsigned flags;
    size_t offset;            /**< of the member */
    const char *fallback;     /**< the default as text; "" for none: then the member is zero */
    uint64_t min;             /**< of GW_SETTING_IS_INT an int64_t, converted */
    uint64_t max;             /**< the same */
    const char *const *words; /**< of GW_SETTING_IS_WORD; NULL behind the last */
    gw_setting_check check;   /**< of strings and lists; may be NULL */
    const char *help;         /**< a few words */
} gw_setting;

/** The member's offset, if it has the type; otherwise it does not compile. */
#ifdef __cplusplus
#define GW_SETTING_OFFSET(TYPE, MEMBER, MEMBER_TYPE)                                               \
    (offsetof(TYPE, MEMBER) +                                                                      \
     0 * sizeof(static_cast<MEMBER_TYPE *>(&static_cast<TYPE *>(nullptr)->MEMBER)))
#define GW_SETTING_WORD_OFFSET(TYPE, MEMBER)                                                       \
    (offsetof(TYPE, MEMBER) + 0 * sizeof(static_cast<int>(static_cast<TYPE *>(nullptr)->MEMBER)))
#else
#define GW_SETTING_OFFSET(TYPE, MEMBER, MEMBER_TYPE)                                               \
    _Generic(((TYPE *)0)->MEMBER, MEMBER_TYPE : offsetof(TYPE, MEMBER))
#define GW_SETTING_WORD_OFFSET(TYPE, MEMBER)                                                       \
    _Generic(((TYPE *)0)->MEMBER, int : offsetof(TYPE, MEMBER), unsigned : offsetof(TYPE, MEMBER))
#endif

#define GW_SETTING_ROW(KEY, KIND, FLAGS, OFFSET, FALLBACK, MIN, MAX, WORDS, CHECK, HELP)           \
    {                                                                                              \
        .key = (KEY), .type = (KIND), .flags = (FLAGS), .offset = (OFFSET),                        \
        .fallback = (FALLBACK), .min = (uint64_t)(MIN), .max = (uint64_t)(MAX), .words = (WORDS),  \
        .check = (CHECK), .help = (HELP)                                                           \
    }

#define GW_SETTING_STRING(TYPE, MEMBER, KEY, FALLBACK, FLAGS, CHECK, HELP)                         \
    GW_SETTING_ROW(KEY, GW_SETTING_IS_STRING, FLAGS,                                               \
                   GW_SETTING_OFFSET(TYPE, MEMBER, const char *), FALLBACK, 0, 0, NULL, CHECK,     \
                   HELP)
#define GW_SETTING_INT(TYPE, MEMBER, KEY, FALLBACK, MIN, MAX, FLAGS, HELP)                         \
    GW_SETTING_ROW(KEY, GW_SETTING_IS_INT, FLAGS, GW_SETTING_OFFSET(TYPE, MEMBER, int64_t),        \
                   FALLBACK, MIN, MAX, NULL, NULL, HELP)
#define GW_SETTING_SIZE(TYPE, MEMBER, KEY, FALLBACK, MIN, MAX, FLAGS, HELP)                        \
    GW_SETTING_ROW(KEY, GW_SETTING_IS_SIZE, FLAGS, GW_SETTING_OFFSET(TYPE, MEMBER, uint64_t),      \
                   FALLBACK, MIN, MAX, NULL, NULL, HELP)
#define GW_SETTING_BOOL(TYPE, MEMBER, KEY, FALLBACK, FLAGS, HELP)                                  \
    GW_SETTING_ROW(KEY, GW_SETTING_IS_BOOL, FLAGS, GW_SETTING_OFFSET(TYPE, MEMBER, bool),          \
                   FALLBACK, 0, 0, NULL, NULL, HELP)
#define GW_SETTING_DURATION(TYPE, MEMBER, KEY, FALLBACK, MIN_MS, MAX_MS, FLAGS, HELP)              \
    GW_SETTING_ROW(KEY, GW_SETTING_IS_DURATION, FLAGS, GW_SETTING_OFFSET(TYPE, MEMBER, uint64_t),  \
                   FALLBACK, MIN_MS, MAX_MS, NULL, NULL, HELP)
#define GW_SETTING_LIST(TYPE, MEMBER, KEY, FALLBACK, FLAGS, CHECK, HELP)                           \
    GW_SETTING_ROW(KEY, GW_SETTING_IS_LIST, FLAGS,                                                 \
                   GW_SETTING_OFFSET(TYPE, MEMBER, gw_config_list), FALLBACK, 0, 0, NULL, CHECK,   \
                   HELP)
#define GW_SETTING_WORD(TYPE, MEMBER, KEY, FALLBACK, WORDS, FLAGS, HELP)                           \
    GW_SETTING_ROW(KEY, GW_SETTING_IS_WORD, FLAGS, GW_SETTING_WORD_OFFSET(TYPE, MEMBER), FALLBACK, \
                   0, 0, WORDS, NULL, HELP)
#define GW_SETTING_PORT(TYPE, MEMBER, KEY, FALLBACK, FLAGS, HELP)                                  \
    GW_SETTING_ROW(KEY, GW_SETTING_IS_PORT, FLAGS, GW_SETTING_OFFSET(TYPE, MEMBER, uint16_t),      \
                   FALLBACK, 0, 65535, NULL, NULL, HELP)

/** @} @name Once @{ */

/**
 * Fill a struct from a snapshot: all of it, or none.
 *
 * @param snapshot borrowed; NULL: the defaults alone.
 * @param ret_settings the struct; what was in it is overwritten, not freed. Its strings and lists
 *                 belong to it: free them with gw_settings_dispose().
 * @param faults   on GW_E_INVALID and GW_E_NOT_FOUND each wrong value is appended as a line of its
 *                 own, with the key, the value (masked if it is secret), the place it comes from
 * and what is allowed; may be NULL.
 * @return GW_OK; GW_E_INVALID for wrong values; GW_E_NOT_FOUND when all that is wrong is that
 * required keys are missing; GW_E_NOMEM. The error has the first and the number of the others.
 */
GW_API GW_MUST_CHECK gw_status gw_settings_bind(const gw_config_snapshot *snapshot,
                                                const gw_setting *table, size_t n_rows,
                                                void *ret_settings, gw_buf *faults, gw_error *err);

/** Free the strings and lists, make the members zero. Accepts a zeroed struct. Secrets are wiped.
 */
GW_API void gw_settings_dispose(const gw_setting *table, size_t n_rows, void *settings);

/** @} @name Live @{ */

/** A struct that follows the configuration. Shareable. */
typedef struct gw_settings gw_settings;

typedef struct gw_settings_options {
    const gw_setting *table; /**< borrowed as long as any struct is held; static, as a rule */
    size_t n_rows;
    size_t size; /**< of the struct */
    /**
     * Live settings have changed; may be NULL. Called as a gw_config_watcher is, on the thread of
     * the reload, when the new struct is in force already. Must not free the holder.
     *
     * @param settings the new struct; borrowed.
     * @param keys     the keys of the rows whose value differs, in the order of the table;
     * borrowed.
     */
    void (*on_change)(void *ctx, const void *settings, const char *const *keys, size_t n_keys);
    void *ctx;
} gw_settings_options;

/**
 * Bind, and follow. After a reload whose values are all valid a new struct takes the place of the
 * old one, in which live rows are new; the others keep the value they had at the start, and a
 * change of one is logged: "'x' has changed: that takes effect at the next start". When any value
 * is wrong the old struct stays whole and each is logged as an error.
 *
 * @param config  borrowed; outlives the holder.
 * @param options copied.
 * @return as gw_settings_bind().
 */
GW_API GW_MUST_CHECK gw_status gw_settings_new(gw_config *config,
                                               const gw_settings_options *options,
                                               gw_settings **ret_settings, gw_buf *faults,
                                               gw_error *err);

/** Stop following. Accepts NULL. Structs that are held stay valid. Not from on_change. */
GW_API void gw_settings_free(gw_settings *settings);

/** The struct in force, with a reference for the caller. Immutable. Never NULL, never blocks on a
 * reload. */
GW_API const void *gw_settings_acquire(gw_settings *settings);

/** Give the reference back. Accepts NULL. */
GW_API void gw_settings_release(const void *settings);

/** @} */

GW_END_DECLS

#endif
