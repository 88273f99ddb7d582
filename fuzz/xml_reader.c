/* SPDX-License-Identifier: MIT */
#include "files/xml_reader.h"

#include "config_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return check_config_file(cs_xml_read, data, size);
}
