/*
 * Which roles the parent ends because they hang, and tries again because they cannot start; and
 * which interfaces' routes it believes.
 */
#include <check.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "enforcer/parent/parent_state.h"
#include "enforcer/parent/uplinks.h"

#define TURNS  6  /* that may pass without an answer */
#define ENOUGH 60 /* answers in a row */

static struct parent *parent;
static struct supervised *role;
static struct proc_channel other; /* the role's end */

static void
start(void)
{
	role->child.pid = fork();
	if (role->child.pid == 0) { /* an assertion would write to the parent's file */
		for (;;)
			(void)pause();
	}
	ck_assert_int_ge(role->child.pid, 0);
	role->silent = 0;
}

static void
setup(void)
{
	int fds[2];

	parent = xcalloc(1, sizeof(*parent));
	for (size_t i = 0; i < ROLE_SLOTS; i++) {
		parent->roles[i].parent = parent;
		parent->roles[i].id = (enum role_id)i;
		parent->roles[i].child = PROC_CHILD_INIT;
	}
	role = &parent->roles[ROLE_AUDIT];
	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
	    0);
	start();
	proc_channel_init(&role->child.channel, fds[0]);
	proc_channel_init(&other, fds[1]);
	role->ready = role->answers = true;
}

static void
teardown(void)
{
	if (role->child.pid != 0) {
		(void)kill(role->child.pid, SIGKILL);
		(void)waitpid(role->child.pid, NULL, 0);
	}
	proc_channel_close(&role->child.channel);
	proc_channel_close(&other);
	free(parent);
}

/* How often the role was asked, since this was called last. */
static unsigned
asked(void)
{
	struct err err = ERR_INIT;
	struct proc_msg msg;
	unsigned count = 0;

	while (proc_recv(&other, &msg, &err) == 1) {
		ck_assert_uint_eq(msg.type, MSG_PING);
		count++;
	}
	return count;
}

static void
turn(unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		parent_watch_roles(parent);
}

START_TEST(role_that_does_not_answer_is_ended)
{
	int status;

	turn(TURNS);
	ck_assert_uint_eq(asked(), TURNS);
	ck_assert_int_eq(waitpid(role->child.pid, &status, WNOHANG), 0);
	turn(1);
	ck_assert_uint_eq(asked(), 0);
	ck_assert_int_eq(waitpid(role->child.pid, &status, 0), role->child.pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	role->child.pid = 0; /* as when its end is seen */
	turn(1);
}
END_TEST

START_TEST(role_that_has_not_begun_is_not_asked)
{
	role->answers = false;
	turn(2 * TURNS);
	ck_assert_uint_eq(asked(), 0);
	ck_assert_int_eq(waitpid(role->child.pid, NULL, WNOHANG), 0);
}
END_TEST

/* As when one has ended and the next is there. */
static void
restart(void)
{
	ck_assert_int_eq(waitpid(role->child.pid, NULL, 0), role->child.pid);
	start();
}

static void
answer(unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		turn(1);
		role->silent = 0; /* as MSG_PONG does */
	}
}

static void
ck_is_ended_after(unsigned turns)
{
	(void)asked();
	turn(turns);
	ck_assert_uint_eq(asked(), turns);
	turn(1);
	ck_assert_uint_eq(asked(), 0);
	restart();
}

/* What takes so long would never be done. */
START_TEST(role_that_was_ended_has_twice_the_time_until_it_answers_for_long)
{
	static const unsigned times[] = {1, 2, 4, 8, 16, 16};

	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		answer(1);
		ck_is_ended_after(times[i] * TURNS);
	}
	answer(ENOUGH - 2); /* and the turn after the last */
	ck_is_ended_after(16 * TURNS);
	answer(ENOUGH - 1);
	ck_is_ended_after(TURNS);
}
END_TEST

/* There is no descriptor to be had: for good before all was ready (_i 0), or for now. */
START_TEST(role_that_cannot_be_started_is_tried_again)
{
	struct supervised *engine = &parent->roles[ROLE_ENGINE];
	struct rlimit had, none;

	parent->told_ready = _i != 0;
	ck_assert_int_eq(uv_loop_init(&parent->loop), 0);
	ck_assert_int_eq(uv_timer_init(&parent->loop, &engine->restart), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &had), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = had.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	parent_start_role(parent, ROLE_ENGINE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &had), 0);
	ck_assert_int_eq(engine->child.pid, 0);
	ck_assert_int_eq(parent->status, _i == 0);
	ck_assert_int_eq(uv_is_active((uv_handle_t *)&engine->restart), _i != 0);
	uv_close((uv_handle_t *)&engine->restart, NULL);
	while (uv_run(&parent->loop, UV_RUN_DEFAULT) != 0)
		continue; /* it may have been stopped */
	ck_assert_int_eq(uv_loop_close(&parent->loop), 0);
}
END_TEST

/* ---- routes ---- */

static struct rtnl routing;
static _Alignas(struct nlmsghdr) char question[512];

/* In a network namespace of its own, which ends with the next one or with the process. */
static void
setup_routing(void)
{
	struct err err = ERR_INIT;

	if (unshare(CLONE_NEWNET) != 0)
		ck_assert_int_eq(unshare(CLONE_NEWUSER | CLONE_NEWNET), 0);
	ck_assert_int_eq(rtnl_open(&routing, &err), 0);
	parent = xcalloc(1, sizeof(*parent));
}

static void
teardown_routing(void)
{
	rtnl_close(&routing);
	free(parent);
}

static void
make_link(int index, uint16_t flags, const char *kind)
{
	struct nlmsghdr *h = rtnl_begin(
	    question, RTM_NEWLINK, flags | NLM_F_ACK, sizeof(struct ifinfomsg));
	struct ifinfomsg *link = mnl_nlmsg_get_payload(h);
	struct nlattr *info;

	link->ifi_index = index;
	link->ifi_flags = link->ifi_change = IFF_UP;
	if (kind != NULL) {
		info = mnl_attr_nest_start(h, IFLA_LINKINFO);
		mnl_attr_put_strz(h, IFLA_INFO_KIND, kind);
		mnl_attr_nest_end(h, info);
	}
	ck_assert_int_eq(rtnl_ask(&routing, h, NULL, NULL), 0);
}

static void
route(uint16_t type, uint16_t flags, int index, uint8_t protocol, uint32_t metric)
{
	struct nlmsghdr *h =
	    rtnl_begin(question, type, flags | NLM_F_ACK, sizeof(struct rtmsg));
	struct rtmsg *is = mnl_nlmsg_get_payload(h);

	is->rtm_family = AF_INET;
	is->rtm_table = RT_TABLE_MAIN;
	is->rtm_protocol = protocol;
	is->rtm_scope = RT_SCOPE_LINK;
	is->rtm_type = RTN_UNICAST;
	mnl_attr_put_u32(h, RTA_OIF, (uint32_t)index);
	mnl_attr_put_u32(h, RTA_PRIORITY, metric);
	ck_assert_int_eq(rtnl_ask(&routing, h, NULL, NULL), 0);
}

static bool
has_uplink(const char *name)
{
	struct uplinks u;

	ck_assert_int_eq(uplinks_look(&routing, &u), 0);
	for (size_t i = 0; i < u.count; i++) {
		if (strcmp(u.names[i], name) == 0)
			return true;
	}
	return false;
}

/* A workload can say that it is a router: beside a route of the node's own that is nothing. */
START_TEST(uplink_that_a_router_announces_is_one_where_there_is_no_other)
{
	const int lo = 1, veth = 77;

	make_link(lo, 0, NULL);
	make_link(veth, NLM_F_CREATE | NLM_F_EXCL, "veth");
	route(RTM_NEWROUTE, NLM_F_CREATE, veth, RTPROT_RA, 1);
	ck_assert(has_uplink("veth0"));
	route(RTM_NEWROUTE, NLM_F_CREATE, lo, RTPROT_BOOT, 2);
	ck_assert(has_uplink("lo"));
	ck_assert(!has_uplink("veth0"));
	route(RTM_DELROUTE, 0, lo, RTPROT_BOOT, 2);
	ck_assert(!has_uplink("lo"));
	ck_assert(has_uplink("veth0"));
}
END_TEST

START_TEST(routes_are_watched_after_news_of_them_were_lost)
{
	const int lo = 1, least = 1;

	ck_assert_int_eq(uv_loop_init(&parent->loop), 0);
	parent_own_init(parent); /* it hears the same news */
	parent_uplinks_init(parent);
	ck_assert_int_eq(
	    setsockopt(parent->route_fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)),
	    0);
	make_link(lo, 0, NULL);
	for (uint32_t metric = 1; metric <= 64; metric++)
		route(RTM_NEWROUTE, NLM_F_CREATE, lo, RTPROT_BOOT, metric);
	(void)uv_run(&parent->loop, UV_RUN_NOWAIT);
	ck_assert(uv_is_active((uv_handle_t *)&parent->route_watch));
	parent_uplinks_fini(parent);
	parent_own_fini(parent);
	while (uv_run(&parent->loop, UV_RUN_DEFAULT) != 0)
		continue;
	ck_assert_int_eq(uv_loop_close(&parent->loop), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("parent_watch");
	TCase *tc = tcase_create("parent_watch"), *routes = tcase_create("routes");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, role_that_does_not_answer_is_ended);
	tcase_add_test(tc, role_that_has_not_begun_is_not_asked);
	tcase_add_test(
	    tc, role_that_was_ended_has_twice_the_time_until_it_answers_for_long);
	tcase_add_loop_test(tc, role_that_cannot_be_started_is_tried_again, 0, 2);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(routes, setup_routing, teardown_routing);
	tcase_add_test(
	    routes, uplink_that_a_router_announces_is_one_where_there_is_no_other);
	tcase_add_test(routes, routes_are_watched_after_news_of_them_were_lost);
	suite_add_tcase(s, routes);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
