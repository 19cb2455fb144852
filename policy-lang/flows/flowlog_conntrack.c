/*
 * What `conntrack -L` and `conntrack -E` print, as text or as XML. Each entry has the
 * tuple of the first packet and the one of replies: who was reached is whom the replies come
 * from, which is not whom the client dialled where a Service was translated.
 */
#include "policy-lang/flows/flowlog.h"

/* The two tuples, as far as they were found. */
struct tuple {
	struct str src, dst, sport, dport;
};

struct entry {
	struct str proto; /* a name or a number */
	struct tuple original, reply;
};

/* ---- from texts to a record ---- */

static bool
read_protocol(struct str text, uint8_t *out_proto)
{
	uint64_t number;

	if (proto_parse(text, out_proto))
		return true;
	if (!str_to_u64(text, UINT8_MAX, &number))
		return false;
	*out_proto = (uint8_t)number;
	return true;
}

static const char *
fill_record(const struct entry *entry, struct flowlog_record *record)
{
	bool replied = entry->reply.src.len > 0;
	struct str dst = replied ? entry->reply.src : entry->original.dst;
	struct str port = replied ? entry->reply.sport : entry->original.dport;
	uint64_t number;

	if (!read_protocol(entry->proto, &record->proto))
		return "the entry does not say which protocol";
	if (!ip_parse(entry->original.src, &record->src.addr) ||
	    !ip_parse(dst, &record->dst.addr))
		return "the entry does not have a source and a destination address";
	record->src.has_addr = record->dst.has_addr = true;
	if (proto_has_ports(record->proto)) {
		if (!str_to_u64(port, UINT16_MAX, &number) || number == 0)
			return "the entry does not say which port";
		record->port = (uint16_t)number;
	}
	record->verdict = FLOWLOG_ALLOW; /* what is dropped gets no entry */
	return NULL;
}

static enum flowlog_result
finish(const struct entry *entry, struct flowlog_record *record, const char **out_why)
{
	*out_why = fill_record(entry, record);
	return *out_why == NULL ? FLOWLOG_RECORD : FLOWLOG_BAD;
}

/* ---- text ---- */

static struct str
next_word(struct str *rest)
{
	size_t from = 0, to;
	struct str word;

	while (from < rest->len && (rest->ptr[from] == ' ' || rest->ptr[from] == '\t'))
		from++;
	to = from;
	while (to < rest->len && rest->ptr[to] != ' ' && rest->ptr[to] != '\t')
		to++;
	word = str_slice(*rest, from, to);
	*rest = str_slice(*rest, to, rest->len);
	return word;
}

/* The first key=value of a key is the original's, the second the reply's. */
static void
take_pair(struct entry *entry, struct str key, struct str value)
{
	static const char *const keys[] = {"src", "dst", "sport", "dport"};
	struct str *const slots[][2] = {
	    {&entry->original.src, &entry->reply.src},
	    {&entry->original.dst, &entry->reply.dst},
	    {&entry->original.sport, &entry->reply.sport},
	    {&entry->original.dport, &entry->reply.dport},
	};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (!str_is(key, keys[i]))
			continue;
		if (slots[i][0]->len == 0)
			*slots[i][0] = value;
		else if (slots[i][1]->len == 0)
			*slots[i][1] = value;
	}
}

/* Of events, those that begin a connection count: each has others after it. */
static bool
is_later_event(struct str word)
{
	return str_is(word, "[UPDATE]") || str_is(word, "[DESTROY]");
}

/* "conntrack v1.4.7 (conntrack-tools): 42 flow entries have been shown." */
static bool
is_summary(struct str line)
{
	return str_starts(line, STR("conntrack v"));
}

enum flowlog_result
flowlog_read_conntrack(struct arena *scratch UNUSED, struct str line,
    struct flowlog_record *out_record, const char **out_why)
{
	struct entry entry = {0};
	struct str rest = line;
	struct str word = next_word(&rest);

	if (is_summary(line))
		return FLOWLOG_SKIPPED;
	while (word.len > 0 && word.ptr[0] == '[') { /* a time, an event's kind */
		if (is_later_event(word))
			return FLOWLOG_SKIPPED;
		if (!str_is(word, "[NEW]"))
			out_record->time = str_slice(word, 1, word.len - 1);
		word = next_word(&rest);
	}
	if (str_is(word, "ipv4") || str_is(word, "ipv6")) {
		(void)next_word(&rest); /* the family's number */
		word = next_word(&rest);
	}
	entry.proto = word;
	word = next_word(&rest); /* the protocol's number */
	if (!proto_parse(entry.proto, &out_record->proto))
		entry.proto = word; /* "unknown 47", "gre 47" */
	for (word = next_word(&rest); word.len > 0; word = next_word(&rest)) {
		struct str value = word;
		struct str key = str_split(&value, '=');

		if (value.ptr != NULL)
			take_pair(&entry, key, value);
	}
	return finish(&entry, out_record, out_why);
}

/* ---- XML ---- */

/* The text between <name> and </name> at or after *at; moves *at behind it. */
static struct str
element_text(struct str line, const char *name, size_t *at)
{
	struct str open = str_from(name);

	for (size_t i = *at; i < line.len; i++) {
		struct str here = str_slice(line, i, line.len);
		size_t from = i + open.len + 2, to;

		if (line.ptr[i] != '<' ||
		    !str_starts(str_slice(here, 1, here.len), open) ||
		    from > line.len || line.ptr[from - 1] != '>')
			continue;
		to = str_find(line, '<', from);
		*at = to;
		return str_trim(str_slice(line, from, to));
	}
	return (struct str){0};
}

/* The value of protoname="..." of the first layer4. */
static struct str
layer4_protocol(struct str line)
{
	static const char *const attributes[] = {"protoname=\"", "protonum=\""};
	struct str tag = {0};
	uint8_t proto;

	for (size_t i = 0; i < line.len && tag.len == 0; i++) {
		struct str here = str_slice(line, i, line.len);

		if (str_starts(here, STR("<layer4")))
			tag = str_slice(here, 0, str_find(here, '>', 0));
	}
	for (size_t a = 0; a < ARRAY_LEN(attributes); a++) {
		struct str name = str_from(attributes[a]);

		for (size_t i = 0; i < tag.len; i++) {
			struct str here = str_slice(tag, i, tag.len);
			struct str value;

			if (!str_starts(here, name))
				continue;
			value =
			    str_slice(here, name.len, str_find(here, '"', name.len));
			if (a > 0 || proto_parse(value, &proto))
				return value;
		}
	}
	return (struct str){0};
}

enum flowlog_result
flowlog_read_conntrack_xml(struct arena *scratch UNUSED, struct str line,
    struct flowlog_record *out_record, const char **out_why)
{
	struct entry entry = {0};
	static const char *const names[] = {"src", "dst", "sport", "dport"};

	if (!str_starts(line, STR("<flow")))
		return FLOWLOG_SKIPPED; /* the declaration, the outermost element */
	if (str_starts(line, STR("<flow type=\"update\"")) ||
	    str_starts(line, STR("<flow type=\"destroy\"")))
		return FLOWLOG_SKIPPED;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t at = 0;

		take_pair(
		    &entry, str_from(names[i]), element_text(line, names[i], &at));
		take_pair(
		    &entry, str_from(names[i]), element_text(line, names[i], &at));
	}
	entry.proto = layer4_protocol(line);
	return finish(&entry, out_record, out_why);
}
