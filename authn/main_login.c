/*
 * ringfence-login, and under their names ringfence-logout, ringfence-whoami,
 * ringfence-token and ringfence-service-account: people's side of the gate, and kubectl's credential plugin.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "authn/login/login.h"

#define SCOPES_MAX 64

static const char usage[] =
    "usage: ringfence login [--server URL] [--ca FILE] [--user NAME]\n"
    "                       [--password-file FILE] [--ttl DURATION] [--kubeconfig]\n"
    "       ringfence logout | whoami [-o json]\n"
    "       ringfence token create [--name NAME] [--ttl DURATION] [--scope JSON]...\n"
    "                       [--service-account PATH]\n"
    "       ringfence token list [--service-account PATH] [-o json]\n"
    "       ringfence token rotate ID|NAME [--overlap DURATION] [--ttl DURATION]\n"
    "       ringfence token rotate --token-file FILE [--ttl DURATION]\n"
    "       ringfence token revoke ID [--service-account PATH]\n"
    "       ringfence service-account create PATH | list [NODE] | remove PATH\n"
    "\n"
    "  --server URL     the gate: https://HOST[:PORT]; or RINGFENCE_SERVER; else the "
    "one\n"
    "                   used last\n"
    "  --ca FILE        authorities that may vouch for the gate; or RINGFENCE_CA\n"
    "  --user NAME, --password-file FILE\n"
    "                   instead of questions; or RINGFENCE_USER and\n"
    "                   RINGFENCE_PASSWORD_FILE; with \"token create\" the token is\n"
    "                   made by password, and may outlive the login\n"
    "  --service-account PATH\n"
    "                   tokens of this one, of whose node one is an owner\n"
    "  --token-file FILE\n"
    "                   use the token in it; \"token rotate\" without a name puts the\n"
    "                   fresh one there; with --kubeconfig kubectl reads it\n"
    "  --overlap DURATION\n"
    "                   how long the old token still opens; default not at all\n"
    "  --kubeconfig     print a kubeconfig that calls this program\n"
    "  --context NAME   its context's name; default ringfence\n"
    "  --scope JSON     {\"namespaces\": [...], \"verbs\": [...], \"resources\": "
    "[...]}\n"
    "  -o text|json     how answers are printed\n"
    "\n"
    "Called by kubectl (KUBERNETES_EXEC_INFO) login prints an ExecCredential.\n";

static const struct option options[] = {
    {"server", required_argument, NULL, 's'},
    {"ca", required_argument, NULL, 'c'},
    {"user", required_argument, NULL, 'u'},
    {"password-file", required_argument, NULL, 'p'},
    {"ttl", required_argument, NULL, 't'},
    {"name", required_argument, NULL, 'n'},
    {"overlap", required_argument, NULL, 'O'},
    {"scope", required_argument, NULL, 'S'},
    {"service-account", required_argument, NULL, 'a'},
    {"token-file", required_argument, NULL, 'f'},
    {"kubeconfig", no_argument, NULL, 'k'},
    {"context", required_argument, NULL, 'x'},
    {"output", required_argument, NULL, 'o'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static NORETURN void
refuse(const char *why)
{
	if (why != NULL)
		fprintf(stderr, "ringfence: %s\n", why);
	fputs(usage, stderr);
	exit(LOGIN_EXIT_USAGE);
}

static void
take_option(struct login_options *o, int c, const char *scopes[SCOPES_MAX])
{
	const struct {
		int c;
		const char **target;
	} texts[] = {
	    {'s', &o->server},
	    {'c', &o->ca},
	    {'u', &o->user},
	    {'p', &o->password_file},
	    {'t', &o->ttl},
	    {'n', &o->name},
	    {'O', &o->overlap},
	    {'a', &o->service},
	    {'f', &o->token_file},
	    {'x', &o->context},
	    {'o', &o->output},
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].c == c) {
			o->by_password = o->by_password || c == 'u' || c == 'p';
			*texts[i].target = optarg;
			return;
		}
	}
	if (c == 'k')
		o->kubeconfig = true;
	else if (c == 'S' && o->scope_count < SCOPES_MAX)
		scopes[o->scope_count++] = optarg;
	else
		refuse(NULL);
}

static void
check_options(struct login_options *o)
{
	if (o->server != NULL && strncmp(o->server, "https://", 8) != 0)
		refuse("--server is an https:// URL");
	if (o->server != NULL && strchr(o->server + 8, '/') != NULL)
		refuse("--server has no path: https://HOST[:PORT]");
	if (o->user != NULL && strchr(o->user, ':') != NULL)
		refuse("a user name has no colon");
	if (strcmp(o->output, "text") != 0 && strcmp(o->output, "json") != 0)
		refuse("-o takes text or json");
}

static int
run_token(const struct login_options *o, int argc, char **argv)
{
	if (argc == 1 && strcmp(argv[0], "create") == 0)
		return login_run_token_create(o);
	if (argc == 1 && strcmp(argv[0], "list") == 0)
		return login_run_token_list(o);
	if (argc == 2 && strcmp(argv[0], "rotate") == 0)
		return login_run_token_rotate(o, argv[1]);
	if (argc == 1 && strcmp(argv[0], "rotate") == 0 && o->token_file != NULL)
		return login_run_token_rotate(o, NULL);
	if (argc == 2 && strcmp(argv[0], "revoke") == 0)
		return login_run_token_revoke(o, argv[1]);
	refuse(NULL);
}

static int
run_service(const struct login_options *o, int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[0], "create") == 0)
		return login_run_service_create(o, argv[1]);
	if ((argc == 1 || argc == 2) && strcmp(argv[0], "list") == 0)
		return login_run_service_list(o, argc == 2 ? argv[1] : "/");
	if (argc == 2 && strcmp(argv[0], "remove") == 0)
		return login_run_service_remove(o, argv[1]);
	refuse(NULL);
}

/* The command: by the program's name, else by the first argument, else login. */
static const char *
command_name(int *argc, char ***argv)
{
	static const char *const names[] = {
	    "login", "logout", "whoami", "token", "service-account"};
	const char *slash = strrchr((*argv)[0], '/');
	const char *self = slash != NULL ? slash + 1 : (*argv)[0];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (i != 0 && strncmp(self, "ringfence-", 10) == 0 &&
		    strcmp(self + 10, names[i]) == 0)
			return names[i];
	}
	for (size_t i = 0; i < ARRAY_LEN(names) && *argc > 0; i++) {
		if (optind < *argc && strcmp((*argv)[optind], names[i]) == 0) {
			optind++;
			return names[i];
		}
	}
	return "login";
}

int
main(int argc, char **argv)
{
	const char *scopes[SCOPES_MAX];
	struct login_options o = {.server = getenv("RINGFENCE_SERVER"),
	    .ca = getenv("RINGFENCE_CA"),
	    .user = getenv("RINGFENCE_USER"),
	    .password_file = getenv("RINGFENCE_PASSWORD_FILE"),
	    .output = "text",
	    .scopes = scopes,
	    .interactive = true};
	const char *command;
	char *ca = NULL;
	int c, status;

	while ((c = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
		if (c == 'h' || c == 'V') {
			fputs(c == 'h' ? usage
				       : "ringfence-login " RINGFENCE_VERSION "\n",
			    stdout);
			return 0;
		}
		take_option(&o, c, scopes);
	}
	check_options(&o);
	/* So that it means the same wherever the token is used later. */
	if (o.ca != NULL && (ca = realpath(o.ca, NULL)) != NULL)
		o.ca = ca;
	command = command_name(&argc, &argv);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		base_die("cannot start libcurl");
	argc -= optind;
	argv += optind;
	if (strcmp(command, "token") == 0)
		status = run_token(&o, argc, argv);
	else if (strcmp(command, "service-account") == 0)
		status = run_service(&o, argc, argv);
	else if (argc != 0)
		refuse(NULL);
	else if (strcmp(command, "logout") == 0)
		status = login_run_logout(&o);
	else if (strcmp(command, "whoami") == 0)
		status = login_run_whoami(&o);
	else
		status = login_run_login(&o);
	curl_global_cleanup();
	free(ca);
	return status;
}
