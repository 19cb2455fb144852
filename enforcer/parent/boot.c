#include "enforcer/parent/boot.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "enforcer/engine/plan.h"
#include "enforcer/engine/program.h"
#include "enforcer/kernel/nft.h"

#define EXIT_REFUSED 1
#define EXIT_MISTAKE 2

static struct enforcer_config *
load(struct arena *arena, const char *path)
{
	struct diag_list diags;
	struct enforcer_config *config;
	struct buf text = {0};

	diag_list_init(&diags, arena);
	config = enforcer_config_load(arena, path, &diags);
	diag_render_text(&text, &diags);
	if (text.len != 0)
		(void)fputs(text.data, stderr);
	buf_free(&text);
	return config;
}

/* A table with rules of ours is of an earlier run, and better than a closed one, even if it was
 * left in the midst of a change, or others have changed it: the daemon sees to that. */
static int
apply_unless_there(struct arena *arena, const struct table_content *content, bool own,
    bool *out_made, struct err *err)
{
	struct nft *nft = NULL;
	struct nft_counter *counters = NULL;
	struct nft_refusal refusal;
	struct op_batch batch;
	uint32_t generation;
	unsigned lacks = 0;
	size_t count = 0;
	bool owned;
	int fd;
	int rc = nft_socket(&fd, err);

	if (rc != 0)
		return rc;
	nft = nft_new(fd);
	if (own)
		rc = nft_own(nft, &owned, err); /* so that the daemon can adopt it */
	if (rc == 0)
		rc = nft_counters(nft, &counters, &count, err);
	free(counters);
	*out_made = rc == 0 && count == 0;
	if (*out_made)
		rc = nft_find_lacks(nft, &lacks, err);
	if (rc == 0 && *out_made) {
		plan_make(arena, NULL, content, &batch);
		batch.settings.no_nat = (lacks & OP_LACKS_NAT) != 0;
		if ((lacks & OP_LACKS_FIB) != 0) {
			batch.settings.steer_mask = 0;
			batch.settings.validate_sources = false;
		}
		rc = nft_apply(nft, &batch, 0, &generation, &refusal, err);
	}
	nft_close(nft);
	return rc;
}

static int
close_networks(struct arena *arena, const struct enforcer_config *config)
{
	const struct role_settings role = {.log_level = config->log_level};
	struct engine_settings settings = {0};
	struct buf body = {0};
	struct proc_reader r = {.ok = true};
	struct table_content content;
	struct program *program;
	struct err err = ERR_INIT;
	bool made = false;
	int rc;

	engine_settings_encode(&body, &role, config);
	r.data = (const uint8_t *)body.data;
	r.len = body.len;
	if (!engine_settings_decode(arena, &r, &settings))
		base_die("settings");
	buf_free(&body);
	program = program_make_skeleton(&settings);
	if (!program->ok) {
		rc = err_set(&err, ERR_LIMIT, "cannot make the closed table");
	} else {
		program_content(program, arena, MIDSTREAM_RESET, &content);
		rc =
		    apply_unless_there(arena, &content, config->own_table, &made, &err);
	}
	if (rc == 0)
		log_info(made ? "closed" : "table-kept", "networks=%zu interfaces=%zu",
		    settings.workload_network_count, settings.workload_interface_count);
	else
		log_error("boot", "detail=%s", log_quote(str_from(err.msg)));
	program_free(program);
	return rc == 0 ? 0 : EXIT_REFUSED;
}

int
boot_remove(const char *config_path)
{
	struct err err = ERR_INIT;
	struct nft *nft;
	int fd, rc = nft_socket(&fd, &err);

	(void)config_path; /* there is one table, whatever it says */
	log_setup("remove", LOG_INFO, LOG_FORMAT_TEXT);
	if (rc == 0) {
		nft = nft_new(fd);
		rc = nft_delete_table(nft, &err);
		nft_close(nft);
	}
	if (rc == 0)
		log_info("table-removed", "table=" TABLE_NAME);
	else
		log_error(
		    "table-not-removed", "detail=%s", log_quote(str_from(err.msg)));
	return rc == 0 ? 0 : EXIT_REFUSED;
}

int
boot_run(const char *config_path)
{
	struct arena *arena = arena_new();
	struct enforcer_config *config = load(arena, config_path);
	int status = EXIT_MISTAKE;

	if (config != NULL) {
		log_setup("boot", config->log_level, config->log_format);
		status = 0;
		if (config->boot_closed && (config->workload_network_count != 0 ||
					       config->workload_interface_count != 0))
			status = close_networks(arena, config);
	}
	arena_free(arena);
	return status;
}
