/*
 * What the readers of a program's configuration share: a file of one YAML document, read by
 * tables (schema.h), and paths and addresses in it.
 */
#ifndef POLICY_LANG_CONFIG_FILE_H
#define POLICY_LANG_CONFIG_FILE_H

#include "common/doc.h"

struct config_file {
	struct source *source; /* in the arena; NULL: there is none */
	const struct doc_node *root;
	const char *directory; /* relative paths start here; ends with '/' or empty */
};

/*
 * Reads the file into the arena. Returns false if it cannot be read or is not one document,
 * which was reported: `what` is its name in messages ("the configuration"), `code` theirs.
 */
MUST_CHECK bool config_file_read(struct arena *arena, const char *path,
    const char *what, const char *code, struct diag_list *diags,
    struct config_file *out_file);
/* The same of one that others must not be able to write (bundle_read_owned). */
MUST_CHECK bool config_file_read_owned(struct arena *arena, const char *path,
    const char *what, const char *code, struct diag_list *diags,
    struct config_file *out_file);
/* Of a file with secrets: its text is no longer in memory, nor shown below a mistake. What was
 * read of it is not touched. */
void config_file_wipe(struct config_file *file);

/* A path that stands in the file, in the arena. Reports an empty one. */
MUST_CHECK const char *config_file_path(struct arena *arena,
    const struct config_file *file, const struct doc_node *n, const char *code,
    struct diag_list *diags);

/* "1.2.3.4:80", "[::1]:80", "name:80", ":80" (*out_host is empty then): the port is at most
 * 65535. The host is part of `text`, without brackets, and not looked at. */
MUST_CHECK bool config_host_port(
    struct str text, struct str *out_host, uint16_t *out_port);

#endif
