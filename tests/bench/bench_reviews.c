/*
 * What the webhook of policy takes for a review, among many policies, as one JSON object:
 *
 *     bench-reviews POLICIES ROUNDS
 *
 * Ten policies to a Kubernetes namespace, half of them NetworkPolicies; ten namespaces to a
 * tenant, with an ExternalNetwork. Times are medians, of the processor.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "authn/policy/policy_review.h"

#define PER_NAMESPACE 10u
#define PER_TENANT    10u

struct bench {
	struct arena *arena;
	struct bundle bundle;
	struct amend_base *base;
	unsigned policies, rounds;
	double *times;
};

static double
now(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
		base_die("no processor clock");
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
add(struct bench *b, const char *name, const char *text)
{
	b->bundle.sources[b->bundle.count++] =
	    (struct source){.name = str_from(name), .text = str_from(text)};
}

/* The spec of the policy of that number, which differs from what `round` makes of it else. */
static const char *
spec(struct bench *b, unsigned i, unsigned round)
{
	if (i % 2 == 0)
		return arena_printf(b->arena,
		    "{\"workloads\":{\"matchLabels\":{\"app\":\"a%u\"}},\"allow\":{"
		    "\"ingress\":[{\"from\":[{\"workloads\":{\"matchLabels\":{\"app\":"
		    "\"b%u\"}}}],\"ports\":[\"%u/tcp\"]}],\"egress\":[{\"to\":[{"
		    "\"external\":\"outside\"}],\"ports\":[\"443/tcp\"]}]}}",
		    i, i + 1, 1000 + round);
	return arena_printf(b->arena,
	    "{\"podSelector\":{\"matchLabels\":{\"app\":\"a%u\"}},\"policyTypes\":["
	    "\"Ingress\"],\"ingress\":[{\"from\":[{\"podSelector\":{\"matchLabels\":{"
	    "\"app\":\"b%u\"}}}],\"ports\":[{\"port\":%u}]}]}",
	    i, i + 1, 1000 + round);
}

static const char *
kind_of(unsigned i)
{
	return i % 2 == 0 ? "Policy" : "NetworkPolicy";
}

static const char *
document(struct bench *b, unsigned i, const char *suffix, const char *spec_text)
{
	return arena_printf(b->arena,
	    "{\"apiVersion\":\"%s\",\"kind\":\"%s\",\"metadata\":{\"name\":\"p%u%s\","
	    "\"namespace\":\"n%u\"},\"spec\":%s}",
	    i % 2 == 0 ? "ringfence.dev/v1alpha1" : "networking.k8s.io/v1", kind_of(i),
	    i, suffix, i / PER_NAMESPACE, spec_text);
}

static const char *
name_of(struct bench *b, unsigned i)
{
	return arena_printf(b->arena, "%s n%u/p%u", kind_of(i), i / PER_NAMESPACE, i);
}

static void
make_tree(struct bench *b)
{
	const unsigned namespaces = b->policies / PER_NAMESPACE + 1;
	const unsigned tenants = namespaces / PER_TENANT + 1;

	b->bundle.sources = ARENA_ARRAY(
	    b->arena, b->policies + namespaces + 2 * tenants, struct source);
	for (unsigned t = 0; t < tenants; t++) {
		struct buf placed = {0};

		for (unsigned n = 0; n < PER_TENANT; n++)
			buf_printf(&placed, "%s\"n%u\"", n != 0 ? "," : "",
			    t * PER_TENANT + n);
		add(b, arena_printf(b->arena, "Namespace t%u", t),
		    arena_printf(b->arena,
			"{\"apiVersion\":\"ringfence.dev/v1alpha1\",\"kind\":"
			"\"Namespace\",\"metadata\":{\"name\":\"t%u\"},\"spec\":{"
			"\"path\":\"/t%u\",\"owners\":[\"admins\"],\"kubernetes\":{"
			"\"namespaces\":[%s]}}}",
			t, t, placed.data));
		buf_free(&placed);
		add(b,
		    arena_printf(
			b->arena, "ExternalNetwork n%u/outside", t * PER_TENANT),
		    arena_printf(b->arena,
			"{\"apiVersion\":\"ringfence.dev/v1alpha1\",\"kind\":"
			"\"ExternalNetwork\",\"metadata\":{\"name\":\"outside\","
			"\"namespace\":\"n%u\"},\"spec\":{\"cidrs\":[\"203.0.113.0/"
			"24\"]}}",
			t * PER_TENANT));
	}
	for (unsigned n = 0; n < namespaces; n++)
		add(b, arena_printf(b->arena, "v1 Namespace n%u", n),
		    arena_printf(b->arena,
			"{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{"
			"\"name\":\"n%u\",\"labels\":{\"team\":\"t%u\"}}}",
			n, n / PER_TENANT));
	for (unsigned i = 0; i < b->policies; i++)
		add(b, name_of(b, i), document(b, i, "", spec(b, i, 0)));
}

static int
time_cmp(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
print(struct bench *b, const char *name, unsigned count)
{
	qsort(b->times, count, sizeof(*b->times), time_cmp);
	printf(", \"%s_us\": %.1f", name, b->times[count / 2] * 1e6);
}

/* Reviews of `operation` on policies all over; what comes out must be `wanted`. */
static void
review(struct bench *b, const char *name, const char *operation, bool there,
    const char *bad_spec, enum admission_result wanted)
{
	for (unsigned r = 0; r < b->rounds; r++) {
		const unsigned i = (r * 7919u % b->policies) / 2 * 2;
		const char *object = document(b, i, there ? "" : "new",
		    bad_spec != NULL ? bad_spec : spec(b, i, r + 1));
		const bool gone = strcmp(operation, "DELETE") == 0;
		struct policy_reviewed reviewed;
		struct buf out = {0};
		const char *body;
		double began;

		body = arena_printf(b->arena,
		    "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/"
		    "v1\",\"request\":{\"uid\":\"u\",\"resource\":{\"group\":"
		    "\"ringfence.dev\",\"version\":\"v1alpha1\",\"resource\":"
		    "\"policies\"},\"name\":\"p%u\",\"namespace\":\"n%u\","
		    "\"operation\":\"%s\",\"userInfo\":{\"username\":\"ann\","
		    "\"groups\":[\"admins\"]},\"object\":%s,\"oldObject\":%s}}",
		    i, i / PER_NAMESPACE, operation, gone ? "null" : object,
		    there ? document(b, i, "", spec(b, i, 0)) : "null");
		began = now();
		policy_review(b->base, str_from(body), &out, &reviewed);
		b->times[r] = now() - began;
		if (reviewed.result != wanted)
			base_die(arena_printf(b->arena, "%s: %s", name, out.data));
		buf_free(&out);
	}
	print(b, name, b->rounds);
}

/* What the watch brings: each policy in turn is another. */
static void
follow(struct bench *b)
{
	for (unsigned r = 0; r < b->rounds; r++) {
		const unsigned i = r * 7919u % b->policies;
		const struct source source = {str_from(name_of(b, i)),
		    str_from(document(b, i, "", spec(b, i, r)))};
		const double began = now();

		amend_base_put(b->base, &source);
		b->times[r] = now() - began;
	}
	print(b, "follow_change", b->rounds);
}

int
main(int argc, char **argv)
{
	struct bench b = {.arena = arena_new()};
	double began;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: bench-reviews POLICIES ROUNDS\n");
		return 2;
	}
	b.policies = (unsigned)strtoul(argv[1], NULL, 10);
	b.rounds = (unsigned)strtoul(argv[2], NULL, 10);
	if (b.policies < PER_NAMESPACE || b.rounds == 0)
		return 2;
	b.times = xcalloc(b.rounds, sizeof(*b.times));
	make_tree(&b);
	began = now();
	b.base = amend_base_new(&b.bundle);
	printf(
	    "{\"policies\": %u, \"load_us\": %.1f", b.policies, (now() - began) * 1e6);
	review(&b, "create", "CREATE", false, NULL, ADMISSION_ALLOWED);
	review(&b, "update", "UPDATE", true, NULL, ADMISSION_ALLOWED);
	review(&b, "refuse", "UPDATE", true,
	    "{\"allow\":{\"ingress\":[{\"ports\":[\"x y\"]}]}}", ADMISSION_DENIED);
	review(&b, "delete", "DELETE", true, NULL, ADMISSION_ALLOWED);
	follow(&b);
	printf("}\n");
	amend_base_free(b.base);
	free(b.times);
	arena_free(b.arena);
	return 0;
}
