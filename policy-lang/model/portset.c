#include "policy-lang/model/portset.h"

#include <stdlib.h>
#include <string.h>

#define PORT_MAX 65535

static const uint8_t column_protos[PORT_COLUMNS] = {
    [PORTS_TCP] = PROTO_TCP,
    [PORTS_UDP] = PROTO_UDP,
    [PORTS_SCTP] = PROTO_SCTP,
    [PORTS_ICMP] = PROTO_ICMP,
    [PORTS_ICMPV6] = PROTO_ICMPV6,
    [PORTS_OTHER] = PROTO_ANY,
};

bool
port_column_has_ports(enum port_column column)
{
	return column == PORTS_TCP || column == PORTS_UDP || column == PORTS_SCTP;
}

enum port_column
port_column_of(uint8_t proto)
{
	for (unsigned i = 0; i < PORTS_OTHER; i++) {
		if (column_protos[i] == proto)
			return (enum port_column)i;
	}
	return PORTS_OTHER;
}

uint8_t
port_column_proto(enum port_column column)
{
	return column_protos[column];
}

void
portset_fini(struct portset *ps)
{
	for (size_t i = 0; i < PORT_COLUMNS; i++)
		free(ps->columns[i].items);
	memset(ps, 0, sizeof(*ps));
}

void
portset_reset(struct portset *ps)
{
	for (size_t i = 0; i < PORT_COLUMNS; i++) {
		struct port_list *list = &ps->columns[i];

		if (list->cap == 0) {
			list->cap = 8;
			list->items =
			    xreallocarray(NULL, list->cap, sizeof(*list->items));
		}
		list->items[0] = (struct port_segment){.lo = 0, .hi = PORT_MAX};
		list->count = 1;
	}
	ps->level = 1;
	ps->undecided = PORT_COLUMNS;
}

void
portset_next_level(struct portset *ps)
{
	ps->level++;
}

/* The segment that `port` is in. */
static size_t
list_find(const struct port_list *list, uint16_t port)
{
	size_t lo = 0, hi = list->count - 1;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (list->items[mid].hi < port)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Makes a segment begin at `port`; true if one had to be cut. */
static bool
list_cut(struct port_list *list, uint16_t port)
{
	size_t i = list_find(list, port);

	if (list->items[i].lo == port)
		return false;
	if (list->count == list->cap) {
		list->cap *= 2;
		list->items =
		    xreallocarray(list->items, list->cap, sizeof(*list->items));
	}
	memmove(&list->items[i + 1], &list->items[i],
	    (list->count - i) * sizeof(*list->items));
	list->items[i].hi = (uint16_t)(port - 1);
	list->items[i + 1].lo = port;
	list->count++;
	return true;
}

static void
cut(struct portset *ps, struct port_list *list, uint16_t port)
{
	if (list_cut(list, port) &&
	    list->items[list_find(list, port)].number == NUMBER_NONE)
		ps->undecided++;
}

void
portset_apply(struct portset *ps, enum port_column column, uint16_t lo, uint16_t hi,
    enum action action, uint32_t number)
{
	struct port_list *list = &ps->columns[column];

	if (!port_column_has_ports(column)) {
		lo = 0;
		hi = PORT_MAX;
	}
	if (lo > hi)
		return;
	cut(ps, list, lo);
	if (hi < PORT_MAX)
		cut(ps, list, (uint16_t)(hi + 1));
	for (size_t i = list_find(list, lo); i < list->count; i++) {
		struct port_segment *s = &list->items[i];

		if (s->lo > hi)
			break;
		if (s->number != NUMBER_NONE || s->passed == ps->level)
			continue;
		if (action == ACTION_PASS) {
			s->passed = ps->level;
		} else {
			s->number = number;
			ps->undecided--;
		}
	}
}

void
portset_apply_all(struct portset *ps, enum action action, uint32_t number)
{
	for (unsigned i = 0; i < PORT_COLUMNS; i++)
		portset_apply(ps, (enum port_column)i, 0, PORT_MAX, action, number);
}

bool
portset_decided(const struct portset *ps)
{
	return ps->undecided == 0;
}

void
portset_join(struct portset *ps)
{
	for (size_t i = 0; i < PORT_COLUMNS; i++) {
		struct port_list *list = &ps->columns[i];
		size_t kept = 0;

		for (size_t j = 1; j < list->count; j++) {
			if (list->items[j].number == list->items[kept].number)
				list->items[kept].hi = list->items[j].hi;
			else
				list->items[++kept] = list->items[j];
		}
		list->count = kept + 1;
	}
}
