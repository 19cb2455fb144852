#include "enforcer/wire/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/limits.h"

#define INLINE_BYTES (LIMIT_MESSAGE_BYTES / 2)
#define ALL_SEALS    (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

const int blob_syscalls[] = {SCMP_SYS(memfd_create), -1};

static int
write_all(int fd, struct str data, struct err *err)
{
	while (data.len != 0) {
		ssize_t n = write(fd, data.ptr, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot write a memfd");
		data = str_slice(data, (size_t)n, data.len);
	}
	return 0;
}

int
blob_put(struct buf *body, struct str data, int *out_fd, struct err *err)
{
	int fd, rc;

	*out_fd = -1;
	if (data.len <= INLINE_BYTES) {
		proc_put_u8(body, 0);
		proc_put_str(body, data);
		return 0;
	}
	fd = memfd_create("ringfence-blob", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_sys(err, "cannot create a memfd");
	rc = write_all(fd, data, err);
	if (rc == 0 && fcntl(fd, F_ADD_SEALS, ALL_SEALS) != 0)
		rc = err_sys(err, "cannot seal a memfd");
	if (rc != 0) {
		(void)close(fd); /* thrown away */
		return rc;
	}
	proc_put_u8(body, 1);
	*out_fd = fd;
	return 0;
}

static int
map_sealed(int fd, size_t limit, struct blob *out, struct err *err)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS || fstat(fd, &st) != 0 ||
	    st.st_size <= 0)
		return err_set(err, ERR_PROTOCOL, "a blob that is not sealed");
	if ((uint64_t)st.st_size > limit)
		return err_set(err, ERR_LIMIT, "a blob of %llu bytes is too large",
		    (unsigned long long)st.st_size);
	out->map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (out->map == MAP_FAILED) {
		out->map = NULL;
		return err_sys(err, "cannot map a blob");
	}
	out->data = (struct str){out->map, (size_t)st.st_size};
	return 0;
}

int
blob_get(struct proc_reader *r, const struct proc_msg *msg, size_t limit,
    struct blob *out_blob, struct err *err)
{
	uint8_t apart = proc_get_u8(r);

	*out_blob = (struct blob){.map = NULL};
	if (apart == 0) {
		out_blob->data = proc_get_str(r);
		if (!r->ok)
			return err_set(err, ERR_PROTOCOL, "a blob that is cut off");
		return 0;
	}
	if (!r->ok || apart != 1 || msg->fd_count != 1)
		return err_set(err, ERR_PROTOCOL, "a blob without its memfd");
	return map_sealed(msg->fds[0], limit, out_blob, err);
}

void
blob_free(struct blob *blob)
{
	if (blob->map != NULL)
		(void)munmap(blob->map, blob->data.len); /* mapped as such above */
	*blob = (struct blob){.map = NULL};
}
