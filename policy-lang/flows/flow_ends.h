/*
 * Who the ends of a recorded flow are in a model: by their names, which outlive
 * addresses, else by their addresses. A pod that has gone is stood for by another pod of
 * its owner.
 */
#ifndef POLICY_LANG_FLOW_ENDS_H
#define POLICY_LANG_FLOW_ENDS_H

#include "policy-lang/evaluate/query.h"
#include "policy-lang/flows/flowlog.h"

/* False: the record names an end that the model has not got; *out_unknown is it. */
MUST_CHECK bool flow_ends_find(struct resolver *resolver, const struct model *m,
    const struct flowlog_record *record, struct endpoint *out_src,
    struct endpoint *out_dst, const struct flowlog_end **out_unknown);
/* The family that a record is about; 0 if it has no address. */
MUST_CHECK unsigned flow_ends_family(const struct flowlog_record *record);

#endif
