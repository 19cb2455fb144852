#include "enforcer/flows/flows.h"

#include <stdlib.h>
#include <string.h>

#include "common/map.h"

/* What makes packets the same; the source port is not among it. */
struct flow_key {
	uint8_t bytes[4 + 1 + 16 + 16 + 1 + 2 + 1];
};

struct flow {
	struct flow *next; /* in the order in which windows end */
	struct flow_key key;
	struct flows_record record; /* count: not told yet */
	monotime_t began;
};

struct flows {
	flows_record_fn tell;
	void *arg;
	struct map by_key;
	struct flow *first;
	struct flow **tail;
	size_t kinds;
	bool held;
};

struct flows *
flows_new(flows_record_fn tell, void *arg)
{
	struct flows *f = xcalloc(1, sizeof(*f));

	f->tell = tell;
	f->arg = arg;
	f->tail = &f->first;
	return f;
}

static struct str
key_text(const struct flow_key *key)
{
	return (struct str){(const char *)key->bytes, sizeof(key->bytes)};
}

static void
make_key(struct flow_key *out, const struct nflog_packet *p)
{
	uint8_t *b = out->bytes;
	const uint8_t family = (uint8_t)p->src.family;

	memcpy(b, &p->number, 4);
	memcpy(b + 4, &family, 1);
	memcpy(b + 5, p->src.bytes, 16);
	memcpy(b + 21, p->dst.bytes, 16);
	memcpy(b + 37, &p->proto, 1);
	memcpy(b + 38, &p->dst_port, 2);
	b[40] = (uint8_t)(p->cut | p->audit << 1 | p->at_destination << 2);
}

static void
append(struct flows *f, struct flow *flow)
{
	flow->next = NULL;
	*f->tail = flow;
	f->tail = &flow->next;
}

static struct flow *
take_first(struct flows *f)
{
	struct flow *flow = f->first;

	f->first = flow->next;
	if (f->first == NULL)
		f->tail = &f->first;
	return flow;
}

static void
drop(struct flows *f, struct flow *flow)
{
	(void)map_remove(&f->by_key, key_text(&flow->key)); /* it is there */
	f->kinds -= !flow->record.crowd;
	free(flow);
}

static void
tell(struct flows *f, struct flow *flow)
{
	if (flow->record.count != 0)
		f->tell(f->arg, &flow->record);
	flow->record.count = 0;
}

/* Beyond FLOWS_MAX kinds, all of a rule's packets are one kind: rules are as many as the
 * policy has, which nobody who sends packets decides. */
static void
make_crowd(struct nflog_packet *packet)
{
	*packet = (struct nflog_packet){
	    .number = packet->number, .cut = packet->cut, .audit = packet->audit};
}

void
flows_add(
    struct flows *f, const struct nflog_packet *packet, monotime_t now, walltime_t wall)
{
	struct nflog_packet own = *packet;
	struct flow_key key;
	struct flow *flow;

	make_key(&key, &own);
	flow = map_get(&f->by_key, key_text(&key));
	if (flow == NULL && f->kinds >= FLOWS_MAX) {
		make_crowd(&own);
		make_key(&key, &own);
		flow = map_get(&f->by_key, key_text(&key));
	}
	if (flow != NULL) {
		if (flow->record.count == 0) {
			flow->record.packet = own;
			flow->record.time = wall;
		}
		flow->record.count++;
		return;
	}
	flow = xcalloc(1, sizeof(*flow));
	flow->key = key;
	flow->record = (struct flows_record){
	    .packet = own, .count = 1, .time = wall, .crowd = f->kinds >= FLOWS_MAX};
	flow->began = now;
	(void)map_set(&f->by_key, key_text(&flow->key), flow); /* new */
	f->kinds += !flow->record.crowd;
	append(f, flow);
	if (!flow->record.crowd && !f->held) /* else when its second is over */
		tell(f, flow);
}

void
flows_hold(struct flows *f, bool held)
{
	f->held = held;
}

bool
flows_tick(struct flows *f, monotime_t now)
{
	while (!f->held && f->first != NULL &&
	       monotime_since(f->first->began, now) >= FLOWS_SECOND) {
		struct flow *flow = take_first(f);

		if (flow->record.count == 0) {
			drop(f, flow);
			continue;
		}
		tell(f, flow);
		flow->began = now;
		append(f, flow);
	}
	return f->first != NULL;
}

void
flows_flush(struct flows *f)
{
	while (f->first != NULL) {
		struct flow *flow = take_first(f);

		tell(f, flow);
		drop(f, flow);
	}
}

void
flows_free(struct flows *f)
{
	if (f == NULL)
		return;
	flows_flush(f);
	map_fini(&f->by_key);
	free(f);
}
