/*
 * Runs a fuzz target over files and directories of seeds, as an ordinary test.
 * An empty or missing corpus is a failure: a target without seeds proves nothing.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replayed;

static int
replay_file(const char *path)
{
	struct stat st;
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	int rc = -1;

	if (f == NULL || fstat(fileno(f), &st) != 0)
		goto out;
	data = malloc((size_t)st.st_size + 1);
	if (data == NULL || fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
		goto out;
	(void)LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	replayed++;
	rc = 0;
out:
	if (rc != 0)
		fprintf(stderr, "cannot replay %s\n", path);
	free(data);
	if (f != NULL)
		(void)fclose(f);
	return rc;
}

static int
replay_directory(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char file[4096];
	int rc = 0;

	if (dir == NULL) {
		fprintf(stderr, "cannot open %s\n", path);
		return -1;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		if (replay_file(file) != 0)
			rc = -1;
	}
	(void)closedir(dir);
	return rc;
}

int
main(int argc, char **argv)
{
	struct stat st;
	int rc = 0;

	for (int i = 1; i < argc; i++) {
		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			rc |= replay_directory(argv[i]);
		else
			rc |= replay_file(argv[i]);
	}
	printf("%u inputs replayed\n", replayed);
	return rc == 0 && replayed > 0 ? 0 : 1;
}
