/* SPDX-License-Identifier: MIT */
/* Compiled with KIND_x: as it is it compiles, with WRONG it must not. */
#include <godwit/settings.h>

typedef struct other {
    double none; /* of the types that a setting has */
} other;

#ifdef WRONG
#define MEMBER(type) other
#else
#define MEMBER(type) type
#endif

GW_BEGIN_DECLS
extern const gw_setting gw_check_row;
GW_END_DECLS

#ifdef KIND_STRING
typedef struct settings {
    MEMBER(const char *) member;
} settings;
const gw_setting gw_check_row = GW_SETTING_STRING(settings, member, "k", "", 0, NULL, "h");
#endif
#ifdef KIND_INT
typedef struct settings {
    MEMBER(int64_t) member;
} settings;
const gw_setting gw_check_row = GW_SETTING_INT(settings, member, "k", "1", 0, 9, 0, "h");
#endif
#ifdef KIND_SIZE
typedef struct settings {
    MEMBER(uint64_t) member;
} settings;
const gw_setting gw_check_row = GW_SETTING_SIZE(settings, member, "k", "1", 0, 9, 0, "h");
#endif
#ifdef KIND_DURATION
typedef struct settings {
    MEMBER(uint64_t) member;
} settings;
const gw_setting gw_check_row = GW_SETTING_DURATION(settings, member, "k", "1", 0, 9, 0, "h");
#endif
#ifdef KIND_BOOL
typedef struct settings {
    MEMBER(bool) member;
} settings;
const gw_setting gw_check_row = GW_SETTING_BOOL(settings, member, "k", "true", 0, "h");
#endif
#ifdef KIND_LIST
typedef struct settings {
    MEMBER(gw_config_list) member;
} settings;
const gw_setting gw_check_row = GW_SETTING_LIST(settings, member, "k", "", 0, NULL, "h");
#endif
#ifdef KIND_WORD
static const char *const words[] = {"a", NULL};
typedef struct settings {
    MEMBER(int) member;
} settings;
const gw_setting gw_check_row = GW_SETTING_WORD(settings, member, "k", "a", words, 0, "h");
#endif
#ifdef KIND_PORT
typedef struct settings {
    MEMBER(uint16_t) member;
} settings;
const gw_setting gw_check_row = GW_SETTING_PORT(settings, member, "k", "1", 0, "h");
#endif
