#include "enforcer/cni/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_SOCKET "/run/ringfence/enforcer.sock"
#define CONTAINER_MOST 200
#define INTERFACE_MOST 15
#define ENV_MOST       65536

const char *const cni_versions[] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};
const size_t cni_version_count = ARRAY_LEN(cni_versions);

void
cni_fail(struct cni_error *error, enum cni_code code, const char *details,
    const char *fmt, ...)
{
	va_list args;

	error->code = code;
	va_start(args, fmt);
	/* What is too long is cut: it is for people. */
	(void)vsnprintf(error->msg, sizeof(error->msg), fmt, args);
	va_end(args);
	(void)snprintf(error->details, sizeof(error->details), "%s", details);
}

/* ---- the environment ---- */

static const struct {
	const char *name;
	bool container, netns, interface; /* must be there */
} commands[] = {
    [CNI_ADD] = {"ADD", true, true, true},
    [CNI_DEL] = {"DEL", true, false, true},
    [CNI_CHECK] = {"CHECK", true, true, true},
    [CNI_GC] = {"GC", false, false, false},
    [CNI_STATUS] = {"STATUS", false, false, false},
    [CNI_VERSION] = {"VERSION", false, false, false},
};

static bool
waits_for_policy(enum cni_command command)
{
	return command == CNI_ADD || command == CNI_CHECK;
}

static bool
is_alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= 'a' && c <= 'z');
}

/* As the specification has it: it begins with a letter or a digit. */
static bool
is_container_id(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!is_alphanumeric(s.ptr[i]) &&
		    (i == 0 || strchr("_.-", s.ptr[i]) == NULL))
			return false;
	}
	return s.len != 0 && s.len <= CONTAINER_MOST;
}

/* As Linux has it. A comma or a space would be two words to the daemon. */
static bool
is_interface(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] <= ' ' || s.ptr[i] == 127 ||
		    strchr("/:,", s.ptr[i]) != NULL)
			return false;
	}
	return s.len != 0 && s.len <= INTERFACE_MOST && !str_is(s, ".") &&
	       !str_is(s, "..");
}

static bool
read_command(
    const struct cni_environment *env, struct cni_request *r, struct cni_error *error)
{
	const char *name = env->command != NULL ? env->command : "";

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, name) == 0) {
			r->command = (enum cni_command)i;
			return true;
		}
	}
	cni_fail(error, CNI_BAD_ENVIRONMENT, name,
	    "CNI_COMMAND is none of ADD, DEL, CHECK, GC, STATUS and VERSION");
	return false;
}

static bool
read_names(
    const struct cni_environment *env, struct cni_request *r, struct cni_error *error)
{
	r->container = str_from(env->container != NULL ? env->container : "");
	r->interface = str_from(env->interface != NULL ? env->interface : "");
	if (commands[r->command].container && !is_container_id(r->container))
		cni_fail(error, CNI_BAD_ENVIRONMENT, "CNI_CONTAINERID",
		    "CNI_CONTAINERID is missing, or no container's");
	else if (commands[r->command].interface && !is_interface(r->interface))
		cni_fail(error, CNI_BAD_ENVIRONMENT, "CNI_IFNAME",
		    "CNI_IFNAME is missing, or no interface's name");
	else if (commands[r->command].netns &&
		 (env->netns == NULL || env->netns[0] == '\0'))
		cni_fail(
		    error, CNI_BAD_ENVIRONMENT, "CNI_NETNS", "CNI_NETNS is missing");
	return error->code == CNI_OK;
}

/* Kubernetes' names: letters of a DNS name. */
static bool
copy_name(struct str value, char *out, size_t size)
{
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
		    c != '.')
			return false;
	}
	if (value.len == 0 || value.len >= size)
		return false;
	memcpy(out, value.ptr, value.len);
	out[value.len] = '\0';
	return true;
}

/* "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;...": only these two count, and only for who
 * waits. */
static bool
read_args(
    const struct cni_environment *env, struct cni_request *r, struct cni_error *error)
{
	struct str rest = str_from(env->args != NULL ? env->args : "");
	bool ok = rest.len <= ENV_MOST;

	if (!waits_for_policy(r->command))
		return true; /* whatever they are */
	while (ok && rest.ptr != NULL && rest.len != 0) {
		struct str value = str_split(&rest, ';');
		struct str key = str_split(&value, '=');

		if (value.ptr == NULL)
			ok = key.len == 0;
		else if (str_is(key, "K8S_POD_NAMESPACE"))
			ok = copy_name(value, r->namespace, sizeof(r->namespace));
		else if (str_is(key, "K8S_POD_NAME"))
			ok = copy_name(value, r->pod, sizeof(r->pod));
	}
	if (!ok || (r->namespace[0] == '\0') != (r->pod[0] == '\0')) {
		cni_fail(error, CNI_BAD_ENVIRONMENT, "CNI_ARGS",
		    "CNI_ARGS is not KEY=VALUE;..., or names no pod");
		return false;
	}
	return true;
}

/* ---- the configuration ---- */

/* What runtimes put beside our own, or conventions know. */
static const char *const known_fields[] = {"cniVersion", "cniVersions", "name", "type",
    "args", "capabilities", "disableCheck", "disableGC", "dns", "ipMasq", "ipam",
    "loadOnlyInlinedPlugins", "prevResult", "runtimeConfig", "socket", "timeoutSeconds",
    "unfiltered"};

static bool
is_known_field(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(known_fields); i++) {
		if (strcmp(known_fields[i], name) == 0)
			return true;
	}
	return strncmp(name, "cni.dev/", strlen("cni.dev/")) == 0;
}

static bool
read_version(struct cni_request *r, struct cni_error *error)
{
	const char *version =
	    json_string_value(json_object_get(r->config, "cniVersion"));
	char details[CNI_TEXT_BYTES];

	for (size_t i = 0; version != NULL && i < cni_version_count; i++) {
		if (strcmp(cni_versions[i], version) == 0) {
			r->version = cni_versions[i];
			return true;
		}
	}
	/* Who asks what there is may be of any version. */
	if (r->command == CNI_VERSION)
		return true;
	(void)snprintf(details, sizeof(details),
	    "\"%s\" is none of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0",
	    version != NULL ? version : "");
	cni_fail(error, CNI_BAD_VERSION, details, "incompatible CNI version");
	return false;
}

/* "refuse" or "allow". */
static bool
read_unfiltered(struct cni_request *r, struct cni_error *error)
{
	json_t *value = json_object_get(r->config, "unfiltered");
	const char *word = json_string_value(value);

	r->allow_unfiltered = word != NULL && strcmp(word, "allow") == 0;
	if (value == NULL || r->allow_unfiltered ||
	    (word != NULL && strcmp(word, "refuse") == 0))
		return true;
	cni_fail(error, CNI_BAD_CONFIG, "unfiltered",
	    "\"unfiltered\" is \"refuse\" or \"allow\"");
	return false;
}

static bool
is_socket(const char *path)
{
	return path != NULL && path[0] == '/' && strlen(path) <= CNI_SOCKET_MOST;
}

static bool
read_own_fields(struct cni_request *r, struct cni_error *error)
{
	json_t *socket = json_object_get(r->config, "socket");
	json_t *timeout = json_object_get(r->config, "timeoutSeconds");
	const char *name;
	json_t *value;

	r->socket = socket != NULL ? json_string_value(socket) : DEFAULT_SOCKET;
	json_object_foreach(r->config, name, value)
	{
		if (is_known_field(name))
			continue;
		cni_fail(
		    error, CNI_BAD_FIELD, name, "the configuration has no such field");
		return false;
	}
	if (!is_socket(r->socket)) {
		cni_fail(error, CNI_BAD_CONFIG, "socket",
		    "\"socket\" is an absolute path of at most %d bytes",
		    CNI_SOCKET_MOST);
		return false;
	}
	if (!read_unfiltered(r, error))
		return false;
	r->timeout_s = CNI_TIMEOUT_DEFAULT;
	if (timeout == NULL)
		return true;
	if (!json_is_integer(timeout) || json_integer_value(timeout) < 1 ||
	    json_integer_value(timeout) > (json_int_t)CNI_TIMEOUT_MOST) {
		cni_fail(error, CNI_BAD_CONFIG, "timeoutSeconds",
		    "\"timeoutSeconds\" is a number from 1 to %u", CNI_TIMEOUT_MOST);
		return false;
	}
	r->timeout_s = (unsigned)json_integer_value(timeout);
	return true;
}

/* No mistake in them keeps a container from being taken down. */
static bool
read_fields(struct cni_request *r, struct cni_error *error)
{
	if (read_own_fields(r, error) || r->command != CNI_DEL)
		return error->code == CNI_OK;
	*error = (struct cni_error){0};
	if (!is_socket(r->socket))
		r->socket = DEFAULT_SOCKET;
	return true;
}

/* "10.1.0.7/24": what plugins before this one gave to the container. */
static bool
read_addresses(struct cni_request *r, struct cni_error *error)
{
	json_t *ips = json_object_get(r->previous, "ips"), *item;
	size_t i;

	if (ips != NULL && !json_is_array(ips)) {
		cni_fail(error, CNI_BAD_CONFIG, "prevResult.ips",
		    "\"prevResult\" has \"ips\" that are no list");
		return false;
	}
	json_array_foreach(ips, i, item)
	{
		const char *text = json_string_value(json_object_get(item, "address"));
		struct str prefix = str_from(text != NULL ? text : "");
		struct str address = str_split(&prefix, '/');

		if (r->addr_count == CNI_ADDRESSES ||
		    !ip_parse(address, &r->addrs[r->addr_count])) {
			cni_fail(error, CNI_BAD_CONFIG, text != NULL ? text : "",
			    "\"prevResult\" has an address that is none, or more than "
			    "%u",
			    CNI_ADDRESSES);
			return false;
		}
		r->addr_count++;
	}
	return true;
}

/* A plugin that is the first of its chain has nothing to hold up. */
static bool
read_previous(struct cni_request *r, struct cni_error *error)
{
	r->previous = json_object_get(r->config, "prevResult");
	if (!waits_for_policy(r->command))
		return true; /* whatever it is */
	if (!json_is_object(r->previous)) {
		cni_fail(error, CNI_BAD_CONFIG, "prevResult",
		    "no \"prevResult\": ringfence-cni comes after the plugin that "
		    "gives "
		    "the container its addresses");
		return false;
	}
	if (!read_addresses(r, error))
		return false;
	if (r->addr_count == 0)
		cni_fail(error, CNI_BAD_CONFIG, "prevResult.ips",
		    "the plugins before ringfence-cni gave the container no address");
	return r->addr_count != 0;
}

bool
cni_request_read(const struct cni_environment *env, struct str input,
    struct cni_request *out_request, struct cni_error *error)
{
	struct cni_request *r = out_request;
	json_error_t why;

	*r = (struct cni_request){.timeout_s = CNI_TIMEOUT_DEFAULT};
	*error = (struct cni_error){0};
	r->config = input.len <= CNI_INPUT_BYTES
			? json_loadb(input.ptr != NULL ? input.ptr : "", input.len,
			      JSON_REJECT_DUPLICATES, &why)
			: NULL;
	/* An error is told in the version that was asked in, if that is known. */
	if (!read_command(env, r, error)) {
		struct cni_error ignored = {0};

		return json_is_object(r->config) && read_version(r, &ignored) && false;
	}
	if (input.len > CNI_INPUT_BYTES) {
		cni_fail(error, CNI_BAD_CONFIG, "",
		    "the configuration has more than %u bytes", CNI_INPUT_BYTES);
		return false;
	}
	if (!json_is_object(r->config)) {
		cni_fail(error, CNI_NO_JSON, r->config == NULL ? why.text : "",
		    "standard input is no JSON object");
		return false;
	}
	if (!read_version(r, error))
		return false;
	if (r->command == CNI_VERSION)
		return true;
	r->valid = json_object_get(r->config, "cni.dev/valid-attachments");
	return read_names(env, r, error) && read_fields(r, error) &&
	       read_args(env, r, error) && read_previous(r, error);
}

void
cni_request_fini(struct cni_request *r)
{
	json_decref(r->config);
	r->config = NULL;
}
