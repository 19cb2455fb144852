/*
 * `ringfence completion`: for shells.
 */
#include <string.h>

#include "policy-lang/cli/completion.h"

static const struct {
	const char *shell;
	void (*print)(struct arena *arena, struct buf *out);
} shells[] = {
    {"bash", completion_print_bash},
    {"zsh", completion_print_zsh},
    {"fish", completion_print_fish},
};

static int
run(struct cli *cli)
{
	struct buf text = {0};
	bool ok;

	for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
		if (strcmp(cli->paths[0], shells[i].shell) != 0)
			continue;
		shells[i].print(cli->arena, &text);
		ok = cli_write(cli, &text);
		buf_free(&text);
		return ok ? CLI_OK : CLI_ERROR;
	}
	return cli_fail(
	    cli, "no shell \"%s\"; there is bash, zsh, fish", cli->paths[0]);
}

static void
add_words(struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(shells); i++)
		buf_printf(out, "%s ", shells[i].shell);
}

const struct cli_command cmd_completion = {
    .name = "completion",
    .summary = "print completion for bash, zsh or fish",
    .usage = "bash|zsh|fish",
    .details = "bash: source <(ringfence completion bash)\n"
	       "zsh:  source <(ringfence completion zsh)\n"
	       "fish: ringfence completion fish | source\n",
    .add_words = add_words,
    .paths_min = 1,
    .paths_max = 1,
    .run = run,
};
