/*
 * ringfence-gate: reads its options, then is the monitor, or one of its roles.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authn/budget/resource_quota.h"
#include "authn/directory/directory_report.h"
#include "authn/monitor/monitor.h"
#include "authn/proxy/worker_state.h"

#define DEFAULT_CONFIG "/etc/ringfence/gate.yaml"
#define EXIT_BAD       2

static const char usage[] =
    "usage: ringfence-gate [--config FILE] [--check] [--ready-fd N]\n"
    "       ringfence-gate [--config FILE] --check-user NAME [--password-file FILE]\n"
    "\n"
    "  --config FILE   the configuration; default " DEFAULT_CONFIG "\n"
    "  --check         read it and everything that it names, report, and exit:\n"
    "                  0 it is good, 2 it is not\n"
    "  --resource-quotas\n"
    "                  with --check: print the ResourceQuotas that budgets come to "
    "while\n"
    "                  nothing is used\n"
    "  --check-user NAME\n"
    "                  ask the directory about a user, report, and exit: 0 may log "
    "in,\n"
    "                  1 may not, 3 the directory does not answer\n"
    "  --password-file FILE\n"
    "                  with --check-user: also try that password\n"
    "  --ready-fd N    write READY to this descriptor once requests are answered\n"
    "  --version       print the version\n"
    "  --help          print this\n"
    "\n"
    "SIGHUP reads everything again; what is wrong is logged, and what was in force\n"
    "stays. SIGTERM ends the gate when what runs has ended, after 30 s at the "
    "latest.\n";

/* What would be written, as YAML. */
static void
print_quotas(const struct gate_plan *plan)
{
	struct buf problem = {NULL, 0, 0}, out = {NULL, 0, 0};
	struct worker_policy *policy = worker_policy_load(plan->policy_fd, &problem);
	const struct resource_quota *quotas;
	struct budget_ledger *ledger;
	struct budget_plan budgets;
	size_t count;

	buf_free(&problem); /* it was judged before */
	if (policy == NULL ||
	    !budget_plan_make(policy->arena, policy->model, &problem, &budgets))
		return;
	ledger = budget_ledger_new(policy->model, &budgets, 1);
	quotas = resource_quotas_make(
	    policy->arena, policy->model, &budgets, ledger, &count);
	for (size_t i = 0; i < count; i++)
		resource_quota_yaml(&out, &quotas[i]);
	if (out.len != 0)
		(void)fwrite(out.data, 1, out.len, stdout);
	budget_ledger_free(ledger);
	worker_policy_free(policy);
	buf_free(&problem);
	buf_free(&out);
}

static int
check(const char *path, bool with_quotas)
{
	struct buf problem = {NULL, 0, 0};
	struct gate_plan *plan = gate_plan_load(path, &problem);
	bool ok =
	    plan != NULL && gate_check(&plan->worker,
				plan->config->has_admission ? &plan->admission : NULL,
				plan->policy_fd, plan->keys_fd, &problem);

	if (problem.len != 0)
		(void)fwrite(problem.data, 1, problem.len, stderr);
	if (ok && with_quotas)
		print_quotas(plan);
	else if (ok)
		printf("%s: good\n", path);
	gate_plan_free(plan);
	buf_free(&problem);
	return ok ? 0 : EXIT_BAD;
}

static int
check_user(const char *path, const char *user, const char *password_file)
{
	struct buf problem = {NULL, 0, 0};
	struct gate_plan *plan = gate_plan_load(path, &problem);
	int status = EXIT_BAD;

	if (problem.len != 0)
		(void)fwrite(problem.data, 1, problem.len, stderr);
	if (plan != NULL)
		status = (int)directory_report(plan, user, password_file);
	gate_plan_free(plan);
	buf_free(&problem);
	return status;
}

static int
parse_fd(const char *text)
{
	uint64_t fd;

	if (str_to_u64(str_from(text), 1023, &fd))
		return (int)fd;
	fprintf(
	    stderr, "ringfence-gate: --ready-fd takes a number, not \"%s\"\n", text);
	exit(EXIT_BAD);
}

/* Of a command line: `why` NULL if that has been said. */
static int
refuse(const char *why)
{
	if (why != NULL)
		(void)fprintf(stderr, "ringfence-gate: %s\n", why);
	(void)fputs("try ringfence-gate --help\n", stderr);
	return EXIT_BAD;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"check", no_argument, NULL, 'k'},
	    {"resource-quotas", no_argument, NULL, 'q'},
	    {"check-user", required_argument, NULL, 'u'},
	    {"password-file", required_argument, NULL, 'p'},
	    {"ready-fd", required_argument, NULL, 'r'},
	    {"version", no_argument, NULL, 'V'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	struct monitor_options run = {.config_path = DEFAULT_CONFIG, .ready_fd = -1};
	const char *user = NULL, *password_file = NULL;
	bool only_check = false, with_quotas = false;
	int c;

	proc_main(argc, argv, gate_roles);
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			run.config_path = optarg;
			break;
		case 'k':
			only_check = true;
			break;
		case 'q':
			with_quotas = true;
			break;
		case 'u':
			user = optarg;
			break;
		case 'p':
			password_file = optarg;
			break;
		case 'r':
			run.ready_fd = parse_fd(optarg);
			break;
		case 'V':
			puts("ringfence-gate " RINGFENCE_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return refuse(NULL); /* getopt has said why */
		}
	}
	if (optind != argc)
		return refuse("it takes options only");
	if (password_file != NULL && user == NULL)
		return refuse("--password-file goes with --check-user");
	if (with_quotas && !only_check)
		return refuse("--resource-quotas goes with --check");
	if (user != NULL)
		return check_user(run.config_path, user, password_file);
	return only_check ? check(run.config_path, with_quotas) : monitor_run(&run);
}
