/*
 * gate.yaml's "state".
 */
#include "authn/config/config_internal.h"

bool
gate_etcd_endpoint(struct str url, struct str *out_host, uint16_t *out_port)
{
	const struct str scheme = STR(HTTPS);

	return str_starts(url, scheme) && str_find(url, '/', scheme.len) == url.len &&
	       config_authority(
		   str_slice(url, scheme.len, url.len), out_host, out_port);
}

static void
check_endpoints(struct reader *r, const struct doc_node *list)
{
	const struct gate_etcd *e = &r->config->etcd;

	for (size_t i = 0; i < e->endpoint_count; i++) {
		struct str host;
		uint16_t port;

		if (!gate_etcd_endpoint(e->endpoints[i], &host, &port))
			diag_error(r->diags, CODE_VALUE, list->u.items[i]->loc,
			    "\"%.*s\" is no member of etcd: write https://HOST:PORT",
			    STR_ARG(e->endpoints[i]));
	}
	if (e->endpoint_count == 0)
		diag_error(r->diags, CODE_VALUE, list->loc,
		    "\"etcd.endpoints\" names no member");
}

static void
read_etcd(struct reader *r, const struct doc_node *n)
{
	enum {
		ENDPOINTS,
		CA,
		CERTIFICATE,
		KEY,
		USER,
		PASSWORD,
		PREFIX,
		KEEP,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [ENDPOINTS] = {"endpoints", TYPE_LIST, true, NULL},
	    [CA] = {"ca", TYPE_STRING, true, NULL},
	    [CERTIFICATE] = {"certificate", TYPE_STRING, false, NULL},
	    [KEY] = {"key", TYPE_STRING, false, NULL},
	    [USER] = {"user", TYPE_STRING, false, NULL},
	    [PASSWORD] = {"passwordFile", TYPE_STRING, false, NULL},
	    [PREFIX] = {"prefix", TYPE_STRING, false, NULL},
	    [KEEP] = {"keepSeconds", TYPE_INT, false, NULL},
	};
	static const struct schema schema = SCHEMA("state.etcd", fields);
	struct gate_etcd *e = &r->config->etcd;
	const struct doc_node *v[COUNT];
	int64_t keep_s = 10;

	read_fields(r, &schema, n, v);
	r->config->has_etcd = true;
	e->prefix = STR("/ringfence/");
	if (v[ENDPOINTS] != NULL &&
	    read_string_list(
		r, v[ENDPOINTS], "a member of etcd", &e->endpoints, &e->endpoint_count))
		check_endpoints(r, v[ENDPOINTS]);
	optional_path(r, v[CA], &e->ca);
	optional_path(r, v[CERTIFICATE], &e->certificate);
	optional_path(r, v[KEY], &e->key);
	optional_path(r, v[PASSWORD], &e->password_file);
	if ((v[CERTIFICATE] == NULL) != (v[KEY] == NULL))
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"certificate\" and \"key\" go together");
	if ((v[USER] == NULL) != (v[PASSWORD] == NULL))
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"user\" and \"passwordFile\" go together");
	if (v[USER] != NULL)
		e->user = v[USER]->text;
	if (v[PREFIX] != NULL)
		e->prefix = v[PREFIX]->text;
	if (e->prefix.len == 0 || e->prefix.ptr[e->prefix.len - 1] != '/')
		diag_error(r->diags, CODE_VALUE, v[PREFIX]->loc,
		    "\"prefix\" ends with a slash");
	if (v[KEEP] != NULL &&
	    !schema_int(r->diags, v[KEEP], "keepSeconds", 3, 3600, &keep_s))
		return;
	e->keep_ms = (uint32_t)keep_s * 1000;
}

void
config_read_state(struct reader *r, const struct doc_node *n)
{
	enum {
		DIRECTORY,
		ETCD,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [DIRECTORY] = {"directory", TYPE_STRING, false, NULL},
	    [ETCD] = {"etcd", TYPE_MAP, false, NULL},
	};
	static const struct schema schema = SCHEMA("state", fields);
	const struct doc_node *v[COUNT];

	read_fields(r, &schema, n, v);
	optional_path(r, v[DIRECTORY], &r->config->state_directory);
	if (v[ETCD] != NULL)
		read_etcd(r, v[ETCD]);
}
