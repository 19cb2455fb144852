/*
 * What every fuzz target of the loader demands: nothing crashes, every diagnostic has a
 * place, the answer agrees with the count of errors, and the model is consistent even then.
 * And a mutator that knows lines, indentation and words, so that what it makes still gets
 * past the reader of YAML.
 */
#ifndef TESTS_FUZZ_LOAD_CHECK_H
#define TESTS_FUZZ_LOAD_CHECK_H

#include <stdlib.h>
#include <string.h>

#include "policy-lang/lint/lint.h"
#include "policy-lang/load/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(
    uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static void
check_rules(const struct model *m, const struct policy *p, const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct rule *r = &list->rules[i];

		require(r->policy == p && r->index == i);
		require(r->number >= NUMBER_FIRST_RULE && r->number <= INT32_MAX);
		require(r->phase != PHASE_ALLOW || r->action == ACTION_ALLOW);
		for (size_t j = 0; j < r->port_count; j++)
			require(r->ports[j].lo <= r->ports[j].hi);
		for (size_t j = 0; j < r->peer_count; j++) {
			const struct ns *subtree = r->peers[j].workloads.subtree;

			require(
			    subtree == NULL || model_ns(m, subtree->path) == subtree);
		}
	}
}

static void
check_policy(const struct model *m, const struct policy *p)
{
	require(model_ns(m, p->level->path) == p->level);
	require(p->subject.subtree != NULL && ns_within(p->subject.subtree, p->level));
	for (unsigned dir = 0; dir < DIRECTION_COUNT; dir++) {
		check_rules(m, p, &p->mandatory[dir]);
		check_rules(m, p, &p->allow[dir]);
		check_rules(m, p, &p->defaults[dir]);
		require(p->allow[dir].count == 0 || p->isolates[dir]);
		require(!p->isolates[dir] || p->isolate_number[dir] != 0);
	}
}

static void
check_model(const struct model *m)
{
	require(m->ns_count > 0 && m->namespaces[0] == m->root);
	for (size_t i = 0; i < m->ns_count; i++) {
		require(m->namespaces[i]->index == i);
		require((m->namespaces[i]->parent == NULL) == (i == 0));
	}
	for (size_t i = 0; i < m->workload_count; i++) {
		const struct workload *w = m->workloads[i];

		require(w->index == i && w->ns != NULL);
		require(w->kube == NULL || w->kube->ns == w->ns);
	}
	for (size_t i = 0; i < m->policy_count; i++)
		check_policy(m, m->policies[i]);
}

/* Loads the input, beside `context` (NULL: alone), of which it may use the names. */
static inline void
check_load(const char *context, const uint8_t *data, size_t size)
{
	struct source sources[] = {
	    {{"f.yaml", 6}, {(const char *)data, size}},
	    {{"context.yaml", 12}, str_from(context)},
	};
	struct bundle bundle = {sources, context != NULL ? 2 : 1};
	struct arena *arena = arena_new();
	struct diag_list diags;
	struct model *m = NULL;
	struct buf text = {0};
	size_t errors;
	bool ok;

	if (str_starts(sources[0].text, STR(SOURCE_NOT_READ))) {
		arena_free(arena);
		return; /* what no file says: why there is none, which has no line */
	}
	diag_list_init(&diags, arena);
	ok = model_load(arena, &bundle, NULL, &diags, &m);
	require(ok == (diags.errors == 0) && m != NULL);
	for (const struct diag *d = diags.first; d != NULL; d = d->next)
		require(d->loc.source != NULL && d->loc.line > 0);
	check_model(m);
	/* Of which some are errors: Routes that contradict each other. */
	if (ok)
		model_lint(m, &diags);
	errors = diags.errors;
	require(ok || errors != 0);
	lint_ignore(&bundle, ok, &diags);
	require(diags.errors == errors);
	diag_sort(&diags);
	diag_render(&text, &diags, DIAG_TEXT);
	buf_free(&text);
	arena_free(arena);
}

/* ---- the mutator ---- */

#define MUTATOR_LINES 4096

struct lines {
	struct str items[MUTATOR_LINES];
	size_t count;
};

static inline unsigned
mutator_roll(unsigned *state, size_t below)
{
	*state = *state * 1103515245u + 12345u;
	return (unsigned)((*state >> 8) % below);
}

static inline void
split_lines(struct str text, struct lines *out)
{
	out->count = 0;
	while (text.ptr != NULL && out->count < MUTATOR_LINES)
		out->items[out->count++] = str_split(&text, '\n');
}

/* The last word of a line becomes another. */
static inline void
add_with_word(struct buf *out, struct str line, struct str word)
{
	size_t at = line.len;

	while (at > 0 && line.ptr[at - 1] != ' ')
		at--;
	buf_add(out, line.ptr, at);
	buf_add_str(out, word);
}

static inline size_t
indentation(struct str line)
{
	size_t at = 0;

	while (at < line.len && line.ptr[at] == ' ')
		at++;
	return at;
}

/* One change: a line lost, doubled, moved, moved in or out, or with another word. */
static inline void
mutate_lines(struct buf *out, const struct lines *lines, const char *const *words,
    size_t word_count, unsigned *state)
{
	size_t at = mutator_roll(state, lines->count);
	size_t other = mutator_roll(state, lines->count);
	unsigned kind = mutator_roll(state, 7);

	for (size_t i = 0; i < lines->count; i++) {
		struct str line = lines->items[i];

		if (i > 0)
			buf_add_char(out, '\n');
		if (i != at || kind > 6) {
			buf_add_str(out, line);
			continue;
		}
		switch (kind) {
		case 0:
			break;
		case 1:
			buf_add_str(out, line);
			buf_add_char(out, '\n');
			buf_add_str(out, line);
			break;
		case 2:
			buf_add_str(out, lines->items[other]);
			break;
		case 3:
			buf_add_cstr(out, "  ");
			buf_add_str(out, line);
			break;
		case 4:
			buf_add_str(out,
			    str_slice(line, indentation(line) < 2 ? 0 : 2, line.len));
			break;
		case 5:
			add_with_word(out, line,
			    str_from(words[mutator_roll(state, word_count)]));
			break;
		default: /* what stands there, further in than its neighbour */
			buf_add(out, line.ptr, indentation(line));
			buf_add_str(out, str_slice(lines->items[other],
					     indentation(lines->items[other]),
					     lines->items[other].len));
			break;
		}
	}
}

static inline size_t
mutate_yaml(uint8_t *data, size_t size, size_t max_size, unsigned seed,
    const char *const *words, size_t word_count)
{
	static struct lines lines;
	unsigned state = seed;
	struct buf out = {0};
	size_t len;

	if (mutator_roll(&state, 4) == 0 || size == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	split_lines((struct str){(const char *)data, size}, &lines);
	mutate_lines(&out, &lines, words, word_count, &state);
	len = out.len < max_size ? out.len : max_size;
	if (len > 0)
		memcpy(data, out.data, len);
	buf_free(&out);
	return len;
}

/* A target of its own: what it stands beside, and words that its documents use. */
#ifdef RINGFENCE_FUZZING
#define LOAD_TARGET_MUTATOR(words)                                                     \
	size_t LLVMFuzzerCustomMutator(                                                \
	    uint8_t *data, size_t size, size_t max_size, unsigned int seed)            \
	{                                                                              \
		return mutate_yaml(                                                    \
		    data, size, max_size, seed, words, ARRAY_LEN(words));              \
	}
#else
#define LOAD_TARGET_MUTATOR(words)
#endif

#define LOAD_TARGET(context, words)                                                    \
	LOAD_TARGET_MUTATOR(words)                                                     \
	int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)                   \
	{                                                                              \
		(void)words; /* the mutator's, for fuzzing alone */                    \
		check_load(context, data, size);                                       \
		return 0;                                                              \
	}

/* A small tree for documents to refer to. */
#define LOAD_CONTEXT                                                                   \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Namespace\n"                        \
	"metadata: {name: /acme/shop, labels: {team: shop}}\n"                         \
	"spec: {kubernetes: {namespaces: [shop, shop-2]}, owners: [a]}\n"              \
	"---\napiVersion: v1\nkind: Namespace\n"                                       \
	"metadata: {name: shop, labels: {team: shop}}\n"                               \
	"---\napiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {zone: a}}\n"   \
	"status: {addresses: [{type: InternalIP, address: 10.9.0.1}]}\n"               \
	"---\napiVersion: v1\nkind: Pod\n"                                             \
	"metadata: {name: w1, namespace: shop, labels: {app: web}}\n"                  \
	"spec: {nodeName: n1, containers: [{name: c, ports: [{name: http, "            \
	"containerPort: 80}]}]}\nstatus: {podIPs: [{ip: 10.1.0.1}, {ip: fd00::1}]}\n"  \
	"---\napiVersion: ringfence.dev/v1alpha1\nkind: ExternalNetwork\n"             \
	"metadata: {name: cards, namespace: /acme}\n"                                  \
	"spec: {cidrs: [203.0.113.0/24]}\n"

#endif
