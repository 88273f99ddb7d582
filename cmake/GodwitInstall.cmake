# SPDX-License-Identifier: MIT
# cmake --install: the components runtime (programs and their manual pages), library (libgodwit.so.0)
# and development (headers, libraries to link with, pkg-config, CMake, documents, examples).
# DESTDIR and --prefix are minded.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/godwit)

set_target_properties(godwit PROPERTIES EXPORT_NAME static)
install(TARGETS godwit EXPORT godwit-static
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(EXPORT godwit-static FILE godwit-static-targets.cmake NAMESPACE godwit::
        DESTINATION ${package_dir} COMPONENT development)
if(GODWIT_SHARED)
    set_target_properties(godwit_shared PROPERTIES EXPORT_NAME shared)
    install(TARGETS godwit_shared EXPORT godwit-shared
            LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library
                    NAMELINK_COMPONENT development)
    install(EXPORT godwit-shared FILE godwit-shared-targets.cmake NAMESPACE godwit::
            DESTINATION ${package_dir} COMPONENT development)
endif()

install(DIRECTORY include/godwit DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development
        FILES_MATCHING PATTERN "*.h")
install(FILES ${PROJECT_BINARY_DIR}/include/godwit/version.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/godwit COMPONENT development)

# In 0.x a minor version may change what programs are compiled with.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/godwit-config-version.cmake
    COMPATIBILITY SameMinorVersion)
configure_package_config_file(cmake/godwit-config.cmake.in ${PROJECT_BINARY_DIR}/godwit-config.cmake
    INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
install(FILES ${PROJECT_BINARY_DIR}/godwit-config.cmake
              ${PROJECT_BINARY_DIR}/godwit-config-version.cmake
              cmake/GodwitLibraryDependencies.cmake
        DESTINATION ${package_dir} COMPONENT development)

# Written when it is installed, since only then the prefix is known.
foreach(name PROJECT_VERSION PROJECT_DESCRIPTION PROJECT_SOURCE_DIR PROJECT_BINARY_DIR
        godwit_pc_libs CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
    install(CODE "set(${name} [==[${${name}}]==])" COMPONENT development)
endforeach()
install(CODE [==[
    set(prefix ${CMAKE_INSTALL_PREFIX})
    foreach(dir include lib)
        string(TOUPPER CMAKE_INSTALL_${dir}DIR given)
        set(${dir}dir "\${prefix}/${${given}}")
        if(IS_ABSOLUTE "${${given}}")
            set(${dir}dir "${${given}}")
        endif()
    endforeach()
    configure_file(${PROJECT_SOURCE_DIR}/cmake/godwit.pc.in ${PROJECT_BINARY_DIR}/godwit.pc @ONLY)
]==] COMPONENT development)
install(FILES ${PROJECT_BINARY_DIR}/godwit.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

# Documents name each other and the examples as they do in the sources.
install(FILES README.md README.ko.md CHANGELOG.md SECURITY.md LICENSE
        DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT development)
install(DIRECTORY docs examples DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT development
        PATTERN "test_*" EXCLUDE
        PATTERN "docs/CMakeLists.txt" EXCLUDE
        PATTERN "examples/CMakeLists.txt" EXCLUDE)
