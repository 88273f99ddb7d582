# SPDX-License-Identifier: MIT
# Which commit the programs are of: one small library that they link, so that a new commit compiles
# one file, and the headers and the library do not change with it. Asked at each configuration.

set(commit "${GODWIT_COMMIT}")
if(commit STREQUAL "" AND EXISTS ${PROJECT_SOURCE_DIR}/.git)
    find_program(GIT_PROGRAM git)
    mark_as_advanced(GIT_PROGRAM)
    if(GIT_PROGRAM)
        execute_process(COMMAND ${GIT_PROGRAM} -C ${PROJECT_SOURCE_DIR}
                                describe --always --dirty --exclude=* --abbrev=12
                        OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    endif()
endif()
if(commit STREQUAL "")
    set(commit unknown)
endif()
if(NOT commit MATCHES "^[A-Za-z0-9._+-]+$")
    message(FATAL_ERROR "GODWIT_COMMIT is '${commit}': letters, digits and ._+- are allowed")
endif()
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/commit.c CONTENT
"/* SPDX-License-Identifier: MIT */
#include \"commit/commit.h\"

const char program_commit[] = \"@commit@\";
" @ONLY)
add_library(program_commit STATIC ${PROJECT_BINARY_DIR}/commit.c)
godwit_defaults(program_commit)
target_include_directories(program_commit PUBLIC ${PROJECT_SOURCE_DIR}/services)
