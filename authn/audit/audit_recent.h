/*
 * The last records of the log, in memory, for the console: the audit role keeps them, workers
 * ask on behalf of those who are signed in. Bounded; older ones are found by `ringfence audit
 * search`.
 */
#ifndef AUTHN_AUDIT_RECENT_H
#define AUTHN_AUDIT_RECENT_H

#include "common/proc.h"
#include "common/str.h"

#define AUDIT_RECENT_LINES    4096u
#define AUDIT_RECENT_BYTES    (8u * 1024 * 1024)
#define AUDIT_RECENT_LINE     (16u * 1024) /* a longer one is not kept */
#define AUDIT_RECENT_ANSWERS  100u
#define AUDIT_RECENT_SUBTREES 256u

struct audit_recent;

MUST_CHECK struct audit_recent *audit_recent_new(void);
void audit_recent_free(struct audit_recent *r);
/* Adds a line that is appended and not on disk yet, if it is the last record of something. */
void audit_recent_add(struct audit_recent *r, struct str line);
/* What was added since the last call is on disk, or is not to be seen. */
void audit_recent_settle(struct audit_recent *r, bool ok);

/* Whose records, and which. */
struct audit_recent_question {
	struct str user; /* his own ... */
	const struct str
	    *subtrees; /* ... and all that concern these paths of the tree */
	size_t subtree_count;
	bool refused; /* only 401, 403 and 429 */
};

void audit_recent_question_encode(
    struct buf *out, const struct audit_recent_question *question);
/* Texts are views of the message, the list is in the arena. */
MUST_CHECK bool audit_recent_question_decode(struct arena *arena, struct proc_reader *r,
    struct audit_recent_question *out_question);

/* Appends {"entries":[...]}, the newest first, at most AUDIT_RECENT_ANSWERS and
 * LIMIT_MESSAGE_BYTES / 2. */
void audit_recent_answer(const struct audit_recent *r,
    const struct audit_recent_question *question, struct buf *out);

#endif
