/*
 * ringfence-audit: verifies an audit log, searches it, and says what is in it.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authn/audit/audit_tool.h"

static const char usage[] =
    "usage: ringfence-audit verify DIRECTORY [--key FILE] [--checkpoint FILE]...\n"
    "                       [--against COPY]\n"
    "       ringfence-audit search DIRECTORY [filters] [-o text|json|csv]\n"
    "       ringfence-audit show DIRECTORY [filters] [-o text|json|csv]\n"
    "       ringfence-audit export DIRECTORY [filters] [-o json|csv] [--proofs OUT]\n"
    "       ringfence-audit check OUT --key FILE\n"
    "       ringfence-audit report DIRECTORY [filters] [-o html|csv|json] [--key "
    "FILE]\n"
    "                       [--checkpoint FILE]... [--against COPY]\n"
    "       ringfence-audit copy DIRECTORY TARGET [--ca FILE] [--state FILE] [--once]\n"
    "\n"
    "verify   exit 0: the log is what was signed; 1: it is not; 2: cannot tell\n"
    "  --key FILE         the verifier key as it was kept elsewhere (key.pub)\n"
    "  --checkpoint FILE  a checkpoint as it was kept elsewhere\n"
    "  --against COPY     a copy of the log, or a file with checkpoints among other "
    "text\n"
    "search   prints records, oldest first; exit 0, or 1 if none matches; show: always "
    "0\n"
    "export   prints records; with --proofs also each with a proof that it is in the "
    "log\n"
    "check    verifies what export --proofs wrote; exit as verify\n"
    "report   what happened, for a reviewer, and whether the log is whole\n"
    "copy     sends the log to syslog://HOST:PORT, syslog+tls://HOST:PORT or a "
    "directory,\n"
    "         its checkpoints to etcd://HOST:PORT[,HOST:PORT...][/PREFIX/]\n"
    "  syslog+tls takes --ca FILE, --tls-certificate FILE, --tls-key FILE\n"
    "  etcd takes --ca FILE, --etcd-certificate FILE, --etcd-key FILE, --etcd-user "
    "NAME,\n"
    "  --etcd-password FILE; verify and report take it all, too, for --against "
    "etcd://...\n"
    "  --keep N           of the checkpoints in etcd the newest N stay (1000; 0: all)\n"
    "\n"
    "Filters, all of which must hold:\n"
    "  --since TIME --until TIME (RFC 3339)  --user NAME  --tenant /PATH  --verb VERB\n"
    "  --resource RESOURCE[.GROUP][/SUB]  --namespace NAME  --name NAME  --code "
    "CODE|4xx\n"
    "  --source ADDRESS|CIDR  --kind KIND[,KIND]  --stage STAGE  --id AUDIT-ID\n"
    "  --token ID  --text TEXT\n"
    "  --limit N      prints so many\n"
    "  --no-index     reads everything, whatever the indexes say\n"
    "Kinds: read change policy admin token login login-failed denied limited failed\n"
    "  applied healed flow-denied flow-allowed flow-watched gap account started\n";

#define KEEP_DEFAULT 1000
#define KEEP_MAX     100000

enum option_code {
	/* 0 to AUDIT_FILTER_COUNT - 1 are the filters. */
	OPTION_KEY = 128,
	OPTION_CHECKPOINT,
	OPTION_AGAINST,
	OPTION_PROOFS,
	OPTION_CA,
	OPTION_ETCD_CERTIFICATE,
	OPTION_ETCD_KEY,
	OPTION_ETCD_USER,
	OPTION_ETCD_PASSWORD,
	OPTION_LIMIT,
	OPTION_NO_INDEX,
	OPTION_ONCE,
	OPTION_STATE,
	OPTION_TLS_CERTIFICATE,
	OPTION_TLS_KEY,
	OPTION_KEEP,
};

/* What a command takes, as bits. */
enum takes {
	TAKES_FILTERS = 1,
	TAKES_KEYS = 2,
	TAKES_PROOFS = 4,
	TAKES_TARGET = 8,
	TAKES_KEY = 16, /* --key alone */
};

static const struct command {
	const char *name;
	int (*run)(struct audit_tool *t);
	unsigned takes;
	const char *outputs; /* letters of -o; the first is the default */
} commands[] = {
    {"verify", audit_tool_verify, TAKES_KEYS, ""},
    {"search", audit_tool_search, TAKES_FILTERS, "tjc"},
    {"show", audit_tool_show, TAKES_FILTERS, "tjc"},
    {"export", audit_tool_export, TAKES_FILTERS | TAKES_PROOFS, "jc"},
    {"check", audit_tool_check, TAKES_KEY, ""},
    {"report", audit_tool_report, TAKES_FILTERS | TAKES_KEYS, "hcj"},
    {"copy", audit_tool_copy, TAKES_TARGET, ""},
};

static const char *const output_names[AUDIT_OUTPUT_COUNT] = {
    [AUDIT_OUTPUT_TEXT] = "text",
    [AUDIT_OUTPUT_JSON] = "json",
    [AUDIT_OUTPUT_CSV] = "csv",
    [AUDIT_OUTPUT_HTML] = "html",
};

static const struct {
	const char *name;
	int code;
	bool has_value;
	unsigned takes; /* commands that take one of these take it */
} more_options[] = {
    {"key", OPTION_KEY, true, TAKES_KEYS | TAKES_KEY},
    {"checkpoint", OPTION_CHECKPOINT, true, TAKES_KEYS},
    {"against", OPTION_AGAINST, true, TAKES_KEYS},
    {"proofs", OPTION_PROOFS, true, TAKES_PROOFS},
    {"ca", OPTION_CA, true, TAKES_TARGET | TAKES_KEYS},
    {"etcd-certificate", OPTION_ETCD_CERTIFICATE, true, TAKES_TARGET | TAKES_KEYS},
    {"etcd-key", OPTION_ETCD_KEY, true, TAKES_TARGET | TAKES_KEYS},
    {"etcd-user", OPTION_ETCD_USER, true, TAKES_TARGET | TAKES_KEYS},
    {"etcd-password", OPTION_ETCD_PASSWORD, true, TAKES_TARGET | TAKES_KEYS},
    {"limit", OPTION_LIMIT, true, TAKES_FILTERS},
    {"no-index", OPTION_NO_INDEX, false, TAKES_FILTERS},
    {"once", OPTION_ONCE, false, TAKES_TARGET},
    {"state", OPTION_STATE, true, TAKES_TARGET},
    {"tls-certificate", OPTION_TLS_CERTIFICATE, true, TAKES_TARGET},
    {"tls-key", OPTION_TLS_KEY, true, TAKES_TARGET},
    {"keep", OPTION_KEEP, true, TAKES_TARGET},
    {"output", 'o', true, 0},
    {"version", 'V', false, 0},
    {"help", 'h', false, 0},
};

static NORETURN void
refuse(const char *what, const char *value)
{
	fprintf(stderr, "ringfence-audit: %s%s%s\n", what, value != NULL ? ": " : "",
	    value != NULL ? value : "");
	exit(AUDIT_EXIT_CANNOT_TELL);
}

static NORETURN void
refuse_usage(void)
{
	fputs(usage, stderr);
	exit(AUDIT_EXIT_CANNOT_TELL);
}

static void
list_options(struct option *out)
{
	size_t n = 0;

	for (int i = 0; i < AUDIT_FILTER_COUNT; i++)
		out[n++] = (struct option){audit_filter_name((enum audit_filter)i),
		    required_argument, NULL, i};
	for (size_t i = 0; i < ARRAY_LEN(more_options); i++)
		out[n++] = (struct option){more_options[i].name,
		    more_options[i].has_value ? required_argument : no_argument, NULL,
		    more_options[i].code};
	out[n] = (struct option){NULL, 0, NULL, 0};
}

static bool
find_output(const char *letters, const char *name, enum audit_output *out)
{
	for (int i = 0; i < AUDIT_OUTPUT_COUNT; i++) {
		if (strcmp(name, output_names[i]) == 0 &&
		    strchr(letters, name[0]) != NULL) {
			*out = (enum audit_output)i;
			return true;
		}
	}
	return false;
}

static void
take_filter(struct audit_tool *t, enum audit_filter filter)
{
	struct err err = ERR_INIT;

	if (audit_query_add(&t->query, filter, str_from(optarg), &err) != 0) {
		(void)err_wrap(&err, "--%s", audit_filter_name(filter)); /* told */
		refuse(err.msg, NULL);
	}
}

static void
take_more(struct audit_tool *t, int code)
{
	switch (code) {
	case OPTION_KEY:
		t->key = optarg;
		break;
	case OPTION_CHECKPOINT:
		if (t->checkpoint_count == AUDIT_MAX_CHECKPOINTS)
			refuse("too many checkpoints", NULL);
		t->checkpoints[t->checkpoint_count++] = optarg;
		break;
	case OPTION_AGAINST:
		t->against = optarg;
		break;
	case OPTION_PROOFS:
		t->proofs = optarg;
		break;
	case OPTION_CA:
		t->ca = optarg;
		break;
	case OPTION_ETCD_CERTIFICATE:
		t->etcd_certificate = optarg;
		break;
	case OPTION_ETCD_KEY:
		t->etcd_key = optarg;
		break;
	case OPTION_ETCD_USER:
		t->etcd_user = optarg;
		break;
	case OPTION_ETCD_PASSWORD:
		t->etcd_password = optarg;
		break;
	case OPTION_STATE:
		t->state = optarg;
		break;
	case OPTION_TLS_CERTIFICATE:
		t->tls_certificate = optarg;
		break;
	case OPTION_TLS_KEY:
		t->tls_key = optarg;
		break;
	case OPTION_KEEP:
		if (!str_to_u64(str_from(optarg), KEEP_MAX, &t->keep))
			refuse("--keep: not a number up to 100000", optarg);
		break;
	case OPTION_LIMIT:
		if (!str_to_u64(str_from(optarg), UINT64_MAX, &t->limit) ||
		    t->limit == 0)
			refuse("--limit: not a number above 0", optarg);
		break;
	case OPTION_NO_INDEX:
		t->no_index = true;
		break;
	case OPTION_ONCE:
		t->once = true;
		break;
	default:
		refuse_usage();
	}
}

static void
take_option(struct audit_tool *t, const struct command *command, int code)
{
	if (code == 'h' || code == 'V') {
		fputs(code == 'h' ? usage : "ringfence-audit " RINGFENCE_VERSION "\n",
		    stdout);
		exit(audit_tool_flush());
	}
	if (command == NULL)
		refuse_usage();
	if (code >= 0 && code < AUDIT_FILTER_COUNT) {
		if ((command->takes & TAKES_FILTERS) == 0)
			refuse_usage();
		take_filter(t, (enum audit_filter)code);
		return;
	}
	if (code == 'o') {
		if (!find_output(command->outputs, optarg, &t->output))
			refuse("no output format of this command", optarg);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(more_options); i++) {
		if (more_options[i].code == code &&
		    (more_options[i].takes & command->takes) == 0)
			refuse_usage();
	}
	take_more(t, code);
}

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; name != NULL && i < ARRAY_LEN(commands); i++) {
		if (strcmp(name, commands[i].name) == 0)
			return &commands[i];
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	struct option options[AUDIT_FILTER_COUNT + ARRAY_LEN(more_options) + 1];
	const struct command *command = find_command(argc > 1 ? argv[1] : NULL);
	struct audit_tool t = {.arena = arena_new(), .keep = KEEP_DEFAULT};
	int code, status, wanted = 2;

	list_options(options);
	audit_query_init(&t.query, t.arena);
	for (int i = 0;
	     command != NULL && command->outputs[0] != '\0' && i < AUDIT_OUTPUT_COUNT;
	     i++) {
		if (output_names[i][0] == command->outputs[0])
			t.output = (enum audit_output)i;
	}
	while ((code = getopt_long(argc, argv, "o:h", options, NULL)) != -1)
		take_option(&t, command, code);
	if (command == NULL)
		refuse_usage();
	if ((command->takes & TAKES_TARGET) != 0)
		wanted = 3;
	if (argc - optind != wanted)
		refuse_usage();
	t.directory = argv[optind + 1];
	t.target = wanted == 3 ? argv[optind + 2] : NULL;
	status = command->run(&t);
	arena_free(t.arena);
	return status;
}
