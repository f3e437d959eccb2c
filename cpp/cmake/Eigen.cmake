# Finds Eigen 3.4 or later: headers that only our sources include. A consumer of the library never needs them.
if(NOT TARGET Eigen3::Eigen)
  # The build requirement cmeel-eigen keeps its files below cmeel.prefix; Debian's libeigen3-dev needs no hint.
  find_package(Eigen3 CONFIG QUIET PATH_SUFFIXES cmeel.prefix/share/eigen3/cmake)
  if(NOT Eigen3_FOUND)
    # A build by hand in a virtual environment: cmeel-eigen lies in the site-packages of its interpreter.
    find_package(Python COMPONENTS Interpreter QUIET)
    if(Python_Interpreter_FOUND)
      execute_process(COMMAND "${Python_EXECUTABLE}" -c "import sysconfig; print(sysconfig.get_path('purelib'))"
                      OUTPUT_VARIABLE _site_packages OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
      find_package(Eigen3 CONFIG QUIET PATHS "${_site_packages}/cmeel.prefix/share/eigen3/cmake" NO_DEFAULT_PATH)
    endif()
    if(NOT Eigen3_FOUND)
      unset(_Python_EXECUTABLE CACHE) # or a second attempt would not look at the environment that is active then
    endif()
  endif()
  if(NOT Eigen3_FOUND)
    message(FATAL_ERROR "matfac needs Eigen 3.4: install Debian's libeigen3-dev or the Python package cmeel-eigen")
  endif()
  if(Eigen3_VERSION VERSION_LESS 3.4)
    message(FATAL_ERROR "matfac needs Eigen 3.4 or later, found ${Eigen3_VERSION}")
  endif()
endif()
