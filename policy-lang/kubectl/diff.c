/*
 * What applying files would change: the cluster as it is, and the same with the objects of the
 * files in place of those of their names.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bundle.h"
#include "common/doc.h"
#include "policy-lang/kubectl/plugin.h"
#include "policy-lang/load/load_kinds.h"

#define PATHS_MAX 64

struct changing {
	struct plugin *p;
	struct diag_list diags;
	size_t named;
};

/* ---- the cluster, twice ---- */

/* In the directory: `ln` without a shell or a process. */
static bool
copy_live(struct plugin *p)
{
	char *words[] = {
	    (char[]){"cp"}, (char[]){"-rl"}, (char[]){"live"}, (char[]){"next"}, NULL};

	return call_program(words, p->directory, NULL, NULL) == 0;
}

static const char *
text_at(const struct doc_node *map, const char *key)
{
	const struct doc_node *node = doc_value(map, key);

	return node != NULL && node->kind == DOC_STRING ? node->text.ptr : "";
}

static bool
is_of_cluster(const char *kind)
{
	const struct native_kind *native = native_kind_find(str_from(kind));

	return (native != NULL && native->tree) || strcmp(kind, "Node") == 0 ||
	       str_ends(str_from(kind), STR("AdminNetworkPolicy")) ||
	       strcmp(kind, "ClusterNetworkPolicy") == 0;
}

/* Takes away the object that the document takes the place of. */
static bool
replace(struct changing *c, const struct doc_node *doc)
{
	const struct doc_node *metadata = doc_value(doc, "metadata");
	const struct doc_node *items = doc_value(doc, "items");
	const char *kind = text_at(doc, "kind");
	const char *name = text_at(metadata, "name");
	const char *ns = text_at(metadata, "namespace");

	for (uint32_t i = 0;
	     items != NULL && items->kind == DOC_LIST && i < items->count; i++) {
		if (!replace(c, items->u.items[i]))
			return false;
	}
	if (items != NULL || name[0] == '\0' || strchr(name, '/') != NULL ||
	    strchr(ns, '/') != NULL || name[0] == '.' || ns[0] == '.')
		return true;
	if (ns[0] == '\0' && !is_of_cluster(kind))
		return plugin_fail("%s: %s \"%s\" does not say its namespace",
			   loc_text(c->p->arena, doc->loc), kind, name) == 0;
	c->named++;
	/* There need not be one. */
	(void)unlink(arena_printf(c->p->arena, "%s/next/%s/%s%s%s.json",
	    c->p->directory, kind, ns, ns[0] != '\0' ? "/" : "", name));
	return true;
}

static bool
add_source(struct changing *c, const struct source *source, size_t number)
{
	const char *slash = strrchr(source->name.ptr, '/');
	struct doc_list docs;

	if (!doc_read(c->p->arena, source, &c->diags, &docs))
		return false;
	for (size_t i = 0; i < docs.count; i++) {
		if (docs.docs[i]->kind == DOC_MAP && !replace(c, docs.docs[i]))
			return false;
	}
	return fetch_write(
	    arena_printf(c->p->arena, "%s/next/files/%zu-%s.yaml", c->p->directory,
		number, slash != NULL ? slash + 1 : "stdin"),
	    source->text);
}

static bool
put_files(struct changing *c, const char *const *paths, size_t count)
{
	struct bundle bundle;
	struct buf text = {0};
	bool ok;

	diag_list_init(&c->diags, c->p->arena);
	ok = bundle_read(c->p->arena, paths, count, &c->diags, &bundle);
	for (size_t i = 0; i < bundle.count && ok; i++)
		ok = add_source(c, &bundle.sources[i], i);
	diag_render_text(&text, &c->diags);
	if (text.len != 0)
		(void)fwrite(text.data, 1, text.len, stderr);
	buf_free(&text);
	return ok;
}

int
plugin_diff(struct plugin *p)
{
	static const char *const names[] = {"-f", "--filename"};
	const char *paths[PATHS_MAX], **words;
	struct changing c = {.p = p};
	size_t count = 0, n = 0;
	int status = PLUGIN_ERROR;
	bool bad = false;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *path;

		while (count < PATHS_MAX &&
		       (path = plugin_take_option(p, names[i], &bad)) != NULL)
			paths[count++] = path;
	}
	if (bad || count == 0)
		return plugin_fail("diff needs -f PATH");
	words = ARENA_ARRAY(p->arena, (size_t)p->word_count + 4, const char *);
	words[n++] = "diff";
	for (int i = 0; i < p->word_count; i++)
		words[n++] = p->words[i];
	words[n++] = "live";
	words[n++] = "next";
	words[n] = NULL;
	if (fetch_cluster(p) && copy_live(p) && put_files(&c, paths, count))
		status = call_ringfence(p, words);
	return status;
}
