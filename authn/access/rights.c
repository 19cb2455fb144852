#include "authn/access/rights.h"

#include "authn/auth/service_account.h"
#include "authn/proxy/exchange.h"

struct access_request
rights_question(const struct request_info *info)
{
	return (struct access_request){
	    .is_resource = info->is_resource,
	    .verb = info->verb,
	    .api_group = info->api_group,
	    .resource = info->resource,
	    .subresource = info->subresource,
	    .name = info->name,
	    .namespace = info->namespace,
	    .path = info->path,
	};
}

struct access_verdict
rights_ask(const struct rights *r, const struct access_request *question)
{
	struct access_verdict v =
	    access_decide(r->model, &r->subject, question, STR(""));

	if (v.allow &&
	    (!service_account_at_home(r->subject.user, r->id, question, v.level) ||
		(r->id != NULL && !exchange_in_scope(r->id, question, v.level))))
		v = (struct access_verdict){.allow = false, .level = v.level};
	return v;
}

/*
 * Exec, attach, port-forward and proxy change things whatever the method is: a GET (how a
 * WebSocket begins) needs the right to `create` as well, as with the API server since 1.35.
 */
static struct access_verdict
rights_judge(const struct rights *r, const struct request_info *info,
    struct access_request *out_question)
{
	struct access_verdict v;

	*out_question = rights_question(info);
	if (info->is_discovery || info->is_self_review)
		return (struct access_verdict){.allow = true, .level = r->model->root};
	v = rights_ask(r, out_question);
	if (v.allow && info->is_upgrade_subresource &&
	    str_is(out_question->verb, "get")) {
		out_question->verb = STR("create");
		v = rights_ask(r, out_question);
	}
	return v;
}

/*
 * Kinds of Kubernetes' own whose objects are in no namespace: a list of them is a list at
 * the cluster scope, and judged at / alone. Of kinds that are not here the first object of the
 * answer tells.
 */
static const struct {
	const char *group, *resource;
} cluster_kinds[] = {
    {"", "componentstatuses"},
    {"", "nodes"},
    {"", "persistentvolumes"},
    {"admissionregistration.k8s.io", "mutatingadmissionpolicies"},
    {"admissionregistration.k8s.io", "mutatingadmissionpolicybindings"},
    {"admissionregistration.k8s.io", "mutatingwebhookconfigurations"},
    {"admissionregistration.k8s.io", "validatingadmissionpolicies"},
    {"admissionregistration.k8s.io", "validatingadmissionpolicybindings"},
    {"admissionregistration.k8s.io", "validatingwebhookconfigurations"},
    {"apiextensions.k8s.io", "customresourcedefinitions"},
    {"apiregistration.k8s.io", "apiservices"},
    {"certificates.k8s.io", "certificatesigningrequests"},
    {"certificates.k8s.io", "clustertrustbundles"},
    {"flowcontrol.apiserver.k8s.io", "flowschemas"},
    {"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"},
    {"internal.apiserver.k8s.io", "storageversions"},
    {"metrics.k8s.io", "nodes"},
    {"networking.k8s.io", "ingressclasses"},
    {"networking.k8s.io", "ipaddresses"},
    {"networking.k8s.io", "servicecidrs"},
    {"node.k8s.io", "runtimeclasses"},
    {"policy.networking.k8s.io", "adminnetworkpolicies"},
    {"policy.networking.k8s.io", "baselineadminnetworkpolicies"},
    {"policy.networking.k8s.io", "clusternetworkpolicies"},
    {"rbac.authorization.k8s.io", "clusterrolebindings"},
    {"rbac.authorization.k8s.io", "clusterroles"},
    {"resource.k8s.io", "deviceclasses"},
    {"resource.k8s.io", "resourceslices"},
    {"scheduling.k8s.io", "priorityclasses"},
    {"storage.k8s.io", "csidrivers"},
    {"storage.k8s.io", "csinodes"},
    {"storage.k8s.io", "storageclasses"},
    {"storage.k8s.io", "volumeattachments"},
    {"storage.k8s.io", "volumeattributesclasses"},
};

static bool
is_cluster_kind(const struct request_info *info)
{
	for (size_t i = 0; i < ARRAY_LEN(cluster_kinds); i++) {
		if (str_is(info->api_group, cluster_kinds[i].group) &&
		    str_is(info->resource, cluster_kinds[i].resource))
			return true;
	}
	return false;
}

/* A list or watch that is not limited to one namespace. */
static bool
rights_is_across(const struct request_info *info)
{
	return info->is_resource && !is_cluster_kind(info) &&
	       info->namespace.len == 0 && info->subresource.len == 0 &&
	       (str_is(info->verb, "list") || str_is(info->verb, "watch"));
}

struct access_extent
rights_extent(
    const struct rights *r, const struct request_info *info, struct arena *scratch)
{
	const struct access_request question = rights_question(info);
	struct access_extent extent = access_extent(r->levels, &r->subject, &question,
	    ARENA_ARRAY(scratch, r->levels->count, uint8_t));
	const struct str service = service_account_path(r->subject.user);
	bool somewhere = true, everywhere = true;

	if (r->id != NULL)
		exchange_scope_extent(r->id, &question, &somewhere, &everywhere);
	if (service.len != 0) { /* each namespace is judged for itself */
		everywhere = false;
		somewhere = somewhere &&
			    (r->id == NULL ||
				service_node_owned(r->model, service_path_node(service),
				    r->id->maker_groups, r->id->maker_group_count));
	}
	extent.somewhere = extent.somewhere && somewhere;
	extent.everywhere = extent.everywhere && everywhere;
	return extent;
}

/* ... and what it comes to: allowed where it would show something. */
static struct access_verdict
rights_judge_across(const struct rights *r, const struct request_info *info,
    const struct access_extent *extent, struct access_request *out_question)
{
	*out_question = rights_question(info);
	if (extent->somewhere && !extent->everywhere)
		return (struct access_verdict){.allow = true, .level = r->model->root};
	return rights_ask(r, out_question);
}

struct access_verdict
rights_decide(const struct rights *r, const struct request_info *info,
    struct arena *scratch, struct access_request *out_question,
    struct access_extent *out_extent)
{
	*out_extent = (struct access_extent){.somewhere = true, .everywhere = true};
	if (!rights_is_across(info))
		return rights_judge(r, info, out_question);
	*out_extent = rights_extent(r, info, scratch);
	return rights_judge_across(r, info, out_extent, out_question);
}
