/*
 * gate.yaml -> struct gate_config. One table per object says which fields there are;
 * one reader per object turns them into the struct.
 */
#include "authn/config/config.h"

#include <string.h>
#include <unistd.h>

#include "authn/config/config_internal.h"
#include "authn/request/identity.h"
#include "common/audit_note.h"
#include "common/doc.h"
#include "policy-lang/load/load_names.h"

bool
config_authority(struct str text, struct str *out_host, uint16_t *out_port)
{
	*out_port = 443;
	if (config_host_port(text, out_host, out_port))
		return out_host->len != 0 && *out_port != 0;
	*out_host = text;
	if (text.len != 0 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
		*out_host = str_slice(text, 1, text.len - 1);
	else if (str_find(text, ':', 0) < text.len)
		return false;
	return out_host->len != 0;
}

static void
read_tls(struct reader *r, const struct doc_node *n)
{
	enum {
		CERTIFICATE,
		KEY,
		CLIENT_CA,
		CLIENT_USERS,
		CRL,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [CERTIFICATE] = {"certificate", TYPE_STRING, true, NULL},
	    [KEY] = {"key", TYPE_STRING, true, NULL},
	    [CLIENT_CA] = {"clientCA", TYPE_STRING, false, NULL},
	    [CLIENT_USERS] = {"clientUsers", TYPE_STRING, false, NULL},
	    [CRL] = {"crl", TYPE_STRING, false, NULL},
	};
	static const struct schema schema = SCHEMA("tls", fields);
	static const char *const users[] = {"certificate", "directory"};
	const struct doc_node *v[COUNT];
	size_t from = 0;

	read_fields(r, &schema, n, v);
	optional_path(r, v[CERTIFICATE], &r->config->tls_certificate);
	optional_path(r, v[KEY], &r->config->tls_key);
	optional_path(r, v[CLIENT_CA], &r->config->tls_client_ca);
	optional_path(r, v[CRL], &r->config->tls_crl);
	r->client_users = v[CLIENT_USERS];
	if (v[CLIENT_USERS] != NULL &&
	    schema_enum(r->diags, v[CLIENT_USERS], "clientUsers", users,
		ARRAY_LEN(users), &from))
		r->config->certificate_accounts = from == 1;
	if (v[CLIENT_CA] == NULL && (v[CRL] != NULL || v[CLIENT_USERS] != NULL))
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"crl\" and \"clientUsers\" are about clients' certificates: they "
		    "need "
		    "\"clientCA\"");
}

static void
read_upstream_url(struct reader *r, const struct doc_node *n, struct gate_upstream *out)
{
	struct str rest;

	out->url = n->text;
	if (!str_starts(n->text, STR(HTTPS))) {
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "an upstream server is an https:// URL, not \"%.*s\"",
		    STR_ARG(n->text));
		return;
	}
	rest = str_slice(n->text, strlen(HTTPS), n->text.len);
	if (rest.len != 0 && rest.ptr[rest.len - 1] == '/')
		rest.len--;
	if (str_find(rest, '/', 0) < rest.len || rest.len == 0) {
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "an upstream URL has no path: write https://HOST:PORT");
		return;
	}
	if (!config_authority(rest, &out->host, &out->port))
		diag_error(r->diags, CODE_VALUE, n->loc, "\"%.*s\" has no valid port",
		    STR_ARG(n->text));
}

static void
read_upstream_servers(struct reader *r, const struct doc_node *list)
{
	struct gate_upstream *all =
	    ARENA_ARRAY(r->arena, list->count, struct gate_upstream);

	for (uint32_t i = 0; i < list->count; i++) {
		if (schema_type(
			r->diags, list->u.items[i], "an upstream server", TYPE_STRING))
			read_upstream_url(r, list->u.items[i], &all[i]);
	}
	if (list->count == 0)
		diag_error(r->diags, CODE_VALUE, list->loc,
		    "\"upstream.servers\" names no server");
	r->config->upstreams = all;
	r->config->upstream_count = list->count;
}

static void
read_user(struct reader *r, const struct doc_node *n, const char *name, struct str *out)
{
	if (n == NULL)
		return;
	*out = n->text;
	if (!identity_user_ok(*out))
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"%s\" is no name of a user: letters, digits, . _ @ -", name);
}

static void
read_upstream(struct reader *r, const struct doc_node *n)
{
	enum {
		SERVERS,
		CA,
		IDENTITY,
		CERTIFICATE,
		KEY,
		LISTS_AS,
		IN_FLIGHT,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [IN_FLIGHT] = {"maxInFlight", TYPE_INT, false, NULL},
	    [SERVERS] = {"servers", TYPE_LIST, true, NULL},
	    [CA] = {"ca", TYPE_STRING, true, NULL},
	    [LISTS_AS] = {"listsAs", TYPE_STRING, false, NULL},
	    [IDENTITY] = {"identity", TYPE_STRING, false, NULL},
	    [CERTIFICATE] = {"certificate", TYPE_STRING, true, NULL},
	    [KEY] = {"key", TYPE_STRING, true, NULL},
	};
	static const struct schema schema = SCHEMA("upstream", fields);
	static const char *const modes[] = {
	    [IDENTITY_FRONT_PROXY] = "front-proxy",
	    [IDENTITY_IMPERSONATE] = "impersonate",
	};
	const struct doc_node *v[COUNT];
	size_t mode = IDENTITY_FRONT_PROXY;
	int64_t in_flight = 0;

	read_fields(r, &schema, n, v);
	if (v[SERVERS] != NULL)
		read_upstream_servers(r, v[SERVERS]);
	optional_path(r, v[CA], &r->config->upstream_ca);
	optional_path(r, v[CERTIFICATE], &r->config->upstream_certificate);
	optional_path(r, v[KEY], &r->config->upstream_key);
	if (v[IDENTITY] != NULL && schema_enum(r->diags, v[IDENTITY], "identity", modes,
				       ARRAY_LEN(modes), &mode))
		r->config->identity = (enum gate_identity_mode)mode;
	if (v[IN_FLIGHT] != NULL &&
	    schema_int(r->diags, v[IN_FLIGHT], "maxInFlight", 1, 1000000, &in_flight))
		r->config->upstream_in_flight = (uint32_t)in_flight;
	read_user(r, v[LISTS_AS], "listsAs", &r->config->lists_as);
}

static void
read_policy(struct reader *r, const struct doc_node *list)
{
	const char **all = ARENA_ARRAY(r->arena, list->count, const char *);

	for (uint32_t i = 0; i < list->count; i++) {
		if (schema_type(
			r->diags, list->u.items[i], "a policy path", TYPE_STRING))
			all[i] = node_path(r, list->u.items[i]);
		else
			all[i] = "";
	}
	r->config->policy_paths = all;
	r->config->policy_count = list->count;
}

/* The name of the log's key, too. */
static void
read_origin(struct reader *r, const struct doc_node *n)
{
	static const uint8_t any_key[32] = {0};
	struct audit_key key;

	if (audit_key_init(&key, n->text, any_key, NULL) != 0)
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"%.*s\" names no log: write HOST/gate or the like, without "
		    "spaces and plus signs",
		    STR_ARG(n->text));
	else
		r->config->audit_origin = n->text;
}

static void
read_audit(struct reader *r, const struct doc_node *n)
{
	enum {
		DIRECTORY,
		MODE,
		POLICY,
		ORIGIN,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [DIRECTORY] = {"directory", TYPE_STRING, false, NULL},
	    [MODE] = {"mode", TYPE_STRING, false, NULL},
	    [POLICY] = {"policy", TYPE_STRING, false, NULL},
	    [ORIGIN] = {"origin", TYPE_STRING, false, NULL},
	};
	static const struct schema schema = SCHEMA("audit", fields);
	static const char *const modes[] = {"best-effort", "required"};
	const struct doc_node *v[COUNT];
	size_t mode = 1;

	read_fields(r, &schema, n, v);
	optional_path(r, v[DIRECTORY], &r->config->audit_directory);
	optional_path(r, v[POLICY], &r->config->audit_policy);
	if (v[ORIGIN] != NULL)
		read_origin(r, v[ORIGIN]);
	if (v[MODE] != NULL &&
	    schema_enum(r->diags, v[MODE], "mode", modes, ARRAY_LEN(modes), &mode))
		r->config->audit_required = mode == 1;
}

static void
read_tokens(struct reader *r, const struct doc_node *n)
{
	enum {
		LOGIN_TTL,
		MAX_TTL,
		IDLE_TTL,
		MAX_PER_USER,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [LOGIN_TTL] = {"loginTTL", TYPE_STRING, false, NULL},
	    [MAX_TTL] = {"maxTTL", TYPE_STRING, false, NULL},
	    [IDLE_TTL] = {"idleTTL", TYPE_STRING, false, NULL},
	    [MAX_PER_USER] = {"maxPerUser", TYPE_INT, false, NULL},
	};
	static const struct schema schema = SCHEMA("tokens", fields);
	const struct doc_node *v[COUNT];
	int64_t most = 0;

	read_fields(r, &schema, n, v);
	if (v[LOGIN_TTL] != NULL)
		read_duration(r, v[LOGIN_TTL], &r->config->login_ttl_s);
	if (v[MAX_TTL] != NULL)
		read_duration(r, v[MAX_TTL], &r->config->max_ttl_s);
	if (v[IDLE_TTL] != NULL)
		read_duration(r, v[IDLE_TTL], &r->config->idle_ttl_s);
	/* When a token was last used is known to a minute. */
	if (v[IDLE_TTL] != NULL && r->config->idle_ttl_s < 300)
		diag_error(r->diags, CODE_VALUE, n->loc, "idleTTL is at least 5m");
	if (v[MAX_PER_USER] != NULL &&
	    schema_int(r->diags, v[MAX_PER_USER], "maxPerUser", 1, 100000, &most))
		r->config->tokens_per_user = (uint32_t)most;
	if (r->config->login_ttl_s > r->config->max_ttl_s)
		diag_error(
		    r->diags, CODE_VALUE, n->loc, "loginTTL is longer than maxTTL");
}

static void
read_admission(struct reader *r, const struct doc_node *n)
{
	enum {
		LISTEN,
		CERTIFICATE,
		KEY,
		CLIENT_CA,
		CALLERS,
		LISTS_AS,
		WRITES_AS,
		HOLD,
		POLICY,
		STATUS_AS,
		LEASE,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [LISTEN] = {"listen", TYPE_STRING, false, NULL},
	    [CERTIFICATE] = {"certificate", TYPE_STRING, false, NULL},
	    [KEY] = {"key", TYPE_STRING, false, NULL},
	    [CLIENT_CA] = {"clientCA", TYPE_STRING, false, NULL},
	    [CALLERS] = {"callers", TYPE_LIST, false, NULL},
	    [LISTS_AS] = {"listsAs", TYPE_STRING, true, NULL},
	    [WRITES_AS] = {"writesAs", TYPE_STRING, false, NULL},
	    [HOLD] = {"holdSeconds", TYPE_INT, false, NULL},
	    [POLICY] = {"policy", TYPE_BOOL, false, NULL},
	    [STATUS_AS] = {"statusAs", TYPE_STRING, false, NULL},
	    [LEASE] = {"leaseNamespace", TYPE_STRING, false, NULL},
	};
	static const struct schema schema = SCHEMA("admission", fields);
	struct gate_admission *a = &r->config->admission;
	const struct doc_node *v[COUNT];
	int64_t hold_s = 90; /* the API server's own limit of a minute, and some */

	read_fields(r, &schema, n, v);
	r->config->has_admission = true;
	a->listens = v[LISTEN] != NULL;
	if (a->listens)
		config_read_listen(r, v[LISTEN], &a->listen);
	else if (v[WRITES_AS] == NULL)
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"admission\" needs \"listen\" for a webhook, or \"writesAs\" for "
		    "ResourceQuotas");
	if (a->listens != (v[CERTIFICATE] != NULL) || a->listens != (v[KEY] != NULL) ||
	    a->listens != (v[CLIENT_CA] != NULL))
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"listen\", \"certificate\", \"key\" and \"clientCA\" go "
		    "together");
	a->policy = v[POLICY] != NULL && v[POLICY]->u.boolean;
	if (a->policy && !a->listens)
		diag_error(r->diags, CODE_VALUE, v[POLICY]->loc,
		    "\"policy\" needs \"listen\"");
	optional_path(r, v[CERTIFICATE], &a->certificate);
	optional_path(r, v[KEY], &a->key);
	optional_path(r, v[CLIENT_CA], &a->client_ca);
	if (v[CALLERS] != NULL &&
	    !read_string_list(r, v[CALLERS], "a caller", &a->callers, &a->caller_count))
		return;
	if (v[CALLERS] != NULL && a->caller_count == 0) /* it does not mean everybody */
		diag_error(
		    r->diags, CODE_VALUE, v[CALLERS]->loc, "\"callers\" names nobody");
	if (v[HOLD] != NULL &&
	    !schema_int(r->diags, v[HOLD], "holdSeconds", 1, 3600, &hold_s))
		return;
	a->hold_s = (uint32_t)hold_s;
	read_user(r, v[LISTS_AS], "listsAs", &a->lists_as);
	read_user(r, v[WRITES_AS], "writesAs", &a->writes_as);
	read_user(r, v[STATUS_AS], "statusAs", &a->status_as);
	if (v[STATUS_AS] != NULL && !a->policy)
		diag_error(r->diags, CODE_VALUE, v[STATUS_AS]->loc,
		    "\"statusAs\" needs \"policy\"");
	a->lease_namespace = v[LEASE] != NULL ? v[LEASE]->text : STR("ringfence");
	if (!name_is_label(a->lease_namespace))
		diag_error(r->diags, CODE_VALUE, v[LEASE]->loc,
		    "\"leaseNamespace\" must be " NAME_LABEL_RULE);
}

enum top_field {
	TOP_LISTEN,
	TOP_TLS,
	TOP_UPSTREAM,
	TOP_LDAP,
	TOP_POLICY,
	TOP_STATE,
	TOP_AUDIT,
	TOP_ADMISSION,
	TOP_TOKENS,
	TOP_CONTROL,
	TOP_METRICS,
	TOP_USER,
	TOP_WORKERS,
	TOP_COUNT
};

static const struct schema_field top_fields[] = {
    [TOP_LISTEN] = {"listen", TYPE_LIST, true, NULL},
    [TOP_TLS] = {"tls", TYPE_MAP, true, NULL},
    [TOP_UPSTREAM] = {"upstream", TYPE_MAP, true, NULL},
    [TOP_LDAP] = {"ldap", TYPE_MAP, false, NULL},
    [TOP_POLICY] = {"policy", TYPE_LIST, true, NULL},
    [TOP_STATE] = {"state", TYPE_MAP, false, NULL},
    [TOP_AUDIT] = {"audit", TYPE_MAP, false, NULL},
    [TOP_ADMISSION] = {"admission", TYPE_MAP, false, NULL},
    [TOP_TOKENS] = {"tokens", TYPE_MAP, false, NULL},
    [TOP_CONTROL] = {"control", TYPE_STRING, false, NULL},
    [TOP_METRICS] = {"metrics", TYPE_STRING, false, NULL},
    [TOP_USER] = {"user", TYPE_STRING, false, NULL},
    [TOP_WORKERS] = {"workers", TYPE_INT, false, NULL},
};

/* The objects, each with its reader. */
static void (*const top_readers[TOP_COUNT])(
    struct reader *, const struct doc_node *) = {
    [TOP_LISTEN] = config_read_listens,
    [TOP_TLS] = read_tls,
    [TOP_UPSTREAM] = read_upstream,
    [TOP_LDAP] = config_read_ldap,
    [TOP_POLICY] = read_policy,
    [TOP_STATE] = config_read_state,
    [TOP_AUDIT] = read_audit,
    [TOP_ADMISSION] = read_admission,
    [TOP_TOKENS] = read_tokens,
};

static void
set_defaults(struct gate_config *c)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	c->identity = IDENTITY_FRONT_PROXY;
	c->state_directory = "/var/lib/ringfence";
	c->audit_directory = "/var/log/ringfence/audit";
	c->audit_required = true;
	c->audit_origin = STR("ringfence-gate");
	c->control_socket = "/run/ringfence/gate.sock";
	c->workers = cores > 0 && cores <= 64 ? (uint32_t)cores : 1;
	c->login_ttl_s = 12ull * 3600;
	c->max_ttl_s = 30ull * 24 * 3600;
	c->tokens_per_user = 200;
}

/* Where there is a directory it says who users are, unless that is said not to be so. */
static void
check_client_users(struct reader *r, const struct doc_node *tls)
{
	struct gate_config *c = r->config;
	const bool can_look = c->has_ldap && c->ldap.bind_dn.len != 0;

	if (tls == NULL || c->tls_client_ca == NULL)
		return;
	if (r->client_users == NULL)
		c->certificate_accounts = c->has_ldap;
	if (c->certificate_accounts && !can_look)
		diag_error(r->diags, CODE_VALUE,
		    r->client_users != NULL ? r->client_users->loc : tls->loc,
		    "users by certificate are looked for in the directory, which takes "
		    "\"ldap.bind\"; or say \"clientUsers: certificate\"");
}

static void
read_top(struct reader *r, const struct doc_node *doc)
{
	static const struct schema schema = SCHEMA("the configuration", top_fields);
	const struct doc_node *v[TOP_COUNT];
	struct gate_config *c = r->config;
	int64_t workers = 0;

	read_fields(r, &schema, doc, v);
	for (size_t i = 0; i < TOP_COUNT; i++) {
		if (v[i] != NULL && top_readers[i] != NULL)
			top_readers[i](r, v[i]);
	}
	check_client_users(r, v[TOP_TLS]);
	config_read_control(r, v[TOP_CONTROL]);
	if (v[TOP_METRICS] != NULL) {
		c->has_metrics = true;
		config_read_listen(r, v[TOP_METRICS], &c->metrics);
	}
	if (v[TOP_USER] != NULL)
		c->user = v[TOP_USER]->text;
	if (v[TOP_WORKERS] != NULL &&
	    schema_int(r->diags, v[TOP_WORKERS], "workers", 1, 64, &workers))
		c->workers = (uint32_t)workers;
}

struct gate_config *
gate_config_load(struct arena *arena, const char *path, struct diag_list *diags)
{
	struct reader r = {.arena = arena, .diags = diags};
	const unsigned errors = diags->errors;

	r.config = ARENA_NEW(arena, struct gate_config);
	r.config->path = arena_strdup(arena, path);
	set_defaults(r.config);
	if (!config_file_read_owned(
		arena, path, "the configuration", CODE_VALUE, diags, &r.file))
		return NULL;
	read_top(&r, r.file.root);
	return diags->errors == errors ? r.config : NULL;
}
