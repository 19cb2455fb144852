/*
 * Reads any bytes as what roles tell each other beside operations, ways, connections and
 * lessons, which have targets of their own; the first byte says what. What is taken means the
 * same when it is written again.
 */
#include <stdlib.h>
#include <string.h>

#include "enforcer/config/settings.h"
#include "enforcer/dns/dns_messages.h"
#include "enforcer/kube/kube_access.h"
#include "enforcer/kube/kube_state.h"
#include "enforcer/kube/node_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads what a message says and writes it; false: malformed. */
typedef bool (*echo_fn)(struct arena *arena, struct proc_reader *r, struct buf *out);

static bool
echo_kernel(struct arena *arena, struct proc_reader *r, struct buf *out)
{
	struct kernel_settings s = {.flow_group = 0};

	if (!kernel_settings_decode(arena, r, &s))
		return false;
	kernel_settings_encode(out, &s);
	return true;
}

static bool
echo_audit(struct arena *arena, struct proc_reader *r, struct buf *out)
{
	struct audit_settings s;

	if (!audit_settings_decode(arena, r, &s))
		return false;
	audit_settings_encode(out, &s);
	return true;
}

static bool
echo_kube(struct arena *arena, struct proc_reader *r, struct buf *out)
{
	struct kube_settings s;

	if (!kube_settings_decode(arena, r, &s))
		return false;
	kube_settings_encode(out, &s);
	return true;
}

static bool
echo_access(struct arena *arena, struct proc_reader *r, struct buf *out)
{
	struct kube_access access;

	if (!kube_access_decode(arena, r, &access))
		return false;
	kube_access_encode(out, &access);
	kube_access_wipe(&access);
	return true;
}

static bool
echo_state(struct arena *arena, struct proc_reader *r, struct buf *out)
{
	struct kube_state state;

	if (!kube_state_decode(arena, r, &state))
		return false;
	kube_state_encode(out, &state);
	return true;
}

static bool
echo_held(struct arena *arena, struct proc_reader *r, struct buf *out)
{
	struct node_held held;
	struct node_report report = {.sent = 0};

	(void)arena; /* texts stay where they are */
	if (!node_held_decode(r, &held))
		return false;
	node_report_held(&report, &held, STR("kubernetes"));
	node_report_fini(&report);
	node_held_encode(out, &held);
	return true;
}

static bool
echo_counts(struct arena *arena, struct proc_reader *r, struct buf *out)
{
	uint64_t counts[DNS_COUNTS];

	(void)arena; /* there are no texts */
	if (!dns_counts_decode(r, counts))
		return false;
	dns_counts_encode(out, counts);
	return true;
}

/* Nobody writes these again. */
static bool
read_engine(struct arena *arena, struct proc_reader *r, struct buf *out)
{
	struct engine_settings s = {.flow_group = 0};
	bool taken = engine_settings_decode(arena, r, &s);

	(void)out;
	(void)taken; /* or not */
	return false;
}

static bool
read_dns(struct arena *arena, struct proc_reader *r, struct buf *out)
{
	struct dns_settings s;
	bool taken = dns_settings_decode(arena, r, &s);

	(void)out;
	(void)taken; /* or not */
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const echo_fn echoes[] = {echo_kernel, echo_audit, echo_kube,
	    echo_access, echo_state, echo_held, echo_counts, read_engine, read_dns};
	struct arena *arena = arena_new();
	struct buf first = {0}, second = {0};
	struct proc_reader r;
	uint8_t *copy = malloc(size != 0 ? size : 1); /* its end shows */
	echo_fn echo;

	if (copy == NULL)
		abort();
	if (size != 0) {
		memcpy(copy, data, size);
		echo = echoes[data[0] % ARRAY_LEN(echoes)];
		r = (struct proc_reader){.data = copy + 1, .len = size - 1, .ok = true};
		if (echo(arena, &r, &first)) {
			r = (struct proc_reader){.data = (const uint8_t *)first.data,
			    .len = first.len,
			    .ok = true};
			if (!echo(arena, &r, &second) ||
			    !str_eq(buf_str(&first), buf_str(&second)))
				abort();
		}
	}
	buf_free(&first);
	buf_free(&second);
	free(copy);
	arena_free(arena);
	return 0;
}
