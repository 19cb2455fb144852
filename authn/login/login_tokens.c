/*
 * The login tool's commands about tokens: making, listing, rotating and ending them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authn/login/login.h"

#define API            "/ringfence/v1"
#define OF_SERVICE     API "/serviceaccounttokens"
#define PATH_MAX_BYTES 128
#define ID_MAX_BYTES   64

static const char base62[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* An id goes into a path. */
static bool
id_ok(const char *id)
{
	return strspn(id, base62) == strlen(id) && strlen(id) <= ID_MAX_BYTES;
}

static int
print_token(const struct login_options *o, const struct login_answer *answer)
{
	if (strcmp(o->output, "json") == 0)
		login_print_json(answer->body);
	else
		puts(login_text_of(answer->body, "token"));
	return 0;
}

/* By password, when one is offered: such a token may outlive a login. */
static int
create_by_password(const struct login_options *o, const char *path, const char *body,
    struct login_answer *answer, struct err *err)
{
	struct login_request request = {.method = "POST", .path = path, .body = body};
	struct login_options with = *o;
	struct login_token known = {0};
	struct secret password = {0};
	char *user = NULL;
	int rc = o->server == NULL ? login_known_token(o, &with, &known, err) : 0;

	if (rc == 0)
		rc = login_credentials(&with, &user, &password, err);
	request.user = user;
	request.password = &password;
	if (rc == 0)
		rc = login_http(&with, &request, answer, err);
	if (rc == 0 && answer->status != 201)
		rc = login_answer_err(answer, err);
	secret_free(&password);
	login_token_free(&known);
	free(user);
	return rc;
}

/* Where one's own tokens are, or those of the service account that was named. */
static char *
tokens_url(const struct login_options *o, const char *id, struct err *err)
{
	char own[PATH_MAX_BYTES];

	if (o->service != NULL)
		return login_service_url(OF_SERVICE, o->service, id, err);
	(void)snprintf(own, sizeof(own), API "/tokens%s%s", id != NULL ? "/" : "",
	    id != NULL ? id : ""); /* ids are short */
	return xstrdup(own);
}

int
login_run_token_create(const struct login_options *o)
{
	struct login_answer answer = {0};
	struct err err = ERR_INIT;
	char *body = login_request_body(o, &err);
	char *path = body != NULL ? tokens_url(o, NULL, &err) : NULL;
	int rc = path == NULL ? ERR_INVALID : 0;

	if (rc == 0)
		rc = o->by_password
			 ? create_by_password(o, path, body, &answer, &err)
			 : login_ask(o, "POST", path, body, 201, &answer, &err);
	if (rc == 0)
		rc = print_token(o, &answer);
	login_answer_free(&answer);
	free(path);
	free(body);
	return rc == 0 ? 0 : login_fail(&err);
}

int
login_run_token_list(const struct login_options *o)
{
	struct login_answer answer = {0};
	struct err err = ERR_INIT;
	size_t i;
	json_t *token;
	char *path = tokens_url(o, NULL, &err);
	int rc = path == NULL ? ERR_INVALID
			      : login_ask(o, "GET", path, NULL, 200, &answer, &err);
	const json_t *omitted = json_object_get(answer.body, "omitted");

	if (rc == 0 && strcmp(o->output, "json") == 0) {
		login_print_json(answer.body);
	} else if (rc == 0) {
		printf("%-12s %-22s %-22s %-8s %s\n", "ID", "EXPIRES", "LAST USED",
		    "REVOKED", "NAME");
		json_array_foreach(json_object_get(answer.body, "tokens"), i, token)
		{
			const char *used = login_text_of(token, "lastUsed");

			printf("%-12s %-22s %-22s %-8s ", login_text_of(token, "id"),
			    login_text_of(token, "expires"),
			    used[0] != '\0' ? used : "-",
			    json_is_true(json_object_get(token, "revoked")) ? "yes"
									    : "no");
			login_print_safe(login_text_of(token, "name"));
			if (json_object_get(token, "serviceAccount") != NULL) {
				fputs(" of ", stdout);
				login_print_safe(
				    login_text_of(token, "serviceAccount"));
				fputs(", by ", stdout);
				login_print_safe(login_text_of(token, "madeBy"));
			}
			putchar('\n');
		}
		if (omitted != NULL)
			printf("and %lld more, older or revoked\n",
			    (long long)json_integer_value(omitted));
	}
	login_answer_free(&answer);
	free(path);
	return rc == 0 ? 0 : login_fail(&err);
}

int
login_run_token_revoke(const struct login_options *o, const char *id)
{
	struct login_answer answer = {0};
	struct err err = ERR_INIT;
	char *path = NULL;
	int rc = 0;

	if (!id_ok(id))
		rc = err_set(&err, ERR_INVALID, "\"%s\" is no token's id", id);
	else
		path = tokens_url(o, id, &err);
	if (rc == 0)
		rc = path == NULL
			 ? ERR_INVALID
			 : login_ask(o, "DELETE", path, NULL, 204, &answer, &err);
	login_answer_free(&answer);
	free(path);
	if (rc != 0)
		return login_fail(&err);
	printf("revoked %s\n", id);
	return 0;
}

/* ---- rotation ---- */

static bool
usable(const json_t *token)
{
	walltime_t expires;

	return !json_is_true(json_object_get(token, "revoked")) &&
	       (!walltime_parse(login_text_of(token, "expires"), &expires) ||
		   expires.ns > walltime_now().ns);
}

/* The id of the one token of that name that can still be used. */
static int
find_by_name(const json_t *tokens, const char *name, char out_id[ID_MAX_BYTES + 1],
    struct err *err)
{
	size_t i, found = 0;
	json_t *token;

	json_array_foreach(json_object_get(tokens, "tokens"), i, token)
	{
		const char *id = login_text_of(token, "id");

		const bool by_id = strcmp(id, name) == 0;

		if (!usable(token) || !id_ok(id) ||
		    (!by_id && strcmp(login_text_of(token, "name"), name) != 0))
			continue;
		memcpy(out_id, id, strlen(id) + 1);
		if (by_id) /* which says it, whatever names there are */
			return 0;
		found++;
	}
	if (found == 1)
		return 0;
	return err_set(err, ERR_NOT_FOUND,
	    found == 0 ? "you have no token \"%s\""
		       : "several of your tokens are called \"%s\": give an id",
	    name);
}

static char *
rotation_body(const struct login_options *o)
{
	json_t *root = json_object();
	char *text;

	if (o->ttl != NULL)
		(void)json_object_set_new(root, "ttl", json_string(o->ttl));
	if (o->overlap != NULL)
		(void)json_object_set_new(root, "overlap", json_string(o->overlap));
	text = json_dumps(root, JSON_COMPACT);
	if (text == NULL)
		base_die("out of memory");
	json_decref(root);
	return text;
}

/* The token of that name, or without one that of the file. */
static int
rotation_id(const struct login_options *o, const char *name,
    char out_id[ID_MAX_BYTES + 1], struct err *err)
{
	struct login_answer tokens = {0};
	struct login_token own = {0};
	int rc;

	if (name != NULL) {
		rc = login_ask(o, "GET", API "/tokens", NULL, 200, &tokens, err);
		if (rc == 0)
			rc = find_by_name(tokens.body, name, out_id, err);
	} else {
		rc = login_file_read(o, &own, err);
		if (rc == 0)
			memcpy(out_id, own.id, strlen(own.id) + 1);
	}
	login_answer_free(&tokens);
	login_token_free(&own);
	return rc;
}

/* Where the fresh one goes: into the file, if it is the file's that was rotated. */
static int
keep_rotated(const struct login_options *o, const char *name,
    const struct login_answer *answer, struct err *err)
{
	return name == NULL ? login_file_write(o->token_file,
				  login_text_of(answer->body, "token"), err)
			    : print_token(o, answer);
}

int
login_run_token_rotate(const struct login_options *o, const char *name)
{
	struct login_answer answer = {0};
	struct err err = ERR_INIT;
	char path[PATH_MAX_BYTES], id[ID_MAX_BYTES + 1];
	char *body = rotation_body(o);
	int rc = rotation_id(o, name, id, &err);

	if (rc == 0) {
		(void)snprintf(
		    path, sizeof(path), API "/tokens/%s/rotate", id); /* fits */
		rc = login_ask(o, "POST", path, body, 201, &answer, &err);
	}
	/* The token of this login: what is kept must go on. */
	if (rc == 0)
		rc = login_cache_replace(o, id, answer.body, &err);
	if (rc == 0)
		rc = keep_rotated(o, name, &answer, &err);
	login_answer_free(&answer);
	free(body);
	return rc == 0 ? 0 : login_fail(&err);
}
