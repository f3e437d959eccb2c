# matfac_install(NAME n INCLUDEDIR i LIBDIR l BINDIR b COMPONENT c [NO_NAMELINK] [PKGCONFIG])
#
# Installs the library with its headers and a CMake package that finds it there. What is installed names no absolute
# path, so it may be moved as a whole. A static and a shared library can share a prefix: each brings its own file of
# targets, and matfacConfig.cmake chooses between them.
include(CMakePackageConfigHelpers)

get_target_property(_type matfac TYPE)
if(_type STREQUAL "SHARED_LIBRARY")
  set(MATFAC_KIND shared)
else()
  set(MATFAC_KIND static)
endif()

function(_matfac_pkgconfig folder libdir includedir)
  # From the folder of matfac.pc up to the prefix, so that it holds wherever the prefix is.
  file(RELATIVE_PATH up "/prefix/${libdir}/pkgconfig" "/prefix")
  string(REGEX REPLACE "/$" "" up "${up}")
  set(MATFAC_PC_UP "${up}")
  set(MATFAC_PC_LIBDIR "${libdir}")
  set(MATFAC_PC_INCLUDEDIR "${includedir}")
  if(MATFAC_KIND STREQUAL "shared")
    set(MATFAC_PC_LIBS "-L\${libdir} -lmatfac")
    set(MATFAC_PC_CFLAGS " -DMATFAC_SHARED")
  else()
    # By its name, so that a shared library beside it is not taken instead; with what it was linked against.
    set(MATFAC_PC_LIBS
        "\${libdir}/${CMAKE_STATIC_LIBRARY_PREFIX}matfac${CMAKE_STATIC_LIBRARY_SUFFIX} ${OpenMP_CXX_FLAGS} -pthread")
    set(MATFAC_PC_CFLAGS "")
  endif()
  configure_file("${CMAKE_CURRENT_FUNCTION_LIST_DIR}/matfac.pc.in" "${folder}/matfac.pc" @ONLY)
endfunction()

function(matfac_install)
  cmake_parse_arguments(PARSE_ARGV 0 arg "NO_NAMELINK;PKGCONFIG" "NAME;INCLUDEDIR;LIBDIR;BINDIR;COMPONENT" "")
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME}")
  set(package "${arg_LIBDIR}/cmake/matfac")
  string(SUBSTRING "${MATFAC_KIND}" 0 1 initial)
  string(TOUPPER "${initial}" initial)
  string(SUBSTRING "${MATFAC_KIND}" 1 -1 rest)
  set(targets "matfac${initial}${rest}Targets")

  set(namelink "")
  if(arg_NO_NAMELINK)
    set(namelink NAMELINK_SKIP)
  endif()
  install(TARGETS matfac EXPORT ${arg_NAME}
          RUNTIME DESTINATION "${arg_BINDIR}" COMPONENT ${arg_COMPONENT}
          LIBRARY DESTINATION "${arg_LIBDIR}" COMPONENT ${arg_COMPONENT} ${namelink}
          ARCHIVE DESTINATION "${arg_LIBDIR}" COMPONENT ${arg_COMPONENT}
          INCLUDES DESTINATION "${arg_INCLUDEDIR}")
  install(DIRECTORY "${MATFAC_CPP_DIR}/include/matfac" DESTINATION "${arg_INCLUDEDIR}" COMPONENT ${arg_COMPONENT}
          FILES_MATCHING PATTERN "*.hpp")
  install(EXPORT ${arg_NAME} FILE ${targets}.cmake NAMESPACE matfac:: DESTINATION "${package}"
          COMPONENT ${arg_COMPONENT})

  configure_package_config_file("${CMAKE_CURRENT_FUNCTION_LIST_DIR}/matfacConfig.cmake.in"
                                "${folder}/matfacConfig.cmake" INSTALL_DESTINATION "${package}"
                                NO_SET_AND_CHECK_MACRO)
  # While the major version is 0, a new minor version may change the interface (docs/api-policy.md).
  set(compatibility SameMajorVersion)
  if(PROJECT_VERSION_MAJOR EQUAL 0)
    set(compatibility SameMinorVersion)
  endif()
  write_basic_package_version_file("${folder}/matfacConfigVersion.cmake" COMPATIBILITY ${compatibility})
  install(FILES "${folder}/matfacConfig.cmake" "${folder}/matfacConfigVersion.cmake" DESTINATION "${package}"
          COMPONENT ${arg_COMPONENT})
  if(MATFAC_KIND STREQUAL "static")
    # What a program must link beside the static library.
    set(MATFAC_NEEDS_OPENMP ${OpenMP_CXX_FOUND})
    set(MATFAC_OPENMP_RUNTIME "${OpenMP_CXX_LIB_NAMES}")
    configure_file("${CMAKE_CURRENT_FUNCTION_LIST_DIR}/matfacStaticDependencies.cmake.in"
                   "${folder}/matfacStaticDependencies.cmake" @ONLY)
    install(FILES "${folder}/matfacStaticDependencies.cmake" DESTINATION "${package}" COMPONENT ${arg_COMPONENT})
  endif()
  if(arg_PKGCONFIG)
    _matfac_pkgconfig("${folder}" "${arg_LIBDIR}" "${arg_INCLUDEDIR}")
    install(FILES "${folder}/matfac.pc" DESTINATION "${arg_LIBDIR}/pkgconfig" COMPONENT ${arg_COMPONENT})
  endif()
endfunction()
