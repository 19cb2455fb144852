/* What directory_ldap.c and directory_search.c share of libldap. Private to them. */
#ifndef AUTHN_DIRECTORY_WIRE_H
#define AUTHN_DIRECTORY_WIRE_H

#include <sys/time.h>

#include <ldap.h>

#include "authn/directory/directory_ldap.h"

MUST_CHECK LDAP *dir_handle(const struct dir_conn *conn);
MUST_CHECK const char *dir_url(const struct dir_conn *conn);
MUST_CHECK struct timeval dir_time(const struct dir_conn *conn);
/* What a result code means: DENIED for those by which a server says "no" about
 * credentials, UNAVAILABLE for every other that is no success. Fills `err`. */
enum auth_result dir_fail(
    struct dir_conn *conn, int code, const char *what, struct err *err);

#endif
