#include "policy-lang/cli/completion.h"

#include <ctype.h>
#include <string.h>

/* "allow|deny" is words; "PATH|NAME" only names what it takes. */
static bool
is_words(const char *arg)
{
	if (strchr(arg, '|') == NULL)
		return false;
	for (const char *p = arg; *p != '\0'; p++) {
		if (isupper((unsigned char)*p))
			return false;
	}
	return true;
}

/* Codes of diagnostics: the shells complete the first. */
static bool
is_codes(const char *arg)
{
	return strncmp(arg, "CODE", strlen("CODE")) == 0;
}

/* By what help shows for it: "allow|deny" is words, FILE and PATH are files. */
static enum completion_kind
completion_of(const char *arg)
{
	static const char *const files[] = {"FILE", "PATH", "DIR"};

	if (is_words(arg) || is_codes(arg))
		return COMPLETE_WORDS;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (strstr(arg, files[i]) != NULL)
			return COMPLETE_FILES;
	}
	return COMPLETE_NOTHING;
}

static const struct cli_option *
option_at(const struct cli_command *command, size_t wanted)
{
	size_t n = 0;

	for (size_t i = 0; i < CLI_OPTION_GROUPS; i++) {
		const struct cli_option *o = command->options[i];

		for (; o != NULL && o->name != NULL; o++) {
			if (n++ == wanted)
				return o;
		}
	}
	return NULL;
}

static size_t
own_count(const struct cli_command *command)
{
	size_t n = 0;

	while (option_at(command, n) != NULL)
		n++;
	return n;
}

size_t
completion_count(const struct cli_command *command)
{
	return own_count(command) + (command->outputs != NULL ? 2 : 1);
}

static const char *
join(struct arena *arena, const char *const *words)
{
	struct buf list = {0};
	const char *text;

	for (size_t i = 0; words[i] != NULL; i++)
		buf_printf(&list, "%s%s", i > 0 ? " " : "", words[i]);
	text = str_dup(arena, buf_str(&list)).ptr;
	buf_free(&list);
	return text;
}

struct completion_option
completion_get(struct arena *arena, const struct cli_command *command, size_t i)
{
	const struct cli_option *o = option_at(command, i);
	struct completion_option out = {0};
	struct buf codes = {0};
	char *words;

	if (o == NULL && i == own_count(command))
		return (struct completion_option){
		    .letter = 'h', .name = "help", .help = "explain the command"};
	if (o == NULL)
		return (struct completion_option){
		    .letter = 'o',
		    .name = "output",
		    .help = "format of the output",
		    .takes_arg = true,
		    .kind = COMPLETE_WORDS,
		    .words = join(arena, command->outputs),
		};
	out.name = o->name;
	out.help = o->help;
	out.takes_arg = o->arg != NULL;
	if (!out.takes_arg)
		return out;
	out.kind = completion_of(o->arg);
	if (is_codes(o->arg)) {
		cli_add_codes(&codes);
		out.words = str_dup(arena, str_trim(buf_str(&codes))).ptr;
		buf_free(&codes);
		return out;
	}
	words = arena_strdup(arena, o->arg);
	for (char *p = words; out.kind == COMPLETE_WORDS && *p != '\0'; p++) {
		if (*p == '|')
			*p = ' ';
	}
	out.words = words;
	return out;
}

const char *
completion_words(struct arena *arena, const struct cli_command *command)
{
	struct buf list = {0};
	const char *text;

	if (command->add_words == NULL)
		return NULL;
	command->add_words(&list);
	text = str_dup(arena, str_trim(buf_str(&list))).ptr;
	buf_free(&list);
	return text;
}
