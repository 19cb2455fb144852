#include "enforcer/cni/install.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "enforcer/cni/place.h"

#define PROGRAM       "ringfence-cni"
#define PROGRAM_BYTES (64u * 1024 * 1024)
#define PROGRAM_MODE  0755
/* What a single plugin's file is called while a list stands in for it: no runtime looks at it. */
#define SAVED      ".before-ringfence"
#define NAME_BYTES 256

/* ---- the program ---- */

static int
read_own_program(struct buf *out, struct err *err)
{
	mode_t mode;
	int directory, rc = place_open("/proc/self", &directory, err);

	if (rc != 0)
		return rc;
	rc = place_read(directory, "exe", PROGRAM_BYTES, out, &mode, err);
	(void)close(directory); /* only read from */
	return rc;
}

static bool
is_same_program(int directory, struct str program)
{
	struct buf there = {0};
	struct err ignored = ERR_INIT;
	mode_t mode;
	bool same = place_read(directory, PROGRAM, PROGRAM_BYTES, &there, &mode,
			&ignored) == 0 &&
		    mode == PROGRAM_MODE && str_eq(buf_str(&there), program);

	buf_free(&there);
	return same;
}

static int
install_program(const char *bin_dir, bool check, bool *out_changed, struct err *err)
{
	struct buf program = {0};
	int directory = -1;
	int rc = read_own_program(&program, err);

	*out_changed = false;
	if (rc == 0)
		rc = place_open(bin_dir, &directory, err);
	if (rc == 0 && !is_same_program(directory, buf_str(&program))) {
		*out_changed = true;
		rc = check
			 ? err_set(err, ERR_INVALID,
			       "%s/" PROGRAM " is missing, or another version", bin_dir)
			 : place_write(directory, PROGRAM, buf_str(&program),
			       PROGRAM_MODE, err);
	}
	if (directory >= 0)
		(void)close(directory); /* what was written is on disk */
	buf_free(&program);
	return rc;
}

/* ---- the chain ---- */

static bool
exists(int directory, const char *name)
{
	return faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool
is_list(const char *name)
{
	return str_ends(str_from(name), STR(".conflist"));
}

/* "10-x.conf" -> "10-x.conflist"; false: too long. */
static bool
list_name_of(const char *name, char out[NAME_BYTES])
{
	const char *dot = strrchr(name, '.');
	int n = snprintf(out, NAME_BYTES, "%.*s.conflist", (int)(dot - name), name);

	return n > 0 && n < NAME_BYTES;
}

static bool
saved_name_of(const char *name, char out[NAME_BYTES])
{
	int n = snprintf(out, NAME_BYTES, "%s" SAVED, name);

	return n > 0 && n < NAME_BYTES;
}

/* False, and `err` says so: a list of that name is there, and none that this program made. */
static bool
may_replace(int directory, const char *list, struct err *err)
{
	struct buf text = {0};
	struct err ignored = ERR_INIT;
	mode_t mode;
	bool ours =
	    place_read(directory, list, CNI_INPUT_BYTES, &text, &mode, &ignored) == 0 &&
	    chain_is_of_one(buf_str(&text));

	buf_free(&text);
	if (ours || !exists(directory, list))
		return true;
	(void)err_set(err, ERR_INVALID,
	    "%s is there as well, and would be lost: remove the one that is not meant",
	    list);
	return false;
}

/* A list comes after the file that it stands in for: it counts once that is out of the way. */
static int
write_chain(int directory, const char *name, struct str text, mode_t mode,
    char *out_file, struct err *err)
{
	char list[NAME_BYTES], saved[NAME_BYTES];
	int rc;

	if (is_list(name))
		return place_write(directory, name, text, mode, err);
	if (!list_name_of(name, list) || !saved_name_of(name, saved))
		return err_set(err, ERR_LIMIT, "%s: its name is too long", name);
	if (!may_replace(directory, list, err))
		return ERR_INVALID;
	rc = place_write(directory, list, text, mode, err);
	if (rc == 0)
		rc = place_rename(directory, name, saved, err);
	if (rc == 0)
		(void)snprintf(out_file, NAME_BYTES, "%s", list);
	return rc;
}

static int
install_in(int directory, const struct install_places *p, const char *name, bool check,
    struct install_result *result, struct err *err)
{
	struct buf text = {0}, wanted = {0};
	char why[CNI_TEXT_BYTES] = "";
	mode_t mode;
	int rc = place_read(directory, name, CNI_INPUT_BYTES, &text, &mode, err);

	if (rc == 0) {
		(void)snprintf(result->file, sizeof(result->file), "%s", name);
		switch (chain_insert(
		    buf_str(&text), is_list(name), &p->plugin, &wanted, why)) {
		case CHAIN_SAME:
			break;
		case CHAIN_BAD:
			rc = err_set(
			    err, ERR_INVALID, "%s/%s: %s", p->net_dir, name, why);
			break;
		case CHAIN_CHANGED:
			result->chain_changed = true;
			rc = check ? err_set(err, ERR_INVALID,
					 "%s/%s: " PROGRAM
					 " is not at its end, or is configured "
					 "otherwise",
					 p->net_dir, name)
				   : write_chain(directory, name, buf_str(&wanted),
					 mode, result->file, err);
			break;
		}
	}
	buf_free(&text);
	buf_free(&wanted);
	return rc;
}

static int
install_chain(const struct install_places *p, bool check, struct install_result *result,
    struct err *err)
{
	struct place_names names = {.count = 0};
	const char *name = p->file;
	char list[NAME_BYTES];
	int directory, rc = place_open(p->net_dir, &directory, err);

	if (rc != 0)
		return rc;
	if (name == NULL) {
		rc = place_list(directory, &names, err);
		name = names.count != 0 ? names.names[0] : NULL;
	}
	/* It may have become a list already. */
	if (name != NULL && !is_list(name) && !exists(directory, name) &&
	    list_name_of(name, list) && exists(directory, list))
		name = list;
	if (rc == 0 && name == NULL)
		rc = err_set(err, ERR_NOT_FOUND,
		    "%s: no network configuration is there yet", p->net_dir);
	if (rc == 0)
		rc = install_in(directory, p, name, check, result, err);
	place_free_names(&names);
	(void)close(directory); /* what was written is on disk */
	return rc;
}

int
install_all(const struct install_places *places, struct install_result *out_result,
    struct err *err)
{
	int rc;

	*out_result = (struct install_result){.file = ""};
	/* The program first: a chain that names what is not there starts nothing. */
	rc = install_program(places->bin_dir, false, &out_result->program_changed, err);
	if (rc == 0)
		rc = install_chain(places, false, out_result, err);
	return rc;
}

int
install_check(const struct install_places *places, struct err *err)
{
	struct install_result result = {.file = ""};
	int rc = install_program(places->bin_dir, true, &result.program_changed, err);

	if (rc == 0)
		rc = install_chain(places, true, &result, err);
	return rc;
}

/* ---- taking it out again ---- */

/* If a list stands in for a single plugin's file, that comes back, and the list goes; true then. */
static int
restore_single(int directory, const char *list, bool *out_restored, struct err *err)
{
	static const char *const endings[] = {".conf", ".json"};
	const int stem = (int)(strlen(list) - strlen(".conflist"));
	char single[NAME_BYTES], saved[NAME_BYTES + sizeof(SAVED)];
	int rc = 0;

	*out_restored = false;
	for (size_t i = 0; i < ARRAY_LEN(endings) && rc == 0; i++) {
		(void)snprintf(
		    single, sizeof(single), "%.*s%s", stem, list, endings[i]);
		(void)snprintf(saved, sizeof(saved), "%s" SAVED, single);
		if (!exists(directory, saved))
			continue;
		/* Another that came meanwhile counts. */
		rc = exists(directory, single)
			 ? place_remove(directory, saved, err)
			 : place_rename(directory, saved, single, err);
		*out_restored = rc == 0;
	}
	if (rc == 0 && *out_restored)
		rc = place_remove(directory, list, err);
	return rc;
}

static int
undo_in(int directory, const char *net_dir, const char *name, struct err *err)
{
	struct buf text = {0}, without = {0};
	char why[CNI_TEXT_BYTES] = "";
	bool restored;
	mode_t mode;
	int rc = place_read(directory, name, CNI_INPUT_BYTES, &text, &mode, err);

	if (rc == 0) {
		switch (chain_remove(buf_str(&text), &without, why)) {
		case CHAIN_SAME:
			break;
		case CHAIN_BAD:
			rc = err_set(err, ERR_INVALID, "%s/%s: %s", net_dir, name, why);
			break;
		case CHAIN_CHANGED:
			rc = restore_single(directory, name, &restored, err);
			if (rc == 0 && !restored)
				rc = place_write(
				    directory, name, buf_str(&without), mode, err);
			break;
		}
	}
	buf_free(&text);
	buf_free(&without);
	return rc;
}

int
install_undo(const struct install_places *places, struct err *err)
{
	struct place_names names;
	int directory, rc = place_open(places->net_dir, &directory, err);

	if (rc != 0)
		return rc;
	rc = place_list(directory, &names, err);
	for (size_t i = 0; i < names.count && rc == 0; i++) {
		if (is_list(names.names[i]))
			rc = undo_in(directory, places->net_dir, names.names[i], err);
	}
	place_free_names(&names);
	(void)close(directory); /* what was written is on disk */
	/* Only when nothing names it any more. */
	if (rc == 0)
		rc = place_open(places->bin_dir, &directory, err);
	if (rc != 0)
		return rc;
	rc = place_remove(directory, PROGRAM, err);
	(void)close(directory); /* what was written is on disk */
	return rc;
}
