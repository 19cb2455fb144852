/*
 * Who cuts the peers of others in parts: whom what is too much of a program is charged to.
 * Peers that tenants tell apart are told apart for everybody: what one has for his peers he has
 * for each part that others cut these in.
 */
#ifndef POLICY_LANG_COMPILE_CUTTERS_H
#define POLICY_LANG_COMPILE_CUTTERS_H

#include "policy-lang/compile/compile_internal.h"

/* Networks are listed by the hundred, ports hardly ever: so many parts weigh as much as one
 * cell. */
#define CUTTERS_PARTS 16

/* Of one side: classes, numbered as they are added, and tenants; 0 is nobody, which policy at /
 * is, too. */
struct cutters;

MUST_CHECK struct cutters *cutters_new(const struct side *s);
/* The same with all classes of the side, numbered as those are. */
MUST_CHECK struct cutters *cutters_of_classes(const struct side *s);
void cutters_free(struct cutters *c);
/* Adds a class that these sets contain, with addresses in some families. */
void cutters_add(struct cutters *c, const uint32_t *sets, size_t count,
    const bool families[FAMILY_COUNT]);

/* The tenant whose policy it is (NULL: nobody's). */
MUST_CHECK uint32_t cutters_tenant(struct cutters *c, const struct policy *policy);
/* Whether the set is of a tenant's policy. */
MUST_CHECK bool cutters_is_of(const struct cutters *c, uint32_t set, uint32_t tenant);
/* Who cuts most where the class is, of all but `but`; 0: nobody does. */
MUST_CHECK uint32_t cutters_most(const struct cutters *c, uint32_t class, uint32_t but);
/*
 * Because of whom a tenant has `cells` for the class: himself, for each part that he and policy
 * at / alone would have; 0, where none of that is his. Of the parts beyond those it is because
 * of who cuts most, where there are CUTTERS_PARTS or more for each cell.
 */
MUST_CHECK uint32_t cutters_blame(const struct cutters *c, uint32_t class,
    unsigned family, uint32_t tenant, size_t cells);
/* The tenant's policy by which he cuts there: it has the narrowest of the sets. */
MUST_CHECK const struct policy *cutters_policy(
    const struct cutters *c, const struct class_info *class, uint32_t tenant);

#endif
