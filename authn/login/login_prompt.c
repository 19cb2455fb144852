/*
 * Questions on the terminal itself: standard input and output may be kubectl's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "authn/login/login.h"

#define LINE_BYTES 1024
#define CTRL_C     3
#define CTRL_D     4
#define EXIT_BREAK 130

static int
open_terminal(struct err *err)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return err_set(err, ERR_UNAVAILABLE,
		    "there is no terminal to ask on: give --user and --password-file");
	return fd;
}

static void
say(int fd, const char *text)
{
	(void)!write(fd, text, strlen(text)); /* who does not see it can still answer */
}

/* A line without its newline; false at the end of input, or when it is too long. */
static bool
read_line(int fd, char *line, size_t size, bool raw_signals)
{
	size_t len = 0;

	for (;;) {
		char c = '\0';
		ssize_t n = read(fd, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != 1 || (raw_signals && (c == CTRL_C || c == CTRL_D)) ||
		    len + 1 == size)
			return false;
		if (c == '\n' || c == '\r')
			break;
		line[len++] = c;
	}
	line[len] = '\0';
	return true;
}

int
login_prompt_user(char **out_user, struct err *err)
{
	char line[LINE_BYTES];
	int fd = open_terminal(err);
	bool ok;

	if (fd < 0)
		return fd;
	say(fd, "User: ");
	ok = read_line(fd, line, sizeof(line), false) && line[0] != '\0';
	(void)close(fd); /* nothing to lose */
	if (!ok)
		return err_set(err, ERR_INVALID, "no user name was given");
	*out_user = xstrdup(line);
	return 0;
}

/* Signals of the keyboard are off as well while there is no echo, so that nothing can end us
 * in between and leave the terminal mute. */
int
login_prompt_password(const char *user, struct secret *out_password, struct err *err)
{
	char line[LINE_BYTES];
	struct termios before, quiet;
	int fd = open_terminal(err);
	int rc = 0;
	bool ok;

	if (fd < 0)
		return fd;
	if (tcgetattr(fd, &before) != 0) {
		rc = err_sys(err, "/dev/tty");
		(void)close(fd); /* nothing to lose */
		return rc;
	}
	say(fd, "Password for ");
	say(fd, user);
	say(fd, ": ");
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	if (tcsetattr(fd, TCSAFLUSH, &quiet) != 0)
		rc = err_sys(err, "/dev/tty");
	ok = rc == 0 && read_line(fd, line, sizeof(line), true);
	(void)tcsetattr(fd, TCSAFLUSH, &before); /* as well as it can be */
	say(fd, "\n");
	(void)close(fd); /* nothing to lose */
	if (rc == 0 && !ok)
		exit(EXIT_BREAK);
	if (rc == 0 && line[0] == '\0')
		rc = err_set(err, ERR_INVALID, "an empty password is no password");
	if (rc == 0)
		rc = secret_set(out_password, line, strlen(line), err);
	secret_wipe(line, sizeof(line));
	return rc;
}
