/*
 * The login tool's commands about service accounts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authn/auth/service_account.h"
#include "authn/login/login.h"

#define API "/ringfence/v1/serviceaccounts"

char *
login_service_url(const char *api, const char *path, const char *more, struct err *err)
{
	const size_t size =
	    strlen(api) + strlen(path) + 2 + (more != NULL ? strlen(more) : 0);
	char *url;

	if (!service_path_ok(str_from(path))) {
		(void)err_set(err, ERR_INVALID,
		    "\"%s\" is no service account: write the path of its namespace of "
		    "the "
		    "tree and a name, such as /acme/shop/deploy",
		    path);
		return NULL;
	}
	url = xmalloc(size);
	(void)snprintf(url, size, "%s%s%s%s", api, path, more != NULL ? "/" : "",
	    more != NULL ? more : ""); /* fits */
	return url;
}

int
login_run_service_create(const struct login_options *o, const char *path)
{
	struct login_answer answer = {0};
	struct err err = ERR_INIT;
	char *url = login_service_url(API, path, NULL, &err);
	int rc = url == NULL ? ERR_INVALID
			     : login_ask(o, "POST", url, "{}", 201, &answer, &err);

	if (rc == 0 && strcmp(o->output, "json") == 0) {
		login_print_json(answer.body);
	} else if (rc == 0) {
		fputs("declared ", stdout);
		login_print_safe(login_text_of(answer.body, "user"));
		putchar('\n');
	}
	login_answer_free(&answer);
	free(url);
	return rc == 0 ? 0 : login_fail(&err);
}

int
login_run_service_list(const struct login_options *o, const char *node)
{
	struct login_answer answer = {0};
	struct err err = ERR_INIT;
	char *url = strcmp(node, "/") == 0 ? xstrdup(API)
					   : login_service_url(API, node, NULL, &err);
	const json_t *omitted;
	json_t *one;
	size_t i;
	int rc = url == NULL ? ERR_INVALID
			     : login_ask(o, "GET", url, NULL, 200, &answer, &err);

	if (rc == 0 && strcmp(o->output, "json") == 0) {
		login_print_json(answer.body);
	} else if (rc == 0) {
		printf("%-40s %-8s %-22s %s\n", "SERVICE ACCOUNT", "TOKENS", "DECLARED",
		    "BY");
		json_array_foreach(
		    json_object_get(answer.body, "serviceAccounts"), i, one)
		{
			printf("%-40s %-8lld %-22s ", login_text_of(one, "path"),
			    (long long)json_integer_value(
				json_object_get(one, "tokens")),
			    login_text_of(one, "declared"));
			login_print_safe(login_text_of(one, "declaredBy"));
			putchar('\n');
		}
		omitted = json_object_get(answer.body, "omitted");
		if (omitted != NULL)
			printf("and %lld more: ask about a node below\n",
			    (long long)json_integer_value(omitted));
	}
	login_answer_free(&answer);
	free(url);
	return rc == 0 ? 0 : login_fail(&err);
}

int
login_run_service_remove(const struct login_options *o, const char *path)
{
	struct login_answer answer = {0};
	struct err err = ERR_INIT;
	char *url = login_service_url(API, path, NULL, &err);
	int rc = url == NULL ? ERR_INVALID
			     : login_ask(o, "DELETE", url, NULL, 204, &answer, &err);

	login_answer_free(&answer);
	free(url);
	if (rc != 0)
		return login_fail(&err);
	printf("removed %s, and its tokens\n", path);
	return 0;
}
