/*
 * Fields of elements as both printers write them (table_print.c, table_json.c).
 */
#ifndef POLICY_LANG_TABLE_TEXT_H
#define POLICY_LANG_TABLE_TEXT_H

#include "policy-lang/table/table.h"

/* An address, of the family of the field: `addr` or `addr_end` of an element. */
void table_text_addr(struct buf *out, enum table_field field, const uint8_t *bytes);
/* "cali*" or "eth1", quoted. */
void table_text_interface(struct buf *out, const struct table_element *e);
/* What stands in a FIELD_MARK. */
MUST_CHECK uint32_t table_element_mark(const struct table_element *e);

#endif
