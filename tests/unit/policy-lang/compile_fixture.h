/*
 * Documents as text -> the program of a node, and what is in it, for tests of the compiler.
 */
#ifndef TESTS_COMPILE_FIXTURE_H
#define TESTS_COMPILE_FIXTURE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "load_fixture.h"
#include "policy-lang/compile/compile.h"
#include "table_sim.h"

struct compiled {
	struct loaded *l;
	struct table_content content;
	unsigned warned_before; /* when it was loaded */
};

/* The program of one node, which a kernel could take. `model` may be NULL. */
static inline struct compiled *
compile_options_of(const struct model_options *model, const struct compile_options *o,
    const char *text)
{
	struct loaded *l = load_ok_with(model, text);
	struct compiled *c = ARENA_NEW(l->arena, struct compiled);
	char why[128] = "";

	c->l = l;
	c->warned_before = l->diags.warnings;
	ck_assert(compile_node(l->arena, l->m, o, &l->diags, &c->content));
	ck_assert_msg(!sim_insane(&c->content, why, sizeof(why)), "%s", why);
	return c;
}

/* For node n1. */
static inline struct compiled *
compiled(const char *text)
{
	return compile_options_of(NULL,
	    &(struct compile_options){.node = STR("n1"), .settings = {.log_group = 5}},
	    text);
}

static inline void
compiled_free(struct compiled *c)
{
	loaded_free(c->l);
}

static inline size_t
total(const struct table_content *content)
{
	size_t sum = 0;

	for (size_t i = 0; i < SET_COUNT; i++)
		sum += content->element_count[i];
	return sum;
}

static inline struct ip_addr
address(const char *text)
{
	struct ip_addr addr;

	ck_assert(ip_parse(str_from(text), &addr));
	return addr;
}

/* The element of a set with that class, address, protocol and first port; NULL. */
static inline const struct table_element *
find(const struct compiled *c, enum table_set_id set, uint32_t class_id,
    const char *addr, uint8_t proto, uint16_t port)
{
	struct table_element key = {
	    .class_id = class_id, .proto = proto, .port_lo = port};
	struct ip_addr bytes;

	if (addr != NULL) {
		bytes = address(addr);
		memcpy(key.addr, bytes.bytes, ip_bytes(bytes.family));
	}
	for (size_t i = 0; i < c->content.element_count[set]; i++) {
		if (table_element_cmp(&c->content.elements[set][i], &key) == 0)
			return &c->content.elements[set][i];
	}
	return NULL;
}

/* The same of one that is there. */
static inline const struct table_element *
element(const struct compiled *c, enum table_set_id set, uint32_t class_id,
    const char *addr, uint8_t proto, uint16_t port)
{
	const struct table_element *e = find(c, set, class_id, addr, proto, port);

	if (e == NULL)
		ck_abort_msg("nothing in %s for class %u, %s, %u:%u",
		    table_sets[set].name, class_id, addr != NULL ? addr : "-", proto,
		    port);
	return e;
}

static inline uint32_t
value(const struct compiled *c, enum table_set_id set, uint32_t class_id,
    const char *addr, uint8_t proto, uint16_t port)
{
	return element(c, set, class_id, addr, proto, port)->value;
}

/* The chain of a rule, which is there. */
static inline const struct table_rule_chain *
chain_of(const struct compiled *c, uint32_t number)
{
	for (size_t i = 0; i < c->content.rule_chain_count; i++) {
		if (c->content.rule_chains[i].number == number)
			return &c->content.rule_chains[i];
	}
	ck_abort_msg("no chain %u", number);
	return NULL;
}

static inline const struct policy *
policy(const struct compiled *c, const char *name)
{
	for (size_t i = 0; i < c->l->m->policy_count; i++) {
		if (str_is(c->l->m->policies[i]->name, name))
			return c->l->m->policies[i];
	}
	ck_abort_msg("no policy %s", name);
	return NULL;
}

#define POD(name, node, ip, label)                                                     \
	"---\n{apiVersion: v1, kind: Pod, metadata: {name: " name                      \
	", namespace: shop, labels: {app: " label "}}, spec: {nodeName: " node         \
	", containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}, "       \
	"status: {podIP: \"" ip "\"}}\n"
#define NETPOL(name, spec)                                                             \
	"---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: "      \
	"{name: " name ", namespace: shop}, spec: {" spec "}}\n"
#define NATIVE(name, path, spec)                                                       \
	"---\n{apiVersion: ringfence.dev/v1alpha1, kind: Policy, metadata: "           \
	"{name: " name ", namespace: " path "}, spec: {" spec "}}\n"

#define PODS                                                                           \
	POD("web", "n1", "10.1.0.1", "web")                                            \
	POD("lb", "n2", "10.1.0.2", "lb")                                              \
	POD("db", "n2", "10.1.0.3", "db")
#define WEB_FROM_LB                                                                    \
	NETPOL("web", "podSelector: {matchLabels: {app: web}}, "                       \
		      "ingress: [{from: [{podSelector: {matchLabels: {app: lb}}}], "   \
		      "ports: [{port: 443}]}]")

#endif
