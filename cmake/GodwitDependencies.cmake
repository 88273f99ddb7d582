# SPDX-License-Identifier: MIT
# Every library Godwit stands on, each as an imported target gwdep::<name>. docs/dependencies.md says why.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(godwit_dependency name)
    pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${ARGN})
    add_library(gwdep::${name} ALIAS PkgConfig::${name})
endfunction()

godwit_dependency(rabbitmq librabbitmq>=0.11)
godwit_dependency(microhttpd libmicrohttpd>=0.9.75)
godwit_dependency(curl libcurl)
godwit_dependency(jansson jansson)
godwit_dependency(git2 libgit2)
godwit_dependency(yaml yaml-0.1)
godwit_dependency(crypto libcrypto>=3.0)
godwit_dependency(expat expat)

# LMDB ships a pkg-config file in Debian, but not everywhere.
find_path(LMDB_INCLUDE_DIR lmdb.h REQUIRED)
find_library(LMDB_LIBRARY lmdb REQUIRED)
add_library(gwdep_lmdb UNKNOWN IMPORTED)
set_target_properties(gwdep_lmdb PROPERTIES
    IMPORTED_LOCATION ${LMDB_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${LMDB_INCLUDE_DIR})
add_library(gwdep::lmdb ALIAS gwdep_lmdb)

if(GODWIT_BUILD_TESTS)
    godwit_dependency(cmocka cmocka)
endif()
