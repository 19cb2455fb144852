/*
 * Every limit on what input may ask for, in one place. Beyond a limit there is a
 * diagnostic or an HTTP status, never a crash and never a silent cut.
 */
#ifndef COMMON_LIMITS_H
#define COMMON_LIMITS_H

#define LIMIT_FILE_BYTES       (256u * 1024 * 1024)  /* one policy file */
#define LIMIT_BUNDLE_BYTES     (1024u * 1024 * 1024) /* all files of one source */
#define LIMIT_BUNDLE_FILES     100000u               /* of one directory */
#define LIMIT_BUNDLE_SOURCES   1000000u  /* of one bundle, whoever made it */
#define LIMIT_BUNDLE_DEPTH     32u       /* directories in directories */
#define LIMIT_DOC_DEPTH        64u       /* nesting of a YAML or JSON document */
#define LIMIT_DOC_NODES        50000000u /* nodes of one file, aliases expanded */
#define LIMIT_DOC_ALIAS_NODES  100000u   /* nodes that aliases may add */
#define LIMIT_DIAGS            1000u     /* errors, and others; the rest is counted */
#define LIMIT_DIAG_TEXT_BYTES  4096u     /* one message; its middle is left out */
#define LIMIT_PATH_BYTES       1024u     /* a namespace path */
#define LIMIT_PATH_DEPTH       16u       /* levels below / */
#define LIMIT_NAME_BYTES       253u
#define LIMIT_TITLE_BYTES      2048u /* of a rule: its path, its policy's name, its own */
#define LIMIT_ADDRESSES        256u         /* of a workload, or of a node */
#define LIMIT_LINE_BYTES       (64u * 1024) /* a question or a flow, one a line */
#define LIMIT_REPLAY_ROWS      100000u      /* kinds of flows told apart */
#define LIMIT_RECOMMEND_KINDS  1000000u     /* kinds of flows that policy is made of */
#define LIMIT_TEST_CHECKS      10000000u    /* of one expectation */
#define LIMIT_PORTS_EXPANDED   16u      /* ports of a range that become exact cells */
#define LIMIT_PROGRAM_ELEMENTS 4000000u /* of one node's program */
#define LIMIT_TENANT_ELEMENTS  2000000u /* of those, for one tenant's policy */
#define LIMIT_PROGRAM_RANGES   40000u /* of one set; their loading is quadratic: 10 s */
#define LIMIT_PROGRAM_OVERLAPS                                                         \
	2000000u /* steps to classes, and sets that those are in */
#define LIMIT_MESSAGE_BYTES (128u * 1024) /* one message between processes */
#define LIMIT_AUDIT_LINE_BYTES                                                         \
	(1024u * 1024) /* one audit event, its newline not counted */
#define LIMIT_AUDIT_PENDING_BYTES (64u * 1024 * 1024) /* appended and not yet synced */
#define LIMIT_AUDIT_NOTE_BYTES    (64u * 1024) /* a checkpoint with its signatures */
#define LIMIT_AUDIT_INDEX_BYTES   (64u * 1024 * 1024) /* of one segment */
#define LIMIT_AUDIT_PROOFS        10000u              /* of one export; 2 KiB each */
#define LIMIT_AUDIT_REPORT_ROWS   100000u             /* of one table */

#define LIMIT_DNS_RECORDS     128u /* of one answer; the rest is not looked at */
#define LIMIT_DNS_ADDRESSES   64u  /* learnt of one answer */
#define LIMIT_DNS_CHAIN       16u  /* aliases (CNAME) from a name to its addresses */
#define LIMIT_DNS_TTL_FLOOR_S 60u  /* a learnt address is known for as long at least */
#define LIMIT_DNS_TTL_CAP_S   86400u /* and for as long at most, unless it is in use */
#define LIMIT_DNS_LEARNT      8192u  /* names of addresses, of one tenant */
#define LIMIT_DNS_RESOLVERS   8u     /* that a node believes */
#define LIMIT_DNS_LISTENERS   8u     /* addresses at which a node answers itself */
#define LIMIT_DNS_QUERIES     1024u  /* that it forwards at a time */
#define LIMIT_DNS_CONNECTIONS 128u   /* of workloads to it, at a time */
#define LIMIT_DNS_RATE        2000u  /* queries of one tenant in a second */

#endif
