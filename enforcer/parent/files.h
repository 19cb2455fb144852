/*
 * What the parent does with files and sockets on behalf of roles that have none.
 */
#ifndef ENFORCER_FILES_H
#define ENFORCER_FILES_H

#include <sys/types.h>

#include "common/bundle.h"
#include "common/map.h"
#include "enforcer/config/config.h"

/* Which file a path led to, and whose group it was given to, which is looked up once: that may
 * take as long as a directory server is not there. {0}: none yet. */
struct files_identity {
	dev_t device;
	ino_t inode;
	bool has_group;
	gid_t group;
};

/* Listens on the control socket: mode 0600, or 0660 with a group. Makes the directory if
 * need be. ERR_EXISTS if another daemon answers there, or what is there is no socket. `file` is
 * what the one before left, if there was one. */
MUST_CHECK int files_listen_control(const struct enforcer_config *c,
    struct files_identity *file, int *out_fd, struct err *err);
/* Whether clients that look for the control socket find this one. */
MUST_CHECK bool files_control_is(
    const struct enforcer_config *c, const struct files_identity *file);
MUST_CHECK int files_listen_metrics(
    const struct enforcer_config *c, int *out_fd, struct err *err);
/* Listens for DNS of workloads, over UDP and TCP; the address need not be there yet. */
MUST_CHECK int files_listen_dns(
    const struct dns_listener *at, int out_fds[2], struct err *err);
/* Opens the flow log to append to; -1 if there is none to keep. */
MUST_CHECK int files_open_flow_log(
    const struct enforcer_config *c, int *out_fd, struct err *err);
/* Opens the file that what is known by name is kept in, beside the control socket. */
MUST_CHECK int files_open_names(
    const struct enforcer_config *c, int *out_fd, struct err *err);
/* Connects to receivers of flow records (files_export.c); -1 if there is none. */
MUST_CHECK int files_connect_journal(
    const struct enforcer_config *c, int *out_fd, struct err *err);
MUST_CHECK int files_connect_ipfix(
    const struct enforcer_config *c, int *out_fd, struct err *err);
/* Makes the audit log's directory if need be, and gives it to the role's user. */
MUST_CHECK int files_make_audit_directory(
    const struct enforcer_config *c, uint32_t uid, uint32_t gid, struct err *err);
/* The user of the roles, which is not root, nor of its group: ERR_INVALID. 0, and nobody changes,
 * where the process is not root. */
MUST_CHECK int files_find_user(const struct enforcer_config *c, uint32_t *out_uid,
    uint32_t *out_gid, struct err *err);

/* A source's directory as it was read last, or one below it where something was mounted. */
struct files_place {
	char *path; /* on the heap */
	dev_t device;
	ino_t inode;
	bool had_files; /* in it or below */
};

struct files_places {
	struct files_place *list; /* on the heap */
	size_t count;
};

/* What a directory says now. */
struct files_source {
	bool known;         /* it was read before */
	int bundle_fd;      /* the last good bundle, sealed, all of it; -1: none */
	uint8_t digest[32]; /* of it */
	struct map hashes;  /* of its files since then: by name, struct files_hash */
	size_t unread;      /* of those, which could not be read */
	bool edited;        /* some file is another than in the bundle */
	struct files_places places;
	struct buf why; /* "" or why it cannot be read */
};

/* Reads a directory again, as a whole. Returns true if that is news: another bundle, or another
 * reason why there is none. Where the directory had files, or one below it that something was
 * mounted at, and another without files is there, or none, it is not what was meant, as where a
 * file system is not mounted: it cannot be read. */
MUST_CHECK bool files_read_source(struct files_source *s, const char *directory);

/* Some files of a directory that was read before. */
struct files_edit {
	struct arena *arena; /* of the rest */
	struct bundle changed;
	struct str *gone;
	size_t gone_count;
};

enum files_answer {
	FILES_SAME,
	FILES_EDITED, /* *out says what is another; the caller frees its arena */
	FILES_WHOLE,  /* the directory must be read as a whole to tell */
};

/* Reads files of these names again, or sees that they are gone. */
MUST_CHECK enum files_answer files_read_edit(struct files_source *s,
    const char *const *names, size_t count, struct files_edit *out);
/* Names of its files that could not be read, in the arena. */
MUST_CHECK const char **files_unread(
    const struct files_source *s, struct arena *arena, size_t *out_count);
void files_source_init(struct files_source *s);
void files_source_fini(struct files_source *s);
/* Another reader of the same directory begins, and knows where files were. */
void files_source_follow(struct files_source *s, const struct files_source *was);

#endif
