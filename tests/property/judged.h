/*
 * Whether two contents do the same to packets, where they need not be the same: classes may
 * tell peers apart whom no rule tells apart.
 */
#ifndef TESTS_PROPERTY_JUDGED_H
#define TESTS_PROPERTY_JUDGED_H

#include "policy-lang/table/table.h"
#include "tests/property/dice.h"

/* The same chains and the same elements, but for the sets that classes are in, where what is
 * for those of no class is the same; nothing in the second is of addresses that are not looked
 * up; and random packets of and to the workloads that are governed, forwarded or the node's,
 * go the same way through both. */
MUST_CHECK bool same_judgement(
    struct dice *dice, const struct table_content *a, const struct table_content *b);

#endif
