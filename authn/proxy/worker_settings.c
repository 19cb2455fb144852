#include "authn/proxy/worker_settings.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/ip_socket.h"
#include "common/proc.h"
#include "common/secret.h"

#define MAGIC           0x52465753u /* "RFWS" */
#define ALL_SEALS       (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define SETTINGS_MAX    (16u * 1024 * 1024)
#define UPSTREAMS_MAX   256u
#define ADDRESSES_MAX   64u
#define CONNECTIONS_MAX 1000000u

void
worker_limits_default(struct worker_limits *limits)
{
	*limits = (struct worker_limits){
	    .connections = 10000,
	    .handshake_ms = 10000,
	    .header_ms = 32000,
	    .idle_ms = 90000,
	    .connect_ms = 5000,
	    .drain_ms = 30000,
	    .upstream_connections = 64,
	};
}

int
worker_upstream_resolve(
    struct arena *arena, struct worker_upstream *upstream, struct err *err)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_ADDRCONFIG};
	struct ip_addr *addresses = ARENA_ARRAY(arena, ADDRESSES_MAX, struct ip_addr);
	const char *host = arena_strndup(arena, upstream->host.ptr, upstream->host.len);
	struct addrinfo *list = NULL;
	int rc;

	upstream->addresses = addresses;
	upstream->address_count = 0;
	if (ip_parse(upstream->host, &addresses[0])) {
		upstream->address_count = 1;
		return 0;
	}
	rc = getaddrinfo(host, NULL, &hints, &list);
	if (rc != 0)
		return err_set(err, ERR_UNAVAILABLE, "cannot resolve %s: %s", host,
		    gai_strerror(rc));
	for (const struct addrinfo *i = list; i != NULL; i = i->ai_next) {
		struct ip_addr *next = &addresses[upstream->address_count];

		if (upstream->address_count < ADDRESSES_MAX &&
		    ip_from_socket(i->ai_addr, next, NULL))
			upstream->address_count++;
	}
	freeaddrinfo(list);
	if (upstream->address_count == 0)
		return err_set(err, ERR_NOT_FOUND, "%s has no address", host);
	return 0;
}

/* ---- text form: fields in a fixed order ---- */

/* Offsets of the fields of one kind, in the order in which they travel. */
static const size_t text_fields[] = {
    offsetof(struct worker_settings, tls_certificate),
    offsetof(struct worker_settings, client_ca),
    offsetof(struct worker_settings, client_crl),
    offsetof(struct worker_settings, upstream_ca),
    offsetof(struct worker_settings, upstream_certificate),
    offsetof(struct worker_settings, lists_as),
    offsetof(struct worker_settings, audit_policy),
};

static const size_t limit_fields[] = {
    offsetof(struct worker_limits, connections),
    offsetof(struct worker_limits, handshake_ms),
    offsetof(struct worker_limits, header_ms),
    offsetof(struct worker_limits, idle_ms),
    offsetof(struct worker_limits, connect_ms),
    offsetof(struct worker_limits, drain_ms),
    offsetof(struct worker_limits, upstream_connections),
    offsetof(struct worker_limits, upstream_in_flight),
};

static struct str *
text_field(struct worker_settings *s, size_t i)
{
	return (struct str *)(void *)((char *)s + text_fields[i]);
}

static uint32_t *
limit_field(struct worker_limits *l, size_t i)
{
	return (uint32_t *)(void *)((char *)l + limit_fields[i]);
}

static void
put_upstream(struct buf *out, const struct worker_upstream *u)
{
	proc_put_str(out, u->host);
	proc_put_u16(out, u->port);
	proc_put_u32(out, (uint32_t)u->address_count);
	for (size_t i = 0; i < u->address_count; i++) {
		proc_put_u8(out, (uint8_t)u->addresses[i].family);
		buf_add(out, u->addresses[i].bytes, sizeof(u->addresses[i].bytes));
	}
}

void
worker_settings_encode(struct buf *out, const struct worker_settings *settings)
{
	struct worker_settings s = *settings; /* for the field accessors; views only */

	proc_put_u32(out, MAGIC);
	proc_put_u32(out, s.index);
	for (size_t i = 0; i < ARRAY_LEN(text_fields); i++)
		proc_put_str(out, *text_field(&s, i));
	buf_add(out, s.list_seed, sizeof(s.list_seed));
	proc_put_u32(out, (uint32_t)s.upstream_count);
	for (size_t i = 0; i < s.upstream_count; i++)
		put_upstream(out, &s.upstreams[i]);
	proc_put_u8(out, (uint8_t)s.identity);
	proc_put_u8(out, s.audit_required);
	proc_put_u8(out, s.certificate_accounts);
	proc_put_u8(out, s.shares_lists);
	proc_put_u8(out, s.confine);
	proc_put_u32(out, s.uid);
	proc_put_u32(out, s.gid);
	for (size_t i = 0; i < ARRAY_LEN(limit_fields); i++)
		proc_put_u32(out, *limit_field(&s.limits, i));
	secret_wipe(s.list_seed, sizeof(s.list_seed));
}

static bool
get_upstream(struct arena *arena, struct proc_reader *r, struct worker_upstream *u)
{
	struct ip_addr *addresses;

	u->host = str_dup(arena, proc_get_str(r));
	u->port = proc_get_u16(r);
	u->address_count = proc_get_u32(r);
	if (u->host.len == 0 || u->port == 0 || u->address_count == 0 ||
	    u->address_count > ADDRESSES_MAX)
		return false;
	addresses = ARENA_ARRAY(arena, u->address_count, struct ip_addr);
	for (size_t i = 0; i < u->address_count; i++) {
		uint8_t family = proc_get_u8(r);
		const uint8_t *bytes = proc_get_bytes(r, sizeof(addresses[i].bytes));

		if (!r->ok || (family != IP_V4 && family != IP_V6))
			return false;
		addresses[i].family = family == IP_V4 ? IP_V4 : IP_V6;
		memcpy(addresses[i].bytes, bytes, sizeof(addresses[i].bytes));
	}
	u->addresses = addresses;
	return true;
}

static bool
get_upstreams(struct arena *arena, struct proc_reader *r, struct worker_settings *s)
{
	uint32_t count = proc_get_u32(r);
	struct worker_upstream *list;

	if (count == 0 || count > UPSTREAMS_MAX)
		return false;
	list = ARENA_ARRAY(arena, count, struct worker_upstream);
	for (uint32_t i = 0; i < count; i++) {
		if (!get_upstream(arena, r, &list[i]))
			return false;
	}
	s->upstreams = list;
	s->upstream_count = count;
	return true;
}

int
worker_settings_decode(struct arena *arena, struct str text,
    struct worker_settings *out_settings, struct err *err)
{
	const struct proc_msg msg = {
	    .data = (const uint8_t *)text.ptr, .len = text.len};
	struct worker_settings s = {.index = 0};
	const uint8_t *list_seed;
	struct proc_reader r;
	uint8_t identity;

	proc_reader_init(&r, &msg);
	if (proc_get_u32(&r) != MAGIC)
		return err_set(err, ERR_PROTOCOL, "these are no worker settings");
	s.index = proc_get_u32(&r);
	for (size_t i = 0; i < ARRAY_LEN(text_fields); i++)
		*text_field(&s, i) = str_dup(arena, proc_get_str(&r));
	list_seed = proc_get_bytes(&r, sizeof(s.list_seed));
	if (r.ok)
		memcpy(s.list_seed, list_seed, sizeof(s.list_seed));
	if (!get_upstreams(arena, &r, &s))
		return err_set(err, ERR_PROTOCOL, "malformed upstreams");
	identity = proc_get_u8(&r);
	s.identity = identity == IDENTITY_IMPERSONATE ? IDENTITY_IMPERSONATE
						      : IDENTITY_FRONT_PROXY;
	s.audit_required = proc_get_u8(&r) != 0;
	s.certificate_accounts = proc_get_u8(&r) != 0;
	s.shares_lists = proc_get_u8(&r) != 0;
	s.confine = proc_get_u8(&r) != 0;
	s.uid = proc_get_u32(&r);
	s.gid = proc_get_u32(&r);
	for (size_t i = 0; i < ARRAY_LEN(limit_fields); i++)
		*limit_field(&s.limits, i) = proc_get_u32(&r);
	if (!proc_reader_done(&r) || identity > IDENTITY_IMPERSONATE ||
	    s.limits.connections == 0 || s.limits.connections > CONNECTIONS_MAX)
		return err_set(err, ERR_PROTOCOL, "malformed worker settings");
	*out_settings = s;
	return 0;
}

/* ---- by memfd ---- */

int
worker_settings_seal(
    const struct worker_settings *settings, int *out_fd, struct err *err)
{
	struct buf text = {NULL, 0, 0};
	int fd, rc = 0;

	worker_settings_encode(&text, settings);
	fd = memfd_create("ringfence-worker", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0) {
		rc = err_sys(err, "memfd_create");
		goto out;
	}
	for (size_t done = 0; done < text.len;) {
		ssize_t n = write(fd, text.data + done, text.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = err_sys(err, "cannot write worker settings");
			goto out;
		}
		done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, ALL_SEALS) != 0) {
		rc = err_sys(err, "cannot seal worker settings");
		goto out;
	}
	*out_fd = fd;
	fd = -1;
out:
	if (fd >= 0)
		(void)close(fd);
	if (text.data != NULL)
		secret_wipe(text.data, text.len);
	buf_free(&text);
	return rc;
}

int
worker_settings_open(
    struct arena *arena, int fd, struct worker_settings *out_settings, struct err *err)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *map;
	int rc;

	if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS)
		return err_set(err, ERR_PROTOCOL, "worker settings are not sealed");
	if (fstat(fd, &st) != 0)
		return err_sys(err, "worker settings");
	if (st.st_size <= 0 || st.st_size > (off_t)SETTINGS_MAX)
		return err_set(err, ERR_LIMIT, "worker settings of odd size");
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return err_sys(err, "worker settings");
	rc = worker_settings_decode(
	    arena, (struct str){map, (size_t)st.st_size}, out_settings, err);
	(void)munmap(map, (size_t)st.st_size);
	return rc;
}
