/*
 * Classification of requests, exactly as kube-apiserver does it
 * (k8s.io/apiserver/pkg/endpoints/request/requestinfo.go), because any difference is a way
 * around policy. What cannot be classified alike is refused before the upstream sees it.
 * Pure.
 */
#ifndef AUTHN_REQUESTINFO_H
#define AUTHN_REQUESTINFO_H

#include "common/arena.h"
#include "common/str.h"

struct request_info {
	bool is_resource;
	struct str path; /* decoded, as judged for non-resource requests */
	struct str
	    verb; /* get list watch create update patch delete deletecollection, or
			    the lower-cased method */
	struct str api_prefix; /* "api" or "apis" */
	struct str api_group;  /* "" for the core group */
	struct str api_version;
	struct str namespace;
	struct str resource;
	struct str subresource;
	struct str name;
	bool
	    is_discovery; /* /api, /apis, /version, /openapi, health: open to all signed in */
	bool
	    is_long_running; /* watch, or proxy, exec, attach, portforward, log follow */
	bool
	    is_upgrade_subresource; /* exec, attach, portforward, proxy: write, whatever the method */
	bool is_self_review; /* what may I, who am I: open to all signed in */
	bool
	    is_mutation; /* any verb but get, list, watch; upgrade subresources always */
};

enum request_problem {
	REQUEST_OK = 0,
	REQUEST_BAD_TARGET, /* not origin-form, control bytes, bad percent-encoding */
	REQUEST_AMBIGUOUS,  /* //, /./, /../, %2f, %00, ';' ... in /api or /apis: 400 */
	REQUEST_BAD_QUERY,
};

/* `target` is the raw origin-form request target with its query. Strings in *out_info
 * point into the arena or `target`. */
MUST_CHECK enum request_problem request_classify(struct arena *arena, struct str method,
    struct str target, struct request_info *out_info);
/* Fills the is_... members from the others, for a request that was not read from a target. */
void request_info_derive(struct request_info *info);
MUST_CHECK const char *request_problem_text(enum request_problem problem);

#endif
