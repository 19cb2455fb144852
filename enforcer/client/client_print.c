#include "enforcer/client/client_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/diag.h"
#include "enforcer/client/client_yaml.h"

static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "-";
}

static long long
number_of(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static const char *
yes_no(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key)) ? "yes" : "no";
}

const char *
client_error_of(const json_t *answer)
{
	return json_string_value(json_object_get(answer, "error"));
}

void
client_make_plain(json_t *answer)
{
	struct buf text = {0};
	const char *key;
	json_t *item;
	size_t i;

	json_array_foreach(answer, i, item) client_make_plain(item);
	json_object_foreach(answer, key, item) client_make_plain(item);
	if (!json_is_string(answer))
		return;
	diag_add_plain(&text, str_from(json_string_value(answer)));
	if (text.len != 0 && json_string_set(answer, text.data) != 0)
		base_die("out of memory");
	buf_free(&text);
}

static void
add_json(struct buf *out, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	if (text == NULL)
		base_die("out of memory");
	buf_add_cstr(out, text);
	free(text);
}

void
client_print_value(const json_t *value, enum client_format format)
{
	struct buf out = {0};
	json_t *item;
	size_t i;

	if (format == CLIENT_FORMAT_YAML) {
		client_yaml_add(&out, value);
	} else if (json_is_array(value)) {
		buf_add_char(&out, '[');
		json_array_foreach(value, i, item)
		{
			buf_add_cstr(&out, i != 0 ? ",\n" : "\n");
			add_json(&out, item);
		}
		buf_add_cstr(&out, "]\n");
	} else {
		add_json(&out, value);
		buf_add_char(&out, '\n');
	}
	(void)fwrite(out.data, 1, out.len, stdout); /* it is asked at the end */
	buf_free(&out);
}

/* ---- status ---- */

/* What is kept of a cluster, kind by kind. */
static void
print_kinds(const json_t *kinds)
{
	size_t i;
	json_t *kind;

	json_array_foreach(kinds, i, kind)
	{
		const char *failure = text_of(kind, "failure");

		(void)printf("            %-29s %-9s %llu objects, %llu events%s%s\n",
		    text_of(kind, "name"), text_of(kind, "phase"),
		    (unsigned long long)number_of(kind, "objects"),
		    (unsigned long long)number_of(kind, "events"),
		    failure[0] != '\0' ? ": " : "", failure);
	}
}

static void
print_sources(const json_t *sources)
{
	size_t i, j;
	json_t *source, *error, *file;

	json_array_foreach(sources, i, source)
	{
		(void)printf("source:     %s %s since %s\n",
		    text_of(source, "directory"), text_of(source, "state"),
		    text_of(source, "since"));
		json_array_foreach(json_object_get(source, "errors"), j, error)
		{
			(void)printf("            %s\n", json_string_value(error));
		}
		print_kinds(json_object_get(source, "kinds"));
		json_array_foreach(json_object_get(source, "badFiles"), j, file)
		{
			(void)printf("bad file:   %s since %s; what it %s\n",
			    text_of(file, "file"), text_of(file, "since"),
			    json_is_true(json_object_get(file, "closed"))
				? "governs is closed"
				: "said before goes on");
		}
	}
}

static void
print_unfiltered(const json_t *bridges)
{
	size_t i;
	json_t *bridge;

	json_array_foreach(bridges, i, bridge)
	{
		(void)printf(
		    "unfiltered: IPv%lld of the bridge %s: its workloads reach each "
		    "other past policy\n",
		    number_of(bridge, "family"), text_of(bridge, "bridge"));
	}
}

static void
print_unrouted(const json_t *bridges)
{
	size_t i;
	json_t *bridge;

	json_array_foreach(bridges, i, bridge)
	{
		(void)printf("unrouted:   no route leads to the bridge %s: what its "
			     "workloads send is dropped as spoofed\n",
		    json_string_value(bridge));
	}
}

static void
print_elements(const json_t *elements)
{
	const char *name;
	json_t *count;

	json_object_foreach((json_t *)(uintptr_t)elements, name, count)
	{
		(void)printf("            %-20s %lld\n", name,
		    (long long)json_integer_value(count));
	}
}

static void
print_names(const json_t *names)
{
	const json_t *resolver = json_object_get(names, "resolver");

	if (names == NULL)
		return;
	(void)printf("names:      %lld addresses known, %lld learnt, %lld forgotten, "
		     "%lld refused\n",
	    number_of(names, "known"), number_of(names, "learnt"),
	    number_of(names, "forgotten"), number_of(names, "full"));
	if (resolver != NULL)
		(void)printf("resolver:   connected %s, %lld queries, %lld answered, "
			     "%lld late, %lld failed, %lld over share\n",
		    yes_no(resolver, "connected"), number_of(resolver, "queries"),
		    number_of(resolver, "answered"), number_of(resolver, "late"),
		    number_of(resolver, "failed"), number_of(resolver, "over"));
	else
		(void)printf("dns:        reading %s, %lld questions, %lld answers, "
			     "%lld lost\n",
		    yes_no(names, "reading"), number_of(names, "questions"),
		    number_of(names, "answers"), number_of(names, "lost"));
}

static void
print_kernel(const json_t *root)
{
	const json_t *kernel = json_object_get(root, "kernel");
	const json_t *connections = json_object_get(root, "connections");
	json_t *rule;
	size_t i;
	const json_t *flows = json_object_get(root, "flows");
	const json_t *audit = json_object_get(root, "audit");

	(void)printf("kernel:     connected %s, table owned %s, verified %s, last "
		     "commit %s (%lld us, "
		     "%lld operations)\n",
	    yes_no(kernel, "connected"), yes_no(kernel, "owned"),
	    yes_no(kernel, "verified"), text_of(kernel, "lastApply"),
	    number_of(kernel, "lastApplyMicroseconds"),
	    number_of(kernel, "lastApplyOperations"));
	(void)printf("healed:     %lld times, last %s\n", number_of(kernel, "heals"),
	    text_of(kernel, "lastHeal"));
	if (json_is_false(json_object_get(kernel, "limitsRates")))
		(void)printf("limits:     NOT ENFORCED per second: the kernel has no "
			     "\"limit\" (nft_limit)\n");
	if (json_is_false(json_object_get(kernel, "limitsConnections")))
		(void)printf("limits:     NOT ENFORCED of open connections: the kernel "
			     "has no \"ct count\" (nft_connlimit)\n");
	if (json_is_false(json_object_get(kernel, "translation")))
		(void)printf("routes:     NOTHING IS PUBLISHED, source addresses are "
			     "denied: the kernel lacks nft_nat, nft_masq, nft_hash or "
			     "nft_numgen\n");
	if (json_is_false(json_object_get(kernel, "steering")))
		(void)printf(
		    "routes:     NOTHING IS STEERED, what would be is denied: the "
		    "kernel lacks nft_fib, of Linux 5.19 or later\n");
	if (json_is_false(json_object_get(kernel, "sourceValidation")))
		(void)printf("sources:    not validated: a workload may take another's "
			     "address\n");
	if (strcmp(text_of(kernel, "refusal"), "") != 0)
		(void)printf("refused:    %s\n", text_of(kernel, "refusal"));
	(void)printf("cut:        %lld connections of %lld, %lld kept, %lld adopted\n",
	    number_of(connections, "cut"), number_of(connections, "listed"),
	    number_of(connections, "kept"), number_of(connections, "adopted"));
	if (number_of(root, "auditPolicies") != 0)
		(void)printf(
		    "watched:    %lld policies, which deny nothing (enforcement: "
		    "audit)\n",
		    number_of(root, "auditPolicies"));
	json_array_foreach(json_object_get(root, "audited"), i, rule)
	{
		(void)printf("would deny: %lld connections by %s\n",
		    number_of(rule, "connections"), text_of(rule, "rule"));
	}
	(void)printf("flows:      reading %s, %lld packets, %lld lost, %lld records, "
		     "%lld not written\n",
	    yes_no(flows, "reading"), number_of(flows, "packets"),
	    number_of(flows, "lost"), number_of(flows, "records"),
	    number_of(flows, "unwritten"));
	print_names(json_object_get(root, "names"));
	if (audit != NULL)
		(void)printf("audit:      writable %s, %lld lines, %lld lost\n",
		    yes_no(audit, "writable"), number_of(audit, "lines"),
		    number_of(audit, "lost"));
}

static void
print_way(const json_t *way, const char *family, const char *name)
{
	const json_t *now = json_object_get(way, family);

	if (strcmp(text_of(now, "state"), "unused") != 0)
		(void)printf("%s %s%s%s", name, text_of(now, "state"),
		    json_object_get(now, "by") != NULL ? " by " : "",
		    json_object_get(now, "by") != NULL ? text_of(now, "by") : "");
}

static void
print_ways(const json_t *root)
{
	size_t i;
	json_t *item;

	json_array_foreach(json_object_get(root, "ways"), i, item)
	{
		(void)printf("%s", text_of(item, "way"));
		print_way(item, "ipv4", "; IPv4");
		print_way(item, "ipv6", "; IPv6");
		(void)printf("\n");
	}
	json_array_foreach(json_object_get(root, "gateways"), i, item)
	{
		(void)printf("gateway:    %s %s %s\n", text_of(item, "node"),
		    text_of(item, "address"),
		    json_is_true(json_object_get(item, "up")) ? "up" : "down");
	}
}

static void
print_roles(const json_t *roles)
{
	size_t i;
	json_t *role;

	json_array_foreach(roles, i, role)
	{
		(void)printf("%s%s %lld (%lld restarts)",
		    i == 0 ? "processes:  " : ", ", text_of(role, "name"),
		    number_of(role, "pid"), number_of(role, "restarts"));
	}
	(void)printf("\n");
}

bool
client_status_in_force(const json_t *root)
{
	return number_of(root, "generation") > 0;
}

void
client_print_status(const json_t *root)
{
	(void)printf("node:       %s (ringfence %s)\nstate:      %s%s\n",
	    text_of(root, "node"), text_of(root, "version"), text_of(root, "state"),
	    json_is_true(json_object_get(root, "pending"))
		? ", and a change is on its way"
		: "");
	if (number_of(root, "configErrors") > 0)
		(void)printf(
		    "config:     %lld errors (see the log): the former goes on\n",
		    number_of(root, "configErrors"));
	if (client_status_in_force(root)) {
		(void)printf("generation: %lld since %s\n",
		    number_of(root, "generation"), text_of(root, "since"));
		(void)printf("program:    %lld of %lld workloads, %lld policies, "
			     "%lld routes, %lld rules\n",
		    number_of(root, "localWorkloads"), number_of(root, "workloads"),
		    number_of(root, "policies"), number_of(root, "routes"),
		    number_of(root, "rules"));
		if (json_is_false(json_object_get(root, "nodeKnown")))
			(void)printf(
			    "warning:    all workloads are of other nodes, and no "
			    "document speaks of this one: is its name right?\n");
		print_elements(json_object_get(root, "elements"));
	}
	print_unfiltered(json_object_get(root, "unfiltered"));
	print_unrouted(json_object_get(root, "unrouted"));
	print_sources(json_object_get(root, "sources"));
	print_kernel(root);
	print_ways(root);
	print_roles(json_object_get(root, "roles"));
}

/* ---- rules ---- */

void
client_print_rules(const json_t *root)
{
	json_t *rule;
	size_t i;

	(void)printf("%12s %14s  %-5s %-10s %s\n", "PACKETS", "BYTES", "VERDICT",
	    "NUMBER", "RULE");
	json_array_foreach(root, i, rule)
	{
		(void)printf("%12lld %14lld  %-7s %-10lld %s\n",
		    number_of(rule, "packets"), number_of(rule, "bytes"),
		    text_of(rule, "action"), number_of(rule, "number"),
		    text_of(rule, "comment"));
	}
}

/* ---- diff ---- */

static bool
rules_differ(const json_t *root)
{
	return strcmp(text_of(root, "rules"), "different") == 0;
}

bool
client_diff_found(const json_t *root)
{
	return number_of(root, "count") != 0 || rules_differ(root);
}

void
client_print_diff(const json_t *root)
{
	long long count = number_of(root, "count");
	json_t *difference;
	size_t i, named = 0;

	json_array_foreach(json_object_get(root, "differences"), i, difference)
	{
		(void)printf("%-9s  %s\n", text_of(difference, "what"),
		    text_of(difference, "meaning"));
		named++;
	}
	if (count > (long long)named)
		(void)printf("and %lld more\n", count - (long long)named);
	if (rules_differ(root))
		(void)printf("rules of chains were changed by others\n");
	if (!client_diff_found(root))
		(void)printf("the kernel's table is as it should be\n");
}

/* ---- trace ---- */

void
client_print_trace(const json_t *root)
{
	json_t *step;
	size_t i;

	if (json_array_size(json_object_get(root, "steps")) == 0)
		(void)printf("nothing of policy is on its way\n");
	json_array_foreach(json_object_get(root, "steps"), i, step)
	{
		const char *rule = json_string_value(json_object_get(step, "rule"));

		(void)printf("%-16s %-8s %-16s %s\n", text_of(step, "chain"),
		    text_of(step, "verdict"),
		    json_object_get(step, "to") != NULL ? text_of(step, "to") : "",
		    rule != NULL ? rule : text_of(step, "meaning"));
	}
	(void)printf("%s\n", text_of(root, "verdict"));
}
