# Every dependency is a Debian 12 package. Which room may link which:
# libyaml, jansson, libuv, libseccomp, libcrypto: common; libroaring: policy-lang;
# libcurl: common/curl, enforcer, authn; libnftnl, libmnl: enforcer only; OpenSSL (TLS), nghttp2, libldap, SQLite: authn only.
find_package(PkgConfig REQUIRED)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(SSL REQUIRED IMPORTED_TARGET libssl)
pkg_check_modules(NFTNL REQUIRED IMPORTED_TARGET libnftnl)
pkg_check_modules(MNL REQUIRED IMPORTED_TARGET libmnl)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2)
pkg_check_modules(LDAP REQUIRED IMPORTED_TARGET ldap lber)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(CHECK REQUIRED IMPORTED_TARGET check)
find_package(Threads REQUIRED)

# The Debian package of roaring has no .pc file.
find_path(ROARING_INCLUDE roaring/roaring.h REQUIRED)
find_library(ROARING_LIBRARY roaring REQUIRED)
# Its inline functions would have vector intrinsics: a second of each file that reads them.
add_compile_definitions(DISABLE_X64)

# llhttp comes as C sources (package node-llhttp); strict unless told otherwise.
set(LLHTTP_SOURCE_DIR /usr/share/llhttp)
find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp NO_DEFAULT_PATH REQUIRED)
