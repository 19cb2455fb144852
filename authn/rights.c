#include "authn/rights.h"

#include "authn/exchange.h"

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

	if (v.allow && r->id != NULL && !exchange_in_scope(r->id, question, v.level))
		v = (struct access_verdict){.allow = false, .level = v.level};
	return v;
}

/*
 * Exec, attach, port-forward and proxy change things whatever the method is: a GET (how a
 * WebSocket begins) needs the right to `create` as well, as with the API server since 1.35.
 */
struct access_verdict
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

bool
rights_is_across(const struct request_info *info)
{
	return info->is_resource && info->namespace.len == 0 &&
	       info->subresource.len == 0 &&
	       (str_is(info->verb, "list") || str_is(info->verb, "watch"));
}

struct access_extent
rights_extent(
    const struct rights *r, const struct request_info *info, struct arena *scratch)
{
	const struct access_request question = rights_question(info);
	struct access_extent extent = access_extent(r->levels, &r->subject, &question,
	    ARENA_ARRAY(scratch, r->levels->count, uint8_t));
	bool somewhere = true, everywhere = true;

	if (r->id != NULL)
		exchange_scope_extent(r->id, &question, &somewhere, &everywhere);
	extent.somewhere = extent.somewhere && somewhere;
	extent.everywhere = extent.everywhere && everywhere;
	return extent;
}

struct access_verdict
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
