/*
 * gate.yaml, read and checked. Relative paths are relative to the file that names them.
 * Files named here are read by the monitor, before roles are confined.
 */
#ifndef AUTHN_CONFIG_H
#define AUTHN_CONFIG_H

#include "common/diag.h"

struct gate_listen {
	struct str host; /* numeric, or "" for all */
	uint16_t port;
};

enum gate_identity_mode {
	IDENTITY_FRONT_PROXY,
	IDENTITY_IMPERSONATE
};

struct gate_upstream {
	struct str host; /* name or address, without brackets */
	uint16_t port;
	struct str url; /* as written, for messages */
};

enum ldap_nested {
	LDAP_NESTED_NONE,
	LDAP_NESTED_WALK,
	LDAP_NESTED_AD,           /* by the server's matching rule */
	LDAP_NESTED_TOKEN_GROUPS, /* by Active Directory's computed attribute */
	LDAP_NESTED_COUNT
};

struct gate_ldap {
	const struct str *servers; /* ldaps://..., ldap://..., or with +srv, a domain */
	size_t server_count;
	bool start_tls;     /* on ldap:// */
	bool insecure;      /* allows clear text */
	const char *ca;     /* path or NULL */
	struct str bind_dn; /* "": users are found by their own right (user_bind_as) */
	const char *bind_password_file;
	struct str user_base, user_filter, user_name_attr; /* filter: one {} */
	struct str user_bind_as; /* "": by the DN that was found; else it has one {} */
	struct str group_base, group_filter, group_name_attr;
	bool group_by_name; /* {} of the groups' filter is the user's name, not DN */
	struct str
	    group_member_of; /* attribute of the user's entry; "": search groups */
	enum ldap_nested nested;
	uint32_t timeout_ms;        /* one operation; default 5,000 */
	uint32_t login_timeout_ms;  /* a whole login; default 10,000 */
	struct str password_policy; /* DN of OpenLDAP's default policy; "": unknown */
	uint64_t check_interval_s;  /* between two looks at an account; default 60 */
	uint64_t check_grace_s;     /* tokens go on so long unchecked; default 12 h */
	/* The directory locks an account after so many failures within so long; 0: unknown. */
	uint32_t lockout_attempts;
	uint64_t lockout_window_s;
};

/* What several replicas share. */
struct gate_etcd {
	const struct str *endpoints; /* https://HOST:PORT */
	size_t endpoint_count;
	const char *ca, *certificate, *key; /* the last two may be NULL */
	struct str user;                    /* "": none */
	const char *password_file;
	struct str prefix; /* ends with '/'; default "/ringfence/" */
	uint32_t keep_ms;  /* how long a replica goes on without; default 10,000 */
};

/* The host, without brackets, and port of one of the endpoints; false if it is none. */
MUST_CHECK bool gate_etcd_endpoint(
    struct str url, struct str *out_host, uint16_t *out_port);

/* What keeps object budgets: a webhook, ResourceQuotas, or both. */
struct gate_admission {
	bool listens;
	struct gate_listen listen;
	const char *certificate, *key, *client_ca;
	const struct str *callers; /* common names; none: whom the CA signed */
	size_t caller_count;
	struct str lists_as; /* the user in whose name it lists and watches */
	struct str
	    writes_as;   /* the user in whose name it writes ResourceQuotas; "": none */
	uint32_t hold_s; /* default 90 */
	bool policy;     /* policy is judged, too */
	struct str
	    status_as; /* the user in whose name status is written; "": it is not */
	struct str lease_namespace; /* of the Lease of who does */
};

/* "ldaps+srv://example.org": its servers are in DNS. */
MUST_CHECK bool gate_ldap_by_dns(struct str url);
MUST_CHECK struct str gate_ldap_domain(struct str url);

struct gate_config {
	const char *path;
	const struct gate_listen *listen;
	size_t listen_count;
	const char *tls_certificate, *tls_key;
	const char *tls_client_ca, *tls_crl; /* may be NULL */
	/* Users by certificate are accounts of the directory; else whoever the CA signed. */
	bool certificate_accounts;
	const struct gate_upstream *upstreams;
	size_t upstream_count;
	const char *upstream_ca;
	uint32_t upstream_in_flight; /* at each server, of all workers; 0: no limit */
	enum gate_identity_mode identity;
	struct str
	    lists_as; /* whose name filtered lists are asked in; "": the user's own */
	const char *upstream_certificate, *upstream_key;
	bool has_ldap;
	struct gate_ldap ldap;
	bool has_admission;
	struct gate_admission admission;
	const char *const *policy_paths;
	size_t policy_count;
	const char *state_directory;
	bool has_etcd;
	struct gate_etcd etcd;
	const char *audit_directory;
	bool audit_required;
	const char *audit_policy; /* path or NULL */
	struct str audit_origin;  /* the name of the log */
	const char *control_socket;
	struct gate_listen metrics;
	bool has_metrics;
	struct str
	    user; /* system user of the roles; default "ringfence" when it exists,
			    else "nobody" */
	uint32_t workers;         /* default: cores */
	uint64_t login_ttl_s;     /* 12 h */
	uint64_t max_ttl_s;       /* 30 days */
	uint64_t idle_ttl_s;      /* unused so long, a token ends; default 0: never */
	uint32_t tokens_per_user; /* that can be used at a time; default 200 */
};

/* Reads one file. Errors are diagnostics; returns NULL if there was any. */
MUST_CHECK struct gate_config *gate_config_load(
    struct arena *arena, const char *path, struct diag_list *diags);

#endif
