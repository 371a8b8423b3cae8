# SPDX-License-Identifier: Apache-2.0
# The one interface target for flags: every target of ours links touchbus_flags (PRIVATE), nothing sets flags elsewhere.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_STANDARD 17) # of the one file that a C++ library needs, broker/tick/phone.cc
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
foreach(type DEBUG RELEASE)
  set(CMAKE_CXX_FLAGS_${type} "${CMAKE_C_FLAGS_${type}}")
endforeach()

option(TOUCHBUS_WERROR "Warnings are errors (CI)" OFF)
set(TOUCHBUS_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them: address,undefined or thread")
option(TOUCHBUS_FAULTPOINTS "Named kill points for tests, see broker/faultpoint.h" OFF)
set(TOUCHBUS_PROFILE "" CACHE STRING "generate: programs note how they run; use: they are compiled by that (tools/release)")
option(TOUCHBUS_FUZZ "Build the libFuzzer targets (clang)" OFF)

add_library(touchbus_flags INTERFACE)
target_compile_definitions(touchbus_flags INTERFACE _GNU_SOURCE TOUCHBUS_VERSION="${PROJECT_VERSION}")
target_include_directories(touchbus_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(touchbus_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
  -Wwrite-strings -Wcast-qual -Wformat=2 -Wvla -Wswitch-enum
  $<$<BOOL:${TOUCHBUS_WERROR}>:-Werror>
  -fno-omit-frame-pointer)
if(TOUCHBUS_SANITIZE)
  target_compile_options(touchbus_flags INTERFACE -fsanitize=${TOUCHBUS_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(touchbus_flags INTERFACE -fsanitize=${TOUCHBUS_SANITIZE})
endif()
if(TOUCHBUS_FAULTPOINTS)
  target_compile_definitions(touchbus_flags INTERFACE TOUCHBUS_FAULTPOINTS)
endif()
if(TOUCHBUS_FUZZ)
  target_compile_options(touchbus_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
# What runs often lies together. Code that no run has noted is optimised as it always is; a source that has changed since gets
# a warning and no profile.
set(profile ${CMAKE_BINARY_DIR}/profile)
if(TOUCHBUS_PROFILE STREQUAL "generate")
  target_compile_options(touchbus_flags INTERFACE -fprofile-generate=${profile} -fprofile-update=prefer-atomic)
  target_link_options(touchbus_flags INTERFACE -fprofile-generate=${profile})
elseif(TOUCHBUS_PROFILE STREQUAL "use")
  target_compile_options(touchbus_flags INTERFACE -fprofile-use=${profile} -fprofile-partial-training -fprofile-correction
    -Wno-missing-profile -Wno-error=coverage-mismatch)
elseif(TOUCHBUS_PROFILE)
  message(FATAL_ERROR "TOUCHBUS_PROFILE is generate, use or empty, not '${TOUCHBUS_PROFILE}'")
endif()
# Hardening, in every build that no sanitizer instruments, so that what is tested is what is shipped: position-independent
# programs, all relocations resolved at the start and read-only then, canaries, checked copies, no jump into the middle.
include(CheckPIESupported)
include(CheckCCompilerFlag)
check_pie_supported(LANGUAGES C CXX)
if(NOT TOUCHBUS_SANITIZE)
  target_compile_options(touchbus_flags INTERFACE -fstack-protector-strong)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
  if("${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${build_type}}" MATCHES "-O[1-9sgf]") # glibc checks where the compiler optimises
    target_compile_options(touchbus_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
  foreach(flag -fstack-clash-protection -fcf-protection)
    string(MAKE_C_IDENTIFIER TOUCHBUS_HAS${flag} known)
    check_c_compiler_flag(${flag} ${known})
    if(${known})
      target_compile_options(touchbus_flags INTERFACE ${flag})
    endif()
  endforeach()
endif()
target_link_options(touchbus_flags INTERFACE -Wl,-z,relro,-z,now -Wl,-z,noexecstack)
