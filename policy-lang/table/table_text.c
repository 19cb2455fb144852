#include "policy-lang/table/table_text.h"

#include <string.h>

void
table_text_addr(struct buf *out, enum table_field field, const uint8_t *bytes)
{
	struct ip_addr addr = {.family = table_value_family(field)};
	char text[IP_TEXT_BYTES];

	memcpy(addr.bytes, bytes, ip_bytes(addr.family));
	buf_add_cstr(out, ip_format(&addr, text));
}

/* No name has anything that quoting would change. */
void
table_text_interface(struct buf *out, const struct table_element *e)
{
	bool one = memcmp(e->addr, e->addr_end, sizeof(e->addr)) == 0;

	buf_printf(out, "\"%.*s%s\"",
	    (int)strnlen((const char *)e->addr, sizeof(e->addr)), (const char *)e->addr,
	    one ? "" : "*");
}

uint32_t
table_element_mark(const struct table_element *e)
{
	uint32_t mark;

	memcpy(&mark, e->addr, sizeof(mark));
	return mark;
}
