/*
 * The provider: key management that only carries a public key, and a signature algorithm that
 * hands everything on. Its functions are called by OpenSSL through the tables at the end
 * (provider-keymgmt(7), provider-signature(7)).
 */
#include "authn/tls/key_remote.h"

#include <openssl/async.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "authn/tls/tls.h"

#define PROVIDER_NAME  "ringfence-key"
#define SIGNATURE_NAME "ringfence-signature"

struct remote_key {
	const char *type; /* "RSA", "EC", "ED25519" */
	EVP_PKEY *public_key;
	uint8_t id[KEY_ID_BYTES];
};

struct signing {
	const struct remote_key *key;
	char digest[32];
	bool pss;
};

static struct {
	OSSL_LIB_CTX *context;
	OSSL_PROVIDER *provider;
	key_sign_fn sign, thread_sign;
	void *arg, *thread_arg;
} here;

void
key_remote_signer(key_sign_fn sign, void *arg)
{
	here.sign = sign;
	here.arg = arg;
}

void
key_remote_thread_signer(key_sign_fn sign, void *arg)
{
	here.thread_sign = sign;
	here.thread_arg = arg;
}

/* By whom of the two, depends on where this runs. */
static bool
ask_signer(const struct key_request *request, uint8_t *out_signature, size_t *out_len)
{
	if (here.thread_sign != NULL && ASYNC_get_current_job() == NULL)
		return here.thread_sign(
		    here.thread_arg, request, out_signature, out_len);
	return here.sign != NULL &&
	       here.sign(here.arg, request, out_signature, out_len);
}

bool
key_id_of(const EVP_PKEY *key, uint8_t out_id[KEY_ID_BYTES])
{
	unsigned char *der = NULL;
	const int len = i2d_PUBKEY(key, &der);
	const bool ok = len > 0 && EVP_Digest(der, (size_t)len, out_id, NULL,
				       EVP_sha256(), NULL) == 1;

	OPENSSL_free(der);
	return ok;
}

/* ---- keys ---- */

static void *
key_new(const char *type)
{
	struct remote_key *key = xcalloc(1, sizeof(*key));

	key->type = type;
	return key;
}

static void *
key_new_rsa(void *provider)
{
	(void)provider;
	return key_new("RSA");
}

static void *
key_new_ec(void *provider)
{
	(void)provider;
	return key_new("EC");
}

static void *
key_new_ed25519(void *provider)
{
	(void)provider;
	return key_new("ED25519");
}

static void
key_free(void *data)
{
	struct remote_key *key = data;

	if (key == NULL)
		return;
	EVP_PKEY_free(key->public_key);
	free(key);
}

/* Its private half is there, too, as far as anybody here can tell. */
static int
key_has(const void *data, int selection)
{
	const struct remote_key *key = data;

	(void)selection;
	return key != NULL && key->public_key != NULL;
}

static int
key_match(const void *a, const void *b, int selection)
{
	const struct remote_key *x = a, *y = b;

	(void)selection; /* keys with the same public half are the same */
	return key_has(x, 0) && key_has(y, 0) &&
	       memcmp(x->id, y->id, sizeof(x->id)) == 0;
}

static int
key_import(void *data, int selection, const OSSL_PARAM params[])
{
	struct remote_key *key = data;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, key->type, NULL);
	int ok = key->public_key == NULL && ctx != NULL &&
		 (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 &&
		 EVP_PKEY_fromdata_init(ctx) == 1 &&
		 EVP_PKEY_fromdata(ctx, &key->public_key, EVP_PKEY_PUBLIC_KEY,
		     (OSSL_PARAM *)(uintptr_t)params) == 1 &&
		 key_id_of(key->public_key, key->id);

	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static const OSSL_PARAM *
key_import_types(int selection)
{
	static const OSSL_PARAM types[] = {
	    OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
	    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
	    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
	    OSSL_PARAM_END,
	};

	(void)selection;
	return types;
}

static int
key_get_params(void *data, OSSL_PARAM params[])
{
	const struct remote_key *key = data;

	return key_has(key, 0) && EVP_PKEY_get_params(key->public_key, params) == 1;
}

static const OSSL_PARAM *
key_gettable(void *provider)
{
	static const OSSL_PARAM params[] = {
	    OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
	    OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
	    OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
	    OSSL_PARAM_END,
	};

	(void)provider;
	return params;
}

static const char *
key_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? SIGNATURE_NAME : NULL;
}

/* ---- signatures ---- */

static void *
sign_new(void *provider, const char *properties)
{
	(void)provider;
	(void)properties;
	return xcalloc(1, sizeof(struct signing));
}

static void
sign_free(void *data)
{
	free(data);
}

/* Such parameters come as a number or as a name. */
static bool
is_param(const OSSL_PARAM *param, int number, const char *name)
{
	const char *text;
	int n;

	return param->data_type == OSSL_PARAM_UTF8_STRING
		   ? OSSL_PARAM_get_utf8_string_ptr(param, &text) == 1 &&
			 strcmp(text, name) == 0
		   : OSSL_PARAM_get_int(param, &n) == 1 && n == number;
}

static int
sign_set_params(void *data, const OSSL_PARAM params[])
{
	struct signing *s = data;
	const OSSL_PARAM *pad =
	    OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	const OSSL_PARAM *salt =
	    OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);

	if (pad != NULL) {
		s->pss =
		    is_param(pad, RSA_PKCS1_PSS_PADDING, OSSL_PKEY_RSA_PAD_MODE_PSS);
		if (!s->pss &&
		    !is_param(pad, RSA_PKCS1_PADDING, OSSL_PKEY_RSA_PAD_MODE_PKCSV15))
			return 0;
	}
	/* TLS has salts of the digest's length, and the key role makes no others. */
	return salt == NULL || is_param(salt, RSA_PSS_SALTLEN_DIGEST,
				   OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST);
}

static const OSSL_PARAM *
sign_settable(void *data, void *provider)
{
	static const OSSL_PARAM params[] = {
	    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
	    OSSL_PARAM_END,
	};

	(void)data;
	(void)provider;
	return params;
}

static int
sign_init(void *data, const char *name, void *key, const OSSL_PARAM params[])
{
	struct signing *s = data;
	const size_t len = name != NULL ? strlen(name) : 0;

	if (len >= sizeof(s->digest))
		return 0;
	s->key = key;
	memcpy(s->digest, name != NULL ? name : "", len + 1);
	return params == NULL || sign_set_params(s, params);
}

static int
sign_content(void *data, unsigned char *out, size_t *out_len, size_t room,
    const unsigned char *content, size_t len)
{
	const struct signing *s = data;
	const int size = EVP_PKEY_get_size(s->key->public_key);
	const struct key_scheme_info *scheme =
	    key_scheme_find(s->key->type, s->digest, s->pss);
	struct key_request request = {
	    .content = {(const char *)content, len},
	};
	uint8_t signature[KEY_SIGNATURE_BYTES];

	if (size <= 0 || (size_t)size > sizeof(signature) || scheme == NULL ||
	    len > KEY_CONTENT_BYTES)
		return 0;
	*out_len = (size_t)size;
	if (out == NULL)
		return 1;
	request.scheme = scheme->scheme;
	memcpy(request.id, s->key->id, sizeof(request.id));
	if (!ask_signer(&request, signature, out_len) || *out_len > room ||
	    *out_len > (size_t)size)
		return 0;
	memcpy(out, signature, *out_len);
	return 1;
}

/* ---- tables ---- */

/* OpenSSL keeps all functions as ones without arguments (core.h). */
#define FUNCTION(id, f)                                                                \
	{                                                                              \
		id, (void (*)(void))(f)                                                \
	}
#define KEY_FUNCTIONS(new)                                                             \
	{                                                                              \
		FUNCTION(OSSL_FUNC_KEYMGMT_NEW, new),                                  \
		    FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free),                        \
		    FUNCTION(OSSL_FUNC_KEYMGMT_HAS, key_has),                          \
		    FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, key_match),                      \
		    FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, key_import),                    \
		    FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_import_types),        \
		    FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),            \
		    FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable),         \
		    FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, key_operation),   \
		{                                                                      \
			0, NULL                                                        \
		}                                                                      \
	}

static const OSSL_DISPATCH rsa_functions[] = KEY_FUNCTIONS(key_new_rsa);
static const OSSL_DISPATCH ec_functions[] = KEY_FUNCTIONS(key_new_ec);
static const OSSL_DISPATCH ed25519_functions[] = KEY_FUNCTIONS(key_new_ed25519);

static const OSSL_DISPATCH sign_functions[] = {
    FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, sign_new),
    FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, sign_free),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, sign_init),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, sign_content),
    FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, sign_set_params),
    FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, sign_settable),
    {0, NULL},
};

/* libssl asks keys for the names that they have in certificates, too. */
static const OSSL_ALGORITHM keys[] = {
    {"RSA:rsaEncryption", "provider=" PROVIDER_NAME, rsa_functions, NULL},
    {"EC:id-ecPublicKey", "provider=" PROVIDER_NAME, ec_functions, NULL},
    {"ED25519", "provider=" PROVIDER_NAME, ed25519_functions, NULL},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM signatures[] = {
    {SIGNATURE_NAME, "provider=" PROVIDER_NAME, sign_functions, NULL},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM *
provider_query(void *provider, int operation, int *no_cache)
{
	(void)provider;
	*no_cache = 0;
	return operation == OSSL_OP_KEYMGMT     ? keys
	       : operation == OSSL_OP_SIGNATURE ? signatures
						: NULL;
}

static int
provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **out_provider)
{
	static const OSSL_DISPATCH functions[] = {
	    FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, provider_query),
	    {0, NULL},
	};
	static char self; /* there is nothing to know, but NULL would be a failure */

	(void)handle;
	(void)in;
	*out = functions;
	*out_provider = &self;
	return 1;
}

static void
load_once(void)
{
	here.context = OSSL_LIB_CTX_new();
	if (here.context != NULL &&
	    OSSL_PROVIDER_add_builtin(here.context, PROVIDER_NAME, provider_init) == 1)
		here.provider = OSSL_PROVIDER_load(here.context, PROVIDER_NAME);
}

static bool
provider_load(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	return pthread_once(&once, load_once) == 0 && here.provider != NULL;
}

int
key_remote_new(EVP_PKEY *public_key, EVP_PKEY **out_key, struct err *err)
{
	static const char *const types[] = {"RSA", "EC", "ED25519"};
	const char *type = NULL;
	EVP_PKEY_CTX *ctx = NULL;
	OSSL_PARAM *params = NULL;
	int rc = 0;

	*out_key = NULL;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (EVP_PKEY_is_a(public_key, types[i]))
			type = types[i];
	}
	if (type == NULL)
		return err_set(err, ERR_UNSUPPORTED,
		    "the key is of a kind that is not supported: use RSA, ECDSA or "
		    "Ed25519");
	if (!provider_load())
		return tls_error(err, ERR_SYSTEM, "keys held elsewhere");
	ctx = EVP_PKEY_CTX_new_from_name(here.context, type, NULL);
	if (ctx == NULL ||
	    EVP_PKEY_todata(public_key, EVP_PKEY_PUBLIC_KEY, &params) != 1 ||
	    EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, out_key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		rc = tls_error(err, ERR_SYSTEM, "keys held elsewhere");
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return rc;
}
