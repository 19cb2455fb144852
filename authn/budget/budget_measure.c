/*
 * What one object comes to, as kube-apiserver's own quota evaluators reckon it: requests and
 * limits of a pod as its scheduler sees them (init containers one after the other, those that
 * stay running beside the rest), claims by their class.
 */
#include <stdio.h>
#include <string.h>

#include "authn/budget/budget_plan.h"
#include "authn/wire/json_text.h"
#include "policy-lang/model/quantity.h"

struct reading {
	const char *why; /* not NULL: something could not be read */
};

/* ---- JSON ---- */

static bool
text_is(const json_t *object, const char *key, const char *expected)
{
	return str_is(json_text_at(object, key), expected);
}

static uint64_t
quantity(struct reading *r, const json_t *value)
{
	struct str text = json_text(value);
	uint64_t milli = 0;
	char digits[24];

	if (value == NULL || json_is_null(value))
		return 0;
	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		(void)snprintf(digits, sizeof(digits), "%lld",
		    (long long)json_integer_value(value)); /* fits */
		text = str_from(digits);
	}
	if (!quantity_parse(text, &milli))
		r->why = "a quantity cannot be read";
	return milli;
}

static uint64_t
plus(struct reading *r, uint64_t a, uint64_t b)
{
	uint64_t sum;

	if (!__builtin_add_overflow(a, b, &sum))
		return sum;
	r->why = "a quantity is too large";
	return 0;
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* ---- pods ---- */

struct pod_question {
	const char *list; /* "requests", "limits" */
	struct str what;  /* "cpu" */
	const json_t *pod;
};

/* The entry of an object's `resources`; NULL if it says nothing. */
static const json_t *
resource_of(const json_t *holder, const struct pod_question *q)
{
	const json_t *list =
	    json_object_get(json_object_get(holder, "resources"), q->list);

	return json_object_getn(list, q->what.ptr, q->what.len);
}

/* What the kubelet has given a container, which after a resize may be more than is asked. */
static const json_t *
given_to(const struct pod_question *q, const char *list, struct str name)
{
	const json_t *all = json_object_get(json_object_get(q->pod, "status"), list);
	const json_t *status;
	size_t i;

	json_array_foreach(all, i, status)
	{
		if (str_eq(json_text(json_object_get(status, "name")), name))
			return resource_of(status, q);
	}
	return NULL;
}

static uint64_t
container(struct reading *r, const struct pod_question *q, const json_t *c, bool init)
{
	const struct str name = json_text(json_object_get(c, "name"));

	return larger(quantity(r, resource_of(c, q)),
	    quantity(
		r, given_to(
		       q, init ? "initContainerStatuses" : "containerStatuses", name)));
}

static uint64_t
pod_amount(struct reading *r, const struct pod_question *q)
{
	const json_t *spec = json_object_get(q->pod, "spec");
	const json_t *overhead = json_object_get(spec, "overhead");
	uint64_t sum = 0, beside = 0, init = 0, own;
	const json_t *c;
	size_t i;

	json_array_foreach(json_object_get(spec, "containers"), i, c)
	{
		sum = plus(r, sum, container(r, q, c, false));
	}
	json_array_foreach(json_object_get(spec, "initContainers"), i, c)
	{
		own = container(r, q, c, true);
		if (text_is(c, "restartPolicy", "Always")) {
			sum = plus(r, sum, own);
			beside = plus(r, beside, own);
			own = beside;
		} else {
			own = plus(r, own, beside);
		}
		init = larger(init, own);
	}
	sum = larger(sum, init);
	if (resource_of(spec, q) != NULL) /* of the pod as a whole */
		sum = larger(quantity(r, resource_of(spec, q)),
		    quantity(r, resource_of(json_object_get(q->pod, "status"), q)));
	if (sum == 0 && strcmp(q->list, "limits") == 0)
		return 0; /* without a limit there is none to add to */
	return plus(
	    r, sum, quantity(r, json_object_getn(overhead, q->what.ptr, q->what.len)));
}

static bool
pod_finished(const json_t *pod)
{
	const json_t *status = json_object_get(pod, "status");

	return text_is(status, "phase", "Succeeded") ||
	       text_is(status, "phase", "Failed");
}

/* ---- other kinds ---- */

static struct str
claim_class(const json_t *claim)
{
	const json_t *annotations =
	    json_object_get(json_object_get(claim, "metadata"), "annotations");
	const json_t *old =
	    json_object_get(annotations, "volume.beta.kubernetes.io/storage-class");

	if (json_is_string(old))
		return json_text(old);
	return json_text(
	    json_object_get(json_object_get(claim, "spec"), "storageClassName"));
}

static uint64_t
claim_storage(struct reading *r, const json_t *claim)
{
	const struct pod_question q = {.list = "requests", .what = STR("storage")};
	const json_t *allocated =
	    json_object_get(json_object_get(claim, "status"), "allocatedResources");

	return larger(quantity(r, resource_of(json_object_get(claim, "spec"), &q)),
	    quantity(r, json_object_get(allocated, "storage")));
}

static uint64_t
node_ports(const json_t *service)
{
	const json_t *spec = json_object_get(service, "spec");
	const json_t *ports = json_object_get(spec, "ports");
	const json_t *port;
	uint64_t count = 0;
	size_t i;

	if (text_is(spec, "type", "NodePort"))
		return json_array_size(ports);
	if (!text_is(spec, "type", "LoadBalancer"))
		return 0;
	if (!json_is_false(json_object_get(spec, "allocateLoadBalancerNodePorts")))
		return json_array_size(ports);
	json_array_foreach(ports, i, port)
	{
		count += json_integer_value(json_object_get(port, "nodePort")) != 0;
	}
	return count;
}

/* ---- all ---- */

static uint64_t
measure(struct reading *r, const struct budget_key *key, const json_t *o)
{
	const bool limit = key->measure == MEASURE_POD_LIMIT;
	const struct pod_question q = {
	    .list = limit ? "limits" : "requests", .what = key->what, .pod = o};
	const bool of_class = key->what.len == 0 || str_eq(claim_class(o), key->what);

	switch (key->measure) {
	case MEASURE_COUNT:
		return 1000;
	case MEASURE_POD:
		return pod_finished(o) ? 0 : 1000;
	case MEASURE_POD_REQUEST:
	case MEASURE_POD_LIMIT:
		return pod_finished(o) ? 0 : pod_amount(r, &q);
	case MEASURE_CLAIM:
		return of_class ? 1000 : 0;
	case MEASURE_CLAIM_STORAGE:
		return of_class ? claim_storage(r, o) : 0;
	case MEASURE_LOAD_BALANCER:
		return text_is(json_object_get(o, "spec"), "type", "LoadBalancer")
			   ? 1000
			   : 0;
	case MEASURE_NODE_PORT:
		return node_ports(o) * 1000;
	}
	return 0;
}

bool
budget_measure(const struct budget_plan *plan, size_t kind, const json_t *object,
    uint64_t *amounts, const char **out_why)
{
	struct reading r = {NULL};

	for (size_t i = 0; i < plan->key_count; i++)
		amounts[i] = plan->keys[i].kind == kind
				 ? measure(&r, &plan->keys[i], object)
				 : 0;
	*out_why = r.why;
	return r.why == NULL;
}

/* ---- what must be said ---- */

static bool
limited_at(const struct ns *level, struct str name)
{
	for (; level != NULL; level = level->parent) {
		for (size_t i = 0; i < level->quota_count; i++) {
			const struct quota *q = level->quotas[i];

			for (size_t k = 0; k < q->object_count; k++) {
				if (str_eq(q->objects[k].resource, name))
					return true;
			}
		}
	}
	return false;
}

static void
find_lacking(
    const struct pod_question *q, const char *list, struct str name, struct buf *out)
{
	const json_t *all = json_object_get(json_object_get(q->pod, "spec"), list);
	const json_t *c;
	size_t i;

	json_array_foreach(all, i, c)
	{
		if (resource_of(c, q) == NULL)
			buf_printf(out, "%s%.*s for %.*s", out->len == 0 ? "" : "; ",
			    STR_ARG(name),
			    STR_ARG(json_text(json_object_get(c, "name"))));
	}
}

bool
budget_pod_lacks(const struct budget_plan *plan, const struct ns *level,
    const json_t *pod, struct buf *out)
{
	const size_t before = out->len;

	for (size_t i = 0; i < plan->key_count; i++) {
		const struct budget_key *key = &plan->keys[i];
		const struct pod_question q = {
		    .list = key->measure == MEASURE_POD_LIMIT ? "limits" : "requests",
		    .what = key->what,
		    .pod = pod};

		if ((key->measure != MEASURE_POD_REQUEST &&
			key->measure != MEASURE_POD_LIMIT) ||
		    (!str_is(key->what, "cpu") && !str_is(key->what, "memory")) ||
		    resource_of(json_object_get(pod, "spec"), &q) != NULL ||
		    !limited_at(level, key->name))
			continue;
		find_lacking(&q, "containers", key->name, out);
		find_lacking(&q, "initContainers", key->name, out);
	}
	return out->len != before;
}
