/* SPDX-License-Identifier: MIT */
/**
 * @file curl_library.h
 * libcurl, loaded for a call and unloaded after it.
 *
 * Why: a service makes a few calls at its start and on a refresh, but linked, libcurl stays for
 * ever with the 20 libraries that Debian's build stands on (LDAP, Kerberos, SSH, RTMP, ...) and
 * with OpenSSL, which curl_global_init() wakes up also when nothing but plain http is asked for.
 * Measured on Debian 12, a process that links what accountservice links (RSS, from
 * /proc/self/smaps_rollup):
 *
 *   without libcurl 6.1 MiB | linked 7.4 | after curl_global_init() 9.8 | after a call 10.1
 *   loaded for the call, unloaded 8.0, and the pages of OpenSSL given back 5.2
 *
 * Loading, a call and unloading take 3 ms; exec to main takes 2.8 ms without libcurl and 4.2 with.
 * OpenSSL itself cannot be unloaded (it is marked so, and librabbitmq links it anyway), therefore
 * the pages that its initialization touched are given back, see resident.h.
 *
 * Any thread; calls overlap freely.
 */
#ifndef GW_HTTP_CURL_LIBRARY_H
#define GW_HTTP_CURL_LIBRARY_H

/* The checking macros of this header call the functions by their names. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#undef curl_easy_setopt
#undef curl_easy_getinfo

#include <stdbool.h>

#include <godwit/error.h>

/** What is used of it; the members have the types of the functions of their names. */
typedef struct gw__curl {
    __typeof__(curl_global_init) *global_init;
    __typeof__(curl_global_cleanup) *global_cleanup;
    __typeof__(curl_easy_init) *easy_init;
    __typeof__(curl_easy_cleanup) *easy_cleanup;
    __typeof__(curl_easy_setopt) *easy_setopt;
    __typeof__(curl_easy_getinfo) *easy_getinfo;
    __typeof__(curl_easy_strerror) *easy_strerror;
    __typeof__(curl_multi_init) *multi_init;
    __typeof__(curl_multi_cleanup) *multi_cleanup;
    __typeof__(curl_multi_add_handle) *multi_add_handle;
    __typeof__(curl_multi_remove_handle) *multi_remove_handle;
    __typeof__(curl_multi_perform) *multi_perform;
    __typeof__(curl_multi_poll) *multi_poll;
    __typeof__(curl_multi_info_read) *multi_info_read;
    __typeof__(curl_slist_append) *slist_append;
    __typeof__(curl_slist_free_all) *slist_free_all;
} gw__curl;

/**
 * @param ret_curl borrowed until the matching gw__curl_release().
 * @return GW_OK; GW_E_UNSUPPORTED when libcurl is not installed or lacks a function.
 */
gw_status gw__curl_acquire(const gw__curl **ret_curl, gw_error *err);

/**
 * Give it back; the last user unloads it.
 *
 * @param keep_loaded never unload it: one of its threads is still running.
 */
void gw__curl_release(bool keep_loaded);

#endif
