/*
 * Addresses of Routes on the node's own interfaces: in the kernel role. Those that are put
 * there bear a protocol number of ours, by which they are known again after a restart, so
 * that they go when no route needs them; nobody else's address is ever touched.
 */
#ifndef ENFORCER_ADDRESS_H
#define ENFORCER_ADDRESS_H

#include "common/err.h"
#include "common/proc.h"
#include "enforcer/config/config.h"

/* Addresses of one node's Routes; more are not taken. */
#define ADDRESS_MAX 4096u

struct address_book;

/* Opens what is needed, which takes privileges; borrows the places. */
MUST_CHECK int address_open(struct address_book **out_book,
    const struct address_place *places, size_t count, struct err *err);
/* NULL is fine. The addresses stay. */
void address_close(struct address_book *b);
/* Takes a MSG_ADDRESSES: those that routes in force need, of which those outside of all
 * places are nobody's matter here; the arena is for scratch. False: malformed, and nothing
 * has changed. */
MUST_CHECK bool address_told(
    struct address_book *b, struct arena *arena, const struct proc_msg *msg);
/*
 * Looks, and puts right: adds what is wanted and not there, on the interface of the first
 * place that it is in, and tells the neighbours, again and again where others may have had
 * it; removes what bears our number and is not
 * wanted. Does nothing before address_told. ERR_SYSTEM: the kernel refuses something; the
 * rest is done.
 */
MUST_CHECK int address_tend(struct address_book *b, struct err *err);
/* Whether what is sent to it is for the node itself, as its routes are now; false, too, if
 * that cannot be found out. */
MUST_CHECK bool address_is_own(struct address_book *b, const struct ip_addr *addr);

#endif
