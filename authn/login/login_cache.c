#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "authn/login/login.h"

#define CURRENT    "current" /* a link to the file of the gate used last */
#define FILE_BYTES (64u * 1024)
#define FRESH_S    60 /* a token is not used any more so long before it ends */

static const struct {
	const char *name;
	size_t offset;
} fields[] = {
    {"server", offsetof(struct login_token, server)},
    {"ca", offsetof(struct login_token, ca)},
    {"user", offsetof(struct login_token, user)},
    {"token", offsetof(struct login_token, token)},
    {"id", offsetof(struct login_token, id)},
    {"expires", offsetof(struct login_token, expires)},
};

static char **
field(struct login_token *token, size_t i)
{
	return (char **)(void *)((char *)token + fields[i].offset);
}

static const char *
field_text(const struct login_token *token, size_t i)
{
	const char *const *at =
	    (const char *const *)(const void *)((const char *)token + fields[i].offset);

	return *at != NULL ? *at : "";
}

static int
make_directory(const char *path, mode_t mode, struct err *err)
{
	if (mkdir(path, mode) != 0 && errno != EEXIST)
		return err_sys(err, "%s", path);
	return 0;
}

/* The directory, made when missing, ours alone; a descriptor, or an error. */
static int
open_directory(struct err *err)
{
	const char *base = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	char path[4096];
	struct stat st;
	int fd;

	if (base != NULL && base[0] == '/')
		(void)snprintf(path, sizeof(path), "%s", base);
	else if (home != NULL && home[0] == '/')
		(void)snprintf(path, sizeof(path), "%s/.cache", home);
	else
		return err_set(
		    err, ERR_NOT_FOUND, "neither HOME nor XDG_CACHE_HOME is set");
	if (make_directory(path, 0700, err) != 0)
		return err->code;
	if (strlen(path) + sizeof("/ringfence") > sizeof(path))
		return err_set(err, ERR_LIMIT, "%s: too long", path);
	memcpy(path + strlen(path), "/ringfence", sizeof("/ringfence"));
	if (make_directory(path, 0700, err) != 0)
		return err->code;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "%s", path);
	if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
		(void)close(fd); /* nothing was written */
		return err_set(err, ERR_DENIED,
		    "%s: belongs to somebody else, or is open to others", path);
	}
	return fd;
}

static void
file_name(const char *server, char out[40])
{
	uint8_t hash[SHA256_DIGEST_LENGTH];

	(void)SHA256((const uint8_t *)server, strlen(server), hash); /* cannot fail */
	for (size_t i = 0; i < 16; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", hash[i]);
	memcpy(out + 32, ".json", sizeof(".json"));
}

static int
read_file(int directory, const char *name, char *text, size_t *out_len, struct err *err)
{
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t n = -1;

	if (fd < 0)
		return err_set(err, ERR_NOT_FOUND, "not logged in");
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    (st.st_mode & 077) == 0)
		n = read(fd, text, FILE_BYTES);
	(void)close(fd); /* nothing was written */
	if (n <= 0)
		return err_set(err, ERR_DENIED,
		    "the token that was kept belongs to somebody else, or is open to "
		    "others");
	*out_len = (size_t)n;
	return 0;
}

int
login_cache_read(const char *server, struct login_token *out_token, struct err *err)
{
	char *text = xmalloc(FILE_BYTES);
	char name[40] = CURRENT;
	int directory = open_directory(err);
	json_t *root = NULL;
	size_t len = 0;
	int rc = directory < 0 ? directory : 0;

	*out_token = (struct login_token){0};
	if (server != NULL)
		file_name(server, name);
	if (rc == 0)
		rc = read_file(directory, name, text, &len, err);
	if (rc == 0)
		root = json_loadb(text, len, 0, NULL);
	for (size_t i = 0; i < ARRAY_LEN(fields) && rc == 0; i++) {
		const char *value =
		    json_string_value(json_object_get(root, fields[i].name));

		if (value == NULL)
			rc = err_set(err, ERR_NOT_FOUND, "not logged in");
		else
			*field(out_token, i) = xstrdup(value);
	}
	if (rc != 0)
		login_token_free(out_token);
	json_decref(root);
	secret_wipe(text, len);
	free(text);
	if (directory >= 0)
		(void)close(directory); /* nothing was written */
	return rc;
}

static int
write_text(int directory, const char *name, const char *text, struct err *err)
{
	const size_t len = strlen(text);
	int fd;

	(void)unlinkat(directory, "new", 0); /* left over, perhaps */
	fd = openat(directory, "new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, "cannot keep the token");
	if (write(fd, text, len) != (ssize_t)len || close(fd) != 0 ||
	    renameat(directory, "new", directory, name) != 0)
		return err_sys(err, "cannot keep the token");
	return 0;
}

int
login_cache_write(const struct login_token *token, struct err *err)
{
	int directory = open_directory(err);
	char name[40];
	json_t *root;
	char *text;
	int rc;

	if (directory < 0)
		return directory;
	root = json_object();
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (json_object_set_new(
			root, fields[i].name, json_string(field_text(token, i))) != 0)
			base_die("out of memory");
	}
	text = json_dumps(root, JSON_COMPACT);
	if (text == NULL)
		base_die("out of memory");
	file_name(token->server, name);
	rc = write_text(directory, name, text, err);
	if (rc == 0) { /* a convenience only: commands name their gate otherwise */
		(void)unlinkat(
		    directory, CURRENT, 0); /* the first time there is none */
		(void)!symlinkat(name, directory, CURRENT);
	}
	secret_wipe(text, strlen(text));
	free(text);
	json_decref(root);
	(void)close(directory); /* files in it are written */
	return rc;
}

int
login_cache_remove(const char *server, struct err *err)
{
	int directory = open_directory(err);
	char name[40];
	int rc = 0;

	if (directory < 0)
		return directory;
	file_name(server, name);
	if (unlinkat(directory, name, 0) != 0 && errno != ENOENT)
		rc = err_sys(err, "cannot forget the token");
	(void)close(directory); /* nothing was written */
	return rc;
}

void
login_cache_lock(void)
{
	struct err err = ERR_INIT;
	int fd = open_directory(&err);

	if (fd >= 0)
		(void)flock(fd, LOCK_EX); /* without it somebody is asked twice */
}

void
login_token_free(struct login_token *token)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		char **at = field(token, i);

		if (*at != NULL)
			secret_wipe(*at, strlen(*at));
		free(*at);
		*at = NULL;
	}
}

bool
login_token_fresh(const struct login_token *token)
{
	walltime_t expires = {0};

	return walltime_parse(token->expires, &expires) &&
	       expires.ns > walltime_now().ns + FRESH_S * NS_PER_S;
}
