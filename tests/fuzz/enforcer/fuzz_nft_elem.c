/*
 * Reads any bytes as an element that the kernel lists of a set, whose number is the first byte:
 * what is taken for one of ours is written as it was read.
 */
#include <stdlib.h>
#include <string.h>

#include "enforcer/kernel/nft_elem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum table_set_id set;
	struct table_element e, again;
	uint8_t key[TABLE_KEY_BYTES_MAX], key_again[TABLE_KEY_BYTES_MAX];
	struct nlattr *nest;
	enum nft_elem_kind kind;

	if (size < 1 || size > UINT16_MAX - sizeof(*nest))
		return 0;
	set = (enum table_set_id)(data[0] % SET_COUNT);
	data++;
	size--;
	nest = malloc(sizeof(*nest) + size); /* its end shows */
	if (nest == NULL)
		abort();
	*nest = (struct nlattr){
	    .nla_len = (uint16_t)(sizeof(*nest) + size), .nla_type = 1 | NLA_F_NESTED};
	if (size != 0)
		memcpy(nest + 1, data, size);
	kind = nft_elem_read(nest, set, &e);
	if (kind == NFT_ELEM_WHOLE) {
		table_element_key(set, &e, key, NULL);
		if (nft_elem_read(nest, set, &again) != NFT_ELEM_WHOLE ||
		    !table_element_equal(&e, &again))
			abort();
		table_element_key(set, &again, key_again, NULL);
		if (memcmp(key, key_again, table_key_bytes(set)) != 0)
			abort();
	}
	free(nest);
	return 0;
}
