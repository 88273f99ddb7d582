# SPDX-License-Identifier: MIT
# What libgodwit.a has to be linked with: for the build, for godwit.pc, and, installed, for
# find_package(godwit). One that is missing is an error if godwit_required is REQUIRED, and otherwise
# a name in godwit_missing.
find_package(PkgConfig ${godwit_required})
find_package(Threads ${godwit_required})
set(godwit_missing)
set(godwit_pc_libs) # for godwit.pc

macro(godwit_dependency name)
    pkg_check_modules(godwit_${name} ${godwit_required} QUIET IMPORTED_TARGET ${ARGN})
    if(godwit_${name}_FOUND AND NOT TARGET gwdep::${name}) # it may be called again
        add_library(gwdep::${name} ALIAS PkgConfig::godwit_${name})
    elseif(NOT godwit_${name}_FOUND)
        list(APPEND godwit_missing ${ARGN})
    endif()
endmacro()

godwit_dependency(rabbitmq librabbitmq>=0.11)
godwit_dependency(microhttpd libmicrohttpd>=0.9.75)
godwit_dependency(jansson jansson)
godwit_dependency(crypto libcrypto>=3.0)

foreach(name rabbitmq microhttpd jansson crypto)
    list(APPEND godwit_pc_libs ${godwit_${name}_LDFLAGS})
endforeach()
list(REMOVE_DUPLICATES godwit_pc_libs)
list(JOIN godwit_pc_libs " " godwit_pc_libs)

# LMDB ships a pkg-config file in Debian, but not everywhere.
find_path(LMDB_INCLUDE_DIR lmdb.h ${godwit_required})
find_library(LMDB_LIBRARY lmdb ${godwit_required})
if(LMDB_INCLUDE_DIR AND LMDB_LIBRARY AND NOT TARGET gwdep_lmdb)
    add_library(gwdep_lmdb UNKNOWN IMPORTED)
    set_target_properties(gwdep_lmdb PROPERTIES
        IMPORTED_LOCATION ${LMDB_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${LMDB_INCLUDE_DIR})
    add_library(gwdep::lmdb ALIAS gwdep_lmdb)
elseif(NOT TARGET gwdep_lmdb)
    list(APPEND godwit_missing lmdb)
endif()
