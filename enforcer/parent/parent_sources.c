/*
 * Directories that are sources: what has changed in them is read and sent to the engine.
 */
#include "enforcer/parent/parent_state.h"

#include <unistd.h>

#include "common/log.h"

static void
send_bundle(struct parent *p, size_t index)
{
	const struct files_source *s = &p->source_files[index];
	struct buf body = {0};

	if (s->bundle_fd < 0)
		return;
	proc_put_u32(&body, (uint32_t)index);
	proc_put_str(&body, STR(""));
	parent_send(p, ROLE_ENGINE, MSG_SOURCE, &body, s->bundle_fd);
	buf_free(&body);
}

static void
send_failure(struct parent *p, size_t index)
{
	const struct files_source *s = &p->source_files[index];
	struct buf body = {0};

	if (s->why.len == 0)
		return;
	proc_put_u32(&body, (uint32_t)index);
	proc_put_str(&body, buf_str(&s->why));
	parent_send(p, ROLE_ENGINE, MSG_SOURCE, &body, -1);
	buf_free(&body);
}

static void
send_whole(struct parent *p, size_t index)
{
	if (p->source_files[index].why.len != 0)
		send_failure(p, index);
	else
		send_bundle(p, index);
}

static void
send_edit(struct parent *p, size_t index, const struct files_edit *edit)
{
	struct err err = ERR_INIT;
	struct buf body = {0};
	int fd = -1;

	if (bundle_seal(&edit->changed, &fd, &err) != 0) {
		log_error("source-edit", "detail=%s", log_quote(str_from(err.msg)));
		parent_end_role(&p->roles[ROLE_ENGINE]); /* the next reads it anew */
		return;
	}
	proc_put_u32(&body, (uint32_t)index);
	proc_put_u32(&body, (uint32_t)edit->gone_count);
	for (size_t i = 0; i < edit->gone_count; i++)
		proc_put_str(&body, edit->gone[i]);
	parent_send(p, ROLE_ENGINE, MSG_SOURCE_EDIT, &body, fd);
	(void)close(fd); /* the engine has its own */
	buf_free(&body);
}

/* What could not be read is tried again: not all that is in the way shows when it goes. */
static void
watch_unread(struct parent *p, size_t index)
{
	const struct files_source *s = &p->source_files[index];
	struct arena *arena = arena_new_sized(1024);
	const char **names = NULL;
	size_t count = 0;

	if (s->why.len == 0)
		names = files_unread(s, arena, &count);
	for (size_t i = 0; i < p->directory_count; i++) {
		if (p->directory_sources[i] == index && (names == NULL || count != 0))
			sources_again(p->sources, i, names, count);
	}
	arena_free(arena);
}

static bool
read_source(struct parent *p, size_t index)
{
	const bool news = files_read_source(
	    &p->source_files[index], p->config->sources[index].directory);

	watch_unread(p, index);
	return news;
}

static void
read_whole(struct parent *p, size_t index)
{
	if (read_source(p, index))
		send_whole(p, index);
}

/* Reads a source again if files of it have changed since it was read. False: it has
 * never been read. */
static bool
read_edited(struct parent *p, size_t index)
{
	struct files_source *s = &p->source_files[index];

	if (s->edited && read_source(p, index))
		log_debug("source-read-again", "index=%zu", index);
	return s->known;
}

void
parent_source_changed(void *arg, size_t index, const struct sources_change *change)
{
	struct parent *p = arg;
	struct files_edit edit;

	index = p->directory_sources[index];
	if (change->whole) {
		read_whole(p, index);
		return;
	}
	switch (files_read_edit(
	    &p->source_files[index], change->names, change->count, &edit)) {
	case FILES_SAME:
		watch_unread(p, index);
		break;
	case FILES_EDITED:
		watch_unread(p, index);
		send_edit(p, index, &edit);
		arena_free(edit.arena);
		break;
	case FILES_WHOLE:
		read_whole(p, index);
		break;
	}
}

void
parent_source_tell(struct parent *p, size_t index)
{
	if (read_edited(p, index))
		send_whole(p, index);
}

void
parent_sources_tell(struct parent *p)
{
	/* Of a source that cannot be read now, the last that could be is in force. */
	for (size_t i = 0; i < p->config->source_count; i++) {
		/* But never what was there before it was edited. */
		if (read_edited(p, i) && !p->source_files[i].edited)
			send_bundle(p, i);
		send_failure(p, i);
	}
}
