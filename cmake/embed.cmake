# SPDX-License-Identifier: Apache-2.0
# Text files as C constants. Included: touchbus_embed(target file name) makes `const char NAME[]` (terminated) and
# `const size_t NAME_size` (without the terminator) of a file and adds them to target. Run with -P: does one file.
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ ${INPUT} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
  file(WRITE ${OUTPUT} "#include <stddef.h>\n"
    "extern const char ${NAME}[];\nextern const size_t ${NAME}_size;\n"
    "const char ${NAME}[] = {\n${bytes}0};\nconst size_t ${NAME}_size = sizeof(${NAME}) - 1;\n")
  return()
endif()

set(TOUCHBUS_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(touchbus_embed target file name)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/generated/${name}.c)
  get_filename_component(input ${file} ABSOLUTE)
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/generated)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${input} -DOUTPUT=${out} -DNAME=${name} -P ${TOUCHBUS_EMBED_SCRIPT}
    DEPENDS ${input} ${TOUCHBUS_EMBED_SCRIPT} VERBATIM)
  set_source_files_properties(${out} PROPERTIES COMPILE_OPTIONS "-w")
  target_sources(${target} PRIVATE ${out})
endfunction()
