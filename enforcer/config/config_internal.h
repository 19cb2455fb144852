/*
 * Between config*.c only: what the readers of the configuration's parts share.
 */
#ifndef ENFORCER_CONFIG_INTERNAL_H
#define ENFORCER_CONFIG_INTERNAL_H

#include "common/doc.h"
#include "enforcer/config/config.h"
#include "policy-lang/load/schema.h"
#include "policy-lang/model/config_file.h"

#define CONFIG_VALUE "config-value"

struct config_reader {
	struct arena *arena;
	struct diag_list *diags;
	struct config_file file;
	struct enforcer_config *config;
};

/* Fields that are wrong have been reported and are NULL; reading goes on. */
void config_fields(struct config_reader *r, const struct schema *schema,
    const struct doc_node *n, const struct doc_node **out_values);
/* A path, relative to the configuration; in the arena. */
MUST_CHECK const char *config_path(struct config_reader *r, const struct doc_node *n);
/* The same of a Unix socket, which is short. */
MUST_CHECK const char *config_socket(struct config_reader *r, const struct doc_node *n);
/* Reports what is no path of a namespace. */
void config_subtree(struct config_reader *r, const struct doc_node *n);

/* ---- config_host.c ---- */

void config_read_host(struct config_reader *r, const struct doc_node *n);

/* ---- config_kube.c ---- */

/* The value of "kubernetes". */
void config_read_kubernetes(
    struct config_reader *r, const struct doc_node *n, struct enforcer_source *out);

/* ---- config_routes.c ---- */

void config_read_addresses(struct config_reader *r, const struct doc_node *n);

/* ---- config_steering.c ---- */

void config_read_steering(struct config_reader *r, const struct doc_node *n);
/* ---- config_dns.c ---- */

void config_read_dns(struct config_reader *r, const struct doc_node *n);
/* Once all has been read. */
void config_check_dns(struct config_reader *r, const struct doc_node *n);

/* ---- config_flows.c ---- */

void config_read_flows(struct config_reader *r, const struct doc_node *n);
/* "192.0.2.1:4739", "[2001:db8::1]:4739". */
MUST_CHECK bool config_address_port(
    struct str text, struct ip_addr *out_addr, uint16_t *out_port);
/* One of two words: true for the second, `otherwise` without a node, or with another word,
 * which is told. */
MUST_CHECK bool config_choice(struct config_reader *r, const struct doc_node *n,
    const char *what, const char *first, const char *second, bool otherwise);

#endif
