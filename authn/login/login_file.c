/*
 * Tokens in files of their own, as jobs have them: kubectl's tokenFile reads the same.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authn/login/login.h"
#include "authn/token/token.h"

int
login_file_read(const struct login_options *o, struct login_token *out, struct err *err)
{
	struct secret text = {0};
	struct token_parts parts;
	char *token;
	int rc = o->server == NULL
		     ? err_set(err, ERR_INVALID,
			   "with --token-file the gate must be named: --server "
			   "https://HOST[:PORT]")
		     : secret_read_file(&text, o->token_file, false, err);

	*out = (struct login_token){0};
	if (rc == 0 && !token_parse(secret_str(&text), &parts))
		rc = err_set(
		    err, ERR_INVALID, "%s: there is no token in it", o->token_file);
	if (rc == 0) {
		token = xcalloc(1, TOKEN_LEN + 1);
		memcpy(token, secret_str(&text).ptr, TOKEN_LEN);
		*out = (struct login_token){.server = xstrdup(o->server),
		    .ca = xstrdup(o->ca != NULL ? o->ca : ""),
		    .user = xstrdup(""),
		    .token = token,
		    .id = xstrdup(parts.id),
		    .expires = xstrdup("")};
	}
	secret_free(&text);
	return rc;
}

int
login_file_write(const char *path, const char *token, struct err *err)
{
	const size_t len = strlen(token);
	char name[4096];
	int fd, rc = 0;

	if (snprintf(name, sizeof(name), "%s.new", path) >= (int)sizeof(name))
		return err_set(err, ERR_LIMIT, "%s: too long", path);
	(void)unlink(name); /* left over, perhaps */
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, "%s", name);
	if (write(fd, token, len) != (ssize_t)len || fsync(fd) != 0)
		rc = err_sys(err, "%s", name);
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(err, "%s", name);
	if (rc == 0 && rename(name, path) != 0)
		rc = err_sys(err, "%s", path);
	return rc;
}
