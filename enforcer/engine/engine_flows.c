/*
 * Logged packets: joined to the program in force, told to the flow log, to whoever follows,
 * and to the audit log.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "enforcer/control/control.h"
#include "enforcer/engine/engine_state.h"

#define LINES_BYTES (64 * 1024) /* written when there is as much, or nothing more */
#define JOIN_NS     10000000000u /* so long after a start a first program is waited for */

static void
on_record(void *arg, const struct flows_record *record)
{
	struct engine *e = arg;
	struct engine_flows *f = &e->flows;
	struct buf *line = &f->recent[f->recent_next];
	struct flow_view view;
	struct buf event = {0};
	uint8_t id[16];

	flow_view_make(&view, e->apply.current, record);
	f->records++;
	*(record->packet.audit   ? &f->audited
	    : record->packet.cut ? &f->cut
	    : view.allow         ? &f->allowed
				 : &f->denied) += record->count;
	buf_clear(line);
	flow_view_json(line, &view);
	f->recent_next = (f->recent_next + 1) % ENGINE_RECENT_FLOWS;
	f->recent_count += f->recent_count < ENGINE_RECENT_FLOWS;
	buf_add_char(line, '\n');
	if (f->kept)
		buf_add_str(&f->lines, buf_str(line));
	control_flow(e->control, buf_str(line));
	engine_export_flow(e, &view);
	if (!e->settings.audit)
		return;
	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		base_die("getrandom");
	audit_event_flow(&event, id, e->settings.node, &view);
	(void)engine_audit_send(e, buf_str(&event), false); /* counted when lost */
	buf_free(&event);
}

/* ---- the file ---- */

static void
write_failed(struct engine_flows *f, int error)
{
	char reason[128];

	f->write_failures++;
	if (!f->file_failed)
		log_error("flow-log", "detail=%s",
		    log_quote(str_from(strerror_r(error, reason, sizeof(reason)))));
	f->file_failed = true;
}

/* Writes as much as can be; the rest is returned. */
static struct str
write_some(struct engine_flows *f, struct str rest)
{
	while (rest.len != 0) {
		ssize_t n = write(f->file, rest.ptr, rest.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			write_failed(f, errno);
			break;
		}
		f->torn = n > 0 ? rest.ptr[n - 1] != '\n' : f->torn;
		rest = str_slice(rest, (size_t)n, rest.len);
		f->file_failed = false;
	}
	return rest;
}

/* What cannot be written is given up: the disk is full, and memory is not to be. What then
 * follows half a line begins on one of its own. */
static void
write_lines(struct engine_flows *f)
{
	struct str rest = buf_str(&f->lines);

	if (f->file >= 0 && rest.len != 0 &&
	    (!f->torn || write_some(f, STR("\n")).len == 0))
		rest = write_some(f, rest);
	for (size_t i = 0; i < rest.len; i++)
		f->unwritten += rest.ptr[i] == '\n';
	buf_clear(&f->lines);
}

void
engine_flows_file(struct engine *e, bool kept, int fd)
{
	struct engine_flows *f = &e->flows;

	write_lines(f);
	if (f->file >= 0)
		(void)close(f->file); /* written to as far as it can be */
	f->kept = kept;
	f->file = fd;
	f->file_failed = false;
	f->torn = false;
}

/* ---- the socket ---- */

/* Who has just started, and will soon know, says nothing yet of what a former one's program
 * denies: nobody is helped by numbers. */
static void
hold_till_known(struct engine *e)
{
	const bool comes =
	    e->apply.current == NULL && !e->load.behind && e->apply.refusal[0] == '\0';

	flows_hold(e->flows.flows,
	    comes && monotime_since(e->flows.began, monotime_now()) < JOIN_NS);
}

void
engine_flows_add(struct engine *e, const struct nflog_packet *packet)
{
	struct engine_flows *f = &e->flows;

	hold_till_known(e);
	flows_add(f->flows, packet, monotime_now(), walltime_now());
	if (f->lines.len >= LINES_BYTES)
		write_lines(f);
}

/* What a rule allowed that was logged for the sake of other workloads. */
static bool
is_others(const struct engine *e, const struct nflog_packet *packet)
{
	const struct program *p = e->apply.current;
	const struct table_rule_chain *rule =
	    p != NULL ? program_rule(p, packet->number) : NULL;
	const struct ip_addr *end;

	if (rule == NULL || rule->action != ACTION_ALLOW || rule->policy.len == 0)
		return false;
	end = rule->dir == DIR_EGRESS ? &packet->src : &packet->dst;
	return !allowed_has(&p->allowed, model_workload_at(p->model, end));
}

static void
on_packet(void *arg, const struct nflog_packet *packet)
{
	struct engine *e = arg;

	if (is_others(e, packet))
		return;
	e->flows.packets++;
	if (packet->number != NUMBER_MIDSTREAM || !engine_adopt_packet(e, packet))
		engine_flows_add(e, packet);
}

static void
after_packets(void *arg)
{
	struct engine *e = arg;

	write_lines(&e->flows);
	engine_export_send(e);
}

void
engine_flows_socket(struct engine *e, int fd)
{
	if (!nflog_reader_take(&e->flows.log, &e->loop, fd))
		log_error("flows-not-read", "detail=\"cannot watch the socket\"");
}

/* ---- life ---- */

void
engine_flows_tick(struct engine *e)
{
	hold_till_known(e);
	(void)flows_tick(e->flows.flows, monotime_now()); /* the tick comes anyway */
	write_lines(&e->flows);
}

void
engine_flows_init(struct engine *e)
{
	e->flows.log = (struct nflog_reader){
	    .each = on_packet, .after = after_packets, .arg = e, .fd = -1};
	e->flows.file = -1;
	e->flows.flows = flows_new(on_record, e);
	e->flows.began = monotime_now();
}

void
engine_flows_fini(struct engine *e)
{
	struct engine_flows *f = &e->flows;

	flows_free(f->flows); /* tells what is left */
	engine_flows_file(e, false, -1);
	nflog_reader_close(&f->log);
	for (size_t i = 0; i < ENGINE_RECENT_FLOWS; i++)
		buf_free(&f->recent[i]);
	buf_free(&f->lines);
}
