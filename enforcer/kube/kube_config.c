/*
 * A kubeconfig, or what a pod finds of its service account -> how the API server is reached.
 * Of a kubeconfig the chosen context counts; what it asks for and we do not do is refused:
 * programs that are run for a token, proxies, servers that nobody vouches for.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/doc.h"
#include "common/secret.h"
#include "enforcer/kube/kube_access.h"
#include "policy-lang/load/schema.h"
#include "policy-lang/model/config_file.h"

#define CODE_VALUE       "kubeconfig-value"
#define CODE_UNSUPPORTED "kubeconfig-unsupported"
#define CODE_FILE        "kubeconfig-file"
#define ACCOUNT          "/var/run/secrets/kubernetes.io/serviceaccount/"
#define HTTPS            "https://"
#define DEFAULT_PORT     443

struct reader {
	struct arena *arena;
	struct diag_list *diags;
	struct config_file file;
	bool check; /* files that it names are not read */
	struct kube_access *out;
};

/* ---- files and inline texts ---- */

static struct str
read_file(struct reader *r, const char *path, size_t most, struct loc loc)
{
	struct secret secret = {0};
	struct err err = ERR_INIT;
	struct str text = STR("");

	if (r->check)
		return text;
	if (secret_read_file(&secret, path, true, &err) != 0)
		diag_error(r->diags, CODE_FILE, loc, "%s", err.msg);
	else if (secret_str(&secret).len > most)
		diag_error(
		    r->diags, CODE_FILE, loc, "%s has more than %zu bytes", path, most);
	else
		text = str_dup(r->arena, secret_str(&secret));
	secret_free(&secret);
	return text;
}

static struct str
read_named(struct reader *r, const struct doc_node *n, size_t most)
{
	const char *path =
	    config_file_path(r->arena, &r->file, n, CODE_VALUE, r->diags);

	return n->text.len != 0 ? read_file(r, path, most, n->loc) : STR("");
}

static struct str
read_inline(struct reader *r, const struct doc_node *n, size_t most)
{
	const size_t len = n->text.len / 4 * 3;
	char *raw;
	size_t padding = 0;
	int n_raw;

	if (len > most) {
		diag_error(r->diags, CODE_VALUE, n->loc, "more than %zu bytes", most);
		return STR("");
	}
	raw = arena_alloc(r->arena, len + 4);
	n_raw = EVP_DecodeBlock(
	    (unsigned char *)raw, (const unsigned char *)n->text.ptr, (int)n->text.len);
	while (padding < 2 && padding < n->text.len &&
	       n->text.ptr[n->text.len - 1 - padding] == '=')
		padding++;
	if (n_raw < 0 || n->text.len % 4 != 0 || (size_t)n_raw <= padding) {
		diag_error(r->diags, CODE_VALUE, n->loc, "this is no base64");
		return STR("");
	}
	return (struct str){raw, (size_t)n_raw - padding};
}

/* Of the two ways to give a text, what is given inline wins, as everywhere. */
static struct str
read_either(struct reader *r, const struct doc_node *data, const struct doc_node *file,
    size_t most)
{
	if (data != NULL && data->text.len != 0)
		return read_inline(r, data, most);
	return file != NULL && file->text.len != 0 ? read_named(r, file, most)
						   : STR("");
}

/* ---- the server ---- */

static bool
split_port(struct str *host, uint16_t *out_port)
{
	const bool bracket = host->len != 0 && host->ptr[0] == '[';
	const size_t end = bracket ? str_find(*host, ']', 0) : str_find(*host, ':', 0);
	struct str rest = str_slice(*host, end + (bracket ? 1 : 0), host->len);
	uint64_t port = DEFAULT_PORT;

	if (bracket && end == host->len)
		return false;
	if (rest.len != 0 &&
	    (rest.ptr[0] != ':' ||
		!str_to_u64(str_slice(rest, 1, rest.len), UINT16_MAX, &port) ||
		port == 0))
		return false;
	*host = str_slice(*host, bracket ? 1 : 0, end);
	*out_port = (uint16_t)port;
	return host->len != 0;
}

/* What goes into a URL and a header as it stands. */
static bool
is_plain(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			   "0123456789-._~:/%",
			s.ptr[i]) == NULL)
			return false;
	}
	return memchr(s.ptr != NULL ? s.ptr : "", '\0', s.len) == NULL;
}

static void
read_server(struct reader *r, const struct doc_node *n)
{
	struct str rest = n->text, host;
	size_t slash;

	if (!str_starts(rest, STR(HTTPS))) {
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "the server must be an https:// address");
		return;
	}
	rest = str_slice(rest, sizeof(HTTPS) - 1, rest.len);
	slash = str_find(rest, '/', 0);
	host = str_slice(rest, 0, slash);
	rest = str_slice(rest, slash, rest.len);
	while (rest.len != 0 && rest.ptr[rest.len - 1] == '/')
		rest.len--;
	if (!split_port(&host, &r->out->port) || !is_plain(host) || !is_plain(rest)) {
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"%.*s\" is no address of a server, such as "
		    "https://10.0.0.1:6443",
		    STR_ARG(n->text));
		return;
	}
	r->out->host = str_dup(r->arena, host);
	r->out->prefix = str_dup(r->arena, rest);
}

static void
refuse(struct reader *r, const struct doc_node *n, const char *what)
{
	if (n != NULL)
		diag_error(r->diags, CODE_UNSUPPORTED, n->loc, "%s", what);
}

static void
read_cluster(struct reader *r, const struct doc_node *n)
{
	enum {
		SERVER,
		CA,
		CA_DATA,
		SERVER_NAME,
		INSECURE,
		PROXY,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [SERVER] = {"server", TYPE_STRING, true, NULL},
	    [CA] = {"certificate-authority", TYPE_STRING, false, NULL},
	    [CA_DATA] = {"certificate-authority-data", TYPE_STRING, false, NULL},
	    [SERVER_NAME] = {"tls-server-name", TYPE_STRING, false, NULL},
	    [INSECURE] = {"insecure-skip-tls-verify", TYPE_BOOL, false, NULL},
	    [PROXY] = {"proxy-url", TYPE_STRING, false, NULL},
	    {"disable-compression", TYPE_BOOL, false, NULL},
	    {"extensions", TYPE_LIST, false, NULL},
	};
	static const struct schema schema = SCHEMA("a cluster", fields);
	const struct doc_node *v[ARRAY_LEN(fields)];

	if (!schema_read(r->diags, &schema, n, v))
		return;
	read_server(r, v[SERVER]);
	if (v[INSECURE] != NULL && v[INSECURE]->u.boolean)
		refuse(r, v[INSECURE], "a server that nobody vouches for is no source");
	if (v[PROXY] != NULL && v[PROXY]->text.len != 0)
		refuse(r, v[PROXY], "proxies are not supported");
	r->out->ca = read_either(r, v[CA_DATA], v[CA], KUBE_PEM_BYTES);
	if (v[CA] == NULL && v[CA_DATA] == NULL)
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "the cluster needs a \"certificate-authority\"");
	if (v[SERVER_NAME] == NULL)
		return;
	if (!is_plain(v[SERVER_NAME]->text) ||
	    str_find(v[SERVER_NAME]->text, '/', 0) != v[SERVER_NAME]->text.len)
		diag_error(
		    r->diags, CODE_VALUE, v[SERVER_NAME]->loc, "this is no host name");
	r->out->server_name = str_dup(r->arena, v[SERVER_NAME]->text);
}

/* ---- the user ---- */

enum {
	USER_CERT,
	USER_CERT_DATA,
	USER_KEY,
	USER_KEY_DATA,
	USER_TOKEN,
	USER_TOKEN_FILE,
	USER_REFUSED, /* from here on */
	USER_COUNT = 14
};

static const struct schema_field user_fields[USER_COUNT] = {
    [USER_CERT] = {"client-certificate", TYPE_STRING, false, NULL},
    [USER_CERT_DATA] = {"client-certificate-data", TYPE_STRING, false, NULL},
    [USER_KEY] = {"client-key", TYPE_STRING, false, NULL},
    [USER_KEY_DATA] = {"client-key-data", TYPE_STRING, false, NULL},
    [USER_TOKEN] = {"token", TYPE_STRING, false, NULL},
    [USER_TOKEN_FILE] = {"tokenFile", TYPE_STRING, false, NULL},
    [USER_REFUSED] = {"exec", TYPE_ANY, false, NULL},
    {"auth-provider", TYPE_ANY, false, NULL},
    {"username", TYPE_ANY, false, NULL},
    {"password", TYPE_ANY, false, NULL},
    {"as", TYPE_ANY, false, NULL},
    {"as-uid", TYPE_ANY, false, NULL},
    {"as-groups", TYPE_ANY, false, NULL},
    {"as-user-extra", TYPE_ANY, false, NULL},
};

/* One that cannot stand in a header would say something else there. */
static void
check_token(struct reader *r, struct loc loc)
{
	struct str token = str_trim(r->out->token);

	for (size_t i = 0; i < token.len; i++) {
		if ((unsigned char)token.ptr[i] > ' ' && token.ptr[i] != '\x7f')
			continue;
		diag_error(r->diags, CODE_VALUE, loc, "the token is no token");
		return;
	}
	r->out->token = token;
}

static void
read_user(struct reader *r, const struct doc_node *n)
{
	static const struct schema schema = SCHEMA_OPEN("a user", user_fields);
	const struct doc_node *v[USER_COUNT];

	if (!schema_read(r->diags, &schema, n, v))
		return;
	for (size_t i = USER_REFUSED; i < USER_COUNT; i++) {
		if (v[i] != NULL)
			diag_error(r->diags, CODE_UNSUPPORTED, v[i]->loc,
			    "\"%s\" is not supported: give the daemon a client "
			    "certificate, "
			    "a token or a tokenFile of its own",
			    user_fields[i].name);
	}
	r->out->certificate =
	    read_either(r, v[USER_CERT_DATA], v[USER_CERT], KUBE_PEM_BYTES);
	r->out->key = read_either(r, v[USER_KEY_DATA], v[USER_KEY], KUBE_SECRET_BYTES);
	if ((v[USER_CERT] != NULL || v[USER_CERT_DATA] != NULL) !=
	    (v[USER_KEY] != NULL || v[USER_KEY_DATA] != NULL))
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "a client certificate and its key go together");
	/* As elsewhere, the file wins: it is the one that is kept up. */
	if (v[USER_TOKEN_FILE] != NULL) {
		r->out->token = read_named(r, v[USER_TOKEN_FILE], KUBE_SECRET_BYTES);
		check_token(r, v[USER_TOKEN_FILE]->loc);
	} else if (v[USER_TOKEN] != NULL) {
		if (v[USER_TOKEN]->text.len > KUBE_SECRET_BYTES)
			diag_error(r->diags, CODE_VALUE, v[USER_TOKEN]->loc,
			    "the token is too long");
		else
			r->out->token = str_dup(r->arena, v[USER_TOKEN]->text);
		check_token(r, v[USER_TOKEN]->loc);
	}
	if (r->out->token.len == 0 && v[USER_CERT] == NULL &&
	    v[USER_CERT_DATA] == NULL && v[USER_TOKEN_FILE] == NULL)
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "the user has neither a client certificate nor a token");
}

/* ---- what names what ---- */

/* The value under `key` of the entry of a list that bears a name. */
static const struct doc_node *
find_named(struct reader *r, const struct doc_node *list, struct str name,
    const char *key, struct loc loc)
{
	for (uint32_t i = 0; list != NULL && i < list->count; i++) {
		const struct doc_node *item = list->u.items[i];
		const struct doc_node *n = doc_value(item, "name");
		const struct doc_node *value = doc_value(item, key);

		if (n == NULL || !str_eq(n->text, name))
			continue;
		if (value != NULL)
			return value;
		loc = item->loc;
	}
	diag_error(
	    r->diags, CODE_VALUE, loc, "there is no %s \"%.*s\"", key, STR_ARG(name));
	return NULL;
}

static void
read_context(struct reader *r, const struct doc_node *context,
    const struct doc_node *clusters, const struct doc_node *users)
{
	enum {
		CLUSTER,
		USER
	};
	static const struct schema_field fields[] = {
	    [CLUSTER] = {"cluster", TYPE_STRING, true, NULL},
	    [USER] = {"user", TYPE_STRING, true, NULL},
	    {"namespace", TYPE_STRING, false, NULL},
	    {"extensions", TYPE_LIST, false, NULL},
	};
	static const struct schema schema = SCHEMA("a context", fields);
	const struct doc_node *v[ARRAY_LEN(fields)], *cluster, *user;

	if (!schema_read(r->diags, &schema, context, v))
		return;
	cluster = find_named(r, clusters, v[CLUSTER]->text, "cluster", v[CLUSTER]->loc);
	user = find_named(r, users, v[USER]->text, "user", v[USER]->loc);
	if (cluster != NULL)
		read_cluster(r, cluster);
	if (user != NULL)
		read_user(r, user);
}

static void
read_kubeconfig(struct reader *r, const struct doc_node *doc, struct str context)
{
	enum {
		CLUSTERS,
		USERS,
		CONTEXTS,
		CURRENT
	};
	static const struct schema_field fields[] = {
	    [CLUSTERS] = {"clusters", TYPE_LIST, true, NULL},
	    [USERS] = {"users", TYPE_LIST, true, NULL},
	    [CONTEXTS] = {"contexts", TYPE_LIST, true, NULL},
	    [CURRENT] = {"current-context", TYPE_STRING, false, NULL},
	    {"apiVersion", TYPE_STRING, false, NULL},
	    {"kind", TYPE_STRING, false, NULL},
	    {"preferences", TYPE_MAP, false, NULL},
	    {"extensions", TYPE_LIST, false, NULL},
	};
	static const struct schema schema = SCHEMA("a kubeconfig", fields);
	const struct doc_node *v[ARRAY_LEN(fields)], *chosen;
	struct loc loc = doc->loc;

	if (!schema_read(r->diags, &schema, doc, v))
		return;
	if (context.len == 0 && v[CURRENT] != NULL) {
		context = v[CURRENT]->text;
		loc = v[CURRENT]->loc;
	}
	if (context.len == 0) {
		diag_error(r->diags, CODE_VALUE, doc->loc,
		    "there is no \"current-context\", and no context was chosen");
		return;
	}
	chosen = find_named(r, v[CONTEXTS], context, "context", loc);
	if (chosen != NULL)
		read_context(r, chosen, v[CLUSTERS], v[USERS]);
}

static void
load(struct reader *r, const struct kube_place *place)
{
	if (config_file_read(r->arena, place->kubeconfig, "a kubeconfig", CODE_VALUE,
		r->diags, &r->file))
		read_kubeconfig(r, r->file.root, place->context);
	config_file_wipe(&r->file);
}

/* ---- in a pod ---- */

static void
load_account(struct reader *r)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	const struct loc nowhere = {0};
	uint64_t number = DEFAULT_PORT;

	if (r->check)
		return;
	if (host == NULL ||
	    (port != NULL && !str_to_u64(str_from(port), UINT16_MAX, &number))) {
		diag_error(r->diags, CODE_VALUE, nowhere,
		    "this is no pod of a cluster (KUBERNETES_SERVICE_HOST is not "
		    "set): "
		    "name a kubeconfig");
		return;
	}
	r->out->host = str_from(arena_strdup(r->arena, host));
	r->out->port = (uint16_t)number;
	r->out->ca = read_file(r, ACCOUNT "ca.crt", KUBE_PEM_BYTES, nowhere);
	r->out->token = read_file(r, ACCOUNT "token", KUBE_SECRET_BYTES, nowhere);
	check_token(r, nowhere);
}

static bool
read_place(struct arena *arena, const struct kube_place *place, bool check,
    struct diag_list *diags, struct kube_access *out)
{
	struct reader r = {.arena = arena,
	    .diags = diags,
	    .file = {.directory = ""},
	    .check = check,
	    .out = out};
	const unsigned errors = diags->errors;

	*out = (struct kube_access){.port = DEFAULT_PORT};
	if (place->kubeconfig != NULL)
		load(&r, place);
	else
		load_account(&r);
	return diags->errors == errors;
}

bool
kube_access_read(struct arena *arena, const struct kube_place *place,
    struct diag_list *diags, struct kube_access *out)
{
	return read_place(arena, place, false, diags, out);
}

bool
kube_access_check(
    struct arena *arena, const struct kube_place *place, struct diag_list *diags)
{
	struct kube_access access;
	const bool ok = read_place(arena, place, true, diags, &access);

	kube_access_wipe(&access);
	return ok;
}
