# SPDX-License-Identifier: MIT
# libgodwit.so, of the same objects as libgodwit.a, and godwit::godwit, which is one of the two.

if(GODWIT_SHARED)
    set(map ${PROJECT_SOURCE_DIR}/src/godwit.map)
    add_library(godwit_shared SHARED $<TARGET_OBJECTS:godwit>)
    godwit_defaults(godwit_shared)
    set_target_properties(godwit_shared PROPERTIES
        OUTPUT_NAME godwit LINKER_LANGUAGE C LINK_DEPENDS ${map}
        VERSION ${PROJECT_VERSION} SOVERSION ${godwit_soversion})
    get_target_property(includes godwit INTERFACE_INCLUDE_DIRECTORIES)
    target_include_directories(godwit_shared INTERFACE ${includes})
    target_link_libraries(godwit_shared PRIVATE godwit PUBLIC Threads::Threads) # for what it needs
    target_link_options(godwit_shared PRIVATE -Wl,--version-script=${map} -Wl,-z,defs
                        -Wl,-Bsymbolic-functions)
endif()

# Which of the two is for the target that is linked to say: tests and what else uses private symbols
# set GODWIT_LINKS_PRIVATE, the others get what BUILD_SHARED_LIBS asks for.
add_library(godwit_chosen INTERFACE)
if(BUILD_SHARED_LIBS)
    target_link_libraries(godwit_chosen INTERFACE
        $<IF:$<BOOL:$<TARGET_PROPERTY:GODWIT_LINKS_PRIVATE>>,godwit,godwit_shared>)
else()
    target_link_libraries(godwit_chosen INTERFACE godwit)
endif()
add_library(godwit::godwit ALIAS godwit_chosen)
