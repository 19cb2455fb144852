/*
 * A bundle is the bytes of the YAML files that somebody named: it separates
 * reading files (which may need privilege) from parsing them (which must have
 * none). The command-line tool reads and parses in one process; a daemon's parent
 * reads, seals the bundle into a memfd, and an unprivileged role parses it.
 */
#ifndef COMMON_BUNDLE_H
#define COMMON_BUNDLE_H

#include <sys/types.h>

#include "common/diag.h"
#include "common/err.h"

struct bundle {
	struct source *sources; /* sorted by name within each path given */
	size_t count;
};

/* A directory that was read, as the file system knows it. */
struct bundle_place {
	const struct bundle_place *next;
	struct str path; /* as names of files in it begin */
	dev_t device;
	ino_t inode;
};

/*
 * Reads paths into the arena: a file, "-" (standard input), or a directory, of
 * which every *.yaml, *.yml and *.json below it is taken, sorted, hidden files and
 * editor leftovers left out; symbolic links to files are followed, to directories
 * only as Kubernetes' ..data needs (a warning otherwise). FIFOs, sockets and devices are
 * refused; "-" may be anything. What cannot be read is an error with the path as its
 * place; what can be is in *out_bundle all the same. Returns false if there was any.
 * Codes: file-read, file-limit; warnings: file-skipped, file-none.
 */
MUST_CHECK bool bundle_read(struct arena *arena, const char *const *paths,
    size_t path_count, struct diag_list *diags, struct bundle *out_bundle);

/* For who goes on with what else there is: of a directory, and of files in one that was read so.
 * What cannot be read below the directory, or of these files, is a source all the same, whose text
 * says why (SOURCE_NOT_READ). Returns false where that is not one file's matter: of the
 * directory itself or one below it, or of limits of all together. *out_places: the directory
 * itself, if it could be opened, and each below it where something is mounted. */
MUST_CHECK bool bundle_read_below(struct arena *arena, const char *directory,
    struct diag_list *diags, struct bundle *out_bundle,
    const struct bundle_place **out_places);
MUST_CHECK bool bundle_read_files(struct arena *arena, const char *const *paths,
    size_t path_count, struct diag_list *diags, struct bundle *out_bundle);

/* As bundle_read, of one path, and refuses what others could have written: a file that belongs neither to
 * root nor to this user, or that others may write; as the opened file says. */
MUST_CHECK bool bundle_read_owned(struct arena *arena, const char *path,
    struct diag_list *diags, struct bundle *out_bundle);

/* Whether a file of that name (the last step of its path) is taken from a directory. */
MUST_CHECK bool bundle_takes_name(struct str name);

/* Writes the bundle to a sealed memfd; the caller closes *out_fd. */
MUST_CHECK int bundle_seal(const struct bundle *bundle, int *out_fd, struct err *err);
/* The same of texts that are not all in memory at a time: `text` gives that of a source, by its
 * index, which lasts until it is called again. */
typedef struct str (*bundle_text_fn)(void *ctx, size_t index);
MUST_CHECK int bundle_seal_each(const struct bundle *names, bundle_text_fn text,
    void *ctx, int *out_fd, struct err *err);
/* Reads one back into the arena. Refuses one that is not sealed, or malformed. */
MUST_CHECK int bundle_open(
    struct arena *arena, int fd, struct bundle *out_bundle, struct err *err);
/* The same without a copy: names and texts are the memfd's own pages, until bundle_unmap. */
struct bundle_map {
	void *data;
	size_t bytes;
	size_t dropped; /* private: up to here it is not in this process's memory */
};
MUST_CHECK int bundle_open_mapped(struct arena *arena, int fd,
    struct bundle *out_bundle, struct bundle_map *out_map, struct err *err);
/* For who goes through the texts in their order: what there is up to the end of this one is no
 * longer in this process's memory, but for the last MiB or so, until it is read again. */
void bundle_map_drop(struct bundle_map *map, struct str text);
/* {0} is fine. */
void bundle_unmap(struct bundle_map *map);
/* SHA-256 over names and texts, so that an unchanged source is noticed. */
void bundle_digest(const struct bundle *bundle, uint8_t out_digest[32]);

#endif
