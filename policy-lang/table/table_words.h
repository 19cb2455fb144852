/*
 * Words in which the constant chains are written (table_chains.c): a rule, and statements
 * of one, as initialisers.
 */
#ifndef POLICY_LANG_TABLE_WORDS_H
#define POLICY_LANG_TABLE_WORDS_H

#include "policy-lang/table/table.h"

/* A rule of the statements given. */
#define RULE(...)                                                                      \
	{                                                                              \
		.stmts = {__VA_ARGS__},                                                \
		.count = sizeof((struct table_stmt[]){__VA_ARGS__}) /                  \
			 sizeof(struct table_stmt)                                     \
	}
#define DO(what)                                                                       \
	{                                                                              \
		.kind = STMT_##what                                                    \
	}
#define FAMILY(f)                                                                      \
	{                                                                              \
		.kind = STMT_FAMILY, .value = (f)                                      \
	}
#define ICMP(from, to)                                                                 \
	{                                                                              \
		.kind = STMT_ICMP_TYPE, .value = (from) << 8 | (to)                    \
	}
#define ICMPV6(from, to)                                                               \
	{                                                                              \
		.kind = STMT_ICMPV6_TYPE, .value = (from) << 8 | (to)                  \
	}
/* Router and neighbour solicitations, advertisements, redirects: of the link that they are
 * sent on alone (RFC 4861, 7.1). What is routed passes for none of them: it would carry what
 * it likes past policy. */
#define ND ICMPV6(133, 137), DO(ON_LINK)
#define SET_PRIORITY(n)                                                                \
	{                                                                              \
		.kind = STMT_PRIORITY_CONST, .value = (n)                              \
	}
#define JUMP(to)                                                                       \
	{                                                                              \
		.kind = STMT_JUMP, .chain = (to)                                       \
	}
#define GOTO(to)                                                                       \
	{                                                                              \
		.kind = STMT_GOTO, .chain = (to)                                       \
	}
#define IN_SET(id, from)                                                               \
	{                                                                              \
		.kind = STMT_LOOKUP, .set = (id), .load = { LOAD_##from }              \
	}
#define NOT_IN_SET(id, from)                                                           \
	{                                                                              \
		.kind = STMT_LOOKUP, .invert = true, .set = (id), .load = {            \
			LOAD_##from                                                    \
		}                                                                      \
	}
#define PRIORITY_MAP(id, ...)                                                          \
	{                                                                              \
		.kind = STMT_PRIORITY_MAP, .set = (id), .load = { __VA_ARGS__ }        \
	}
#define PRIORITY_VMAP(id)                                                              \
	{                                                                              \
		.kind = STMT_PRIORITY_VMAP, .set = (id), .load = { LOAD_PRIORITY }     \
	}

#endif
