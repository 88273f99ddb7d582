/* SPDX-License-Identifier: MIT */
#include "files/properties_reader.h"

#include "config_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_config_file(cs_properties_read_utf8, data, size);
    return check_config_file(cs_properties_read, data, size);
}
