#include "enforcer/kube/node_report.h"

#include <string.h>

#include "common/map.h"

#define MS_NS UINT64_C(1000000)

/* ---- what the engine says ---- */

void
node_held_encode(struct buf *out, const struct node_held *held)
{
	proc_put_u64(out, held->bundles);
	proc_put_u32(out, held->total);
	proc_put_u32(out, held->count);
	for (uint32_t i = 0; i < held->count; i++) {
		proc_put_str(out, held->refused[i].name);
		proc_put_str(out, held->refused[i].why);
	}
}

bool
node_held_decode(struct proc_reader *r, struct node_held *out)
{
	out->bundles = proc_get_u64(r);
	out->total = proc_get_u32(r);
	out->count = proc_get_u32(r);
	if (!r->ok || out->count > NODE_REPORT_REFUSED || out->count > out->total)
		return false;
	for (uint32_t i = 0; i < out->count; i++) {
		out->refused[i].name = proc_get_str(r);
		out->refused[i].why = proc_get_str(r);
	}
	return proc_reader_done(r);
}

/* ---- what is in force ---- */

void
node_report_begin(struct node_report *r)
{
	r->sent = r->held = 0;
	memset(r->kept, 0, sizeof(r->kept));
}

void
node_report_sent(struct node_report *r, const struct node_versions *versions)
{
	r->sent++;
	if (versions == NULL)
		return;
	r->kept[r->sent % NODE_SENT_KEPT].number = r->sent;
	r->kept[r->sent % NODE_SENT_KEPT].versions = *versions;
}

/* Of the last bundle up to that number with which nothing was left to send. */
static const struct node_versions *
versions_at(const struct node_report *r, uint64_t bundles)
{
	const struct node_versions *found = NULL;
	uint64_t best = 0;

	for (size_t i = 0; i < NODE_SENT_KEPT; i++) {
		if (r->kept[i].number > best && r->kept[i].number <= bundles) {
			best = r->kept[i].number;
			found = &r->kept[i].versions;
		}
	}
	return found;
}

/* "kubernetes/policies.ringfence.dev/shop/web" in parts. */
static void
add_refused(struct buf *out, const struct node_refused *f, struct str cluster)
{
	struct str rest = f->name, resource, ns = STR("");

	if (str_starts(rest, cluster))
		rest = str_slice(rest, cluster.len + 1, rest.len);
	resource = str_split(&rest, '/');
	if (rest.ptr != NULL && str_find(rest, '/', 0) != rest.len)
		ns = str_split(&rest, '/');
	buf_add_cstr(out, out->len != 0 ? ",{\"resource\":" : "{\"resource\":");
	buf_add_json(out, resource);
	buf_add_cstr(out, ",\"namespace\":");
	buf_add_json(out, ns);
	buf_add_cstr(out, ",\"name\":");
	buf_add_json(out, rest.ptr != NULL ? rest : STR(""));
	buf_add_cstr(out, ",\"message\":");
	buf_add_json(out, str_slice(f->why, 0, f->why.len < 512 ? f->why.len : 512));
	buf_add_char(out, '}');
}

/* Versions of documents alone are news: pods and nodes change all the time. */
static bool
is_document(size_t kind)
{
	return strstr(kube_kinds[kind].name, ".ringfence.dev") != NULL;
}

static void
set_in_force(struct node_report *r, const struct node_versions *versions)
{
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++)
		r->news |= is_document(i) && versions->edits[i] != r->written.edits[i];
	r->in_force = *versions;
}

void
node_report_held(
    struct node_report *r, const struct node_held *held, struct str cluster)
{
	const struct node_versions *versions = versions_at(r, held->bundles);
	struct buf refused = {0};

	r->held = held->bundles;
	if (versions != NULL)
		set_in_force(r, versions);
	for (uint32_t i = 0; i < held->count; i++)
		add_refused(&refused, &held->refused[i], cluster);
	buf_printf(&refused, "],\"refusedMore\":%u", held->total - held->count);
	r->news |= map_hash(buf_str(&refused)) != r->written_hash;
	buf_free(&r->refused);
	r->refused = refused;
}

void
node_report_known(struct node_report *r, const struct node_versions *known)
{
	if (r->sent != 0 && r->held == r->sent)
		set_in_force(r, known);
}

/* ---- when ---- */

bool
node_report_due(
    const struct node_report *r, struct str node, unsigned every_s, monotime_t now)
{
	const uint64_t every_ms = every_s * UINT64_C(1000);
	const uint64_t spread_ms =
	    (map_cache_hash(node) ^ r->writes * UINT64_C(0x9e3779b97f4a7c15)) %
	    (every_ms / 2 + 1);
	const uint64_t age_ms = r->written_at.ns != 0
				    ? monotime_since(r->written_at, now) / MS_NS
				    : UINT64_MAX;
	const uint64_t wait_ms = r->news || r->failed
				     ? every_ms + spread_ms
				     : NODE_REPORT_BEATS * every_ms - spread_ms;

	/* Nothing is said before something is in force. */
	return r->refused.len != 0 && age_ms >= wait_ms;
}

void
node_report_print(struct node_report *r, struct str node, unsigned every_s,
    monotime_t now, walltime_t wall, struct buf *out)
{
	char time[WALLTIME_TEXT_BYTES];
	bool first = true;

	buf_add_cstr(out,
	    "{\"apiVersion\":\"ringfence.dev/v1alpha1\",\"kind\":\"NodeReport\","
	    "\"metadata\":{\"name\":");
	buf_add_json(out, node);
	buf_printf(out,
	    "},\"spec\":{\"renewTime\":\"%s\",\"validSeconds\":%u,\"inForce\":[",
	    walltime_format(wall, time), 3 * NODE_REPORT_BEATS * every_s);
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++) {
		if (!is_document(i) || r->in_force.of[i] == 0)
			continue;
		buf_printf(out, "%s{\"resource\":\"%s\",\"resourceVersion\":\"%llu\"}",
		    first ? "" : ",", kube_kinds[i].name,
		    (unsigned long long)r->in_force.of[i]);
		first = false;
	}
	buf_add_cstr(out, "],\"refused\":[");
	buf_add_str(out, buf_str(&r->refused));
	buf_add_cstr(out, "}}");
	r->written_hash = map_hash(buf_str(&r->refused));
	r->written = r->in_force;
	r->written_at = now;
	r->news = false;
}

void
node_report_answered(struct node_report *r, bool taken)
{
	r->failed = !taken;
	r->writes += taken;
	r->failures += !taken;
}

void
node_report_fini(struct node_report *r)
{
	buf_free(&r->refused);
}
