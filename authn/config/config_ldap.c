/*
 * gate.yaml's "ldap".
 */
#include "authn/config/config_internal.h"

#define DAY_S 86400u

bool
gate_ldap_by_dns(struct str url)
{
	return str_starts(url, STR("ldaps+srv://")) ||
	       str_starts(url, STR("ldap+srv://"));
}

struct str
gate_ldap_domain(struct str url)
{
	size_t at = str_find(url, '/', 0) + 2;

	return str_slice(url, at, url.len);
}

static void
read_bind(struct reader *r, const struct doc_node *n)
{
	enum {
		DN,
		PASSWORD_FILE,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [DN] = {"dn", TYPE_STRING, true, NULL},
	    [PASSWORD_FILE] = {"passwordFile", TYPE_STRING, true, NULL},
	};
	static const struct schema schema = SCHEMA("ldap.bind", fields);
	const struct doc_node *v[COUNT];

	read_fields(r, &schema, n, v);
	if (v[DN] != NULL)
		r->config->ldap.bind_dn = v[DN]->text;
	optional_path(r, v[PASSWORD_FILE], &r->config->ldap.bind_password_file);
}

static unsigned
holes(struct str text)
{
	unsigned count = 0;

	for (size_t i = 0; i + 1 < text.len; i++)
		count += text.ptr[i] == '{' && text.ptr[i + 1] == '}';
	return count;
}

/* A filter names its value once, as {}; more or none is a mistake that would let
 * anybody be found. */
static void
check_filter(struct reader *r, const struct doc_node *n)
{
	if (holes(n->text) != 1 || n->text.ptr[0] != '(' ||
	    n->text.ptr[n->text.len - 1] != ')')
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "a filter is in parentheses and has {} once, where the name goes: "
		    "(uid={})");
}

static void
read_users(struct reader *r, const struct doc_node *n)
{
	enum {
		BASE,
		FILTER,
		NAME,
		BIND_AS,
		PASSWORD_POLICY,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [BASE] = {"base", TYPE_STRING, true, NULL},
	    [FILTER] = {"filter", TYPE_STRING, false, NULL},
	    [NAME] = {"name", TYPE_STRING, false, NULL},
	    [BIND_AS] = {"bindAs", TYPE_STRING, false, NULL},
	    [PASSWORD_POLICY] = {"passwordPolicy", TYPE_STRING, false, NULL},
	};
	static const struct schema schema = SCHEMA("ldap.users", fields);
	const struct doc_node *v[COUNT];
	struct gate_ldap *ldap = &r->config->ldap;

	read_fields(r, &schema, n, v);
	ldap->user_base = text_or(v[BASE], STR(""));
	ldap->user_filter = text_or(v[FILTER], STR("(uid={})"));
	ldap->user_name_attr = text_or(v[NAME], STR("uid"));
	ldap->user_bind_as = text_or(v[BIND_AS], STR(""));
	ldap->password_policy = text_or(v[PASSWORD_POLICY], STR(""));
	if (v[FILTER] != NULL)
		check_filter(r, v[FILTER]);
	if (v[BIND_AS] != NULL && holes(v[BIND_AS]->text) != 1)
		diag_error(r->diags, CODE_VALUE, v[BIND_AS]->loc,
		    "\"bindAs\" has {} once, where the name goes: "
		    "uid={},ou=people,dc=example,dc=org or {}@example.org");
}

/* Ways to find groups that exclude each other. */
static void
check_groups(
    struct reader *r, const struct doc_node *n, bool has_base, bool has_member_of)
{
	const struct gate_ldap *ldap = &r->config->ldap;
	const bool by_server =
	    ldap->nested == LDAP_NESTED_AD || ldap->nested == LDAP_NESTED_TOKEN_GROUPS;
	const char *problem = NULL;

	if (!has_base && !has_member_of)
		problem = "groups are found below a \"base\" or by a \"memberOf\" "
			  "attribute: give one";
	else if (by_server && (has_member_of || !has_base))
		problem = "\"nested: ad\" and \"tokenGroups\" find groups below a "
			  "\"base\", without \"memberOf\"";
	else if (ldap->group_by_name &&
		 (has_member_of || ldap->nested != LDAP_NESTED_NONE))
		problem = "groups that list names (\"by: name\") do not nest, and are "
			  "found by their \"filter\"";
	if (problem != NULL)
		diag_error(r->diags, CODE_VALUE, n->loc, "%s", problem);
}

static void
read_groups(struct reader *r, const struct doc_node *n)
{
	enum {
		BASE,
		FILTER,
		NAME,
		MEMBER_OF,
		NESTED,
		BY,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [BASE] = {"base", TYPE_STRING, false, NULL},
	    [FILTER] = {"filter", TYPE_STRING, false, NULL},
	    [NAME] = {"name", TYPE_STRING, false, NULL},
	    [MEMBER_OF] = {"memberOf", TYPE_STRING, false, NULL},
	    [NESTED] = {"nested", TYPE_STRING, false, NULL},
	    [BY] = {"by", TYPE_STRING, false, NULL},
	};
	static const struct schema schema = SCHEMA("ldap.groups", fields);
	static const char *const nested[] = {
	    [LDAP_NESTED_NONE] = "none",
	    [LDAP_NESTED_WALK] = "walk",
	    [LDAP_NESTED_AD] = "ad",
	    [LDAP_NESTED_TOKEN_GROUPS] = "tokenGroups",
	};
	static const char *const by[] = {"dn", "name"};
	const struct doc_node *v[COUNT];
	struct gate_ldap *ldap = &r->config->ldap;
	size_t how = LDAP_NESTED_NONE, by_name = 0;

	read_fields(r, &schema, n, v);
	ldap->group_base = text_or(v[BASE], STR(""));
	ldap->group_filter = text_or(v[FILTER], STR("(member={})"));
	ldap->group_name_attr = text_or(v[NAME], STR("cn"));
	ldap->group_member_of = text_or(v[MEMBER_OF], STR(""));
	if (v[FILTER] != NULL)
		check_filter(r, v[FILTER]);
	if (v[NESTED] != NULL &&
	    schema_enum(r->diags, v[NESTED], "nested", nested, ARRAY_LEN(nested), &how))
		ldap->nested = (enum ldap_nested)how;
	if (v[BY] != NULL &&
	    schema_enum(r->diags, v[BY], "by", by, ARRAY_LEN(by), &by_name))
		ldap->group_by_name = by_name == 1;
	check_groups(r, n, v[BASE] != NULL, v[MEMBER_OF] != NULL);
}

static bool
domain_ok(struct str domain)
{
	for (size_t i = 0; i < domain.len; i++) {
		char c = domain.ptr[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_')
			return false;
	}
	return domain.len != 0 && domain.len <= 253;
}

/* libldap would take several in one text, each of its own scheme. */
static bool
one_host_ok(struct str url)
{
	const struct str rest = gate_ldap_domain(url);
	const struct str authority = str_slice(rest, 0, str_find(rest, '/', 0));
	struct str host;
	uint16_t port;

	if (str_find(url, ' ', 0) < url.len || str_find(url, ',', 0) < url.len)
		return false;
	return authority.len == 0 || config_authority(authority, &host, &port);
}

static void
check_server(struct reader *r, struct str url, struct loc loc)
{
	const struct gate_ldap *ldap = &r->config->ldap;
	const bool by_dns = gate_ldap_by_dns(url);
	const bool is_plain =
	    str_starts(url, STR("ldap://")) || str_starts(url, STR("ldap+srv://"));

	if (by_dns && !domain_ok(gate_ldap_domain(url)))
		diag_error(r->diags, CODE_VALUE, loc,
		    "\"%.*s\" names no domain: write ldaps+srv://example.org",
		    STR_ARG(url));
	else if (!by_dns && !is_plain && !str_starts(url, STR("ldaps://")))
		diag_error(r->diags, CODE_VALUE, loc,
		    "a directory server is an ldaps:// or ldap:// URL, or one "
		    "with "
		    "+srv for those of a domain, not \"%.*s\"",
		    STR_ARG(url));
	else if (!by_dns && !one_host_ok(url))
		diag_error(r->diags, CODE_VALUE, loc,
		    "\"%.*s\" is no directory server: write ldaps://HOST:PORT, with "
		    "an IPv6 address in brackets",
		    STR_ARG(url));
	else if (is_plain && !ldap->start_tls && !ldap->insecure)
		diag_error(r->diags, CODE_VALUE, loc,
		    "%.*s would carry passwords in clear text: use ldaps://, "
		    "or "
		    "startTLS: true (insecure: true allows it for a test)",
		    STR_ARG(url));
}

static void
check_servers(struct reader *r, const struct doc_node *list)
{
	const struct gate_ldap *ldap = &r->config->ldap;

	for (size_t i = 0; i < ldap->server_count; i++)
		check_server(r, ldap->servers[i], list->u.items[i]->loc);
	if (ldap->server_count == 0)
		diag_error(r->diags, CODE_VALUE, list->loc,
		    "\"ldap.servers\" names no server");
}

static void
read_milliseconds(
    struct reader *r, const struct doc_node *n, const char *what, uint32_t *out_ms)
{
	int64_t seconds = 0;

	if (n != NULL && schema_int(r->diags, n, what, 1, 300, &seconds))
		*out_ms = (uint32_t)seconds * 1000;
}

static void
read_accounts(struct reader *r, const struct doc_node *n)
{
	enum {
		EVERY,
		GRACE,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [EVERY] = {"checkEvery", TYPE_STRING, false, NULL},
	    [GRACE] = {"grace", TYPE_STRING, false, NULL},
	};
	static const struct schema schema = SCHEMA("ldap.accounts", fields);
	const struct doc_node *v[COUNT];
	struct gate_ldap *ldap = &r->config->ldap;

	read_fields(r, &schema, n, v);
	if (v[EVERY] != NULL)
		read_duration(r, v[EVERY], &ldap->check_interval_s);
	if (v[GRACE] != NULL)
		read_duration(r, v[GRACE], &ldap->check_grace_s);
	if (ldap->check_interval_s > DAY_S || ldap->check_grace_s > 30ull * DAY_S)
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"checkEvery\" is at most 24h, \"grace\" at most 720h");
	else if (ldap->check_grace_s < 2 * ldap->check_interval_s)
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"grace\" is at least twice \"checkEvery\": a check may be late");
}

static void
read_lockout(struct reader *r, const struct doc_node *n)
{
	enum {
		ATTEMPTS,
		WINDOW,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [ATTEMPTS] = {"attempts", TYPE_INT, true, NULL},
	    [WINDOW] = {"window", TYPE_STRING, true, NULL},
	};
	static const struct schema schema = SCHEMA("ldap.lockout", fields);
	const struct doc_node *v[COUNT];
	struct gate_ldap *ldap = &r->config->ldap;
	int64_t attempts = 0;

	read_fields(r, &schema, n, v);
	if (v[ATTEMPTS] != NULL &&
	    schema_int(r->diags, v[ATTEMPTS], "attempts", 2, 1000, &attempts))
		ldap->lockout_attempts = (uint32_t)attempts;
	if (v[WINDOW] != NULL)
		read_duration(r, v[WINDOW], &ldap->lockout_window_s);
	if (ldap->lockout_window_s > DAY_S)
		diag_error(r->diags, CODE_VALUE, n->loc, "\"window\" is at most 24h");
}

/* What logs in and what looks at accounts later. */
static void
check_bind(struct reader *r, const struct doc_node *n)
{
	const struct gate_ldap *ldap = &r->config->ldap;

	if (ldap->bind_dn.len == 0 && ldap->user_bind_as.len == 0)
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"ldap\" needs a \"bind\" account that finds users, or "
		    "\"users.bindAs\"");
}

void
config_read_ldap(struct reader *r, const struct doc_node *n)
{
	enum {
		SERVERS,
		CA,
		START_TLS,
		INSECURE,
		BIND,
		USERS,
		GROUPS,
		TIMEOUT,
		LOGIN,
		ACCOUNTS,
		LOCKOUT,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [SERVERS] = {"servers", TYPE_LIST, true, NULL},
	    [CA] = {"ca", TYPE_STRING, false, NULL},
	    [START_TLS] = {"startTLS", TYPE_BOOL, false, NULL},
	    [INSECURE] = {"insecure", TYPE_BOOL, false, NULL},
	    [BIND] = {"bind", TYPE_MAP, false, NULL},
	    [USERS] = {"users", TYPE_MAP, true, NULL},
	    [GROUPS] = {"groups", TYPE_MAP, true, NULL},
	    [TIMEOUT] = {"timeoutSeconds", TYPE_INT, false, NULL},
	    [LOGIN] = {"loginTimeoutSeconds", TYPE_INT, false, NULL},
	    [ACCOUNTS] = {"accounts", TYPE_MAP, false, NULL},
	    [LOCKOUT] = {"lockout", TYPE_MAP, false, NULL},
	};
	static const struct schema schema = SCHEMA("ldap", fields);
	const struct doc_node *v[COUNT];
	struct gate_ldap *ldap = &r->config->ldap;

	read_fields(r, &schema, n, v);
	r->config->has_ldap = true;
	ldap->timeout_ms = 5000;
	ldap->login_timeout_ms = 10000;
	ldap->check_interval_s = 60;
	ldap->check_grace_s = DAY_S / 2;
	ldap->start_tls = read_bool(v[START_TLS]);
	ldap->insecure = read_bool(v[INSECURE]);
	optional_path(r, v[CA], &ldap->ca);
	if (v[SERVERS] != NULL && read_string_list(r, v[SERVERS], "a directory server",
				      &ldap->servers, &ldap->server_count))
		check_servers(r, v[SERVERS]);
	if (v[BIND] != NULL)
		read_bind(r, v[BIND]);
	if (v[USERS] != NULL)
		read_users(r, v[USERS]);
	if (v[GROUPS] != NULL)
		read_groups(r, v[GROUPS]);
	if (v[ACCOUNTS] != NULL)
		read_accounts(r, v[ACCOUNTS]);
	if (v[LOCKOUT] != NULL)
		read_lockout(r, v[LOCKOUT]);
	if (v[USERS] != NULL)
		check_bind(r, n);
	read_milliseconds(r, v[TIMEOUT], "timeoutSeconds", &ldap->timeout_ms);
	read_milliseconds(r, v[LOGIN], "loginTimeoutSeconds", &ldap->login_timeout_ms);
}
