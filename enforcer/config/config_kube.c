/*
 * A cluster as a source. A kubeconfig is judged with the configuration that names it; what is
 * in the files that it names may change while we run, and is read then.
 */
#include "enforcer/config/config_internal.h"
#include "policy-lang/load/load_names.h"

#define DEFAULT_NAME   "kubernetes" /* of a cluster that has none */
#define DEFAULT_SILENT 90           /* servers send a word a minute */
#define MOST_SILENT    3600

static void
read_cluster(
    struct config_reader *r, const struct doc_node *n, struct enforcer_source *out)
{
	if (name_is_subdomain(n->text)) {
		out->cluster = n->text;
		out->directory = arena_strndup(r->arena, n->text.ptr, n->text.len);
		return;
	}
	diag_error(r->diags, CONFIG_VALUE, n->loc, "a cluster's name must be %s",
	    NAME_SUBDOMAIN_RULE);
}

void
config_read_kubernetes(
    struct config_reader *r, const struct doc_node *n, struct enforcer_source *out)
{
	enum {
		KUBECONFIG,
		CONTEXT,
		CLUSTER,
		SILENT,
		REPORT,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [KUBECONFIG] = {"kubeconfig", TYPE_STRING, false, NULL},
	    [CONTEXT] = {"context", TYPE_STRING, false, NULL},
	    [CLUSTER] = {"cluster", TYPE_STRING, false, NULL},
	    [SILENT] = {"silentSeconds", TYPE_INT, false, NULL},
	    [REPORT] = {"reportSeconds", TYPE_INT, false, NULL},
	};
	static const struct schema schema = SCHEMA("kubernetes", fields);
	const struct doc_node *v[COUNT];
	int64_t seconds;
	bool ok;

	config_fields(r, &schema, n, v);
	out->kubernetes = true;
	out->directory = DEFAULT_NAME;
	out->silent_s = DEFAULT_SILENT;
	if (v[CLUSTER] != NULL)
		read_cluster(r, v[CLUSTER], out);
	if (v[SILENT] != NULL &&
	    schema_int(r->diags, v[SILENT], "silentSeconds", 1, MOST_SILENT, &seconds))
		out->silent_s = (unsigned)seconds;
	if (v[REPORT] != NULL &&
	    schema_int(r->diags, v[REPORT], "reportSeconds", 0, MOST_SILENT, &seconds))
		out->report_s = (unsigned)seconds;
	if (v[CONTEXT] != NULL)
		out->place.context = v[CONTEXT]->text;
	if (v[KUBECONFIG] != NULL) {
		out->place.kubeconfig = config_path(r, v[KUBECONFIG]);
		ok = kube_access_check(r->arena, &out->place, r->diags);
		(void)ok; /* it has been told */
	} else if (v[CONTEXT] != NULL) {
		diag_error(r->diags, CONFIG_VALUE, v[CONTEXT]->loc,
		    "\"context\" is one of a \"kubeconfig\"");
	}
}
