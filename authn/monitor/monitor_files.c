/*
 * Certificates, keys and authorities that change on disk are taken into use without a signal,
 * as those who renew them expect. Policy is not: people edit it, and say when it is done.
 */
#include <string.h>
#include <sys/stat.h>

#include "authn/monitor/monitor.h"
#include "common/log.h"

#define LOOK_MS 1000

/* A digest of what stat(2) says of a file; links are followed, as secrets are mounted. */
static uint64_t
look(uint64_t h, const char *path)
{
	struct stat st;

	if (path == NULL || stat(path, &st) != 0)
		return h * 31 + 1;
	h = h * 31 + (uint64_t)st.st_ino;
	h = h * 31 + (uint64_t)st.st_size;
	h = h * 31 + (uint64_t)st.st_mtim.tv_sec;
	return h * 31 + (uint64_t)st.st_mtim.tv_nsec;
}

static uint64_t
look_all(const struct gate_config *c)
{
	const char *const paths[] = {
	    c->tls_certificate,
	    c->tls_key,
	    c->tls_client_ca,
	    c->tls_crl,
	    c->upstream_ca,
	    c->upstream_certificate,
	    c->upstream_key,
	    c->admission.certificate,
	    c->admission.key,
	    c->admission.client_ca,
	    c->has_ldap ? c->ldap.ca : NULL,
	    c->etcd.ca,
	    c->etcd.certificate,
	    c->etcd.key,
	};
	uint64_t h = 0;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		h = look(h, paths[i]);
	return h;
}

/* Once they have stayed the same for one turn: pairs are replaced one by one. */
static void
on_look(uv_timer_t *timer)
{
	struct monitor *m = timer->data;
	const uint64_t now = look_all(m->plan->config);

	if (now == m->files_in_force || m->stopping) {
		m->files_seen = now;
		return;
	}
	if (now != m->files_seen) {
		m->files_seen = now;
		return;
	}
	m->files_in_force = now; /* if they are no good, the next change is tried */
	log_info("files-changed", "detail=\"certificates, keys, authorities\"");
	monitor_reload(m, true);
}

void
monitor_files_note(struct monitor *m)
{
	m->files_in_force = m->files_seen = look_all(m->plan->config);
}

int
monitor_files_start(struct monitor *m, struct err *err)
{
	monitor_files_note(m);
	m->files_timer.data = m;
	if (uv_timer_init(&m->loop, &m->files_timer) != 0 ||
	    uv_timer_start(&m->files_timer, on_look, LOOK_MS, LOOK_MS) != 0)
		return err_set(err, ERR_SYSTEM, "cannot start a timer");
	return 0;
}
