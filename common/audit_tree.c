#include "common/audit_tree.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "common/audit.h"

/* RFC 6962, section 2.1: the first byte keeps a leaf from passing for a node. */
#define LEAF_PREFIX 0x00
#define NODE_PREFIX 0x01

static EVP_MD *sha256;
static pthread_key_t context; /* each thread's */

static void
free_context(void *ctx)
{
	EVP_MD_CTX_free(ctx);
}

/* Once for the process, never freed: looking an algorithm up costs more than hashing a
 * short line. */
static void
fetch_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (sha256 == NULL || pthread_key_create(&context, free_context) != 0)
		base_die("libcrypto has no SHA-256");
}

/* Made once for a thread: making one costs as much as hashing a node. */
static EVP_MD_CTX *
thread_context(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	EVP_MD_CTX *ctx;

	(void)pthread_once(&once, fetch_sha256); /* fails for no valid argument */
	ctx = pthread_getspecific(context);
	if (ctx == NULL) {
		ctx = EVP_MD_CTX_new();
		if (ctx == NULL || pthread_setspecific(context, ctx) != 0)
			base_die("out of memory");
	}
	return ctx;
}

/* The hash of prefix || a || b; a negative prefix is left out. */
static void
hash_parts(int prefix, struct str a, struct str b, uint8_t out_hash[AUDIT_HASH_BYTES])
{
	EVP_MD_CTX *ctx = thread_context();
	uint8_t first = (uint8_t)prefix;

	if (EVP_DigestInit_ex2(ctx, sha256, NULL) != 1 ||
	    (prefix >= 0 && EVP_DigestUpdate(ctx, &first, 1) != 1) ||
	    EVP_DigestUpdate(ctx, a.ptr, a.len) != 1 ||
	    EVP_DigestUpdate(ctx, b.ptr, b.len) != 1 ||
	    EVP_DigestFinal_ex(ctx, out_hash, NULL) != 1)
		base_die("libcrypto cannot hash");
}

void
audit_leaf_hash(struct str line, uint8_t out_hash[AUDIT_HASH_BYTES])
{
	hash_parts(LEAF_PREFIX, line, (struct str){NULL, 0}, out_hash);
}

void
audit_node_hash(const uint8_t left[AUDIT_HASH_BYTES],
    const uint8_t right[AUDIT_HASH_BYTES], uint8_t out_hash[AUDIT_HASH_BYTES])
{
	hash_parts(NODE_PREFIX, (struct str){(const char *)left, AUDIT_HASH_BYTES},
	    (struct str){(const char *)right, AUDIT_HASH_BYTES}, out_hash);
}

void
audit_tree_grow(struct audit_tree *tree, const uint8_t leaf[AUDIT_HASH_BYTES],
    audit_tree_made_fn made, void *arg)
{
	unsigned top = (unsigned)__builtin_popcountll(tree->size), level = 0;
	uint8_t node[AUDIT_HASH_BYTES];

	memcpy(node, leaf, AUDIT_HASH_BYTES);
	if (made != NULL)
		made(arg, 0, tree->size, node);
	/* Like a carry: two subtrees of one height make one that is higher. */
	for (uint64_t rest = tree->size; (rest & 1) != 0; rest >>= 1) {
		audit_node_hash(tree->roots[--top], node, node);
		level++;
		if (made != NULL)
			made(arg, level, tree->size >> level, node);
	}
	memcpy(tree->roots[top], node, AUDIT_HASH_BYTES);
	tree->size++;
}

void
audit_tree_add(struct audit_tree *tree, const uint8_t leaf[AUDIT_HASH_BYTES])
{
	audit_tree_grow(tree, leaf, NULL, NULL);
}

void
audit_tree_root(const struct audit_tree *tree, uint8_t out_root[AUDIT_HASH_BYTES])
{
	unsigned top = (unsigned)__builtin_popcountll(tree->size);

	if (top == 0) {
		hash_parts(-1, (struct str){NULL, 0}, (struct str){NULL, 0}, out_root);
		return;
	}
	memcpy(out_root, tree->roots[--top], AUDIT_HASH_BYTES);
	while (top > 0)
		audit_node_hash(tree->roots[--top], out_root, out_root);
}
