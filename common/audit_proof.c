#include "common/audit_proof.h"

#include <string.h>

#include "common/audit_base64.h"

#define HEADER "c2sp.org/tlog-proof@v1\n"

/* ---- making ---- */

void
audit_prover_init(struct audit_prover *prover, struct audit_proof *proofs, size_t count)
{
	*prover = (struct audit_prover){.proofs = proofs, .count = count};
	for (size_t i = 0; i < count; i++)
		proofs[i].count = 0;
}

/* The first proof of a line at or after `index`. */
static size_t
first_from(const struct audit_prover *p, uint64_t index)
{
	size_t low = 0, high = p->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->proofs[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A perfect subtree is known: it is on the path of every line below its sibling. */
static void
note_node(
    void *arg, unsigned level, uint64_t number, const uint8_t hash[AUDIT_HASH_BYTES])
{
	struct audit_prover *p = arg;
	uint64_t from = (number ^ 1) << level, to = from + (UINT64_C(1) << level);

	for (size_t i = first_from(p, from); i < p->count && p->proofs[i].index < to;
	     i++)
		memcpy(p->proofs[i].path[level], hash, AUDIT_HASH_BYTES);
}

void
audit_prover_add(struct audit_prover *prover, const uint8_t leaf[AUDIT_HASH_BYTES])
{
	audit_tree_grow(&prover->tree, leaf, note_node, prover);
}

/* Above the perfect subtree that the line is in: first all that is to its right, as one,
 * then those to its left, one by one. */
static void
finish_proof(const struct audit_prover *p, struct audit_proof *proof)
{
	const struct audit_tree *tree = &p->tree;
	unsigned tops = (unsigned)__builtin_popcountll(tree->size), at = 0, height = 0;
	uint8_t right[AUDIT_HASH_BYTES];
	uint64_t from = 0;

	for (unsigned bit = 64; bit-- > 0;) {
		uint64_t leaves = UINT64_C(1) << bit;

		if ((tree->size & leaves) == 0)
			continue;
		height = bit;
		if (proof->index < from + leaves)
			break;
		from += leaves;
		at++;
	}
	proof->count = height;
	if (at + 1 < tops) {
		unsigned top = tops - 1;

		memcpy(right, tree->roots[top], AUDIT_HASH_BYTES);
		while (top > at + 1)
			audit_node_hash(tree->roots[--top], right, right);
		memcpy(proof->path[proof->count++], right, AUDIT_HASH_BYTES);
	}
	while (at > 0)
		memcpy(
		    proof->path[proof->count++], tree->roots[--at], AUDIT_HASH_BYTES);
}

bool
audit_prover_finish(struct audit_prover *prover)
{
	if (prover->count != 0 &&
	    prover->proofs[prover->count - 1].index >= prover->tree.size)
		return false;
	for (size_t i = 0; i < prover->count; i++)
		finish_proof(prover, &prover->proofs[i]);
	return true;
}

/* ---- checking ---- */

bool
audit_proof_verify(const struct audit_proof *proof,
    const uint8_t leaf[AUDIT_HASH_BYTES], uint64_t size,
    const uint8_t root[AUDIT_HASH_BYTES])
{
	uint64_t number = proof->index, last = size - 1;
	uint8_t hash[AUDIT_HASH_BYTES];

	if (size == 0 || proof->index >= size)
		return false;
	memcpy(hash, leaf, AUDIT_HASH_BYTES);
	for (uint32_t i = 0; i < proof->count; i++) {
		if (last == 0)
			return false;
		if ((number & 1) != 0 || number == last) {
			audit_node_hash(proof->path[i], hash, hash);
			while ((number & 1) == 0 && number != 0) {
				number >>= 1;
				last >>= 1;
			}
		} else {
			audit_node_hash(hash, proof->path[i], hash);
		}
		number >>= 1;
		last >>= 1;
	}
	return last == 0 && memcmp(hash, root, AUDIT_HASH_BYTES) == 0;
}

/* ---- text ---- */

void
audit_proof_format(struct buf *out, const struct audit_proof *proof, struct str note)
{
	buf_printf(out, HEADER "index %llu\n", (unsigned long long)proof->index);
	for (uint32_t i = 0; i < proof->count; i++) {
		audit_base64_encode(out, proof->path[i], AUDIT_HASH_BYTES);
		buf_add_char(out, '\n');
	}
	buf_add_char(out, '\n');
	buf_add_str(out, note);
}

static int
parse_path(struct audit_proof *proof, struct str *rest, struct err *err)
{
	for (;;) {
		struct str line = str_split(rest, '\n');

		if (rest->ptr == NULL)
			return err_set(
			    err, ERR_INVALID, "a proof without a checkpoint");
		if (line.len == 0)
			return 0;
		if (proof->count == AUDIT_PROOF_MAX_HASHES)
			return err_set(err, ERR_INVALID, "a proof of too many hashes");
		if (!audit_base64_decode(
			line, proof->path[proof->count++], AUDIT_HASH_BYTES))
			return err_set(err, ERR_INVALID, "a line that is no hash");
	}
}

int
audit_proof_parse(
    struct audit_proof *proof, struct str text, struct str *out_note, struct err *err)
{
	struct str rest = text, line, word;

	proof->count = 0;
	if (!str_starts(text, STR(HEADER)))
		return err_set(err, ERR_INVALID, "no proof of tlog-proof@v1");
	rest = str_slice(text, strlen(HEADER), text.len);
	line = str_split(&rest, '\n');
	if (str_starts(line, STR("extra ")) && rest.ptr != NULL)
		line = str_split(&rest, '\n');
	word = str_split(&line, ' ');
	if (rest.ptr == NULL || !str_is(word, "index") || line.ptr == NULL ||
	    !str_to_u64(line, INT64_MAX, &proof->index))
		return err_set(err, ERR_INVALID, "a proof without its index");
	if (parse_path(proof, &rest, err) != 0)
		return ERR_INVALID;
	*out_note = rest;
	return 0;
}

int
audit_proof_check(
    struct str text, struct str line, const struct audit_key *key, struct err *err)
{
	struct audit_checkpoint checkpoint;
	uint8_t leaf[AUDIT_HASH_BYTES];
	struct audit_proof proof;
	struct str note;
	int rc = audit_proof_parse(&proof, text, &note, err);

	if (rc == 0)
		rc = audit_checkpoint_open(&checkpoint, note, key, err);
	if (rc != 0)
		return rc;
	audit_leaf_hash(line, leaf);
	if (!audit_proof_verify(&proof, leaf, checkpoint.size, checkpoint.root))
		return err_set(err, ERR_DENIED, "that is not line %llu of the log",
		    (unsigned long long)proof.index);
	return 0;
}
