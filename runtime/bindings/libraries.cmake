# What others link: libweir.so, the C API alone; libweir_standalone.a, what `weir build --standalone` links; and the installation.
include(GNUInstallDirs)

# ---- libweir.so: exports what runtime/bindings/libweir.map says, finds libraries that lie beside it
add_library(weir_shared SHARED $<TARGET_OBJECTS:weir_base> $<TARGET_OBJECTS:weir_runtime>)
set(map ${CMAKE_SOURCE_DIR}/runtime/bindings/libweir.map)
set_target_properties(weir_shared PROPERTIES OUTPUT_NAME weir VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
  LINKER_LANGUAGE C LINK_DEPENDS ${map} BUILD_RPATH "$ORIGIN" INSTALL_RPATH "$ORIGIN")
target_link_libraries(weir_shared PRIVATE m Threads::Threads PkgConfig::SODIUM PkgConfig::JANSSON ${CMAKE_DL_LIBS})
target_link_options(weir_shared PRIVATE -Wl,--version-script=${map})
add_library(weir::weir ALIAS weir_shared)
target_include_directories(weir_shared INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}> $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/runtime>)

# ---- libweir_standalone.a: the runtime, the driver's commands that use a model, and the libraries they need, in one archive
set(standalone_libraries)
foreach(name jansson pcre2-8 utf8proc sodium)
  find_library(WEIR_STATIC_${name} lib${name}.a)
  mark_as_advanced(WEIR_STATIC_${name})
  list(APPEND standalone_libraries ${WEIR_STATIC_${name}})
endforeach()
list(LENGTH standalone_libraries found)
if(NOT "${standalone_libraries}" MATCHES NOTFOUND AND found EQUAL 4 AND NOT WEIR_SANITIZE AND NOT WEIR_THREAD_SANITIZE AND TARGET weir)
  set(WEIR_HAS_STANDALONE ON)
  file(GLOB program CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/compiler/standalone/*.c)
  foreach(name start args out help cancel table tensors lm entry cmd_run cmd_chat cmd_embed)
    list(APPEND program ${CMAKE_SOURCE_DIR}/compiler/driver/${name}.c)
  endforeach()
  list(APPEND program ${CMAKE_SOURCE_DIR}/compiler/plan/steps.c ${CMAKE_SOURCE_DIR}/compiler/plan/example.c)
  add_library(weir_program STATIC ${program})
  target_compile_definitions(weir_program PRIVATE CLI_COMMANDS="compiler/standalone/commands.def" CLI_PROGRAM="program")
  set(archive ${CMAKE_BINARY_DIR}/libweir_standalone.a)
  set(parts weir_program weir_lang weir_ir weir_text weir_runtime weir_base)
  set(script "create ${archive}\\n")
  foreach(part ${parts})
    string(APPEND script "addlib $<TARGET_FILE:${part}>\\n")
  endforeach()
  foreach(library ${standalone_libraries})
    string(APPEND script "addlib ${library}\\n")
  endforeach()
  string(REPLACE "\\n" "\n" script "${script}save\nend\n")
  file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/libweir_standalone.mri CONTENT "${script}")
  add_custom_command(OUTPUT ${archive} DEPENDS ${parts} ${CMAKE_BINARY_DIR}/libweir_standalone.mri COMMAND ${CMAKE_COMMAND} -E rm -f ${archive}
    COMMAND ${CMAKE_AR} -M < ${CMAKE_BINARY_DIR}/libweir_standalone.mri COMMENT "Joining libweir_standalone.a")
  add_custom_target(weir_standalone ALL DEPENDS ${archive})
  add_dependencies(weir weir_standalone)
  set_source_files_properties(${CMAKE_SOURCE_DIR}/compiler/driver/standalone.c PROPERTIES COMPILE_DEFINITIONS WEIR_LIBDIR="${CMAKE_INSTALL_LIBDIR}")
endif()

# ---- installation: bin/weir, lib/libweir.so, lib/weir/libweir_standalone.a, include/weir, share/weir/models, pkg-config, CMake, manual
if(TARGET weir)
  install(TARGETS weir RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/weir/models)
  install(CODE "
    file(MAKE_DIRECTORY \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_MANDIR}/man1\")
    execute_process(COMMAND \"$<TARGET_FILE:weir>\" help --man
      OUTPUT_FILE \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_MANDIR}/man1/weir.1\" COMMAND_ERROR_IS_FATAL ANY)")
endif()
if(WEIR_HAS_STANDALONE)
  install(FILES ${CMAKE_BINARY_DIR}/libweir_standalone.a DESTINATION ${CMAKE_INSTALL_LIBDIR}/weir)
endif()
install(TARGETS weir_shared EXPORT weirTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/weir)
set_target_properties(weir_shared PROPERTIES EXPORT_NAME weir)
# weir.h includes others by their place below the root of the source: they keep it below include/weir.
install(FILES ${CMAKE_SOURCE_DIR}/runtime/weir.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/weir)
install(FILES ${CMAKE_SOURCE_DIR}/runtime/base/alloc.h ${CMAKE_SOURCE_DIR}/runtime/base/status.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/weir/runtime/base)
file(RELATIVE_PATH WEIR_PC_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)  # the installation may be moved
configure_file(${CMAKE_SOURCE_DIR}/runtime/bindings/weir.pc.in ${CMAKE_BINARY_DIR}/weir.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/weir.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
include(CMakePackageConfigHelpers)
configure_package_config_file(${CMAKE_SOURCE_DIR}/runtime/bindings/weirConfig.cmake.in ${CMAKE_BINARY_DIR}/weirConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/weir)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/weirConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/weirConfig.cmake ${CMAKE_BINARY_DIR}/weirConfigVersion.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/weir)
install(EXPORT weirTargets NAMESPACE weir:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/weir)

# ---- the wheel: `cmake --build BUILD --target weir_wheel` puts it into BUILD/wheel
find_program(WEIR_PYTHON python3)
mark_as_advanced(WEIR_PYTHON)
if(WEIR_PYTHON)
  set(source ${CMAKE_BINARY_DIR}/wheel-source)  # setuptools writes beside what it builds
  add_custom_target(weir_wheel DEPENDS weir_shared COMMAND ${CMAKE_COMMAND} -E rm -rf ${source}
    COMMAND ${CMAKE_COMMAND} -E copy_directory ${CMAKE_SOURCE_DIR}/runtime/bindings/python ${source}
    COMMAND ${CMAKE_COMMAND} -E env WEIR_LIBRARY=$<TARGET_FILE:weir_shared>
      ${WEIR_PYTHON} -m pip wheel --no-deps --wheel-dir ${CMAKE_BINARY_DIR}/wheel ${source})
endif()
