#include "authn/monitor/plan.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authn/audit/audit_policy.h"
#include "authn/tls/key_bundle.h"
#include "common/bundle.h"
#include "common/curl/curl_setup.h"
#include "common/secret.h"

#define PUBLIC_FILE_BYTES (4u * 1024 * 1024) /* certificates of authorities */
#define DATABASE_NAME     "tokens.db"
#define ETCD_TIMEOUT_MS   2000 /* of one call to one member */

struct loading {
	struct gate_plan *plan;
	struct buf *problem;
	bool ok;
};

static void
report(struct loading *l, const struct err *err)
{
	buf_printf(l->problem, "%s: error: %s [config-file]\n", l->plan->config->path,
	    err->msg);
	l->ok = false;
}

/* Reads a file that is no secret. */
static int
read_public(
    struct arena *arena, const char *path, struct str *out_text, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *text;
	size_t size, len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return err_sys(err, "%s", path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
	    st.st_size > (off_t)PUBLIC_FILE_BYTES) {
		(void)close(fd); /* nothing was written */
		return err_set(err, ERR_INVALID,
		    "%s: neither empty nor large, and a regular file, it must be",
		    path);
	}
	size = (size_t)st.st_size;
	text = arena_alloc(arena, size);
	while (len < size && n > 0) {
		n = read(fd, text + len, size - len);
		len += n > 0 ? (size_t)n : 0;
	}
	(void)close(fd); /* nothing was written */
	if (n < 0)
		return err_sys(err, "%s", path);
	*out_text = (struct str){text, len};
	return 0;
}

static void
take_public(struct loading *l, const char *path, struct str *out_text)
{
	struct err err = ERR_INIT;

	*out_text = STR("");
	if (path != NULL && read_public(l->plan->arena, path, out_text, &err) != 0)
		report(l, &err);
}

/* The text lies in the plan's arena until gate_plan_free wipes it. */
static void
take_secret(struct loading *l, const char *path, struct str *out_text)
{
	struct secret secret = {0};
	struct err err = ERR_INIT;

	*out_text = STR("");
	if (path == NULL)
		return;
	if (secret_read_file(&secret, path, false, &err) != 0) {
		report(l, &err);
		return;
	}
	*out_text = str_dup(l->plan->arena, secret_str(&secret));
	secret_free(&secret);
}

static void
load_upstreams(struct loading *l)
{
	const struct gate_config *c = l->plan->config;
	struct worker_upstream *all =
	    ARENA_ARRAY(l->plan->arena, c->upstream_count, struct worker_upstream);

	for (size_t i = 0; i < c->upstream_count; i++) {
		struct err err = ERR_INIT;

		all[i].host = c->upstreams[i].host;
		all[i].port = c->upstreams[i].port;
		if (worker_upstream_resolve(l->plan->arena, &all[i], &err) != 0)
			report(l, &err);
	}
	l->plan->worker.upstreams = all;
	l->plan->worker.upstream_count = c->upstream_count;
}

/* The user of the roles; one who is named must exist. */
static void
load_user(struct loading *l)
{
	const struct gate_config *c = l->plan->config;
	const char *name = "ringfence";
	struct err err = ERR_INIT;
	uid_t uid = 0;
	gid_t gid = 0;
	int rc;

	if (geteuid() != 0) /* roles stay who they are */
		return;
	if (c->user.len != 0)
		name = arena_strndup(l->plan->arena, c->user.ptr, c->user.len);
	rc = proc_user(name, &uid, &gid, &err);
	if (rc == ERR_NOT_FOUND && c->user.len == 0)
		rc = proc_user("nobody", &uid, &gid, &err);
	if (rc == 0 && (uid == 0 || gid == 0))
		rc = err_set(&err, ERR_INVALID,
		    "roles must not run as %s: it is root, or of its group", name);
	if (rc != 0)
		report(l, &err);
	l->plan->worker.uid = l->plan->auth.uid = l->plan->audit.uid = uid;
	l->plan->worker.gid = l->plan->auth.gid = l->plan->audit.gid = gid;
}

static void
load_policy(struct loading *l)
{
	const struct gate_config *c = l->plan->config;
	struct arena *arena = arena_new();
	struct err err = ERR_INIT;
	struct diag_list diags;
	struct bundle bundle;

	diag_list_init(&diags, arena);
	if (!bundle_read(arena, c->policy_paths, c->policy_count, &diags, &bundle))
		l->ok = false;
	diag_render(l->problem, &diags, DIAG_TEXT);
	if (l->ok && bundle_seal(&bundle, &l->plan->policy_fd, &err) != 0)
		report(l, &err);
	arena_free(arena);
}

/* Read here for its mistakes; workers get the text. */
static void
load_audit_policy(struct loading *l)
{
	const char *path = l->plan->config->audit_policy;
	struct arena *arena = arena_new();
	struct source source = {.name = str_from(path)};
	struct diag_list diags;

	diag_list_init(&diags, arena);
	take_public(l, path, &l->plan->worker.audit_policy);
	source.text = l->plan->worker.audit_policy;
	if (path != NULL && source.text.len != 0 &&
	    audit_policy_load(arena, &source, &diags) == NULL)
		l->ok = false;
	diag_render(l->problem, &diags, DIAG_TEXT);
	arena_free(arena);
}

/* For the key role; no other process of the gate reads them. */
static void
load_keys(struct loading *l)
{
	const struct gate_config *c = l->plan->config;
	const struct key_file all[] = {
	    {KEY_LISTENER, c->tls_key},
	    {KEY_UPSTREAM, c->upstream_key},
	    {KEY_ADMISSION, c->has_admission ? c->admission.key : NULL},
	    {KEY_ETCD, c->has_etcd ? c->etcd.key : NULL},
	};
	struct key_file files[ARRAY_LEN(all)];
	struct err err = ERR_INIT;
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i].path != NULL)
			files[count++] = all[i];
	}
	if (key_bundle_seal(files, count, &l->plan->keys_fd, &err) != 0)
		report(l, &err);
}

static void
load_roles(struct loading *l)
{
	struct gate_plan *p = l->plan;
	const struct gate_config *c = p->config;
	struct worker_settings *w = &p->worker;

	take_public(l, c->tls_certificate, &w->tls_certificate);
	take_public(l, c->tls_client_ca, &w->client_ca);
	take_public(l, c->tls_crl, &w->client_crl);
	take_public(l, c->upstream_ca, &w->upstream_ca);
	take_public(l, c->upstream_certificate, &w->upstream_certificate);
	load_keys(l);
	w->identity = c->identity;
	w->lists_as = c->lists_as;
	w->audit_required = c->audit_required;
	w->certificate_accounts = c->certificate_accounts;
	load_audit_policy(l);
	w->confine = true;
	worker_limits_default(&w->limits);
	/* Each worker has its share, and one at least. */
	w->limits.upstream_in_flight =
	    (c->upstream_in_flight + c->workers - 1) / c->workers;
	p->auth.database = STR(DATABASE_NAME);
	p->auth.directory = str_from(c->state_directory);
	p->auth.login_ttl_s = c->login_ttl_s;
	p->auth.max_ttl_s = c->max_ttl_s;
	p->auth.idle_ttl_s = c->idle_ttl_s;
	p->auth.tokens_per_user = c->tokens_per_user;
	p->auth.has_ldap = c->has_ldap;
	p->auth.ldap = c->ldap;
	take_public(l, c->has_ldap ? c->ldap.ca : NULL, &p->auth.ca_pem);
	take_secret(
	    l, c->has_ldap ? c->ldap.bind_password_file : NULL, &p->auth.bind_password);
	p->audit.directory = str_from(c->audit_directory);
	p->audit.origin = c->audit_origin;
	p->audit.required = c->audit_required;
}

static void
load_etcd(struct loading *l)
{
	const struct gate_etcd *e = &l->plan->config->etcd;
	struct token_share_settings *s = &l->plan->auth.share;

	if (!l->plan->config->has_etcd)
		return;
	l->plan->worker.shares_lists = true;
	*s = (struct token_share_settings){.etcd = {.endpoints = e->endpoints,
					       .endpoint_count = e->endpoint_count,
					       .user = e->user,
					       .timeout_ms = ETCD_TIMEOUT_MS},
	    .prefix = e->prefix,
	    .keep_ms = e->keep_ms};
	take_public(l, e->ca, &s->etcd.identity.ca);
	take_public(l, e->certificate, &s->etcd.identity.certificate);
	take_secret(l, e->password_file, &s->etcd.password);
}

/* The budget role resolves no names: what they are now is told, as of the upstream. */
static void
resolve_etcd(struct loading *l, struct etcd_options *o)
{
	struct str *lines = ARENA_ARRAY(l->plan->arena, o->endpoint_count, struct str);

	for (size_t i = 0; i < o->endpoint_count; i++) {
		struct worker_upstream member = {.port = 0};
		struct buf line = {NULL, 0, 0};
		struct err err = ERR_INIT;

		if (!gate_etcd_endpoint(o->endpoints[i], &member.host, &member.port))
			continue; /* it was judged before */
		if (worker_upstream_resolve(l->plan->arena, &member, &err) != 0)
			report(l, &err);
		else
			curl_resolve_line(&line, member.host, member.port,
			    member.addresses, member.address_count);
		lines[i] = str_dup(l->plan->arena, buf_str(&line));
		buf_free(&line);
	}
	o->resolve = lines;
}

/* The budget role's settings are a worker's, with a certificate and a user of their own. */
static void
load_admission(struct loading *l)
{
	struct gate_plan *p = l->plan;
	const struct gate_admission *a = &p->config->admission;
	struct worker_settings *s = &p->admission;

	if (!p->config->has_admission)
		return;
	*s = p->worker;
	s->client_ca = s->client_crl = s->tls_certificate = STR("");
	take_public(l, a->certificate, &s->tls_certificate);
	take_public(l, a->client_ca, &s->client_ca);
	s->lists_as = a->lists_as;
	p->budget = (struct budget_role_settings){.callers = a->callers,
	    .caller_count = a->caller_count,
	    .hold_s = a->hold_s,
	    .policy = a->policy,
	    .status = {a->status_as, a->lease_namespace},
	    .writes_as = a->writes_as};
	if (!p->config->has_etcd)
		return;
	p->budget.share.etcd = p->auth.share.etcd;
	p->budget.share.prefix = p->auth.share.prefix;
	resolve_etcd(l, &p->budget.share.etcd);
}

struct gate_plan *
gate_plan_load(const char *path, struct buf *problem)
{
	struct arena *arena = arena_new();
	struct loading l = {.problem = problem, .ok = true};
	struct diag_list diags;

	l.plan = ARENA_NEW(arena, struct gate_plan);
	l.plan->arena = arena;
	l.plan->policy_fd = l.plan->keys_fd = -1;
	diag_list_init(&diags, arena);
	l.plan->config = gate_config_load(arena, path, &diags);
	diag_render(problem, &diags, DIAG_TEXT);
	if (l.plan->config != NULL) {
		load_roles(&l);
		load_user(&l);
		load_upstreams(&l);
		load_etcd(&l);
		load_admission(&l);
		load_policy(&l);
	}
	if (l.plan->config != NULL && l.ok)
		return l.plan;
	gate_plan_free(l.plan);
	return NULL;
}

static void
wipe(struct str text)
{
	if (text.len != 0) /* the arena's, which nobody else sees */
		secret_wipe((void *)(uintptr_t)text.ptr, text.len);
}

void
gate_plan_free(struct gate_plan *plan)
{
	if (plan == NULL)
		return;
	wipe(plan->auth.bind_password);
	wipe(plan->auth.share.etcd.password);
	if (plan->policy_fd >= 0)
		(void)close(plan->policy_fd); /* sealed: nothing can be lost */
	if (plan->keys_fd >= 0)
		(void)close(plan->keys_fd); /* the same */
	arena_free(plan->arena);
}
