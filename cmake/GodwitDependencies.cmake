# SPDX-License-Identifier: MIT
# What Godwit stands on, each as an imported target gwdep::<name>. docs/dependencies.md says why.
set(godwit_required REQUIRED)
include(GodwitLibraryDependencies)

# libcurl is loaded when it is used, see src/http/curl_library.h: only its headers are needed.
godwit_dependency(curl libcurl)

# Those of the programs.
godwit_dependency(git2 libgit2)
godwit_dependency(yaml yaml-0.1)
godwit_dependency(expat expat)
godwit_dependency(pq libpq>=14)

if(GODWIT_BUILD_TESTS)
    godwit_dependency(cmocka cmocka)
endif()
