/*
 * The login tool: requests to a gate, tokens kept between runs, questions on the
 * terminal. Private to login*.c and main_login.c; one thread, one command a process.
 */
#ifndef AUTHN_LOGIN_H
#define AUTHN_LOGIN_H

#include <jansson.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/secret.h"

#define LOGIN_EXIT_FAILED 1
#define LOGIN_EXIT_USAGE  2

/* What the command line and the environment say. */
struct login_options {
	const char *server; /* https://HOST[:PORT] */
	const char *ca;     /* file, NULL: the system's authorities */
	char *ca_data;      /* PEM, by the exec plugin's caller; NULL */
	const char *user, *password_file;
	const char *ttl, *name, *overlap;
	const char *service; /* path of a service account, or NULL */
	const char
	    *token_file;     /* whose token is used instead of the one that was kept */
	const char *output;  /* "text", "json" */
	const char *context; /* name in a kubeconfig */
	const char *const *scopes;
	size_t scope_count;
	bool kubeconfig, force;
	bool by_password; /* --user or a password's file was given to this command */
	bool interactive; /* there may be questions */
};

/* ---- login_http.c ---- */

struct login_answer {
	long status;
	json_t *body; /* NULL if it is no JSON */
	long retry_after_s;
};

struct login_request {
	const char *method, *path;
	const char *token; /* bearer, or NULL */
	const char *user;  /* basic authentication, or NULL */
	const struct secret *password;
	const char *body; /* JSON, or NULL */
};

/* One request; certificates are verified, always. ERR_UNAVAILABLE if there was no answer. */
MUST_CHECK int login_http(const struct login_options *o,
    const struct login_request *request, struct login_answer *out_answer,
    struct err *err);
void login_answer_free(struct login_answer *answer);
/* What an answer that is no success says. Returns the code. */
int login_answer_err(const struct login_answer *answer, struct err *err);

/* ---- login_cache.c: $XDG_CACHE_HOME/ringfence, one file for each gate ---- */

struct login_token {
	char *server, *ca; /* ca: "" without */
	char *user, *token, *id, *expires;
};

/* The token for a gate; NULL server: for the gate used last. ERR_NOT_FOUND if there is none. */
MUST_CHECK int login_cache_read(
    const char *server, struct login_token *out_token, struct err *err);
/* Keeps it, readable for this user only, and makes its gate the one used last. */
MUST_CHECK int login_cache_write(const struct login_token *token, struct err *err);
MUST_CHECK int login_cache_remove(const char *server, struct err *err);
/* Keeps two logins at once from asking twice; until the process ends. */
void login_cache_lock(void);
void login_token_free(struct login_token *token);
/* True if it is good for a while longer. */
MUST_CHECK bool login_token_fresh(const struct login_token *token);

/* ---- login_prompt.c ---- */

/* Asks on the terminal. The caller frees the name. */
MUST_CHECK int login_prompt_user(char **out_user, struct err *err);
MUST_CHECK int login_prompt_password(
    const char *user, struct secret *out_password, struct err *err);

/* ---- login_commands.c: exit statuses ---- */

int login_run_login(const struct login_options *o);
int login_run_logout(const struct login_options *o);
int login_run_whoami(const struct login_options *o);
int login_run_token_create(const struct login_options *o);
int login_run_token_list(const struct login_options *o);
int login_run_token_rotate(const struct login_options *o, const char *name);
int login_run_token_revoke(const struct login_options *o, const char *id);

/* ---- login_services.c ---- */

int login_run_service_create(const struct login_options *o, const char *path);
int login_run_service_list(const struct login_options *o, const char *node);
int login_run_service_remove(const struct login_options *o, const char *path);
/* The URL's path of what is about a service account: `api` and its path (and "/" and more, if
 * that is not NULL), for the caller to free; NULL: it can be none. */
MUST_CHECK char *login_service_url(
    const char *api, const char *path, const char *more, struct err *err);

/* ---- login_file.c: a file with nothing but a token ---- */

MUST_CHECK int login_file_read(
    const struct login_options *o, struct login_token *out_token, struct err *err);
/* Puts a token into its place, readable for its owner only; all of it or nothing. */
MUST_CHECK int login_file_write(const char *path, const char *token, struct err *err);

/* ---- shared by the commands ---- */

/* Says what went wrong; the exit status. */
MUST_CHECK int login_fail(const struct err *err);
/* Names from the directory or the gate stay text on a terminal. */
void login_print_safe(const char *text);
void login_print_json(const json_t *body);
/* A member's text; "" without. */
MUST_CHECK const char *login_text_of(const json_t *object, const char *name);
/* The JSON of a login or a new token, for the caller to free; NULL: a scope is none. */
MUST_CHECK char *login_request_body(const struct login_options *o, struct err *err);
/* The credentials of a login: given, or asked for. */
MUST_CHECK int login_credentials(const struct login_options *o, char **out_user,
    struct secret *out_password, struct err *err);
/* The gate and the token that were kept, or are in o->token_file, without questions:
 * *out_options is `o` with that gate and its authorities, borrowed from *out. */
MUST_CHECK int login_known_token(const struct login_options *o,
    struct login_options *out_options, struct login_token *out, struct err *err);
/* One request with the token that was kept; 0 if the answer has the status. */
MUST_CHECK int login_ask(const struct login_options *o, const char *method,
    const char *path, const char *body, long wanted, struct login_answer *answer,
    struct err *err);
/* Keeps the token of an answer if it takes the place of the one that is kept. */
MUST_CHECK int login_cache_replace(const struct login_options *o, const char *old_id,
    const json_t *body, struct err *err);

#endif
