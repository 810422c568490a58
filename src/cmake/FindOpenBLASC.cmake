# OpenBLAS with its C interface: the target OpenBLASC::OpenBLASC (library and directory of cblas.h).
# pkg-config only hints at where they are, so that the module works without it too.

find_package(PkgConfig QUIET)
if(PKG_CONFIG_FOUND)
  pkg_check_modules(OpenBLASC_PC QUIET openblas)
endif()
find_library(OpenBLASC_LIBRARY NAMES openblas HINTS ${OpenBLASC_PC_LIBRARY_DIRS})
find_path(OpenBLASC_INCLUDE_DIR NAMES cblas.h
  HINTS ${OpenBLASC_PC_INCLUDE_DIRS} PATH_SUFFIXES openblas openblas-pthread)
mark_as_advanced(OpenBLASC_LIBRARY OpenBLASC_INCLUDE_DIR)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenBLASC
  REQUIRED_VARS OpenBLASC_LIBRARY OpenBLASC_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "Install libopenblas-dev, or configure with -DPROCYON_LINALG=OFF.")

if(OpenBLASC_FOUND AND NOT TARGET OpenBLASC::OpenBLASC)
  add_library(OpenBLASC::OpenBLASC UNKNOWN IMPORTED)
  set_target_properties(OpenBLASC::OpenBLASC PROPERTIES
    IMPORTED_LOCATION ${OpenBLASC_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${OpenBLASC_INCLUDE_DIR})
endif()
