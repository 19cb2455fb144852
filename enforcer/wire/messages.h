/*
 * Message types between the enforcer's processes (common/proc.h). A process accepts only
 * what is listed as sent to it; anything else ends that peer. The engine, which parses
 * what tenants wrote, is trusted by nobody: the kernel role takes typed operations for
 * our own table from it (ops.h), the audit role lines, the parent one word.
 */
#ifndef ENFORCER_MESSAGES_H
#define ENFORCER_MESSAGES_H

enum enforcer_message {
	/* parent -> role: first of all, and again to the engine after SIGHUP */
	MSG_SETTINGS = 1, /* body: engine_settings, kernel_settings, audit_settings */
	MSG_STOP,         /* write what is there, then exit */
	MSG_PING, /* answered with MSG_PONG: it does not hang; neither has a body */
	/* parent -> engine */
	MSG_SOURCE, /* body: u32 index, str why it cannot be read; or fd: a bundle */
	MSG_KERNEL_LINK, /* fd: a socket to the (new) kernel role */
	MSG_AUDIT_LINK,  /* fd: a socket to the (new) audit role */
	MSG_FLOW_FILE,  /* u8 whether there is to be a flow log; fd: it, to append to */
	MSG_NAMES_FILE, /* fd: where to keep what is known by name; none: nowhere */
	MSG_FLOW_EXPORT, /* u8 enum enforcer_export, u8 EXPORT_*, u32 IPFIX domain,
			    u32 enterprise; fd: a connected socket; none: there is no
			    receiver, or it is not there now */
	MSG_LISTENER,    /* body: u8 enum enforcer_listener; fd */
	/* One of all processes, which are told one after the other: u32 index, str name,
	 * u32 pid, u32 restarts; fd: its /proc/PID/stat; none: it cannot be read. */
	MSG_ROLE,
	/* Of a source that was sent: u32 index, u32 count, str names of files that are
	 * gone; fd: a bundle of files that are new or others. */
	MSG_SOURCE_EDIT,
	/* parent -> engine */
	MSG_CONFIG_READ, /* u32 errors in the configuration that was read last: those of one
			    that was refused, else 0 */
	MSG_UNFILTERED, /* u8 whether that is refused, u32 count; each: str bridge, u8 family:
			   whose workloads reach each other past policy */
	MSG_UPLINKS, /* u32 count; each: str interface, by which others than workloads of
			this node come; u32 count; each: str bridge that no route leads to */
	MSG_OWN, /* u32 count; each: u8 family, bytes[16]: addresses of the node itself, sorted */
	MSG_KUBE_LINK, /* u32 index of a source; fd: a socket to the (new) role that is it,
			  which sends MSG_SOURCE, MSG_SOURCE_EDIT and is sent
			  MSG_SOURCE_WANTED */
	MSG_DNS_LINK, /* fd: a socket to the (new) role that forwards DNS */
	/* parent -> kube role */
	MSG_KUBE_ACCESS, /* u8 try at once, str why there is none, or "" and a kube_access */
	/* parent -> kernel role, audit role, kube role, DNS role */
	MSG_ENGINE_LINK, /* fd: a socket to the (new) engine */
	/* role -> parent */
	MSG_PONG,
	MSG_READY,         /* engine: the first program is in force; others: started */
	MSG_SOURCE_WANTED, /* engine: u32 index of a source to be sent as a whole */
	MSG_EXPORT_WANTED, /* engine: u8 enum enforcer_export: its receiver has gone; connect */
	MSG_KUBE_ACCESS_WANTED, /* kube role: the server's address or the token may be others */
	/* engine -> kube role */
	MSG_SOURCE_TAKEN, /* the last MSG_SOURCE_EDIT has been read: there is room for one */
	MSG_KUBE_IN_FORCE, /* what of that which came is in force: node_report.h */
	/* kube role -> engine */
	MSG_KUBE_STATE, /* kube_state.h */
	/* engine -> kernel role; each is answered with the same id */
	MSG_APPLY = 32, /* body: u32 generation, blob: a batch of operations */
	MSG_OBSERVE,    /* no body */
	MSG_OBSERVE_RULES, /* no body: the same without elements; a fraction of its price */
	MSG_COUNTERS,      /* no body */
	MSG_CONNECTIONS, /* u8: 1 begins a list, 0 goes on with it */
	MSG_CUT,         /* connections (connection.h), of that list, to be ended */
	MSG_ADOPT,       /* connections under way, to be made known to conntrack */
	MSG_TRACE,       /* u32 milliseconds, connections: the packet to wait for */
	MSG_WHOSE, /* u8 count, at most 2; each: u8 family, bytes[16]: are they the node's own? */
	MSG_TRACE_END, /* not answered, but the question that waits is, now; no body */
	/* Not answered: u32 count; each: u8 family, bytes[16], u8 others may have had it:
	 * addresses of routes in force, to be on the node where its configuration says so. */
	MSG_ADDRESSES,
	/* Not answered: u8 settled, u8 a program of policy is in force, u32 count; each: u32 number, u32 table, u8 hops are
	 * gateways, u8 hops; each: u8 has and bytes[16] of IPv4, of IPv6. The ways of a
	 * program that comes next, or, settled, of the one in force. Then u32 count; each:
	 * u8 family, bytes[16]: other gateways to be asked. */
	MSG_WAYS,
	/* kernel role -> engine */
	MSG_HELLO = 64, /* u32 generation, u8 owned, u8 lacks (enum op_lack) */
	MSG_NFLOG,      /* u8 enum enforcer_nflog; fd: the socket, bound now */
	MSG_GENERATION, /* u32: not ours; told once for each */
	MSG_APPLIED, /* i32 code, u32 generation, u32 op, u32 element, u32 errno, str */
	MSG_OBSERVED, /* i32 code, u32 generation, bytes[32] digest, blob, str */
	MSG_COUNTED,  /* i32 code, blob: { u32 number, u64 packets, u64 bytes }, str */
	MSG_CONNECTION_LIST, /* i32 code, u8 done, connections, str */
	MSG_CUT_DONE,        /* i32 code, u32 count, u8 for each whether it was, str */
	MSG_ADOPTED,         /* the same */
	/* u32 count; each: u32 number, then of IPv4, of IPv6: u8 enum steer_state, u8 hop;
	 * then u32 count; each: u8 family, bytes[16], u8 up: gateways */
	MSG_WAY_STATE,
	MSG_TRACED, /* i32 code, u32 steps; each: str chain, u8 verdict, str to; str */
	MSG_WHOSE_TOLD, /* u8 for each whether it is */
	/* engine -> audit role */
	MSG_AUDIT_APPEND = 96, /* u64 ticket, u8 somebody waits, then the line */
	/* engine -> DNS role */
	MSG_DNS_PASS = 112, /* u32 ticket: the kernel knows, the answer may go */
	MSG_DNS_HERE,       /* answers MSG_DNS_COUNTS: the engine is there */
	MSG_DNS_TENANT, /* u8 family, bytes[16], str tenant: whose an address is; "": nobody's */
	/* audit role -> engine */
	MSG_AUDIT_DONE = 128, /* u64 ticket: this and all before, u8 on disk */
	MSG_AUDIT_STATE,      /* u8 writable */
	/* DNS role -> engine */
	MSG_DNS_CLIENT = 144, /* u8 family, bytes[16]: whose is it? */
	MSG_DNS_LESSON, /* dns_messages.h: what an answer says that waits; MSG_DNS_PASS answers */
	MSG_DNS_COUNTS, /* u64 each, in the order of enum dns_count */
};

/* What is logged to a group of its own. */
enum enforcer_nflog {
	NFLOG_FLOWS, /* packets that rule chains tell of */
	NFLOG_NAMES, /* DNS */
	NFLOG_COUNT,
};

enum enforcer_export {
	EXPORT_JOURNAL,
	EXPORT_IPFIX,
	EXPORT_COUNT,
};

#define WHOSE_MOST 2u /* addresses of a MSG_WHOSE */

#define EXPORT_CONFIGURED 1 /* records are for it, be it there now or not */
#define EXPORT_STREAM     2 /* TCP; else each message is a datagram */

enum enforcer_listener {
	LISTENER_CONTROL,
	LISTENER_METRICS,
	LISTENER_COUNT,
};

#endif
