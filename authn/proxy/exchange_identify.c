/*
 * Who asks: a bearer token, a client certificate, or both if they name the same user.
 */
#include <openssl/evp.h>
#include <string.h>

#include "authn/api/api.h"
#include "authn/proxy/exchange.h"
#include "authn/proxy/worker_state.h"
#include "common/secret.h"

#define TOKEN_MAX_BYTES 512

struct str
exchange_credentials(const struct exchange *x, const char *scheme)
{
	struct str value = x->facts.authorization;
	struct str word = str_split(&value, ' ');

	if (word.len != strlen(scheme) || strncasecmp(word.ptr, scheme, word.len) != 0)
		return (struct str){NULL, 0};
	return str_trim(value);
}

void
exchange_reply_unauthorized(struct exchange *x)
{
	x->w->stats.unauthenticated++;
	exchange_reply_error(x, 401, "Unauthorized");
}

/* A certificate that has ended since the handshake names nobody. */
static struct identity *
valid_certificate(const struct exchange *x)
{
	struct identity *id = x->certificate;

	return id != NULL && !id->revoked && x->received.ns < id->expires.ns ? id
									     : NULL;
}

static void
on_token(void *arg, enum auth_result result, struct identity *id)
{
	struct exchange *x = arg;
	const struct identity *certificate = valid_certificate(x);

	x->auth_ticket = 0;
	if (result == AUTH_UNAVAILABLE) {
		exchange_reply_unavailable(
		    x, "authentication is not available at the moment");
		return;
	}
	if (result != AUTH_ALLOWED || id == NULL || id->revoked ||
	    (certificate != NULL && !str_eq(certificate->user, id->user))) {
		exchange_reply_unauthorized(x);
		return;
	}
	identity_ref(id);
	x->id = id;
	x->identified(x);
}

/* Whom the certificate names, as the directory has him. */
static void
on_account(void *arg, enum auth_result result, struct identity *id)
{
	struct exchange *x = arg;

	x->auth_ticket = 0;
	if (result == AUTH_UNAVAILABLE) {
		exchange_reply_unavailable(
		    x, "authentication is not available at the moment");
		return;
	}
	if (result != AUTH_ALLOWED || id == NULL || id->revoked) {
		exchange_reply_unauthorized(x);
		return;
	}
	identity_ref(id);
	x->id = id;
	x->identified(x);
}

bool
exchange_signed_out(const struct exchange *x, walltime_t now)
{
	const bool by_certificate = x->id->token_id.len == 0 && x->certificate != NULL;

	return x->id->revoked || now.ns >= x->id->expires.ns ||
	       (by_certificate &&
		   (x->certificate->revoked || now.ns >= x->certificate->expires.ns));
}

/* The token of a WebSocket's subprotocol: base64url without padding. */
static struct str
websocket_token(struct exchange *x)
{
	struct str text = x->facts.websocket_bearer;
	size_t padded = (text.len + 3) / 4 * 4;
	char *in = arena_alloc(x->arena, padded + 1), *out;
	int len;

	if (text.len > TOKEN_MAX_BYTES || text.len % 4 == 1)
		return STR("");
	for (size_t i = 0; i < padded; i++) {
		char c = i < text.len ? text.ptr[i] : '=';

		if (i < text.len && (c == '+' || c == '/' || c == '='))
			return STR("");
		in[i] = (char)(c == '-' ? '+' : c == '_' ? '/' : c);
	}
	out = arena_alloc(x->arena, padded + 4);
	len = EVP_DecodeBlock((unsigned char *)out, (unsigned char *)in, (int)padded);
	if (len < 0)
		return STR("");
	return (struct str){out, (size_t)len - (padded - text.len)};
}

void
exchange_identify(struct exchange *x, void (*next)(struct exchange *x))
{
	struct str token = exchange_credentials(x, "Bearer");
	struct identity *certificate = valid_certificate(x);
	bool by_header = x->facts.authorization.ptr != NULL;
	bool by_protocol = x->upgrade && x->facts.websocket_bearer.ptr != NULL;
	auth_ticket_t ticket;

	x->identified = next;
	if (by_protocol && !by_header)
		token = websocket_token(x);
	if (by_header || by_protocol) {
		if ((by_header && by_protocol) || token.len == 0 ||
		    token.len > TOKEN_MAX_BYTES) {
			exchange_reply_unauthorized(x);
			return;
		}
		x->state = EXCHANGE_AUTH;
		ticket = auth_client_token(x->w->auth, token, on_token, x);
		if (x->state == EXCHANGE_AUTH && x->id == NULL)
			x->auth_ticket = ticket;
		return;
	}
	if (certificate == NULL) {
		exchange_reply_unauthorized(x);
		return;
	}
	if (x->w->settings.certificate_accounts) {
		x->state = EXCHANGE_AUTH;
		ticket =
		    auth_client_account(x->w->auth, certificate->user, on_account, x);
		if (x->state == EXCHANGE_AUTH && x->id == NULL)
			x->auth_ticket = ticket;
		return;
	}
	identity_ref(certificate);
	x->id = certificate;
	next(x);
}

void
exchange_authenticate(struct exchange *x)
{
	x->on_record = true;
	x->problem = request_classify(x->arena, x->method, x->target, &x->info);
	x->classified = x->problem == REQUEST_OK;
	if (api_is_own(x))
		api_start(x);
	else
		exchange_identify(x, exchange_admit);
}
