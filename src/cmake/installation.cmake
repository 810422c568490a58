# Headers, libraries and the files that find_package(procyon) reads.

include(CMakePackageConfigHelpers)
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/procyon)
get_property(libraries GLOBAL PROPERTY procyon_libraries)

install(TARGETS ${libraries} EXPORT procyonTargets FILE_SET HEADERS)
install(EXPORT procyonTargets NAMESPACE procyon:: DESTINATION ${config_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/procyonConfig.cmake.in
  ${PROJECT_BINARY_DIR}/procyonConfig.cmake INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/procyonConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/procyonConfig.cmake
  ${PROJECT_BINARY_DIR}/procyonConfigVersion.cmake DESTINATION ${config_dir})
if(TARGET procyon_linalg)
  install(FILES ${CMAKE_CURRENT_LIST_DIR}/FindOpenBLASC.cmake DESTINATION ${config_dir})
endif()
if(TARGET procyon_command)
  install(TARGETS procyon_command)
endif()
