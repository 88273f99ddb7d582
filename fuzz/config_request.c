/* SPDX-License-Identifier: MIT */
/* "name\nprofiles\nlabel": whatever passes the check cannot leave a directory or be an option. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "answer/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const char *path)
{
    if (path[0] == '/' || path[0] == '-' || path[0] == '\0' || strstr(path, "..") != NULL ||
        strstr(path, "//") != NULL || strpbrk(path, "\\%#~^:?*\n\r\t") != NULL ||
        path[strlen(path) - 1] == '/') {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    if (text == NULL) {
        return 0;
    }
    char *rest = text;
    const char *name = strsep(&rest, "\n");
    const char *profiles = rest == NULL ? "default" : strsep(&rest, "\n");
    cs_request req;
    gw_error err = GW_ERROR_INIT;
    if (cs_request_init(&req, name, profiles, rest, &err) == GW_OK) {
        char *names = req.name;
        for (char *part = strsep(&names, ","); part != NULL; part = strsep(&names, ",")) {
            check_path(part);
        }
        if (req.has_label) {
            check_path(req.label);
        }
        if (strpbrk(req.profiles, "/\\%#()") != NULL) {
            abort();
        }
    } else if (err.text[0] == '\0') {
        abort();
    }
    cs_profiles_have_extension(profiles);
    free(text);
    return 0;
}
