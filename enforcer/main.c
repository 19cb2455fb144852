/*
 * ringfence-enforcer: the node daemon, and the client that asks it.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "enforcer/client/client.h"
#include "enforcer/client/client_completion.h"
#include "enforcer/config/config.h"
#include "enforcer/parent/boot.h"
#include "enforcer/parent/parent.h"

#define DEFAULT_CONFIG "/etc/ringfence/enforcer.yaml"
#define EXIT_MISTAKE   2
#define MAX_FD         65535

static void
print_help(void)
{
	(void)printf(
	    "usage: ringfence-enforcer [--config FILE] [--check | --boot | "
	    "--remove] [--ready-fd N]\n"
	    "       ringfence-enforcer COMMAND [OPTION...]\n\n"
	    "Without a command: applies policy to the kernel of this node, in "
	    "the foreground.\n\n"
	    "  --config FILE   configuration (" DEFAULT_CONFIG ")\n"
	    "  --check         check the configuration and exit: 0, or 2 with "
	    "errors\n"
	    "  --boot          close the workload networks and exit\n"
	    "  --remove        delete the table and exit\n"
	    "  --ready-fd N    write READY to this descriptor once policy is in "
	    "force\n"
	    "  --version       print the version\n\n"
	    "Commands ask the daemon that runs:\n");
	client_help();
	(void)printf("\nringfence-enforcer completion bash|zsh|fish: for a shell\n");
}

static int
check_config(const char *path)
{
	struct arena *arena = arena_new();
	struct diag_list diags;
	struct buf text = {0};
	bool ok;

	diag_list_init(&diags, arena);
	ok = enforcer_config_load(arena, path, &diags) != NULL;
	diag_render_text(&text, &diags);
	if (text.len != 0)
		(void)fputs(text.data, stderr);
	buf_free(&text);
	arena_free(arena);
	return ok ? 0 : EXIT_MISTAKE;
}

/* What is done instead of running. */
enum deed {
	RUN,
	CHECK,
	BOOT,
	REMOVE
};

static int
do_deed(enum deed deed, const struct parent_options *parent)
{
	switch (deed) {
	case CHECK:
		return check_config(parent->config_path);
	case BOOT:
		return boot_run(parent->config_path);
	case REMOVE:
		return boot_remove(parent->config_path);
	case RUN:
		break;
	}
	return parent_run(parent);
}

static int
run_daemon(int argc, char **argv)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"check", no_argument, NULL, CHECK},
	    {"boot", no_argument, NULL, BOOT},
	    {"remove", no_argument, NULL, REMOVE},
	    {"ready-fd", required_argument, NULL, 'r'},
	    {"version", no_argument, NULL, 'v'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	struct parent_options parent = {.config_path = DEFAULT_CONFIG, .ready_fd = -1};
	enum deed deed = RUN;
	uint64_t fd;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			parent.config_path = optarg;
			break;
		case CHECK:
		case BOOT:
		case REMOVE:
			if (deed != RUN && deed != (enum deed)option) {
				(void)fputs("ringfence-enforcer: --check, --boot and "
					    "--remove exclude each other\n",
				    stderr);
				return EXIT_MISTAKE;
			}
			deed = (enum deed)option;
			break;
		case 'r':
			if (!str_to_u64(str_from(optarg), MAX_FD, &fd)) {
				(void)fprintf(stderr,
				    "ringfence-enforcer: --ready-fd takes a number\n");
				return EXIT_MISTAKE;
			}
			parent.ready_fd = (int)fd;
			break;
		case 'v':
			(void)printf("ringfence-enforcer %s\n", RINGFENCE_VERSION);
			return 0;
		case 'h':
			print_help();
			return 0;
		default: /* getopt has said why */
			(void)fputs("try ringfence-enforcer --help\n", stderr);
			return EXIT_MISTAKE;
		}
	}
	if (optind != argc) {
		(void)fprintf(stderr,
		    "ringfence-enforcer: no such command: %s (try --help)\n",
		    argv[optind]);
		return EXIT_MISTAKE;
	}
	return do_deed(deed, &parent);
}

int
main(int argc, char **argv)
{
	proc_main(argc, argv, enforcer_roles);
	if (argc > 1 && client_knows(argv[1]))
		return client_run(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "completion") == 0)
		return client_completion_run(argc - 1, argv + 1);
	if (argc > 1 && argv[1][0] != '-') {
		(void)fprintf(stderr,
		    "ringfence-enforcer: no such command: %s (try --help)\n", argv[1]);
		return EXIT_MISTAKE;
	}
	return run_daemon(argc, argv);
}
