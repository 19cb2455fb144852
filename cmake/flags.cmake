# Language level, warnings and hardening, the same for every target.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_compile_definitions(_GNU_SOURCE RINGFENCE_VERSION="${PROJECT_VERSION}")
add_compile_options(
  -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow
  -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
  -Wpointer-arith -Wcast-qual -Wcast-align -Wwrite-strings -Wundef -Wvla
  -Wformat=2 -Wnull-dereference -Wimplicit-fallthrough -Wswitch-enum
  -fstack-protector-strong -fno-strict-aliasing -fno-common)
if(RINGFENCE_WERROR)
  add_compile_options(-Werror)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
  if(NOT RINGFENCE_SANITIZE)
    add_compile_definitions(_FORTIFY_SOURCE=2)
  endif()
endif()
if(RINGFENCE_SANITIZE)
  add_compile_options(-fsanitize=${RINGFENCE_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${RINGFENCE_SANITIZE})
  add_compile_definitions(RINGFENCE_SANITIZED)
endif()
if(RINGFENCE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link) # coverage, for the whole tree
endif()
if(RINGFENCE_SANITIZE AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  # Their tables make objects large, and there are two hundred programs to link: gold takes
  # half the time of the default linker. A report's stack needs lines, but no variables.
  set(CMAKE_C_FLAGS_DEBUG "-g1")
  add_link_options(-fuse-ld=gold)
endif()
if(RINGFENCE_SANITIZE MATCHES "address")
  # Tests start these thousands of times: what is not moved starts in half the time.
  add_link_options(-no-pie)
else()
  add_link_options(-pie -Wl,-z,relro,-z,now)
endif()
