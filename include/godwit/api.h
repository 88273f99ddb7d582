/* SPDX-License-Identifier: MIT */
/**
 * @file api.h
 * Markers of public declarations. Knows nothing else.
 */
#ifndef GODWIT_API_H
#define GODWIT_API_H

#if defined(__GNUC__)
#define GW_API                __attribute__((visibility("default")))
#define GW_MUST_CHECK         __attribute__((warn_unused_result))
#define GW_PRINTF(text, args) __attribute__((format(printf, text, args)))
#else
#define GW_API
#define GW_MUST_CHECK
#define GW_PRINTF(text, args)
#endif

#ifdef __cplusplus
#define GW_BEGIN_DECLS extern "C" {
#define GW_END_DECLS   }
#else
#define GW_BEGIN_DECLS
#define GW_END_DECLS
#endif

#endif
