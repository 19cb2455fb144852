/*
 * A random cluster once more, but for a document that is left out, or for some words.
 */
#include <string.h>

#include "tests/property/cluster.h"

/* Words that documents are made of, and others that may stand in their place. */
static const char *const words[][2] = {
    {"v0", "v1"},
    {"v1", "v2"},
    {"v2", "v0"}, /* labels of workloads */
    {"t0", "t1"},
    {"t1", "t2"},
    {"t2", "t0"}, /* labels of namespaces */
    {"app: ", "tier: "},
    {"sa0", "sa1"}, /* their keys; accounts */
    {"10.1.0.", "10.1.1."},
    {"fd00:1::", "fd00:2::"},
    {"/24", "/25"},
    {"node-0", "node-1"},
    {"node-2", "node-0"},
    {"hostNetwork: true", "hostNetwork: false"},
    {"action: deny", "action: allow"},
    {"action: allow", "action: deny"},
    {"action: pass", "action: deny"},
    {"action: Allow", "action: Deny"},
    {"action: Deny", "action: Pass"},
    {"priority: 1", "priority: 2"},
    {"priority: 2", "priority: 0"},
    {"ingress:", "egress:"},
    {"80", "81"},
    {"53", "54"},
    {"http", "dns"},
    {"metrics", "http"},
    {"TCP", "UDP"},
    {"/tcp", "/udp"},
};

/* The text without one of its documents. */
static void
print_without(struct buf *out, struct dice *dice, const struct buf *text)
{
	struct str rest = buf_str(text);
	size_t count = 0, gone, i = 0;

	for (const char *at = text->data; (at = strstr(at, "\n---\n")) != NULL; at += 4)
		count++;
	gone = dice_roll(dice, (unsigned)count + 1);
	while (rest.len > 0) {
		const char *cut = strstr(rest.ptr, "\n---\n");
		size_t len = cut != NULL ? (size_t)(cut - rest.ptr) + 5 : rest.len;

		if (i++ != gone)
			buf_add(out, rest.ptr, len);
		rest = str_slice(rest, len, rest.len);
	}
	buf_add_cstr(out, "\n");
}

/* The text with another word somewhere; the same if the word is not in what follows. */
void
cluster_print_reworded(struct buf *out, struct dice *dice, const struct buf *text)
{
	const char *const *pair = words[dice_roll(dice, (unsigned)ARRAY_LEN(words))];
	size_t from = text->len > 0 ? dice_roll(dice, (unsigned)text->len) : 0;
	const char *at = text->len > 0 ? strstr(text->data + from, pair[0]) : NULL;
	size_t before = at != NULL ? (size_t)(at - text->data) : text->len;

	buf_add(out, text->data, before);
	if (at == NULL)
		return;
	buf_add_cstr(out, pair[1]);
	buf_add_cstr(out, at + strlen(pair[0]));
}

static void
print_edited(struct buf *out, struct dice *dice, const struct buf *text)
{
	struct buf once = {0};

	if (dice_roll(dice, 2) == 0) {
		print_without(out, dice, text);
		return;
	}
	cluster_print_reworded(&once, dice, text);
	cluster_print_reworded(out, dice, &once);
	buf_free(&once);
}

void
cluster_print_edited(
    struct cluster_texts *out, struct dice *dice, const struct cluster_texts *old)
{
	unsigned which = dice_roll(dice, 1 + old->clusters);

	out->clusters = old->clusters;
	if (which == 0)
		print_edited(&out->tree, dice, &old->tree);
	else
		buf_add_str(&out->tree, buf_str(&old->tree));
	for (unsigned c = 0; c < old->clusters; c++) {
		if (which == 1 + c)
			print_edited(&out->kube[c], dice, &old->kube[c]);
		else
			buf_add_str(&out->kube[c], buf_str(&old->kube[c]));
	}
}
