/*
 * enforcer.yaml -> struct enforcer_config. One table per object says which fields there
 * are; one reader per object turns them into the struct.
 */
#include "enforcer/config/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/limits.h"
#include "enforcer/config/config_internal.h"
#include "policy-lang/load/load_names.h"
#include "policy-lang/model/fail_safe.h"

#define CODE_VALUE       CONFIG_VALUE
#define CODE_NO_GATE     "config-no-gate"
#define DEFAULT_CONTROL  "/run/ringfence/enforcer.sock"
#define DEFAULT_GROUP    100
#define DEFAULT_PORT     9477
#define MAX_NETWORKS     1024
#define MAX_EXCEPTIONS   1024
#define MAX_ADOPTION_S   3600
#define DEFAULT_ADOPTION 30
#define SOCKET_MOST      107 /* sun_path, without its NUL */
#define NODE_VARIABLE    "RINGFENCE_NODE"

void
config_fields(struct config_reader *r, const struct schema *schema,
    const struct doc_node *n, const struct doc_node **out_values)
{
	bool ok = schema_read(r->diags, schema, n, out_values);

	(void)ok;
}

const char *
config_path(struct config_reader *r, const struct doc_node *n)
{
	return config_file_path(r->arena, &r->file, n, CODE_VALUE, r->diags);
}

const char *
config_socket(struct config_reader *r, const struct doc_node *n)
{
	const char *path = config_path(r, n);

	if (strlen(path) > SOCKET_MOST)
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "a socket's path is at most %d bytes long", SOCKET_MOST);
	return path;
}

bool
config_choice(struct config_reader *r, const struct doc_node *n, const char *what,
    const char *first, const char *second, bool otherwise)
{
	const char *const names[] = {first, second};
	size_t index;

	if (n == NULL || !schema_enum(r->diags, n, what, names, 2, &index))
		return otherwise;
	return index == 1;
}

/* ---- sources ---- */

static void
read_source(
    struct config_reader *r, const struct doc_node *n, struct enforcer_source *out)
{
	enum {
		DIRECTORY,
		CLUSTER,
		KUBERNETES,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [DIRECTORY] = {"directory", TYPE_STRING, false, NULL},
	    [CLUSTER] = {"cluster", TYPE_STRING, false, NULL},
	    [KUBERNETES] = {"kubernetes", TYPE_MAP, false, NULL},
	};
	static const struct schema schema = SCHEMA("a source", fields);
	const struct doc_node *v[COUNT];
	const unsigned errors = r->diags->errors;

	config_fields(r, &schema, n, v);
	out->loc = n->loc;
	out->directory = "";
	if (v[DIRECTORY] == NULL && v[KUBERNETES] == NULL && r->diags->errors == errors)
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "a source needs a \"directory\", or \"kubernetes\"");
	if (v[KUBERNETES] != NULL && (v[DIRECTORY] != NULL || v[CLUSTER] != NULL))
		diag_error(r->diags, CODE_VALUE, v[KUBERNETES]->loc,
		    "\"kubernetes\" stands alone in a source; \"cluster\" is a part of "
		    "it");
	else if (v[KUBERNETES] != NULL)
		config_read_kubernetes(r, v[KUBERNETES], out);
	else if (v[DIRECTORY] != NULL)
		out->directory = config_path(r, v[DIRECTORY]);
	if (v[CLUSTER] != NULL)
		out->cluster = v[CLUSTER]->text;
}

/* A cluster's objects and files must have names of their own. */
static void
check_apart(struct config_reader *r, const struct enforcer_source *a,
    const struct enforcer_source *b)
{
	const struct str one = str_from(a->directory), other = str_from(b->directory);

	if (one.len == 0)
		return;
	if (str_eq(one, other))
		diag_error(r->diags, CODE_VALUE, a->loc,
		    a->kubernetes && b->kubernetes
			? "there are two clusters %s: give each a \"cluster\" name"
			: "the directory %s is a source twice",
		    a->directory);
	else if ((b->kubernetes && str_starts(one, other) &&
		     one.ptr[other.len] == '/') ||
		 (a->kubernetes && str_starts(other, one) && other.ptr[one.len] == '/'))
		diag_error(r->diags, CODE_VALUE, a->loc,
		    "the directory begins as the names of a cluster's objects do: "
		    "write it from / on");
}

static void
read_sources(struct config_reader *r, const struct doc_node *list)
{
	struct enforcer_source *all;
	uint32_t count = list->count;

	if (count == 0)
		diag_error(
		    r->diags, CODE_VALUE, list->loc, "\"sources\" names no source");
	if (count > ENFORCER_MAX_SOURCES) {
		diag_error(r->diags, CODE_VALUE, list->loc,
		    "%u sources: at most %d are possible", (unsigned)count,
		    ENFORCER_MAX_SOURCES);
		return;
	}
	all = ARENA_ARRAY(r->arena, count, struct enforcer_source);
	for (uint32_t i = 0; i < count; i++) {
		read_source(r, list->u.items[i], &all[i]);
		for (uint32_t j = 0; j < i; j++)
			check_apart(r, &all[i], &all[j]);
	}
	r->config->sources = all;
	r->config->source_count = count;
}

/* ---- addresses ---- */

/* Networks, and interfaces; what is neither looks most like the former. */
static void
read_network(struct config_reader *r, const struct doc_node *n,
    struct ip_prefix *networks, struct interface_pattern *interfaces)
{
	struct enforcer_config *c = r->config;
	struct ip_prefix *out = &networks[c->workload_network_count];
	bool masked = false;
	char text[IP_TEXT_BYTES];
	struct ip_addr addr;

	if (!schema_type(r->diags, n, "a workload network", TYPE_STRING))
		return;
	if (ip_prefix_parse(n->text, out, &masked))
		c->workload_network_count++;
	else if (!ip_parse(n->text, &addr) &&
		 interface_pattern_parse(
		     n->text, &interfaces[c->workload_interface_count]))
		c->workload_interface_count++;
	else
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"%.*s\" is no network, such as 10.1.0.0/16 or fd00:1::/32, and "
		    "no "
		    "interface, such as cali*",
		    STR_ARG(n->text));
	if (masked)
		diag_warn(r->diags, CODE_VALUE, n->loc,
		    "the network has host bits; it is read as %s",
		    ip_prefix_format(out, text));
}

static void
read_networks(struct config_reader *r, const struct doc_node *list)
{
	struct enforcer_config *c = r->config;
	struct interface_pattern *interfaces;
	struct ip_prefix *all;

	if (list->count > MAX_NETWORKS) {
		diag_error(r->diags, CODE_VALUE, list->loc,
		    "%u workload networks: at most %d are possible",
		    (unsigned)list->count, MAX_NETWORKS);
		return;
	}
	all = ARENA_ARRAY(r->arena, list->count, struct ip_prefix);
	interfaces = ARENA_ARRAY(r->arena, list->count, struct interface_pattern);
	for (uint32_t i = 0; i < list->count; i++)
		read_network(r, list->u.items[i], all, interfaces);
	c->workload_networks = all;
	c->workload_interface_count =
	    interface_patterns_normalise(interfaces, c->workload_interface_count);
	c->workload_interfaces = interfaces;
}

/* "127.0.0.1:9477", "[::1]:9477", or false for none. */
static void
read_metrics(struct config_reader *r, const struct doc_node *n)
{
	struct enforcer_config *c = r->config;

	if (n->kind == DOC_BOOL && !n->u.boolean) {
		c->has_metrics = false;
		return;
	}
	if (n->kind == DOC_STRING &&
	    config_address_port(n->text, &c->metrics_addr, &c->metrics_port))
		return;
	diag_error(r->diags, CODE_VALUE, n->loc,
	    "\"metrics\" is ADDRESS:PORT, with an IPv6 address in brackets, or false");
}

/* ---- established connections ---- */

static bool
is_path(struct str path)
{
	struct str rest = str_slice(path, 1, path.len);

	if (path.len == 0 || path.len > LIMIT_PATH_BYTES || path.ptr[0] != '/')
		return false;
	while (rest.ptr != NULL && path.len > 1) {
		struct str step = str_split(&rest, '/');

		if (!name_is_path_step(step))
			return false;
	}
	return true;
}

void
config_subtree(struct config_reader *r, const struct doc_node *n)
{
	if (!is_path(n->text))
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"%.*s\" is no path of a namespace: write it as /acme/shop",
		    STR_ARG(n->text));
}

static void
read_exception(struct config_reader *r, const struct doc_node *n, bool keep,
    struct established_exception *all, size_t *count)
{
	if (!schema_type(r->diags, n, "a namespace", TYPE_STRING))
		return;
	config_subtree(r, n);
	for (size_t i = 0; i < *count; i++) {
		if (str_eq(all[i].path, n->text))
			diag_error(r->diags, CODE_VALUE, n->loc,
			    "the namespace %.*s is named twice", STR_ARG(n->text));
	}
	all[(*count)++] = (struct established_exception){n->text, keep};
}

static void
read_exceptions(
    struct config_reader *r, const struct doc_node *keep, const struct doc_node *cut)
{
	const struct doc_node *const lists[] = {cut, keep};
	struct established_exception *all =
	    ARENA_ARRAY(r->arena, MAX_EXCEPTIONS, struct established_exception);
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (lists[i] == NULL)
			continue;
		if (count + lists[i]->count > MAX_EXCEPTIONS) {
			diag_error(r->diags, CODE_VALUE, lists[i]->loc,
			    "at most %d namespaces are possible", MAX_EXCEPTIONS);
			return;
		}
		for (uint32_t j = 0; j < lists[i]->count; j++)
			read_exception(
			    r, lists[i]->u.items[j], lists[i] == keep, all, &count);
	}
	r->config->established.exceptions = all;
	r->config->established.exception_count = count;
}

/* A word, or an object that says more. */
static void
read_established(struct config_reader *r, const struct doc_node *n)
{
	enum {
		DEFAULT,
		KEEP,
		CUT,
		ADOPT,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [DEFAULT] = {"default", TYPE_STRING, false, NULL},
	    [KEEP] = {"keep", TYPE_LIST, false, NULL},
	    [CUT] = {"cut", TYPE_LIST, false, NULL},
	    [ADOPT] = {"adoptSeconds", TYPE_INT, false, NULL},
	};
	static const struct schema schema = SCHEMA("established", fields);
	struct established *e = &r->config->established;
	const struct doc_node *v[COUNT];
	int64_t seconds;

	if (n->kind == DOC_STRING) {
		e->keep = config_choice(r, n, "established", "cut", "keep", false);
		return;
	}
	config_fields(r, &schema, n, v);
	e->keep = config_choice(r, v[DEFAULT], "default", "cut", "keep", false);
	read_exceptions(r, v[KEEP], v[CUT]);
	if (v[ADOPT] != NULL &&
	    schema_int(r->diags, v[ADOPT], "adoptSeconds", 0, MAX_ADOPTION_S, &seconds))
		e->adopt_seconds = (unsigned)seconds;
}

/* ---- the other objects ---- */

static void
read_audit(struct config_reader *r, const struct doc_node *n)
{
	enum {
		DIRECTORY,
		MODE,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [DIRECTORY] = {"directory", TYPE_STRING, true, NULL},
	    [MODE] = {"mode", TYPE_STRING, false, NULL},
	};
	static const struct schema schema = SCHEMA("audit", fields);
	const struct doc_node *v[COUNT];

	config_fields(r, &schema, n, v);
	if (v[DIRECTORY] != NULL)
		r->config->audit_directory = config_path(r, v[DIRECTORY]);
	r->config->audit_required =
	    config_choice(r, v[MODE], "mode", "best-effort", "required", true);
}

static void
read_log(struct config_reader *r, const struct doc_node *n)
{
	enum {
		LEVEL,
		FORMAT,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [LEVEL] = {"level", TYPE_STRING, false, NULL},
	    [FORMAT] = {"format", TYPE_STRING, false, NULL},
	};
	static const struct schema schema = SCHEMA("log", fields);
	static const char *const levels[] = {
	    [LOG_ERROR] = "error",
	    [LOG_WARN] = "warn",
	    [LOG_INFO] = "info",
	    [LOG_DEBUG] = "debug",
	};
	const struct doc_node *v[COUNT];
	size_t level;

	config_fields(r, &schema, n, v);
	if (v[LEVEL] != NULL &&
	    schema_enum(r->diags, v[LEVEL], "level", levels, ARRAY_LEN(levels), &level))
		r->config->log_level = (enum log_level)level;
	if (config_choice(r, v[FORMAT], "format", "text", "json", false))
		r->config->log_format = LOG_FORMAT_JSON;
}

static void
read_control(struct config_reader *r, const struct doc_node *n)
{
	r->config->control_socket = config_socket(r, n);
}

static void
take_node(struct config_reader *r, struct str name, struct loc loc)
{
	if (name.len == 0 || name.len > LIMIT_NAME_BYTES)
		diag_error(r->diags, CODE_VALUE, loc,
		    "a node's name has between 1 and %u bytes", LIMIT_NAME_BYTES);
	r->config->node = name;
}

static void
read_node(struct config_reader *r, const struct doc_node *n)
{
	take_node(r, n->text, n->loc);
}

/* One file for all nodes of a cluster cannot say which of them it is on. */
static void
read_node_of_environment(struct config_reader *r, struct loc loc)
{
	const char *name = getenv(NODE_VARIABLE);

	if (name == NULL)
		diag_error(r->diags, CODE_VALUE, loc,
		    "the configuration needs \"node\", or the "
		    "environment " NODE_VARIABLE);
	else
		take_node(r, str_from(arena_strdup(r->arena, name)), loc);
}

/* ---- the whole ---- */

enum top_field {
	TOP_NODE,
	TOP_SOURCES,
	TOP_CLUSTER_DEFAULT,
	TOP_IP_BLOCKS,
	TOP_BOOT,
	TOP_NETWORKS,
	TOP_SOURCE_VALIDATION,
	TOP_ESTABLISHED,
	TOP_HOST,
	TOP_ADDRESSES,
	TOP_STEERING,
	TOP_UNFILTERED,
	TOP_DENIED,
	TOP_TABLE_OWNER,
	TOP_FLOWS,
	TOP_DNS,
	TOP_AUDIT,
	TOP_CONTROL,
	TOP_CONTROL_GROUP,
	TOP_METRICS,
	TOP_USER,
	TOP_LOG,
	TOP_COUNT
};

static const struct schema_field top_fields[] = {
    [TOP_NODE] = {"node", TYPE_STRING, false, NULL},
    [TOP_SOURCES] = {"sources", TYPE_LIST, true, NULL},
    [TOP_CLUSTER_DEFAULT] = {"clusterDefault", TYPE_STRING, false, NULL},
    [TOP_IP_BLOCKS] = {"ipBlocksMatchPods", TYPE_STRING, false, NULL},
    [TOP_BOOT] = {"boot", TYPE_STRING, false, NULL},
    [TOP_NETWORKS] = {"workloadNetworks", TYPE_LIST, false, NULL},
    [TOP_SOURCE_VALIDATION] = {"sourceValidation", TYPE_STRING, false, NULL},
    [TOP_ESTABLISHED] = {"established", TYPE_STRING | TYPE_MAP, false, NULL},
    [TOP_HOST] = {"hostProtection", TYPE_BOOL | TYPE_MAP, false, NULL},
    [TOP_ADDRESSES] = {"routeAddresses", TYPE_LIST, false, NULL},
    [TOP_STEERING] = {"steering", TYPE_MAP, false, NULL},
    [TOP_UNFILTERED] = {"unfiltered", TYPE_STRING, false, NULL},
    [TOP_DENIED] = {"denied", TYPE_STRING, false, NULL},
    [TOP_TABLE_OWNER] = {"tableOwner", TYPE_STRING, false, NULL},
    [TOP_FLOWS] = {"flows", TYPE_MAP, false, NULL},
    [TOP_DNS] = {"dns", TYPE_MAP, false, NULL},
    [TOP_AUDIT] = {"audit", TYPE_MAP, false, NULL},
    [TOP_CONTROL] = {"control", TYPE_STRING, false, NULL},
    [TOP_CONTROL_GROUP] = {"controlGroup", TYPE_STRING, false, NULL},
    [TOP_METRICS] = {"metrics", TYPE_STRING | TYPE_BOOL, false, NULL},
    [TOP_USER] = {"user", TYPE_STRING, false, NULL},
    [TOP_LOG] = {"log", TYPE_MAP, false, NULL},
};

/* Those that are more than a word. */
static void (*const top_readers[TOP_COUNT])(
    struct config_reader *, const struct doc_node *) = {
    [TOP_NODE] = read_node,
    [TOP_SOURCES] = read_sources,
    [TOP_NETWORKS] = read_networks,
    [TOP_ESTABLISHED] = read_established,
    [TOP_HOST] = config_read_host,
    [TOP_ADDRESSES] = config_read_addresses,
    [TOP_STEERING] = config_read_steering,
    [TOP_FLOWS] = config_read_flows,
    [TOP_DNS] = config_read_dns,
    [TOP_AUDIT] = read_audit,
    [TOP_CONTROL] = read_control,
    [TOP_METRICS] = read_metrics,
    [TOP_LOG] = read_log,
};

static void
set_defaults(struct enforcer_config *c)
{
	bool ok = ip_parse(STR("127.0.0.1"), &c->metrics_addr);

	(void)ok;
	c->established.adopt_seconds = DEFAULT_ADOPTION;
	c->fail_safe = fail_safe_default();
	c->flow_group = DEFAULT_GROUP;
	c->audit_required = true;
	c->control_socket = DEFAULT_CONTROL;
	c->has_metrics = true;
	c->metrics_port = DEFAULT_PORT;
	c->log_level = LOG_INFO;
	c->log_format = LOG_FORMAT_TEXT;
}

static void
read_words(struct config_reader *r, const struct doc_node *const *v)
{
	struct enforcer_config *c = r->config;

	c->default_deny = config_choice(
	    r, v[TOP_CLUSTER_DEFAULT], "clusterDefault", "allow", "deny", false);
	c->ip_blocks_skip_pods = config_choice(
	    r, v[TOP_IP_BLOCKS], "ipBlocksMatchPods", "always", "never", false);
	c->boot_closed = config_choice(r, v[TOP_BOOT], "boot", "open", "closed", true);
	c->validate_sources = config_choice(
	    r, v[TOP_SOURCE_VALIDATION], "sourceValidation", "none", "strict", true);
	c->own_table =
	    config_choice(r, v[TOP_TABLE_OWNER], "tableOwner", "never", "auto", true);
	c->allow_unfiltered =
	    config_choice(r, v[TOP_UNFILTERED], "unfiltered", "refuse", "allow", false);
	c->reject = config_choice(r, v[TOP_DENIED], "denied", "drop", "reject", false);
	if (v[TOP_CONTROL_GROUP] != NULL)
		c->control_group = v[TOP_CONTROL_GROUP]->text;
	if (v[TOP_USER] != NULL)
		c->user = v[TOP_USER]->text;
}

static void
check_gate(struct config_reader *r, const struct doc_node *const *v, struct loc loc)
{
	const struct enforcer_config *c = r->config;
	const bool some =
	    c->workload_network_count != 0 || c->workload_interface_count != 0;

	if (c->boot_closed == some)
		return;
	if (v[TOP_BOOT] != NULL)
		loc = v[TOP_BOOT]->loc;
	if (some)
		diag_warn(r->diags, CODE_NO_GATE, loc,
		    "with \"boot: open\" nothing in \"workloadNetworks\" is closed, "
		    "and no source address is validated");
	else
		diag_warn(r->diags, CODE_NO_GATE, loc,
		    "nothing is closed at boot: \"workloadNetworks\" does not say "
		    "which "
		    "addresses are workloads' (\"boot: open\" if that is meant)");
}

static void
read_top(struct config_reader *r, const struct doc_node *doc)
{
	static const struct schema schema = SCHEMA("the configuration", top_fields);
	const struct doc_node *v[TOP_COUNT];

	config_fields(r, &schema, doc, v);
	for (size_t i = 0; i < TOP_COUNT; i++) {
		if (v[i] != NULL && top_readers[i] != NULL)
			top_readers[i](r, v[i]);
	}
	if (doc->kind == DOC_MAP && doc_value(doc, "node") == NULL)
		read_node_of_environment(r, doc->loc);
	read_words(r, v);
	if (v[TOP_DNS] != NULL)
		config_check_dns(r, v[TOP_DNS]);
	/* Of what is wrong more is not known than that. */
	if (r->diags->errors == 0)
		check_gate(r, v, doc->loc);
}

struct enforcer_config *
enforcer_config_load(struct arena *arena, const char *path, struct diag_list *diags)
{
	struct config_reader r = {.arena = arena, .diags = diags};
	const unsigned errors = diags->errors;

	r.config = ARENA_NEW(arena, struct enforcer_config);
	r.config->path = arena_strdup(arena, path);
	set_defaults(r.config);
	if (!config_file_read(
		arena, path, "the configuration", CODE_VALUE, diags, &r.file))
		return NULL;
	read_top(&r, r.file.root);
	return diags->errors == errors ? r.config : NULL;
}
