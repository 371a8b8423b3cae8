# SPDX-License-Identifier: Apache-2.0
# LMDB as the broker links it: Debian's archive (liblmdb-dev) with its pwrite and writev called store_lmdb_pwrite and
# store_lmdb_writev, which are ours (broker/stores/store_pieces.h). Where there is no archive, the shared library: then a
# look-up may wait for a large write to end, and nothing else is different.
find_library(LMDB_ARCHIVE liblmdb.a)
if(LMDB_ARCHIVE AND CMAKE_OBJCOPY)
  set(archive ${CMAKE_BINARY_DIR}/liblmdb-pieces.a)
  add_custom_command(OUTPUT ${archive}
    COMMAND ${CMAKE_OBJCOPY} --redefine-sym pwrite=store_lmdb_pwrite --redefine-sym writev=store_lmdb_writev ${LMDB_ARCHIVE} ${archive}
    DEPENDS ${LMDB_ARCHIVE} VERBATIM)
  add_custom_target(lmdb-pieces DEPENDS ${archive})
  add_library(touchbus_lmdb STATIC IMPORTED GLOBAL)
  set_target_properties(touchbus_lmdb PROPERTIES IMPORTED_LOCATION ${archive})
  target_include_directories(touchbus_lmdb INTERFACE ${LMDB_INCLUDE_DIRS})
  # What it calls lies in a library before it.
  target_link_options(touchbus_lmdb INTERFACE LINKER:--undefined=store_lmdb_pwrite LINKER:--undefined=store_lmdb_writev)
  target_link_libraries(touchbus_lmdb INTERFACE Threads::Threads)
  add_dependencies(touchbus_lmdb lmdb-pieces)
else()
  message(STATUS "no liblmdb.a: LMDB's writes stay whole")
  add_library(touchbus_lmdb ALIAS PkgConfig::LMDB)
endif()
