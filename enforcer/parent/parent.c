#include "enforcer/parent/parent.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/capability.h>

#include "common/log.h"
#include "enforcer/kernel/nft.h"
#include "enforcer/parent/parent_state.h"

/* ---- signals ---- */

static void
print_diags(const struct diag_list *diags)
{
	struct buf text = {0};

	diag_render_text(&text, diags);
	if (text.len != 0)
		(void)fwrite(text.data, 1, text.len, stderr);
	buf_free(&text);
}

static void
log_diags(struct arena *arena, const struct diag_list *diags)
{
	for (const struct diag *d = diags->first; d != NULL; d = d->next)
		log_write(d->severity == DIAG_ERROR ? LOG_ERROR : LOG_WARN, "config",
		    "at=%s message=%s", log_quote(str_from(loc_text(arena, d->loc))),
		    log_quote(str_from(d->msg)));
}

static bool
same_text(const char *a, const char *b)
{
	return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static bool
same_places(const struct enforcer_config *a, const struct enforcer_config *b)
{
	bool same = a->address_place_count == b->address_place_count;

	for (size_t i = 0; same && i < a->address_place_count; i++) {
		const struct address_place *x = &a->address_places[i];
		const struct address_place *y = &b->address_places[i];

		same = x->network.len == y->network.len &&
		       ip_eq(&x->network.addr, &y->network.addr) &&
		       str_eq(x->subtree, y->subtree) &&
		       strcmp(x->interface, y->interface) == 0;
	}
	return same;
}

static bool
same_listeners(const struct enforcer_config *a, const struct enforcer_config *b)
{
	bool same = a->dns_listener_count == b->dns_listener_count;

	for (size_t i = 0; same && i < a->dns_listener_count; i++)
		same = ip_eq(&a->dns_listeners[i].addr, &b->dns_listeners[i].addr) &&
		       a->dns_listeners[i].port == b->dns_listeners[i].port;
	return same;
}

/* Who listens asks whom it asked: a file without dns names nobody. */
static void
keep_resolver(
    struct arena *arena, struct enforcer_config *now, const struct enforcer_config *old)
{
	struct dns_listener *listeners =
	    ARENA_ARRAY(arena, old->dns_listener_count, struct dns_listener);
	struct ip_addr *resolvers =
	    ARENA_ARRAY(arena, old->resolver_count, struct ip_addr);

	for (size_t i = 0; i < old->dns_listener_count; i++)
		listeners[i] = old->dns_listeners[i];
	for (size_t i = 0; i < old->resolver_count; i++)
		resolvers[i] = old->resolvers[i];
	now->dns_listeners = listeners;
	now->dns_listener_count = old->dns_listener_count;
	now->resolvers = resolvers;
	now->resolver_count = old->resolver_count;
}

static void
keep_places(
    struct arena *arena, struct enforcer_config *now, const struct enforcer_config *old)
{
	struct address_place *places =
	    ARENA_ARRAY(arena, old->address_place_count, struct address_place);

	for (size_t i = 0; i < old->address_place_count; i++) {
		places[i] = old->address_places[i];
		places[i].subtree = str_dup(arena, old->address_places[i].subtree);
	}
	now->address_places = places;
	now->address_place_count = old->address_place_count;
}

static bool
same_metrics(const struct enforcer_config *a, const struct enforcer_config *b)
{
	return a->has_metrics == b->has_metrics && a->metrics_port == b->metrics_port &&
	       ip_eq(&a->metrics_addr, &b->metrics_addr);
}

/* Names the fields that have changed and wait for a restart. */
static void
warn_of_fixed(const struct enforcer_config *now, const struct enforcer_config *old)
{
	const struct {
		const char *field;
		bool same;
	} fixed[] = {
	    {"node", str_eq(now->node, old->node)},
	    {"control", same_text(now->control_socket, old->control_socket)},
	    {"controlGroup", str_eq(now->control_group, old->control_group)},
	    {"metrics", same_metrics(now, old)},
	    {"audit.directory", same_text(now->audit_directory, old->audit_directory)},
	    {"user", str_eq(now->user, old->user)},
	    {"tableOwner", now->own_table == old->own_table},
	    {"routeAddresses", same_places(now, old)},
	    {"steering", steering_equal(&now->steering, &old->steering)},
	    {"flows.group", now->flow_group == old->flow_group},
	    {"dns.group", now->names_group == old->names_group},
	    {"dns.listen", same_listeners(now, old)},
	};
	struct buf fields = {0};

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
		if (!fixed[i].same)
			buf_printf(&fields, "%s%s", fields.len != 0 ? ", " : "",
			    fixed[i].field);
	}
	if (fields.len != 0)
		log_warn("config", "fields=%s message=\"change with a restart only\"",
		    log_quote(buf_str(&fields)));
	buf_free(&fields);
}

/* What cannot change while we run stays as it is, and says so. */
static void
keep_fixed(
    struct arena *arena, struct enforcer_config *now, const struct enforcer_config *old)
{
	warn_of_fixed(now, old);
	now->flow_group = old->flow_group;
	now->names_group = old->names_group;
	now->own_table = old->own_table;
	if (!same_listeners(now, old))
		keep_resolver(arena, now, old);
	keep_places(arena, now, old);
	now->steering = steering_copy(arena, &old->steering);
}

/* Of a directory that may have been a source before. */
static void
follow_source(const struct parent *p, const char *directory, struct files_source *out)
{
	for (size_t i = 0; i < p->directory_count; i++) {
		if (strcmp(p->directories[i], directory) == 0) {
			files_source_follow(
			    out, &p->source_files[p->directory_sources[i]]);
			return;
		}
	}
}

static void
watch_sources(struct parent *p)
{
	struct files_source next[ENFORCER_MAX_SOURCES];

	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++)
		files_source_init(&next[i]);
	for (size_t i = 0; i < p->config->source_count; i++) {
		if (!p->config->sources[i].kubernetes)
			follow_source(p, p->config->sources[i].directory, &next[i]);
	}
	sources_free(p->sources);
	p->sources = NULL;
	p->directory_count = 0;
	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++) {
		files_source_fini(&p->source_files[i]);
		p->source_files[i] = next[i];
	}
	p->directories =
	    ARENA_ARRAY(p->config_arena, p->config->source_count, const char *);
	for (size_t i = 0; i < p->config->source_count; i++) {
		if (p->config->sources[i].kubernetes)
			continue;
		p->directory_sources[p->directory_count] = i;
		p->directories[p->directory_count++] = p->config->sources[i].directory;
	}
	sources_new(&p->loop, p->directories, p->directory_count, parent_source_changed,
	    p, &p->sources);
}

static void
reload(struct parent *p)
{
	struct arena *arena = arena_new();
	struct diag_list diags;
	struct enforcer_config *config;
	struct enforcer_config *old = p->config;
	struct arena *old_arena = p->config_arena;

	diag_list_init(&diags, arena);
	config = enforcer_config_load(arena, p->options->config_path, &diags);
	log_diags(arena, &diags);
	p->config_errors = config == NULL ? diags.errors : 0;
	parent_send_config_read(p);
	if (config == NULL) {
		log_error("reload-refused", "errors=%u", diags.errors);
		arena_free(arena);
		return;
	}
	keep_fixed(arena, config, old);
	/* Strings that stay are the same, so that nothing points to the old ones. */
	config->control_socket = arena_strdup(arena, old->control_socket);
	config->control_group = str_dup(arena, old->control_group);
	config->node = str_dup(arena, old->node);
	config->audit_directory = old->audit_directory != NULL
				      ? arena_strdup(arena, old->audit_directory)
				      : NULL;
	p->config = config;
	p->config_arena = arena;
	log_setup("enforcer", config->log_level, config->log_format);
	parent_send_settings(p, ROLE_ENGINE);
	parent_send_settings(p, ROLE_DNS);
	parent_send_flow_file(p);
	parent_send_exports(p);
	watch_sources(p);
	parent_kube_update(p);
	parent_bridge_look(p);
	parent_uplinks_look(p);
	arena_free(old_arena);
	log_info("reloaded", "sources=%zu", config->source_count);
}

static void
on_reload(uv_timer_t *timer)
{
	proc_notify("RELOADING=1");
	reload(timer->data);
	proc_notify("READY=1");
}

static void
on_signal(uv_signal_t *handle, int number)
{
	struct parent *p = handle->data;

	if (number == SIGHUP) {
		if (uv_timer_start(&p->reload, on_reload, 0, 0) != 0)
			base_die("cannot start a timer");
		return;
	}
	log_info("stopping", "signal=%d", number);
	uv_stop(&p->loop);
}

/* ---- life ---- */

static void
init(struct parent *p, const struct parent_options *options)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	p->options = options;
	p->ready_fd = options->ready_fd;
	p->nft_fd = -1;
	if (uv_loop_init(&p->loop) != 0)
		base_die("cannot make the event loop");
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		p->signals[i].data = p;
		if (uv_signal_init(&p->loop, &p->signals[i]) != 0 ||
		    uv_signal_start(&p->signals[i], on_signal, numbers[i]) != 0)
			base_die("cannot take signals");
	}
	p->reload.data = p;
	if (uv_timer_init(&p->loop, &p->reload) != 0)
		base_die("cannot make a timer");
	for (size_t i = 0; i < ROLE_SLOTS; i++) {
		p->roles[i].parent = p;
		p->roles[i].id = (enum role_id)i;
		p->roles[i].child = PROC_CHILD_INIT;
		p->roles[i].restart.data = &p->roles[i];
		if (uv_timer_init(&p->loop, &p->roles[i].restart) != 0)
			base_die("cannot make a timer");
	}
	for (size_t i = 0; i < LISTENER_COUNT; i++)
		p->listeners[i] = -1;
	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++)
		files_source_init(&p->source_files[i]);
	parent_kube_init(p);
	parent_control_init(p);
	parent_bridge_init(p);
	parent_own_init(p);
	parent_uplinks_init(p);
	parent_watch_init(p);
}

static bool
load_config(struct parent *p)
{
	struct diag_list diags;

	p->config_arena = arena_new();
	diag_list_init(&diags, p->config_arena);
	p->config =
	    enforcer_config_load(p->config_arena, p->options->config_path, &diags);
	print_diags(&diags);
	if (p->config == NULL)
		return false;
	log_setup("enforcer", p->config->log_level, p->config->log_format);
	return true;
}

static int
prepare(struct parent *p, struct err *err)
{
	const struct enforcer_config *c = p->config;
	int rc = files_find_user(c, &p->uid, &p->gid, err);

	if (rc == 0)
		rc = nft_socket(&p->nft_fd, err);
	if (rc == 0)
		rc = parent_control_listen(p, err);
	if (rc == 0 && c->has_metrics)
		rc = files_listen_metrics(c, &p->listeners[LISTENER_METRICS], err);
	for (size_t i = 0; rc == 0 && i < c->dns_listener_count; i++) {
		rc = files_listen_dns(
		    &c->dns_listeners[i], &p->dns_fds[p->dns_fd_count], err);
		if (rc == 0)
			p->dns_fd_count += 2;
	}
	/* All that listens does: what may be bound to low ports is needed no more. */
	if (rc == 0)
		rc = proc_give_up(CAP_NET_BIND_SERVICE, err);
	return rc;
}

/* Roles end before those that they tell what they still have to say. The kernel's table
 * stays. */
static void
finish(struct parent *p)
{
	p->stopping = true;
	proc_notify("STOPPING=1");
	parent_kube_fini(p);
	parent_bridge_fini(p);
	parent_uplinks_fini(p);
	parent_own_fini(p);
	parent_watch_fini(p);
	parent_stop_role(p, ROLE_DNS);
	parent_stop_role(p, ROLE_ENGINE);
	parent_stop_role(p, ROLE_AUDIT);
	parent_stop_role(p, ROLE_KERNEL);
	parent_control_fini(p);
	for (size_t i = 0; i < LISTENER_COUNT; i++) {
		if (p->listeners[i] >= 0)
			(void)close(p->listeners[i]); /* nobody accepts any more */
	}
	for (size_t i = 0; i < p->dns_fd_count; i++)
		(void)close(p->dns_fds[i]); /* nobody reads them any more */
	if (p->nft_fd >= 0)
		(void)close(p->nft_fd); /* nothing is buffered in it */
	sources_free(p->sources);
	for (size_t i = 0; i < ROLE_SLOTS; i++)
		uv_close((uv_handle_t *)&p->roles[i].restart, NULL);
	for (size_t i = 0; i < ARRAY_LEN(p->signals); i++)
		uv_close((uv_handle_t *)&p->signals[i], NULL);
	uv_close((uv_handle_t *)&p->reload, NULL);
	(void)uv_run(&p->loop, UV_RUN_DEFAULT); /* until all handles are closed */
	(void)uv_loop_close(&p->loop);          /* they are */
	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++)
		files_source_fini(&p->source_files[i]);
	arena_free(p->config_arena);
}

int
parent_run(const struct parent_options *options)
{
	struct parent *p = xcalloc(1, sizeof(*p));
	struct err err = ERR_INIT;
	int status;

	log_setup("enforcer", LOG_INFO, LOG_FORMAT_TEXT);
	(void)signal(SIGPIPE, SIG_IGN); /* a peer that left is an error code */
	/* What means something to other daemons must not end this one. */
	(void)signal(SIGUSR1, SIG_IGN);
	(void)signal(SIGUSR2, SIG_IGN);
	init(p, options);
	if (!load_config(p)) {
		p->status = 2;
	} else if (prepare(p, &err) != 0) {
		log_error("start", "detail=%s", log_quote(str_from(err.msg)));
		p->status = 1;
	} else {
		parent_uplinks_look(p); /* the first program is to have them */
		parent_own_look(p);
		parent_start_role(p, ROLE_KERNEL);
		if (p->config->audit_directory != NULL && p->status == 0)
			parent_start_role(p, ROLE_AUDIT);
		if (p->dns_fd_count != 0 && p->status == 0)
			parent_start_role(p, ROLE_DNS);
		if (p->status == 0)
			parent_start_role(p, ROLE_ENGINE);
		if (p->status == 0)
			watch_sources(p);
		if (p->status == 0)
			parent_kube_update(p);
		if (p->status == 0)
			parent_bridge_look(p);
		if (p->status == 0)
			(void)uv_run(&p->loop, UV_RUN_DEFAULT); /* ends by uv_stop */
	}
	finish(p);
	status = p->status;
	free(p);
	return status;
}
