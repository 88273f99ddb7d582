# SPDX-License-Identifier: MIT
# How every target of the project is compiled and linked.

# Warnings, visibility, hardening and sanitizers, for each target of ours.
function(godwit_defaults target)
    set_target_properties(${target} PROPERTIES
        C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS ON
        C_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON)
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
    target_compile_options(${target} PRIVATE
        -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
        -Wpointer-arith -Wvla -Wformat=2 -Wwrite-strings -Wundef
        -fno-common -fno-omit-frame-pointer)
    if(GODWIT_FUZZ)
        target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
    endif()
    if(GODWIT_SANITIZE)
        target_compile_options(${target} PRIVATE -fsanitize=${GODWIT_SANITIZE}
                               -fno-sanitize-recover=all)
        target_link_options(${target} PUBLIC -fsanitize=${GODWIT_SANITIZE})
    else()
        target_compile_options(${target} PRIVATE -fstack-protector-strong
            $<$<CONFIG:Release,RelWithDebInfo>:-D_FORTIFY_SOURCE=2>)
        target_link_options(${target} PRIVATE -Wl,-z,relro,-z,now)
    endif()
endfunction()

# A program of services/, installed into bin.
#   godwit_program(name SOURCES a.c b.c [LIBRARIES gwdep::x])
# Its sources other than main.c also become the object library <name>_logic, which its unit tests link.
function(godwit_program name)
    cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES" ${ARGN})
    set(logic ${arg_SOURCES})
    list(REMOVE_ITEM logic main.c)
    add_library(${name}_logic STATIC ${logic})
    godwit_defaults(${name}_logic)
    target_include_directories(${name}_logic PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(${name}_logic PUBLIC godwit::godwit ${arg_LIBRARIES})
    add_executable(${name} main.c)
    godwit_defaults(${name})
    target_link_libraries(${name} PRIVATE ${name}_logic program_commit)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
            COMPONENT runtime)
endfunction()

# A cmocka test program, run by CTest.
#   godwit_test(name SOURCES test_x.c [LIBRARIES lib...] [LABELS unit])
# Tests see the library's private headers. Each runs in a directory of its own.
function(godwit_test name)
    cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES;LABELS" ${ARGN})
    if(NOT arg_LABELS)
        set(arg_LABELS unit)
    endif()
    add_executable(${name} ${arg_SOURCES})
    set_property(GLOBAL APPEND PROPERTY GODWIT_TESTS ${name})
    godwit_defaults(${name})
    set_target_properties(${name} PROPERTIES GODWIT_LINKS_PRIVATE ON)
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/tests)
    target_link_libraries(${name} PRIVATE godwit::godwit gwdep::cmocka ${arg_LIBRARIES})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/bin)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 120)
endfunction()
