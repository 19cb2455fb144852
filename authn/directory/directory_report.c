#include "authn/directory/directory_report.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "authn/audit/audit_text.h"
#include "authn/directory/directory.h"

/* What a directory says stays text on a terminal. */
static void
print_line(const char *title, struct str text)
{
	struct buf safe = {NULL, 0, 0};

	audit_text_safe(&safe, text);
	printf("%-8s%.*s\n", title, STR_ARG(buf_str(&safe)));
	buf_free(&safe);
}

static enum directory_report
print_result(
    enum auth_result result, const struct directory_user *user, const struct err *err)
{
	static const struct {
		const char *text;
		enum directory_report status;
	} results[] = {
	    [AUTH_DENIED] = {"denied", DIRECTORY_REPORT_DENIED},
	    [AUTH_ALLOWED] = {"allowed", DIRECTORY_REPORT_ALLOWED},
	    [AUTH_UNAVAILABLE] = {"unavailable", DIRECTORY_REPORT_UNAVAILABLE},
	};

	print_line("result", str_from(results[result].text));
	if (result != AUTH_ALLOWED)
		print_line("reason", str_from(err->msg));
	if (user->dn.len != 0 && result != AUTH_UNAVAILABLE) {
		print_line("name", user->name);
		print_line("dn", user->dn);
		print_line("uid", user->uid);
	}
	for (size_t i = 0; i < user->group_count && result == AUTH_ALLOWED; i++)
		print_line("group", user->groups[i]);
	return results[result].status;
}

enum directory_report
directory_report(
    const struct gate_plan *plan, const char *user, const char *password_file)
{
	const struct gate_ldap *l = &plan->config->ldap;
	struct secret service = {0}, password = {0};
	struct directory_user found = {.dn = {NULL, 0}};
	struct directory *directory = NULL;
	struct arena *arena = arena_new();
	struct err err = ERR_INIT;
	enum directory_report status = DIRECTORY_REPORT_UNUSABLE;
	enum auth_result result;
	int rc = 0;

	if (!plan->config->has_ldap)
		rc = err_set(&err, ERR_INVALID, "no \"ldap\" is configured");
	if (rc == 0)
		rc = secret_set(&service, plan->auth.bind_password.ptr,
		    plan->auth.bind_password.len, &err);
	if (rc == 0 && password_file != NULL)
		rc = secret_read_file(&password, password_file, false, &err);
	/* The machine's own ldap.conf must not alter what is seen, and a server that hangs
	 * up must not end this process. */
	if (rc == 0 &&
	    (setenv("LDAPNOINIT", "1", 1) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR))
		rc = err_sys(&err, "prepare the process");
	if (rc == 0)
		rc = directory_new(l, &service, l->ca, &directory, &err);
	if (rc == 0) {
		result =
		    password_file != NULL
			? directory_login(directory, arena, str_from(user),
			      secret_str(&password), l->login_timeout_ms, &found, &err)
			: directory_find(directory, arena, str_from(user),
			      l->login_timeout_ms, &found, &err);
		status = print_result(result, &found, &err);
	} else {
		fprintf(stderr, "ringfence-gate: %s\n", err.msg);
	}
	directory_free(directory);
	secret_free(&service);
	secret_free(&password);
	arena_free(arena);
	return status;
}
