/*
 * `ringfence help CODE` explains a diagnostic, `ringfence help codes` lists all of them.
 */
#include "policy-lang/cli/cli.h"
#include "policy-lang/model/codes.h"

static const enum diag_severity severities[] = {DIAG_ERROR, DIAG_WARNING, DIAG_NOTE};

static const char *const severity_titles[] = {
    [DIAG_ERROR] = "errors: the input is refused; they cannot be silenced",
    [DIAG_WARNING] = "warnings: exit status 1 with --strict",
    [DIAG_NOTE] = "notes",
};

/* What codes are about, each from a first one on to the next topic's. */
static const struct {
	enum diag_code first;
	const char *title;
} topics[] = {
    {CODE_NOT_AN_OBJECT, "documents and their fields"},
    {CODE_BAD_NAME, "names, labels and namespaces"},
    {CODE_BAD_SELECTOR, "selectors"},
    {CODE_BAD_CIDR, "addresses and ports"},
    {CODE_EMPTY_PEER, "peers, rules and where they stand"},
    {CODE_SHARED_ADDRESS, "policies and their subjects"},
    {CODE_SHADOWED_RULE, "rules that change nothing, or clash"},
    {CODE_PEER_MATCHES_NOTHING, "peers and ports that match nothing"},
    {CODE_CIDR_COVERS_WORKLOADS, "networks and services"},
    {CODE_CUTS_DNS, "what is cut off, or open"},
    {CODE_ACCESS_SHADOWED, "access, owners and quotas"},
    {CODE_IGNORED_RULES, "what is not said"},
    {CODE_PROGRAM_TOO_LARGE, "compiling, and the canonical form"},
};

static void
list_table(struct buf *out, const char *title, const struct diag_code_info *table,
    size_t count, enum diag_severity severity)
{
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		if (table[i].severity != severity)
			continue;
		if (!any)
			buf_printf(out, "\n  %s\n", title);
		any = true;
		buf_printf(out, "    %-29s %s\n", table[i].code, table[i].text);
	}
}

void
cli_print_codes(struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(severities); i++) {
		buf_printf(
		    out, "%s%s\n", i > 0 ? "\n" : "", severity_titles[severities[i]]);
		list_table(out, "files and YAML", diag_reading_table,
		    diag_reading_count, severities[i]);
		for (size_t j = 0; j < ARRAY_LEN(topics); j++) {
			size_t first = topics[j].first;
			size_t end = j + 1 < ARRAY_LEN(topics) ? topics[j + 1].first
							       : DIAG_CODE_COUNT;

			list_table(out, topics[j].title, &diag_code_table[first],
			    end - first, severities[i]);
		}
	}
}

bool
cli_print_code(struct buf *out, const char *code)
{
	const struct diag_code_info *info = diag_code_find(code);
	const char *help = diag_code_help(code);

	if (info == NULL)
		return false;
	buf_printf(out, "%s (%s)\n\n%s\n", info->code,
	    diag_severity_name(info->severity), info->text);
	if (help != NULL)
		buf_printf(out, "\n%s", help);
	if (info->severity != DIAG_ERROR)
		buf_printf(out,
		    "\nWhere it is meant, say so on that line or above it:\n\n"
		    "    # ringfence:ignore %s REASON\n",
		    info->code);
	return true;
}

void
cli_add_codes(struct buf *out)
{
	for (size_t i = 0; i < DIAG_CODE_COUNT; i++)
		buf_printf(out, "%s ", diag_code_table[i].code);
	for (size_t i = 0; i < diag_reading_count; i++)
		buf_printf(out, "%s ", diag_reading_table[i].code);
}

void
cli_consider_codes(struct nearest *n)
{
	for (size_t i = 0; i < DIAG_CODE_COUNT; i++)
		nearest_consider(n, str_from(diag_code_table[i].code));
	for (size_t i = 0; i < diag_reading_count; i++)
		nearest_consider(n, str_from(diag_reading_table[i].code));
}
