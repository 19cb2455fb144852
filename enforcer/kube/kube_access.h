/*
 * How an API server is reached, and as whom. The parent reads it from a kubeconfig or from a
 * pod's service account (kube_config.c), each time anew, and gives it to the role that
 * connects; nobody else ever has it.
 */
#ifndef ENFORCER_KUBE_ACCESS_H
#define ENFORCER_KUBE_ACCESS_H

#include "common/diag.h"
#include "common/err.h"
#include "common/ip.h"
#include "common/proc.h"

#define KUBE_ADDRESSES_MOST 16
#define KUBE_PEM_BYTES      (48u * 1024) /* an authority, a certificate */
#define KUBE_SECRET_BYTES   (12u * 1024) /* a key, a token */

struct kube_access {
	struct str host; /* a name or an address, of the certificate too, unless ... */
	struct str server_name; /* ... this is not "" */
	uint16_t port;
	struct str prefix;               /* of every path: "", "/k8s/clusters/c-1" */
	struct str ca;                   /* PEM */
	struct str certificate, key;     /* PEM; both or none are "" */
	struct str token;                /* "": none */
	const struct ip_addr *addresses; /* of the host, once it has been resolved */
	size_t address_count;
};

/* Where it is read from. */
struct kube_place {
	const char *kubeconfig; /* NULL: a pod's service account */
	struct str context;     /* "": the current one */
};

/* Reads it, without addresses, into the arena. Mistakes are diagnostics; false if there was
 * any. */
MUST_CHECK bool kube_access_read(struct arena *arena, const struct kube_place *place,
    struct diag_list *diags, struct kube_access *out);
/* The kubeconfig alone, as far as it can be judged without the files that it names. */
MUST_CHECK bool kube_access_check(
    struct arena *arena, const struct kube_place *place, struct diag_list *diags);
/* Overwrites key and token. */
void kube_access_wipe(struct kube_access *access);

void kube_access_encode(struct buf *out, const struct kube_access *access);
/* Copies into the arena; false: malformed. */
MUST_CHECK bool kube_access_decode(
    struct arena *arena, struct proc_reader *r, struct kube_access *out);

#endif
