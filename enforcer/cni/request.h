/*
 * What a container runtime asks of the plugin: the environment and the configuration on
 * standard input, as the Container Network Interface says (versions 0.3.0 to 1.1.0).
 * Pure; a fuzz target.
 */
#ifndef ENFORCER_CNI_REQUEST_H
#define ENFORCER_CNI_REQUEST_H

#include <jansson.h>

#include "common/ip.h"

#define CNI_INPUT_BYTES     (1024u * 1024) /* at most, on standard input */
#define CNI_ADDRESSES       16u            /* of one attachment */
#define CNI_TIMEOUT_DEFAULT 30u            /* seconds */
#define CNI_TIMEOUT_MOST    300u
#define CNI_TEXT_BYTES      512u
#define CNI_SOCKET_MOST     107 /* sun_path, without its NUL */

enum cni_command {
	CNI_ADD,
	CNI_DEL,
	CNI_CHECK,
	CNI_GC,
	CNI_STATUS,
	CNI_VERSION,
};

/* Error codes of the specification, and our own from 100. */
enum cni_code {
	CNI_OK = 0,
	CNI_BAD_VERSION = 1,
	CNI_BAD_FIELD = 2,
	CNI_BAD_ENVIRONMENT = 4,
	CNI_IO = 5,
	CNI_NO_JSON = 6,
	CNI_BAD_CONFIG = 7,
	CNI_TRY_LATER = 11,
	CNI_UNAVAILABLE = 50,
	CNI_NOT_IN_FORCE = 100,
	CNI_UNFILTERED = 101,
};

struct cni_error {
	enum cni_code code; /* CNI_OK: none */
	char msg[CNI_TEXT_BYTES], details[CNI_TEXT_BYTES];
};

/* The variables of the environment that count; NULL: not set. */
struct cni_environment {
	const char *command, *container, *netns, *interface, *args, *path;
};

struct cni_request {
	enum cni_command command;
	json_t *config; /* what was read; owns the texts below */
	const char *version;
	const char *socket;
	unsigned timeout_s;
	bool
	    allow_unfiltered; /* containers that policy does not reach start all the same */
	struct str container, interface;
	/* Of CNI_ARGS; "": not told. */
	char namespace[64], pod[254];
	struct ip_addr addrs[CNI_ADDRESSES];
	size_t addr_count;
	json_t *previous; /* prevResult, borrowed from config; NULL */
	json_t *valid;    /* GC: cni.dev/valid-attachments; NULL */
};

/* Reads a request; with an error, what is known of it (the version) is there all the same.
 * To be freed with cni_request_fini either way. */
MUST_CHECK bool cni_request_read(const struct cni_environment *env, struct str input,
    struct cni_request *out_request, struct cni_error *error);
void cni_request_fini(struct cni_request *r);

/* Newest last. */
extern const char *const cni_versions[];
extern const size_t cni_version_count;

/* Fills an error; details may be "". */
void cni_fail(struct cni_error *error, enum cni_code code, const char *details,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif
