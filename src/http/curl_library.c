/* SPDX-License-Identifier: MIT */
#include "http/curl_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "http/resident.h"

#define LIBRARY "libcurl.so.4" /* the interface of <curl/curl.h> since 2006 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for all below */
static unsigned n_users;
static void *handle;
static gw__curl curl;

static bool find_functions(void)
{
    const struct {
        const char *name;
        void *slot;
    } wanted[] = {
        {"curl_global_init", &curl.global_init},
        {"curl_global_cleanup", &curl.global_cleanup},
        {"curl_easy_init", &curl.easy_init},
        {"curl_easy_cleanup", &curl.easy_cleanup},
        {"curl_easy_setopt", &curl.easy_setopt},
        {"curl_easy_getinfo", &curl.easy_getinfo},
        {"curl_easy_strerror", &curl.easy_strerror},
        {"curl_multi_init", &curl.multi_init},
        {"curl_multi_cleanup", &curl.multi_cleanup},
        {"curl_multi_add_handle", &curl.multi_add_handle},
        {"curl_multi_remove_handle", &curl.multi_remove_handle},
        {"curl_multi_perform", &curl.multi_perform},
        {"curl_multi_poll", &curl.multi_poll},
        {"curl_multi_info_read", &curl.multi_info_read},
        {"curl_slist_append", &curl.slist_append},
        {"curl_slist_free_all", &curl.slist_free_all},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        void *function = dlsym(handle, wanted[i].name);
        if (function == NULL) {
            return false;
        }
        memcpy(wanted[i].slot, &function, sizeof(function)); /* POSIX: a pointer holds both kinds */
    }
    return true;
}

static gw_status load_locked(gw_error *err)
{
    handle = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
    if (handle == NULL) {
        return gw_error_set(err, GW_E_UNSUPPORTED, 0, "cannot load the HTTP client: %s", dlerror());
    }
    if (!find_functions() || curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        dlclose(handle);
        handle = NULL;
        return gw_error_set(err, GW_E_UNSUPPORTED, 0, "cannot use " LIBRARY);
    }
    return GW_OK;
}

gw_status gw__curl_acquire(const gw__curl **ret_curl, gw_error *err)
{
    pthread_mutex_lock(&lock);
    gw_status st = handle == NULL ? load_locked(err) : GW_OK;
    if (st == GW_OK) {
        n_users++;
        *ret_curl = &curl;
    }
    pthread_mutex_unlock(&lock);
    return st;
}

void gw__curl_release(bool keep_loaded)
{
    pthread_mutex_lock(&lock);
    /* Who keeps it loaded stays a user for ever. */
    if (!keep_loaded && --n_users == 0) {
        static const char *const left_behind[] = {"libcrypto.so", "libssl.so", NULL};
        curl.global_cleanup();
        dlclose(handle);
        handle = NULL;
        gw__resident_drop(left_behind);
    }
    pthread_mutex_unlock(&lock);
}
