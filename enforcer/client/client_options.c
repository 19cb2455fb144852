#include "enforcer/client/client_options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "common/diag.h"

#define DEFAULT_CONTROL "/run/ringfence/enforcer.sock"
#define MOST_COUNT      1000
#define MOST_INTERVAL_S 3600
#define MOST_WAIT_S     300
#define TOP_RULES       20
#define FLOWS           100
#define HELP_COLUMN     28

const struct client_command client_commands[CLIENT_COMMANDS] = {
    [CLIENT_STATUS] = {"status", "", "what is in force, since when, from where", 0},
    [CLIENT_RULES] = {"rules", "", "the rules in force, with their counters", 0},
    [CLIENT_FLOWS] = {"flows", "", "denied connections, and others that are logged", 0},
    [CLIENT_TOP] = {"top", "", "the rules that count most", 0},
    [CLIENT_NAMES] = {"names", "", "what tenants know by name", 0},
    [CLIENT_DIFF] = {"diff", "",
	"how the kernel's table differs from what it should be", 0},
    [CLIENT_TRACE] = {"trace", " SRC DST PORT/PROTO", "one live packet, rule by rule",
	3},
    [CLIENT_EXPLAIN] = {"explain", " SRC DST PORT/PROTO",
	"why a connection is allowed or denied", 3},
};

/* ---- what options are given ---- */

static const char *
take_control(struct client_options *c, const char *value)
{
	c->control = value;
	return NULL;
}

static const char *
take_config(struct client_options *c, const char *value)
{
	c->config = value;
	return NULL;
}

static const char *
take_format(struct client_options *c, const char *value)
{
	static const char *const names[] = {
	    [CLIENT_FORMAT_TEXT] = "text",
	    [CLIENT_FORMAT_JSON] = "json",
	    [CLIENT_FORMAT_YAML] = "yaml",
	};

	for (size_t i = CLIENT_FORMAT_TEXT; i < ARRAY_LEN(names); i++) {
		if (strcmp(names[i], value) == 0) {
			c->format = (enum client_format)i;
			return NULL;
		}
	}
	return "no such output format (text, json, yaml)";
}

static const char *
take_follow(struct client_options *c, const char *value)
{
	(void)value; /* it has none */
	c->follow = true;
	return NULL;
}

static const char *
take_count(struct client_options *c, const char *value)
{
	c->has_count = str_to_u64(str_from(value), MOST_COUNT, &c->count);
	return c->has_count ? NULL : "no number up to 1000";
}

static const char *
take_seconds(unsigned *set, unsigned most, const char *value)
{
	uint64_t seconds;

	if (!str_to_u64(str_from(value), most, &seconds) || seconds == 0)
		return most == MOST_WAIT_S ? "no number of seconds from 1 to 300"
					   : "no number of seconds from 1 to 3600";
	*set = (unsigned)seconds;
	return NULL;
}

static const char *
take_interval(struct client_options *c, const char *value)
{
	return take_seconds(&c->interval_s, MOST_INTERVAL_S, value);
}

static const char *
take_wait(struct client_options *c, const char *value)
{
	return take_seconds(&c->wait_s, MOST_WAIT_S, value);
}

static const char *
take_timeout(struct client_options *c, const char *value)
{
	return take_seconds(&c->timeout_s, MOST_INTERVAL_S, value);
}

static const char *
take_verdict(struct client_options *c, const char *value)
{
	static const char *const all[] = {"deny", "allow", "audit", "cut"};
	/* Of rules: the first three. */
	size_t count = c->command == CLIENT_FLOWS ? ARRAY_LEN(all) : 3;

	for (size_t i = 0; i < count; i++) {
		if (strcmp(all[i], value) == 0) {
			c->filter.verdict = value;
			return NULL;
		}
	}
	return count > 3 ? "no such verdict (deny, allow, cut, audit)"
			 : "no such verdict of a rule (deny, allow, audit)";
}

static const char *
take_direction(struct client_options *c, const char *value)
{
	c->filter.direction = value;
	return strcmp(value, "ingress") == 0 || strcmp(value, "egress") == 0
		   ? NULL
		   : "no such direction (ingress, egress)";
}

static const char *
take_space(struct client_options *c, const char *value)
{
	c->filter.space = value;
	return value[0] == '/' ? NULL : "no path of a namespace, such as /acme/shop";
}

static const char *
take_policy(struct client_options *c, const char *value)
{
	c->filter.policy = value;
	return value[0] != '\0' && value[strlen(value) - 1] != '/'
		   ? NULL
		   : "no name of a policy";
}

static const char *
take_end(struct client_end *set, const char *value)
{
	return client_filter_end(set, value)
		   ? NULL
		   : "no address, network, path, node/NAME or name";
}

static const char *
take_from(struct client_options *c, const char *value)
{
	return take_end(&c->filter.from, value);
}

static const char *
take_to(struct client_options *c, const char *value)
{
	return take_end(&c->filter.to, value);
}

static const char *
take_port(struct client_options *c, const char *value)
{
	return client_filter_port(&c->filter, value)
		   ? NULL
		   : "no port or protocol, such as 443/tcp, 443 or tcp";
}

static const char *
take_since(struct client_options *c, const char *value)
{
	return client_filter_since(&c->filter, value, walltime_now())
		   ? NULL
		   : "no time, and no duration such as 90s or 2h30m";
}

static const char *
take_used(struct client_options *c, const char *value)
{
	(void)value; /* it has none */
	c->filter.used = true;
	return c->filter.unused ? "it goes with no --unused" : NULL;
}

static const char *
take_unused(struct client_options *c, const char *value)
{
	(void)value; /* it has none */
	c->filter.unused = true;
	return c->filter.used ? "it goes with no --used" : NULL;
}

#define OF(command) CLIENT_OF(command)
#define OF_ALL      (OF(CLIENT_COMMANDS) - 1)
#define OF_RULES    (OF(CLIENT_RULES) | OF(CLIENT_TOP))
#define OF_FILTERED (OF_RULES | OF(CLIENT_FLOWS))

const struct client_option client_options_all[] = {
    {"follow", '\0', NULL, "go on: with what comes, or again and again",
	OF(CLIENT_FLOWS) | OF(CLIENT_TOP), take_follow, false, NULL},
    {"count", 'n', "N", "at most so many: flows 100, top 20; up to 1000",
	OF(CLIENT_FLOWS) | OF(CLIENT_TOP), take_count, false, NULL},
    {"interval", '\0', "S", "count for so many seconds (1)", OF(CLIENT_TOP),
	take_interval, false, NULL},
    {"wait", '\0', "S", "wait so many seconds for the packet (30)", OF(CLIENT_TRACE),
	take_wait, false, NULL},
    {"verdict", '\0', "VERDICT", "only deny, allow, or audit", OF_RULES, take_verdict,
	true, "deny allow audit"},
    {"verdict", '\0', "VERDICT", "only deny, allow, cut, or audit", OF(CLIENT_FLOWS),
	take_verdict, true, "deny allow cut audit"},
    {"direction", '\0', "DIRECTION", "only ingress, or egress", OF_FILTERED,
	take_direction, true, "ingress egress"},
    {"namespace", '\0', "PATH", "only of this namespace, and below it", OF_FILTERED,
	take_space, true, NULL},
    {"policy", '\0', "NAME", "only of the policy NAME, or /PATH/NAME", OF_FILTERED,
	take_policy, true, NULL},
    {"from", '\0', "END",
	"only from an address, network, /PATH, /PATH/NAME, node/NAME or name",
	OF(CLIENT_FLOWS), take_from, true, NULL},
    {"to", '\0', "END", "only to it, likewise", OF(CLIENT_FLOWS), take_to, true, NULL},
    {"port", '\0', "PORT/PROTO", "only to this port: 443/tcp, 443 or tcp",
	OF(CLIENT_FLOWS), take_port, true, NULL},
    {"since", '\0', "TIME", "only since then, or for so long: 90s, 2h30m",
	OF(CLIENT_FLOWS), take_since, true, NULL},
    {"used", '\0', NULL, "only rules that have counted something", OF(CLIENT_RULES),
	take_used, true, NULL},
    {"unused", '\0', NULL, "only rules that have counted nothing", OF(CLIENT_RULES),
	take_unused, true, NULL},
    {"output", 'o', "FORMAT", "text, json or yaml", OF_ALL, take_format, false,
	"text json yaml"},
    {"control", '\0', "SOCKET", "where the daemon listens (" DEFAULT_CONTROL ")",
	OF_ALL, take_control, false, ""},
    {"config", '\0', "FILE", "the configuration that says where", OF_ALL, take_config,
	false, ""},
    {"timeout", '\0', "S", "wait so many seconds for an answer (60)", OF_ALL,
	take_timeout, false, NULL},
};

#define ROWS ARRAY_LEN(client_options_all)

const size_t client_options_count = ROWS;

/* ---- help ---- */

static void
print_option(const struct client_option *row, bool with_commands)
{
	struct buf text = {0};
	bool first = true;

	if (row->letter != '\0')
		buf_printf(&text, "  -%c, --%s %s", row->letter, row->name, row->arg);
	else
		buf_printf(
		    &text, "  --%s %s", row->name, row->arg != NULL ? row->arg : "");
	(void)printf("%-*s %s", HELP_COLUMN, text.data, row->help);
	for (size_t i = 0;
	     with_commands && row->commands != OF_ALL && i < CLIENT_COMMANDS; i++) {
		if ((row->commands & OF(i)) == 0)
			continue;
		(void)printf("%s%s", first ? " [" : ", ", client_commands[i].name);
		first = false;
	}
	(void)printf("%s\n", first ? "" : "]");
	buf_free(&text);
}

static void
print_usage(enum client_command_id id)
{
	const struct client_command *command = &client_commands[id];

	(void)printf("usage: ringfence-enforcer %s [OPTION...]%s\n\n"
		     "Asks the daemon that runs: %s.\n\n",
	    command->name, command->words, command->summary);
	for (size_t i = 0; i < ROWS; i++) {
		if ((client_options_all[i].commands & OF(id)) != 0)
			print_option(&client_options_all[i], false);
	}
}

void
client_options_help(void)
{
	for (size_t i = 0; i < CLIENT_COMMANDS; i++) {
		struct buf text = {0};

		buf_printf(
		    &text, "  %s%s", client_commands[i].name, client_commands[i].words);
		(void)printf(
		    "%-*s %s\n", HELP_COLUMN, text.data, client_commands[i].summary);
		buf_free(&text);
	}
	(void)printf("\nand know these options:\n");
	for (size_t i = 0; i < ROWS; i++)
		print_option(&client_options_all[i], true);
}

int
client_mistake(const struct client_options *c, const char *what, const char *text)
{
	struct buf line = {0};

	buf_printf(&line, "ringfence-enforcer %s: ", client_commands[c->command].name);
	diag_add_plain(&line, str_from(what));
	if (text != NULL) {
		buf_add_cstr(&line, ": ");
		diag_add_plain(&line, str_from(text));
	}
	(void)fprintf(stderr, "%s\n", line.data);
	buf_free(&line);
	return EXIT_MISTAKE;
}

/* ---- reading ---- */

/* Values that getopt_long returns: a row's number, behind what may be letters. */
#define ROW_BASE 256

/* What getopt is to know: the options of this command, and --help. */
static void
make_options(const struct client_options *c, struct option *options, char *letters)
{
	size_t count = 0;

	*letters++ = 'h';
	for (size_t i = 0; i < ROWS; i++) {
		if ((client_options_all[i].commands & OF(c->command)) == 0)
			continue;
		options[count++] = (struct option){client_options_all[i].name,
		    client_options_all[i].arg != NULL ? required_argument : no_argument,
		    NULL, ROW_BASE + (int)i};
		if (client_options_all[i].letter != '\0') {
			*letters++ = client_options_all[i].letter;
			*letters++ = ':';
		}
	}
	*letters = '\0';
	options[count++] = (struct option){"help", no_argument, NULL, 'h'};
	options[count] = (struct option){NULL, 0, NULL, 0};
}

static const struct client_option *
row_of(int option)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (option == ROW_BASE + (int)i ||
		    (client_options_all[i].letter != '\0' &&
			option == client_options_all[i].letter))
			return &client_options_all[i];
	}
	return NULL;
}

/* What getopt_long cannot take: a letter of a word that it may not be through with, or all
 * of the last word. A byte that is no letter is a part of one. */
static int
no_option(const struct client_options *c, char **argv)
{
	static const char what[] = "no such option, or it lacks a value";
	const char letter[] = {'-', (char)optopt, '\0'};

	if (optopt == 0 || optopt >= ROW_BASE)
		return client_mistake(c, what, argv[optind - 1]);
	return client_mistake(c, what, optopt > 0 && optopt < 0x7f ? letter : NULL);
}

/* Each is a word of the question as it is: what the daemon would take for two, for the end,
 * or for none, is not asked. */
static int
check_words(const struct client_options *c)
{
	for (int i = 0; i < client_commands[c->command].word_count; i++) {
		const char *word = c->words[i];

		if (word[0] == '\0' || word[strcspn(word, " \t\n\v\f\r")] != '\0')
			return client_mistake(
			    c, "no address, path, name or port", word);
	}
	return 0;
}

int
client_options_parse(
    struct client_options *c, enum client_command_id command, int argc, char **argv)
{
	struct option options[ROWS + 2];
	char letters[2 * ROWS + 2];
	int option;

	*c = (struct client_options){.command = command,
	    .control = DEFAULT_CONTROL,
	    .count = command == CLIENT_TOP ? TOP_RULES : FLOWS,
	    .interval_s = 1,
	    .wait_s = 30,
	    .timeout_s = 60};
	make_options(c, options, letters);
	optind = 1;
	opterr = 0; /* its own words leave out whose command it is */
	while ((option = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		const struct client_option *row = row_of(option);
		const char *wrong;

		if (option == 'h') {
			print_usage(command);
			return -1;
		}
		if (row == NULL)
			return no_option(c, argv);
		wrong = row->take(c, optarg);
		if (wrong != NULL)
			return client_mistake(
			    c, wrong, optarg != NULL ? optarg : row->name);
		c->filter.any |= row->filters;
	}
	c->words = argv + optind;
	if (argc - optind == client_commands[command].word_count)
		return check_words(c);
	if (client_commands[command].word_count == 0)
		return client_mistake(c, "it takes options alone (try --help)", NULL);
	(void)fprintf(stderr, "usage: ringfence-enforcer %s [OPTION...]%s\n",
	    client_commands[command].name, client_commands[command].words);
	return EXIT_MISTAKE;
}
