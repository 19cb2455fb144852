#include "enforcer/kube/kube_text.h"

#include <stdlib.h>
#include <string.h>

struct kube_part {
	uint32_t len;
	uint32_t holders; /* 0: it is its only text's */
	char text[];
};

struct kube_text {
	uint32_t len;
	uint32_t count;
	struct kube_part *parts[];
};

/* ---- parts ---- */

static struct str
part_text(const struct kube_part *p)
{
	return (struct str){p->text, p->len};
}

static struct kube_part *
new_part(struct str text)
{
	struct kube_part *p = xmalloc(sizeof(*p) + text.len);

	p->len = (uint32_t)text.len;
	p->holders = 0;
	if (text.len != 0)
		memcpy(p->text, text.ptr, text.len);
	return p;
}

static struct kube_part *
hold_part(struct kube_texts *texts, struct str text)
{
	struct kube_part *p = map_get(&texts->parts, text);

	if (p == NULL) {
		p = new_part(text);
		(void)map_set(&texts->parts, part_text(p), p); /* new */
	}
	p->holders++;
	return p;
}

static void
drop_part(struct kube_texts *texts, struct kube_part *p)
{
	if (p->holders > 1) {
		p->holders--;
		return;
	}
	if (p->holders == 1)
		(void)map_remove(&texts->parts, part_text(p)); /* is there */
	free(p);
}

/* ---- texts ---- */

struct kube_text *
kube_text_new(struct kube_texts *texts, struct str text, const struct kube_cut *cuts,
    size_t cut_count)
{
	struct kube_text *t =
	    xmalloc(sizeof(*t) + (cut_count + 1) * sizeof(t->parts[0]));
	enum kube_of of = cut_count != 0 ? KUBE_OF_KIN : KUBE_OF_ITSELF;
	size_t from = 0;

	t->len = (uint32_t)text.len;
	t->count = (uint32_t)cut_count + 1;
	for (size_t i = 0; i <= cut_count; i++) {
		const size_t end = i < cut_count ? cuts[i].at : text.len;
		const struct str part = str_slice(text, from, end);

		t->parts[i] =
		    of == KUBE_OF_ITSELF ? new_part(part) : hold_part(texts, part);
		from = end;
		of = i < cut_count ? cuts[i].of : of;
	}
	return t;
}

void
kube_text_free(struct kube_texts *texts, struct kube_text *t)
{
	if (t == NULL)
		return;
	for (uint32_t i = 0; i < t->count; i++)
		drop_part(texts, t->parts[i]);
	free(t);
}

void
kube_texts_fini(struct kube_texts *texts)
{
	map_fini(&texts->parts);
}

size_t
kube_text_len(const struct kube_text *t)
{
	return t->len;
}

bool
kube_text_is(const struct kube_text *t, struct str text)
{
	if (t->len != text.len)
		return false;
	for (uint32_t i = 0; i < t->count; i++) {
		const struct kube_part *p = t->parts[i];

		if (memcmp(p->text, text.ptr, p->len) != 0)
			return false;
		text = str_slice(text, p->len, text.len);
	}
	return true;
}

void
kube_text_add(const struct kube_text *t, struct buf *out)
{
	for (uint32_t i = 0; i < t->count; i++)
		buf_add_str(out, part_text(t->parts[i]));
}
