/*
 * enforcer.yaml: what it means, and one case for each mistake with its place.
 */
#include "enforcer/config/config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct arena *arena;
static struct diag_list diags;
static char path[] = "/tmp/ringfence-config.XXXXXX";

static void
setup(void)
{
	int fd;

	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	close(fd);
	arena = arena_new();
	diag_list_init(&diags, arena);
}

static void
teardown(void)
{
	unlink(path);
	arena_free(arena);
}

static struct enforcer_config *
load(const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
	return enforcer_config_load(arena, path, &diags);
}

START_TEST(node_comes_from_environment_when_the_file_is_silent)
{
	static const char silent[] = "sources: [{directory: /p}]\nboot: open\n";
	struct enforcer_config *c;

	ck_assert_int_eq(setenv("RINGFENCE_NODE", "n2", 1), 0);
	c = load(silent);
	ck_assert_ptr_nonnull(c);
	ck_assert(str_is(c->node, "n2"));
	c = load("node: n1\nsources: [{directory: /p}]\nboot: open\n");
	ck_assert_ptr_nonnull(c);
	ck_assert(str_is(c->node, "n1"));
	ck_assert_int_eq(setenv("RINGFENCE_NODE", "", 1), 0);
	ck_assert_ptr_null(load(silent));
	ck_assert_int_eq(unsetenv("RINGFENCE_NODE"), 0);
}
END_TEST

/* Which is wrong is told, and not as well that there is none. */
START_TEST(networks_that_are_wrong_are_not_missed)
{
	ck_assert_ptr_null(load("node: n1\nsources: [{directory: /p}]\n"
				"workloadNetworks: [10.1.0.0/33]\n"));
	ck_assert_uint_eq(diags.errors, 1);
	ck_assert_uint_eq(diags.warnings, 0);
	diag_list_init(&diags, arena);
	ck_assert_ptr_nonnull(load("node: n1\nsources: [{directory: /p}]\n"));
	ck_assert_uint_eq(diags.warnings, 1);
	ck_assert_str_eq(diags.first->code, "config-no-gate");
}
END_TEST

START_TEST(smallest_configuration_has_defaults)
{
	struct enforcer_config *c =
	    load("node: n1\nsources: [{directory: /p}]\nboot: open\n");
	char text[IP_TEXT_BYTES];

	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(diags.warnings, 0);
	ck_assert(str_is(c->node, "n1"));
	ck_assert_uint_eq(c->source_count, 1);
	ck_assert_str_eq(c->sources[0].directory, "/p");
	ck_assert(!c->default_deny && !c->ip_blocks_skip_pods && !c->reject);
	ck_assert(!c->boot_closed && c->own_table);
	ck_assert(!c->established.keep);
	ck_assert_uint_eq(c->established.adopt_seconds, 30);
	ck_assert(!c->host_protection);
	ck_assert_uint_ne(c->fail_safe.count[DIR_INGRESS], 0);
	ck_assert_ptr_null(c->flow_file);
	ck_assert_uint_eq(c->flow_group, 100);
	ck_assert_ptr_null(c->audit_directory);
	ck_assert_str_eq(c->control_socket, "/run/ringfence/enforcer.sock");
	ck_assert(c->has_metrics);
	ck_assert_str_eq(ip_format(&c->metrics_addr, text), "127.0.0.1");
	ck_assert_uint_eq(c->metrics_port, 9477);
}
END_TEST

START_TEST(answers_wait_where_workloads_ask_the_node)
{
	struct enforcer_config *c = load(
	    "node: n1\nsources: [{directory: /p}]\nworkloadNetworks: [10.1.0.0/16]\n"
	    "dns: {resolvers: [10.96.0.10], mode: hold, listen: [\"169.254.20.10:53\", "
	    "\"[fd00::10]:5353\"]}\n");
	char text[IP_TEXT_BYTES];

	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(diags.warnings, 0);
	ck_assert_uint_eq(c->dns_listener_count, 2);
	ck_assert(c->validate_sources); /* unless it says otherwise */
	ck_assert_str_eq(ip_format(&c->dns_listeners[0].addr, text), "169.254.20.10");
	ck_assert_uint_eq(c->dns_listeners[0].port, 53);
	ck_assert_str_eq(ip_format(&c->dns_listeners[1].addr, text), "fd00::10");
	ck_assert_uint_eq(c->dns_listeners[1].port, 5353);
	ck_assert_uint_eq(c->resolver_count, 1);
}
END_TEST

START_TEST(every_field_is_read)
{
	struct enforcer_config *c =
	    load("node: worker-1\n"
		 "sources:\n"
		 "  - {directory: policy.d, cluster: east}\n"
		 "  - {directory: /etc/more}\n"
		 "clusterDefault: deny\n"
		 "ipBlocksMatchPods: never\n"
		 "boot: closed\n"
		 "workloadNetworks: [10.1.0.0/16, eth1, \"fd00:1::/32\", cali*, "
		 "cali7]\n"
		 "sourceValidation: none\n"
		 "established: {default: keep, keep: [/a/b], cut: [/a, /], "
		 "adoptSeconds: 0}\n"
		 "hostProtection: {enforce: true, failSafe: {ingress: [22/tcp, "
		 "1000-2000/udp], egress: []}}\n"
		 "routeAddresses: [{network: 203.0.113.0/24, interface: eth0}, "
		 "{network: \"2001:db8::/64\", interface: eth1, namespace: "
		 "/acme/shop}]\n"
		 "steering: {mark: 0x0ff00000, priority: 10000, tables: "
		 "10000-10009, routeTables: [{tables: 100-199, namespace: /acme}, "
		 "{tables: 7}], probePort: 9}\n"
		 "denied: reject\n"
		 "tableOwner: never\n"
		 "flows: {file: flows.jsonl, group: 7, journal: true, ipfix: "
		 "{collector: \"[2001:db8::1]:4739\", protocol: tcp, domain: 3, "
		 "enterprise: 9}, allowed: [/acme/shop, /]}\n"
		 "dns: {resolvers: [10.96.0.10, \"fd00::a\"], mode: observe, "
		 "group: 8}\n"
		 "audit: {directory: audit, mode: best-effort}\n"
		 "control: e.sock\n"
		 "controlGroup: adm\n"
		 "metrics: \"[::1]:9\"\n"
		 "user: rf\n"
		 "log: {level: debug, format: json}\n");
	char text[IP_TEXT_BYTES];

	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(diags.warnings, 0);
	ck_assert_uint_eq(c->steering.mask, 0x0ff00000);
	ck_assert_uint_eq(c->steering.priority, 10000);
	ck_assert_uint_eq(c->steering.first_table, 10000);
	ck_assert_uint_eq(c->steering.way_count, 10);
	ck_assert_uint_eq(c->steering.probe_port, 9);
	ck_assert_uint_eq(c->steering.table_count, 2);
	ck_assert_uint_eq(c->steering.tables[0].last, 199);
	ck_assert(str_is(c->steering.tables[0].subtree, "/acme"));
	ck_assert(steering_has_table(&c->steering, 7));
	ck_assert(!steering_has_table(&c->steering, 8));
	ck_assert_uint_eq(c->source_count, 2);
	ck_assert_str_eq(
	    c->sources[0].directory, "/tmp/policy.d"); /* beside the file */
	ck_assert(str_is(c->sources[0].cluster, "east"));
	ck_assert(c->default_deny && c->ip_blocks_skip_pods && c->reject);
	ck_assert(c->boot_closed && !c->own_table);
	ck_assert(c->established.keep);
	ck_assert_uint_eq(c->established.exception_count, 3);
	ck_assert(str_is(c->established.exceptions[0].path, "/a"));
	ck_assert(!c->established.exceptions[0].keep);
	ck_assert(str_is(c->established.exceptions[2].path, "/a/b"));
	ck_assert(c->established.exceptions[2].keep);
	ck_assert_uint_eq(c->established.adopt_seconds, 0);
	ck_assert(c->host_protection);
	ck_assert_uint_eq(c->fail_safe.count[DIR_INGRESS], 2);
	ck_assert_uint_eq(c->fail_safe.ports[DIR_INGRESS][1].proto, PROTO_UDP);
	ck_assert_uint_eq(c->fail_safe.ports[DIR_INGRESS][1].hi, 2000);
	ck_assert_uint_eq(c->fail_safe.count[DIR_EGRESS], 0);
	ck_assert_uint_eq(c->workload_network_count, 2);
	ck_assert_uint_eq(c->workload_interface_count, 2); /* cali* has cali7 */
	ck_assert(!c->validate_sources);
	ck_assert(interface_pattern_has(&c->workload_interfaces[0], "cali0123456789a"));
	ck_assert(!interface_pattern_has(&c->workload_interfaces[0], "calj"));
	ck_assert(!interface_pattern_has(&c->workload_interfaces[0], "cal"));
	ck_assert(interface_pattern_has(&c->workload_interfaces[1], "eth1"));
	ck_assert(!interface_pattern_has(&c->workload_interfaces[1], "eth10"));
	ck_assert_str_eq(
	    ip_prefix_format(&c->workload_networks[1], text), "fd00:1::/32");
	ck_assert_uint_eq(c->address_place_count, 2);
	ck_assert_str_eq(
	    ip_prefix_format(&c->address_places[0].network, text), "203.0.113.0/24");
	ck_assert_str_eq(c->address_places[1].interface, "eth1");
	ck_assert(str_is(c->address_places[0].subtree, "/"));
	ck_assert(str_is(c->address_places[1].subtree, "/acme/shop"));
	ck_assert_str_eq(c->flow_file, "/tmp/flows.jsonl");
	ck_assert_uint_eq(c->flow_group, 7);
	ck_assert_uint_eq(c->names_group, 8);
	ck_assert_uint_eq(c->resolver_count, 2);
	ck_assert_str_eq(ip_format(&c->resolvers[1], text), "fd00::a");
	ck_assert_str_eq(c->journal_socket, "/run/systemd/journal/socket");
	ck_assert(c->has_ipfix);
	ck_assert_str_eq(ip_format(&c->ipfix_addr, text), "2001:db8::1");
	ck_assert_uint_eq(c->ipfix_port, 4739);
	ck_assert_uint_eq(c->allowed.count, 2);
	ck_assert(str_is(c->allowed.paths[0], "/acme/shop"));
	ck_assert(c->ipfix_tcp);
	ck_assert_uint_eq(c->ipfix_domain, 3);
	ck_assert_uint_eq(c->ipfix_enterprise, 9);
	ck_assert_str_eq(c->audit_directory, "/tmp/audit");
	ck_assert(!c->audit_required);
	ck_assert_str_eq(c->control_socket, "/tmp/e.sock");
	ck_assert(str_is(c->control_group, "adm"));
	ck_assert_int_eq(c->metrics_addr.family, IP_V6);
	ck_assert_uint_eq(c->metrics_port, 9);
	ck_assert(str_is(c->user, "rf"));
	ck_assert_int_eq(c->log_level, LOG_DEBUG);
	ck_assert_int_eq(c->log_format, LOG_FORMAT_JSON);
}
END_TEST

START_TEST(metrics_can_be_off)
{
	struct enforcer_config *c =
	    load("node: w\nsources: [{directory: /p}]\nboot: open\nmetrics: false\n");

	ck_assert_ptr_nonnull(c);
	ck_assert(!c->has_metrics);
}
END_TEST

#define HELD "node: w\nsources: [{directory: /p}]\nworkloadNetworks: [10.1.0.0/16]\n"
#define HEAD "node: w\nsources: [{directory: /p}]\nboot: open\n"
#define KUBE "node: w\nboot: open\nsources:\n  - kubernetes: "

static const struct {
	const char *text;
	unsigned line, col;
	const char *message; /* part of it */
	const char *hint;    /* part of it, or NULL */
} mistakes[] = {
    {"sources: [{directory: /p}]\n", 1, 1, "node", NULL},
    {"node: w\n", 1, 1, "sources", NULL},
    {"node: w\nsources: []\n", 2, 10, "names no source", NULL},
    {HEAD "nod: x\n", 4, 1, "nod", "node"},
    {HEAD "clusterDefault: maybe\n", 4, 17, "maybe", NULL},
    {HEAD "workloadNetworks: [10.0.0.0/33]\n", 4, 20, "10.0.0.0/33", NULL},
    {HEAD "sourceValidation: loose\n", 4, 19, "loose", NULL},
    {HEAD "workloadNetworks: 10.0.0.0/8\n", 4, 19, "list", NULL},
    {HEAD "workloadNetworks: [10.0.0.1]\n", 4, 20, "no network", NULL},
    {HEAD "workloadNetworks: [\"*\"]\n", 4, 20, "no interface", NULL},
    {HEAD "workloadNetworks: [cali**]\n", 4, 20, "no interface", NULL},
    {HEAD "workloadNetworks: [a-name-far-too-long]\n", 4, 20, "no interface", NULL},
    {HEAD "metrics: 9477\n", 4, 10, "string", NULL},
    {HEAD "metrics: localhost:9477\n", 4, 10, "ADDRESS:PORT", NULL},
    {HEAD "metrics: ::1:9477\n", 4, 10, "ADDRESS:PORT", NULL},
    {HEAD "metrics: true\n", 4, 10, "ADDRESS:PORT", NULL},
    {HEAD "flows: {group: 0}\n", 4, 16, "group", NULL},
    {HEAD "flows: {group: 65536}\n", 4, 16, "group", NULL},
    {HEAD "flows: {fle: x}\n", 4, 9, "fle", "file"},
    {HEAD "dns: {mode: observe}\n", 4, 6, "resolvers", NULL},
    {HEAD "dns: {resolvers: []}\n", 4, 18, "1 to 8", NULL},
    {HEAD "dns: {resolvers: [ns.example]}\n", 4, 19, "address", NULL},
    {HEAD "dns: {resolvers: [10.0.0.0/8]}\n", 4, 19, "address", NULL},
    {HEAD "dns: {resolvers: [0.0.0.0]}\n", 4, 19, "one address", NULL},
    {HEAD "dns: {resolvers: [10.0.0.1, \"::\"]}\n", 4, 29, "one address", NULL},
    {HEAD "dns: {resolvers: [10.0.0.1, 224.0.0.251]}\n", 4, 29, "of many", NULL},
    {HEAD "dns: {resolvers: [10.0.0.1, 255.255.255.255]}\n", 4, 29, "of many", NULL},
    {HEAD "dns: {resolvers: [10.0.0.1, \"ff02::fb\"]}\n", 4, 29, "of many", NULL},
    {HEAD "dns: {resolvers: [10.0.0.1, \"fe80::1\"]}\n", 4, 29, "of a link", NULL},
    {HEAD "dns: {resolvers: [10.0.0.1, 10.0.0.1]}\n", 4, 29, "twice", NULL},
    {HEAD "dns: {resolvers: [\"fd00::a\", \"fd00:0::a\"]}\n", 4, 30, "twice", NULL},
    {HEAD "dns: {resolvers: [10.0.0.1, 127.0.0.53]}\n", 4, 29, "loopback", NULL},
    {HEAD "dns: {resolvers: [\"::1\"]}\n", 4, 19, "loopback", NULL},
    {HEAD "dns: {resolvers: [10.0.0.1], mode: guess}\n", 4, 36, "guess", NULL},
    {HEAD "dns: {resolvers: [10.0.0.1], group: 100}\n", 4, 37, "of flows", NULL},
    {HEAD "dns: {resolvers: [10.0.0.1], mode: hold}\n", 4, 36, "listen", NULL},
    {HEAD "dns: {resolvers: [10.0.0.1], listen: [\"10.0.0.2:53\"]}\n", 4, 38, "hold",
	NULL},
    {HELD "dns: {resolvers: [10.0.0.1], mode: hold, listen: []}\n", 4, 50, "1 to 8",
	NULL},
    {HELD "dns: {resolvers: [10.0.0.1], mode: hold, listen: [10.0.0.2]}\n", 4, 51,
	"ADDRESS:PORT", NULL},
    {HELD "dns: {resolvers: [10.0.0.1], mode: hold, listen: [\"0.0.0.0:53\"]}\n", 4, 51,
	"one address", NULL},
    {HELD "dns: {resolvers: [10.0.0.1], mode: hold, listen: [\"[fe80::1]:53\"]}\n", 4,
	51, "of a link", NULL},
    {HELD "dns: {resolvers: [10.0.0.1], mode: hold, listen: [\"10.0.0.1:53\"]}\n", 4,
	50, "no resolver that it asks", NULL},
    {HELD "dns: {resolvers: [10.0.0.1], mode: hold, listen: [\"10.0.0.2:53\", "
	  "\"10.0.0.2:53\"]}\n",
	4, 66, "twice", NULL},
    {HEAD "dns: {resolvers: [10.0.0.1], mode: hold, listen: [\"10.0.0.2:53\"]}\n", 4, 6,
	"workloadNetworks", NULL},
    {HEAD "flows: {allowed: [acme]}\n", 4, 19, "/acme/shop", NULL},
    {HEAD "flows: {allowed: [/a, 3]}\n", 4, 23, "a namespace must be", NULL},
    {HEAD "flows: {allowed: [/a, /a]}\n", 4, 23, "twice", NULL},
    {HEAD "flows: {ipfix: {domain: 1}}\n", 4, 16, "collector", NULL},
    {HEAD "flows: {ipfix: {collector: host:4739}}\n", 4, 28, "ADDRESS:PORT", NULL},
    {HEAD "flows: {ipfix: {collector: \"192.0.2.1:1\", protocol: sctp}}\n", 4, 53,
	"sctp", NULL},
    {HEAD "flows: {ipfix: {collector: \"192.0.2.1:0\"}}\n", 4, 28, "ADDRESS:PORT",
	NULL},
    {HEAD "audit: {mode: required}\n", 4, 8, "directory", NULL},
    {HEAD "audit: {directory: /a, mode: never}\n", 4, 30, "never", NULL},
    {HEAD "established: snip\n", 4, 14, "snip", NULL},
    {HEAD "established: {keep: [acme]}\n", 4, 22, "/acme/shop", NULL},
    {HEAD "established: {keep: [/acme/]}\n", 4, 22, "/acme/shop", NULL},
    {HEAD "established: {keep: [\"\"]}\n", 4, 22, "/acme/shop", NULL},
    {HEAD "established: {keep: [3]}\n", 4, 22, "string", NULL},
    {HEAD "established: {keep: [/a], cut: [/a]}\n", 4, 22, "twice", NULL},
    {HEAD "established: {adoptSeconds: 3601}\n", 4, 29, "adoptSeconds", NULL},
    {HEAD "established: {kep: [/a]}\n", 4, 15, "kep", "keep"},
    {HEAD "hostProtection: sure\n", 4, 17, "true or false", NULL},
    {HEAD "hostProtection: {failSafe: {}}\n", 4, 17, "enforce", NULL},
    {HEAD "hostProtection: {enforce: true, failSafe: {ingress: [ssh]}}\n", 4, 54,
	"22/tcp", NULL},
    {HEAD "routeAddresses: [{network: 203.0.113.7, interface: eth0}]\n", 4, 28,
	"203.0.113.0/24", NULL},
    {HEAD "routeAddresses: [{network: 203.0.113.0/24, namespace: acme}]\n", 4, 55,
	"/acme/shop", NULL},
    {HEAD "routeAddresses: [{interface: eth0}]\n", 4, 18, "network", NULL},
    {HEAD "routeAddresses: [{network: 203.0.113.0/24, interface: a/b}]\n", 4, 55, "a/b",
	NULL},
    {HEAD "routeAddresses: [{network: 203.0.113.0/24, interface: sixteen-letters1}]\n",
	4, 55, "no name", NULL},
    {HEAD "steering: {priority: 2, tables: 1000}\n", 4, 11, "mark", NULL},
    {HEAD "steering: {mark: 0x5, priority: 2, tables: 1000}\n", 4, 18, "side by side",
	NULL},
    {HEAD "steering: {mark: 0, priority: 2, tables: 1000}\n", 4, 18, "side by side",
	NULL},
    {HEAD "steering: {mark: 0x1ff000000, priority: 2, tables: 1000}\n", 4, 18,
	"side by side", NULL},
    {HEAD "steering: {mark: 0xf, priority: 32766, tables: 1000}\n", 4, 33, "priority",
	NULL},
    {HEAD "steering: {mark: 0xf, priority: 2, tables: 200-300}\n", 4, 44, "kernel's",
	NULL},
    {HEAD "steering: {mark: 0xf, priority: 2, tables: 300-200}\n", 4, 44, "100-199",
	NULL},
    {HEAD "steering: {mark: 0xf, priority: 2, tables: 1000-1009, routeTables: "
	  "[{tables: 1009}]}\n",
	4, 69, "own", NULL},
    {HEAD "log: {level: loud}\n", 4, 14, "loud", NULL},
    {HEAD "control: \"\"\n", 4, 10, "empty", NULL},
    {KUBE "{kubeconfig: /k, directory: /d}\n", 4, 34, "directory", NULL},
    {KUBE "{context: c}\n", 4, 27, "kubeconfig", NULL},
    {KUBE "{cluster: east/west}\n", 4, 27, "cluster's name", NULL},
    {KUBE "{silentSeconds: 0}\n", 4, 33, "silentSeconds", NULL},
    {KUBE "{}\n  - kubernetes: {}\n", 5, 5, "two clusters", NULL},
    {KUBE "{cluster: e}\n  - {kubernetes: {}, cluster: e}\n", 5, 18, "stands alone",
	NULL},
    {KUBE "{cluster: tmp}\n  - kubernetes: {cluster: tmp}\n", 5, 5, "two clusters",
	NULL},
    {"node: w\nboot: open\nsources:\n  - {cluster: east}\n", 4, 5, "directory", NULL},
    {"node: w\nboot: open\nsources:\n  - {directory: /p}\n  - {directory: /p}\n", 5, 5,
	"twice", NULL},
    {"node: \"\"\nsources: [{directory: /p}]\n", 1, 7, "name", NULL},
    {"node: w\n---\nnode: m\n", 1, 1, "one YAML document", NULL},
    {"", 1, 1, "one YAML document", NULL},
    {"node: [\n", 2, 1, "", NULL},
};

START_TEST(mistake_is_told_at_its_place)
{
	const struct diag *d;

	ck_assert_ptr_null(load(mistakes[_i].text));
	for (d = diags.first; d != NULL && d->severity != DIAG_ERROR; d = d->next)
		continue;
	ck_assert_ptr_nonnull(d);
	ck_assert_msg(
	    d->loc.line == mistakes[_i].line && d->loc.col == mistakes[_i].col,
	    "%s: %u:%u %s", mistakes[_i].text, d->loc.line, d->loc.col, d->msg);
	ck_assert_msg(strstr(d->msg, mistakes[_i].message) != NULL, "%s", d->msg);
	if (mistakes[_i].hint != NULL) {
		ck_assert_ptr_nonnull(d->hint);
		ck_assert_msg(
		    strstr(d->hint, mistakes[_i].hint) != NULL, "%s", d->hint);
	}
}
END_TEST

START_TEST(every_mistake_is_told)
{
	unsigned line = 0;

	ck_assert_ptr_null(
	    load("nod: n\nsources: [{directry: /p}]\nboot: maybe\nflows: 5\n"));
	diag_sort(&diags);
	for (const struct diag *d = diags.first; d != NULL; d = d->next) {
		if (d->severity == DIAG_ERROR && d->loc.line == line + 1)
			line++;
	}
	ck_assert_uint_eq(line, 4); /* one on each line */
}
END_TEST

/* "n" and "no" are booleans: that is the mistake, and not that there is no node. */
START_TEST(node_that_is_no_string_is_told_once)
{
	ck_assert_ptr_null(load("node: n\nsources: [{directory: /p}]\nboot: open\n"));
	ck_assert_uint_eq(diags.errors, 1);
	ck_assert_ptr_nonnull(strstr(diags.first->msg, "must be a string"));
}
END_TEST

/* What is none at all is no double of another such. */
START_TEST(listeners_that_are_none_are_told_once_each)
{
	ck_assert_ptr_null(load(HELD "dns: {resolvers: [10.0.0.1], mode: hold, listen: "
				     "[53, \"a:53\", \"10.0.0.2\"]}\n"));
	ck_assert_uint_eq(diags.errors, 3);
	for (const struct diag *d = diags.first; d != NULL; d = d->next)
		ck_assert_msg(strstr(d->msg, "ADDRESS:PORT") != NULL, "%s", d->msg);
}
END_TEST

static const struct {
	const char *text;
	unsigned line;
	const char *message;
} warnings[] = {
    {"node: w\nsources: [{directory: /p}]\n", 1, "workloadNetworks"},
    {"node: w\nsources: [{directory: /p}]\nboot: closed\n", 3, "workloadNetworks"},
    {"node: w\nsources: [{directory: /p}]\nworkloadNetworks: [10.1.2.3/8]\n", 3,
	"10.0.0.0/8"},
    {HEAD "workloadNetworks: [10.0.0.0/8]\n", 3, "validated"},
    {HEAD "hostProtection: {enforce: true, failSafe: {ingress: [80/tcp]}}\n", 4,
	"22/tcp"},
};

START_TEST(what_is_not_as_it_seems_is_a_warning)
{
	ck_assert_ptr_nonnull(load(warnings[_i].text));
	ck_assert_uint_eq(diags.warnings, 1);
	ck_assert_uint_eq(diags.first->loc.line, warnings[_i].line);
	ck_assert_msg(strstr(diags.first->msg, warnings[_i].message) != NULL, "%s",
	    diags.first->msg);
}
END_TEST

START_TEST(missing_file_is_an_error)
{
	ck_assert_ptr_null(enforcer_config_load(arena, "/nonexistent.yaml", &diags));
	ck_assert_uint_eq(diags.errors, 1);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("config");
	TCase *tc = tcase_create("config");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, smallest_configuration_has_defaults);
	tcase_add_test(tc, networks_that_are_wrong_are_not_missed);
	tcase_add_test(tc, node_comes_from_environment_when_the_file_is_silent);
	tcase_add_test(tc, node_that_is_no_string_is_told_once);
	tcase_add_test(tc, every_field_is_read);
	tcase_add_test(tc, answers_wait_where_workloads_ask_the_node);
	tcase_add_test(tc, metrics_can_be_off);
	tcase_add_loop_test(tc, mistake_is_told_at_its_place, 0,
	    (int)(sizeof(mistakes) / sizeof(mistakes[0])));
	tcase_add_test(tc, every_mistake_is_told);
	tcase_add_test(tc, listeners_that_are_none_are_told_once_each);
	tcase_add_loop_test(tc, what_is_not_as_it_seems_is_a_warning, 0,
	    (int)(sizeof(warnings) / sizeof(warnings[0])));
	tcase_add_test(tc, missing_file_is_an_error);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(make_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
