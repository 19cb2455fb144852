/*
 * `ringfence schema`: what native documents look like, for editors and API servers.
 */
#include "policy-lang/cli/cli.h"
#include "policy-lang/format/json_schema.h"

static int
unknown_kind(const struct cli *cli)
{
	struct buf known = {0};

	for (size_t i = 0; i < native_kind_count; i++)
		buf_printf(&known, "%s%s", i == 0 ? "" : ", ", native_kinds[i].kind);
	(void)cli_fail(
	    cli, "no native kind \"%s\"; there is %s", cli->paths[0], known.data);
	buf_free(&known);
	return CLI_ERROR;
}

static int
run(struct cli *cli)
{
	static void (*const printers[])(struct buf *, const struct native_kind *) = {
	    json_schema_print, json_schema_print_crds};
	const struct native_kind *kind = NULL;
	struct buf text = {0};
	bool ok;

	if (cli->path_count > 0) {
		kind = native_kind_find(str_from(cli->paths[0]));
		if (kind == NULL)
			return unknown_kind(cli);
	}
	printers[cli->output](&text, kind);
	ok = cli_write(cli, &text);
	buf_free(&text);
	return ok ? CLI_OK : CLI_ERROR;
}

static void
add_words(struct buf *out)
{
	for (size_t i = 0; i < native_kind_count; i++)
		buf_printf(out, "%s ", native_kinds[i].kind);
}

static const char *const outputs[] = {"json", "crds", NULL};

const struct cli_command cmd_schema = {
    .name = "schema",
    .summary = "print JSON Schema or CustomResourceDefinitions",
    .usage = "[options] [KIND]",
    .details = "json: the JSON Schema of one native kind, or of whole files.\n"
	       "crds: CustomResourceDefinitions, for kubectl apply -f -.\n",
    .outputs = outputs,
    .add_words = add_words,
    .paths_max = 1,
    .run = run,
};
