#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "authn/audit/audit_text.h"
#include "authn/login/login.h"

#define API "/ringfence/v1"

int
login_fail(const struct err *err)
{
	fprintf(stderr, "ringfence: %s\n", err->msg);
	return LOGIN_EXIT_FAILED;
}

void
login_print_safe(const char *text)
{
	struct buf safe = {NULL, 0, 0};

	audit_text_safe(&safe, str_from(text));
	printf("%.*s", STR_ARG(buf_str(&safe)));
	buf_free(&safe);
}

const char *
login_text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

/* ---- requests ---- */

char *
login_request_body(const struct login_options *o, struct err *err)
{
	json_t *root = json_object();
	json_t *scopes = json_array();
	char *text = NULL;

	if (o->name != NULL)
		(void)json_object_set_new(root, "name", json_string(o->name));
	if (o->ttl != NULL)
		(void)json_object_set_new(root, "ttl", json_string(o->ttl));
	for (size_t i = 0; i < o->scope_count; i++) {
		json_error_t error;
		json_t *scope = json_loads(o->scopes[i], 0, &error);

		if (scope == NULL) {
			(void)err_set(
			    err, ERR_INVALID, "scope %s: %s", o->scopes[i], error.text);
			goto out;
		}
		(void)json_array_append_new(scopes, scope);
	}
	if (o->scope_count != 0)
		(void)json_object_set(root, "scopes", scopes);
	text = json_dumps(root, JSON_COMPACT);
	if (text == NULL)
		base_die("out of memory");
out:
	json_decref(scopes);
	json_decref(root);
	return text;
}

int
login_credentials(const struct login_options *o, char **out_user,
    struct secret *out_password, struct err *err)
{
	int rc = 0;

	if (o->user != NULL)
		*out_user = xstrdup(o->user);
	else if (o->interactive)
		rc = login_prompt_user(out_user, err);
	else
		rc =
		    err_set(err, ERR_INVALID, "not logged in: run \"ringfence login\"");
	if (rc != 0)
		return rc;
	if (o->password_file != NULL)
		return secret_read_file(out_password, o->password_file, false, err);
	if (!o->interactive)
		return err_set(
		    err, ERR_INVALID, "not logged in: run \"ringfence login\"");
	return login_prompt_password(*out_user, out_password, err);
}

static int
keep(const struct login_options *o, const json_t *body, struct login_token *out,
    struct err *err)
{
	*out = (struct login_token){.server = xstrdup(o->server),
	    .ca = xstrdup(o->ca != NULL ? o->ca : ""),
	    .user = xstrdup(login_text_of(body, "user")),
	    .token = xstrdup(login_text_of(body, "token")),
	    .id = xstrdup(login_text_of(body, "id")),
	    .expires = xstrdup(login_text_of(body, "expires"))};
	if (out->token[0] == '\0' || out->expires[0] == '\0')
		return err_set(
		    err, ERR_PROTOCOL, "the answer is not one of a ringfence gate");
	return login_cache_write(out, err);
}

static int
log_in(const struct login_options *o, struct login_token *out, struct err *err)
{
	struct login_answer answer = {0};
	struct login_request request = {.method = "POST", .path = API "/login"};
	struct secret password = {0};
	char *user = NULL;
	char *body = login_request_body(o, err);
	int rc =
	    body == NULL ? ERR_INVALID : login_credentials(o, &user, &password, err);

	request.user = user;
	request.password = &password;
	request.body = body;
	if (rc == 0)
		rc = login_http(o, &request, &answer, err);
	if (rc == 0)
		rc = answer.status == 201 ? keep(o, answer.body, out, err)
					  : login_answer_err(&answer, err);
	login_answer_free(&answer);
	secret_free(&password);
	free(user);
	free(body);
	return rc;
}

/* A token for the gate: the one that was kept, or a fresh login. */
static int
have_token(const struct login_options *o, struct login_token *out, struct err *err)
{
	login_cache_lock();
	if (!o->force && login_cache_read(o->server, out, err) == 0) {
		if (login_token_fresh(out) &&
		    (o->user == NULL || strcmp(o->user, out->user) == 0))
			return 0;
		login_token_free(out);
	}
	return log_in(o, out, err);
}

int
login_known_token(const struct login_options *o, struct login_options *out_options,
    struct login_token *out, struct err *err)
{
	int rc = o->token_file != NULL ? login_file_read(o, out, err)
				       : login_cache_read(o->server, out, err);

	if (rc != 0)
		return rc;
	*out_options = *o;
	out_options->server = out->server;
	if (o->ca == NULL && out->ca[0] != '\0')
		out_options->ca = out->ca;
	return 0;
}

int
login_ask(const struct login_options *o, const char *method, const char *path,
    const char *body, long wanted, struct login_answer *answer, struct err *err)
{
	struct login_options with;
	struct login_token token = {0};
	struct login_request request = {.method = method, .path = path, .body = body};
	int rc = login_known_token(o, &with, &token, err);

	if (rc == 0) {
		request.token = token.token;
		rc = login_http(&with, &request, answer, err);
	}
	if (rc == 0 && answer->status != wanted)
		rc = login_answer_err(answer, err);
	login_token_free(&token);
	return rc;
}

void
login_print_json(const json_t *body)
{
	char *text = json_dumps(body, JSON_INDENT(2));

	if (text == NULL)
		base_die("out of memory");
	puts(text);
	secret_wipe(text, strlen(text));
	free(text);
}

/* ---- login ---- */

/* The exec plugin's answer, in the version that was asked for. */
static int
print_credential(const char *api_version, const struct login_token *token)
{
	json_t *root = json_pack("{s:s, s:s, s:{s:s, s:s}}", "kind", "ExecCredential",
	    "apiVersion", api_version, "status", "expirationTimestamp", token->expires,
	    "token", token->token);

	login_print_json(root);
	json_decref(root);
	return 0;
}

/* Base64 to text, for the caller to free; NULL if it is empty or none. */
static char *
decode(const char *text)
{
	const size_t len = strlen(text);
	uint8_t *out = xmalloc(len / 4 * 3 + 4);
	int n = len != 0 && len < INT_MAX
		    ? EVP_DecodeBlock(out, (const uint8_t *)text, (int)len)
		    : -1;

	if (n <= 0) {
		free(out);
		return NULL;
	}
	out[n] = '\0'; /* PEM ends in a newline: padding's zeros do not matter */
	return (char *)out;
}

/* kubectl says what it understands; *out_version stays NULL if it is not kubectl. */
static int
read_exec_info(const char **out_version, struct login_options *o, json_t **out_root,
    struct err *err)
{
	static const char *const known[] = {
	    "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"};
	const char *info = getenv("KUBERNETES_EXEC_INFO");
	const json_t *spec, *cluster;
	const char *version;

	*out_version = NULL;
	*out_root = NULL;
	if (info == NULL || info[0] == '\0' || o->kubeconfig)
		return 0;
	*out_root = json_loads(info, 0, NULL);
	version = login_text_of(*out_root, "apiVersion");
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(version, known[i]) == 0)
			*out_version = known[i];
	}
	if (*out_version == NULL)
		return err_set(err, ERR_UNSUPPORTED,
		    "KUBERNETES_EXEC_INFO asks for \"%s\"; known are %s and %s",
		    version, known[0], known[1]);
	spec = json_object_get(*out_root, "spec");
	cluster = json_object_get(spec, "cluster");
	o->interactive = !json_is_false(json_object_get(spec, "interactive"));
	if (o->server == NULL && cluster != NULL)
		o->server = login_text_of(cluster, "server");
	if (o->ca == NULL)
		o->ca_data =
		    decode(login_text_of(cluster, "certificate-authority-data"));
	return 0;
}

/* Who asks: this program, when kubectl calls it; or whoever a file's token is. */
static json_t *
kubeconfig_user(const struct login_options *o)
{
	json_t *arguments;

	if (o->token_file != NULL)
		return json_pack("{s:s}", "tokenFile", o->token_file);
	arguments = json_pack("[s, s, s]", "login", "--server", o->server);
	if (o->ca != NULL) {
		(void)json_array_append_new(arguments, json_string("--ca"));
		(void)json_array_append_new(arguments, json_string(o->ca));
	}
	return json_pack("{s:{s:s, s:s, s:o, s:s, s:b}}", "exec", "apiVersion",
	    "client.authentication.k8s.io/v1", "command", "ringfence", "args",
	    arguments, "interactiveMode", "IfAvailable", "provideClusterInfo", 0);
}

static void
print_kubeconfig(const struct login_options *o)
{
	const char *name = o->context != NULL ? o->context : "ringfence";
	json_t *cluster = json_pack("{s:s}", "server", o->server);
	json_t *root;

	if (o->ca != NULL)
		(void)json_object_set_new(
		    cluster, "certificate-authority", json_string(o->ca));
	root = json_pack("{s:s, s:s, s:s, s:[{s:s, s:o}], s:[{s:s, s:o}], s:[{s:s, "
			 "s:{s:s, s:s}}]}",
	    "apiVersion", "v1", "kind", "Config", "current-context", name, "clusters",
	    "name", name, "cluster", cluster, "users", "name", name, "user",
	    kubeconfig_user(o), "contexts", "name", name, "context", "cluster", name,
	    "user", name);
	login_print_json(root); /* JSON is YAML */
	json_decref(root);
}

int
login_run_login(const struct login_options *given)
{
	struct login_options o = *given;
	struct login_token token = {0};
	struct err err = ERR_INIT;
	const char *version;
	json_t *info;
	int status = 0;
	int rc = read_exec_info(&version, &o, &info, &err);

	if (rc == 0 && (o.server == NULL || o.server[0] == '\0'))
		rc = err_set(
		    &err, ERR_INVALID, "which gate? give --server https://HOST[:PORT]");
	/* Called as a plugin a kept token will do; a person who logs in wants a new one. */
	if (version == NULL)
		o.force = true;
	if (rc == 0 && o.kubeconfig) {
		print_kubeconfig(&o);
	} else if (rc == 0 && have_token(&o, &token, &err) == 0) {
		if (version != NULL) {
			status = print_credential(version, &token);
		} else {
			fputs("logged in as ", stdout);
			login_print_safe(token.user);
			fputs(" until ", stdout);
			login_print_safe(token.expires);
			putchar('\n');
		}
	} else {
		status = login_fail(&err);
	}
	login_token_free(&token);
	free(o.ca_data);
	json_decref(info);
	return status;
}

int
login_run_logout(const struct login_options *o)
{
	struct login_options with;
	struct login_answer answer = {0};
	struct login_token token = {0};
	struct err err = ERR_INIT;
	char path[128];
	struct login_request request = {.method = "DELETE", .path = path};
	int rc = login_known_token(o, &with, &token, &err);

	if (rc != 0)
		return login_fail(&err);
	(void)snprintf(path, sizeof(path), API "/tokens/%s", token.id);
	request.token = token.token;
	rc = login_http(&with, &request, &answer, &err);
	/* One that the gate does not know any more is as good as revoked. */
	if (rc == 0 && answer.status != 204 && answer.status != 401)
		rc = login_answer_err(&answer, &err);
	if (rc == 0)
		rc = login_cache_remove(with.server, &err);
	login_answer_free(&answer);
	login_token_free(&token);
	if (rc != 0)
		return login_fail(&err);
	puts("logged out");
	return 0;
}

/* ---- whoami, token ---- */

static void
print_list(const char *title, const json_t *list)
{
	size_t i;
	json_t *item;

	printf("%s", title);
	json_array_foreach(list, i, item)
	{
		fputs(i == 0 ? "" : ", ", stdout);
		login_print_safe(json_string_value(item));
	}
	putchar('\n');
}

int
login_run_whoami(const struct login_options *o)
{
	struct login_answer answer = {0};
	struct err err = ERR_INIT;
	int rc = login_ask(o, "GET", API "/whoami", NULL, 200, &answer, &err);

	if (rc == 0 && strcmp(o->output, "json") == 0) {
		login_print_json(answer.body);
	} else if (rc == 0) {
		fputs("user:       ", stdout);
		login_print_safe(login_text_of(answer.body, "user"));
		putchar('\n');
		print_list("groups:     ", json_object_get(answer.body, "groups"));
		print_list("namespaces: ", json_object_get(answer.body, "namespaces"));
		fputs("expires:    ", stdout);
		login_print_safe(
		    login_text_of(json_object_get(answer.body, "token"), "expires"));
		putchar('\n');
	}
	login_answer_free(&answer);
	return rc == 0 ? 0 : login_fail(&err);
}

/* ---- after a rotation ---- */

int
login_cache_replace(const struct login_options *o, const char *old_id,
    const json_t *body, struct err *err)
{
	struct login_options with;
	struct login_token old = {0}, fresh = {0};
	int rc = login_known_token(o, &with, &old, err);

	if (rc == 0 && o->token_file == NULL && strcmp(old.id, old_id) == 0)
		rc = keep(&with, body, &fresh, err);
	login_token_free(&old);
	login_token_free(&fresh);
	return rc;
}
