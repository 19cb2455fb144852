/*
 * ringfence-audit: verifies an audit log, and shows what is in it.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/audit.h"
#include "common/clock.h"

#define EXIT_CANNOT_TELL 2

static const char usage[] =
    "usage: ringfence-audit verify DIRECTORY [--key FILE] [--checkpoint FILE]\n"
    "       ringfence-audit show DIRECTORY [filters] [-o text|json]\n"
    "       ringfence-audit search DIRECTORY filters [-o text|json]\n"
    "\n"
    "verify   exit 0: the log is what was signed; 1: it is not; 2: cannot tell\n"
    "  --key FILE         the verifier key as it was kept elsewhere (key.pub)\n"
    "  --checkpoint FILE  a checkpoint as it was kept elsewhere\n"
    "\n"
    "show, search   prints records, oldest first; exit 0, search 1 if none matches\n"
    "  --user NAME  --verb VERB  --namespace NAME  --resource NAME  --code CODE\n"
    "  --stage STAGE  --id AUDIT-ID  --since TIME  --until TIME (RFC 3339)\n"
    "  -o text|json   a table, or the records as JSON lines\n";

enum filter_kind {
	FILTER_USER,
	FILTER_VERB,
	FILTER_NAMESPACE,
	FILTER_RESOURCE,
	FILTER_CODE,
	FILTER_STAGE,
	FILTER_ID,
	FILTER_SINCE,
	FILTER_UNTIL,
	FILTER_COUNT
};

/* Where the value of a filter is in an event. */
static const struct {
	const char *object, *field;
} places[FILTER_COUNT] = {
    [FILTER_USER] = {"user", "username"},
    [FILTER_VERB] = {NULL, "verb"},
    [FILTER_NAMESPACE] = {"objectRef", "namespace"},
    [FILTER_RESOURCE] = {"objectRef", "resource"},
    [FILTER_CODE] = {"responseStatus", "code"},
    [FILTER_STAGE] = {NULL, "stage"},
    [FILTER_ID] = {NULL, "auditID"},
    [FILTER_SINCE] = {NULL, "stageTimestamp"},
    [FILTER_UNTIL] = {NULL, "stageTimestamp"},
};

static const struct option options[] = {
    {"user", required_argument, NULL, FILTER_USER},
    {"verb", required_argument, NULL, FILTER_VERB},
    {"namespace", required_argument, NULL, FILTER_NAMESPACE},
    {"resource", required_argument, NULL, FILTER_RESOURCE},
    {"code", required_argument, NULL, FILTER_CODE},
    {"stage", required_argument, NULL, FILTER_STAGE},
    {"id", required_argument, NULL, FILTER_ID},
    {"since", required_argument, NULL, FILTER_SINCE},
    {"until", required_argument, NULL, FILTER_UNTIL},
    {"key", required_argument, NULL, 'k'},
    {"checkpoint", required_argument, NULL, 'c'},
    {"output", required_argument, NULL, 'o'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct question {
	const char *directory, *key, *checkpoint;
	const char *filters[FILTER_COUNT];
	walltime_t since, until;
	bool json;
	uint64_t matches;
	bool unreadable; /* a line that is no JSON */
};

static NORETURN void
refuse(const char *what, const char *value)
{
	fprintf(stderr, "ringfence-audit: %s%s%s\n", what, value != NULL ? ": " : "",
	    value != NULL ? value : "");
	exit(EXIT_CANNOT_TELL);
}

/* ---- events ---- */

static const json_t *
value_at(const json_t *event, enum filter_kind kind)
{
	const json_t *object = places[kind].object == NULL
				   ? event
				   : json_object_get(event, places[kind].object);

	return json_object_get(object, places[kind].field);
}

static const char *
text_at(const json_t *event, enum filter_kind kind)
{
	const char *text = json_string_value(value_at(event, kind));

	return text != NULL ? text : "";
}

static bool
code_matches(const json_t *event, const char *wanted)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%lld",
	    (long long)json_integer_value(value_at(event, FILTER_CODE)));
	return strcmp(text, wanted) == 0;
}

static bool
time_matches(const struct question *q, const json_t *event)
{
	walltime_t at = {0};

	if (q->filters[FILTER_SINCE] == NULL && q->filters[FILTER_UNTIL] == NULL)
		return true;
	if (!walltime_parse(text_at(event, FILTER_SINCE), &at))
		return false;
	return (q->filters[FILTER_SINCE] == NULL || at.ns >= q->since.ns) &&
	       (q->filters[FILTER_UNTIL] == NULL || at.ns < q->until.ns);
}

static bool
matches(const struct question *q, const json_t *event)
{
	for (int i = 0; i < FILTER_SINCE; i++) {
		if (q->filters[i] == NULL)
			continue;
		if (i == FILTER_CODE ? !code_matches(event, q->filters[i])
				     : strcmp(text_at(event, (enum filter_kind)i),
					   q->filters[i]) != 0)
			return false;
	}
	return time_matches(q, event);
}

/* Whatever a client sent stays text: nothing of it reaches the terminal as control. */
static void
print_safe(const char *text, int width)
{
	int n = 0;

	for (; *text != '\0'; text++, n++) {
		unsigned char c = (unsigned char)*text;

		putchar(c < 0x20 || c == 0x7f || (c & 0xe0) == 0x80 ? '?' : c);
	}
	for (; n < width; n++)
		putchar(' ');
	putchar(' ');
}

static void
print_row(const json_t *event)
{
	const char *uri = json_string_value(json_object_get(event, "requestURI"));
	char code[24];

	(void)snprintf(code, sizeof(code), "%lld",
	    (long long)json_integer_value(value_at(event, FILTER_CODE)));
	print_safe(text_at(event, FILTER_SINCE), 27);
	print_safe(text_at(event, FILTER_USER), 16);
	print_safe(text_at(event, FILTER_VERB), 10);
	print_safe(strcmp(code, "0") == 0 ? "-" : code, 4);
	print_safe(text_at(event, FILTER_STAGE), 16);
	print_safe(uri != NULL ? uri : "", 0);
	putchar('\n');
}

static bool
on_line(void *arg, uint64_t index, struct str line)
{
	struct question *q = arg;
	json_t *event = json_loadb(line.ptr, line.len, 0, NULL);

	if (event == NULL) {
		fprintf(stderr, "ringfence-audit: line %llu is no JSON\n",
		    (unsigned long long)index);
		q->unreadable = true;
		return true;
	}
	if (matches(q, event)) {
		q->matches++;
		if (q->json)
			printf("%.*s\n", STR_ARG(line));
		else
			print_row(event);
	}
	json_decref(event);
	return !ferror(stdout);
}

/* ---- commands ---- */

static int
run_verify(struct question *q)
{
	struct arena *arena = arena_new();
	struct audit_report report = {0};
	enum audit_verdict verdict =
	    audit_verify(arena, q->directory, q->key, q->checkpoint, &report);

	switch (verdict) {
	case AUDIT_INTACT:
		printf("intact: %llu lines, %llu of them signed\n",
		    (unsigned long long)report.lines,
		    (unsigned long long)report.covered);
		break;
	case AUDIT_BROKEN:
		printf("broken: %s\n", report.problem);
		break;
	case AUDIT_CANNOT_TELL:
		fprintf(stderr, "ringfence-audit: %s\n", report.problem);
		break;
	}
	arena_free(arena);
	return (int)verdict;
}

static int
read_log(struct question *q)
{
	struct err err = ERR_INIT;

	if (audit_read(q->directory, on_line, q, &err) != 0)
		refuse(err.msg, NULL);
	if (fflush(stdout) != 0 || ferror(stdout))
		refuse("cannot write", NULL);
	return q->unreadable ? EXIT_CANNOT_TELL : 0;
}

static int
run_show(struct question *q)
{
	return read_log(q);
}

static int
run_search(struct question *q)
{
	int status = read_log(q);

	return status != 0 ? status : q->matches != 0 ? 0 : 1;
}

static const struct {
	const char *name;
	int (*run)(struct question *q);
	bool filters; /* takes filters; else a key and a checkpoint */
} commands[] = {
    {"verify", run_verify, false},
    {"show", run_show, true},
    {"search", run_search, true},
};

static void
take_time(const char *text, walltime_t *out)
{
	if (!walltime_parse(text, out))
		refuse("no time (write 2026-01-31T12:00:00Z)", text);
}

static void
take_option(struct question *q, int c, bool filters)
{
	if (c >= 0 && c < FILTER_COUNT && filters) {
		q->filters[c] = optarg;
		if (c == FILTER_SINCE)
			take_time(optarg, &q->since);
		if (c == FILTER_UNTIL)
			take_time(optarg, &q->until);
	} else if (c == 'k' && !filters) {
		q->key = optarg;
	} else if (c == 'c' && !filters) {
		q->checkpoint = optarg;
	} else if (c == 'o' && filters &&
		   (strcmp(optarg, "json") == 0 || strcmp(optarg, "text") == 0)) {
		q->json = optarg[0] == 'j';
	} else {
		fputs(usage, stderr);
		exit(EXIT_CANNOT_TELL);
	}
}

int
main(int argc, char **argv)
{
	struct question q = {0};
	size_t command = ARRAY_LEN(commands);
	int c;

	for (size_t i = 0; i < ARRAY_LEN(commands) && argc > 1; i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			command = i;
	}
	while ((c = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
		if (c == 'h' || c == 'V') {
			fputs(c == 'h' ? usage
				       : "ringfence-audit " RINGFENCE_VERSION "\n",
			    stdout);
			return 0;
		}
		take_option(
		    &q, c, command < ARRAY_LEN(commands) && commands[command].filters);
	}
	if (command == ARRAY_LEN(commands) || argc - optind != 2) {
		fputs(usage, stderr);
		return EXIT_CANNOT_TELL;
	}
	q.directory = argv[optind + 1];
	return commands[command].run(&q);
}
