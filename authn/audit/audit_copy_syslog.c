/*
 * A copy by syslog. The protocol has no acknowledgement. What the peer's kernel has taken over
 * counts as arrived when the connection still stands CONFIRM_NS later, or when the peer ends it
 * in good order; everything else is sent again on the next connection. So a line may come
 * twice, and is lost only by a peer that takes lines and forgets them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "authn/audit/audit_copy.h"
#include "authn/audit/audit_record.h"
#include "authn/tls/tls.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/secret.h"

#define PRIORITY     110 /* facility 13 (log audit), severity 6 (informational) */
#define WAIT_S       30  /* for a peer that takes nothing */
#define POLL_MS      5
#define CONFIRM_NS   UINT64_C(5000000000)
#define FLUSH_BYTES  (64u * 1024)
#define STATE_BYTES  64
#define STATE_MODE   0640
#define PORT_DEFAULT "514"
#define PORT_TLS     "6514"

struct syslog_sink {
	struct audit_sink sink;
	struct audit_syslog_options options;
	char host[NI_MAXHOST], port[8];
	char own_host[256];
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;
	struct buf out;          /* frames that are not sent yet */
	uint64_t arrived, taken; /* lines; taken: by the peer's kernel, at taken_at */
	monotime_t taken_at;
	bool state_read;
	struct arena *scratch;
};

static struct syslog_sink *
of(struct audit_sink *s)
{
	return CONTAINER_OF(s, struct syslog_sink, sink);
}

/* ---- frames ---- */

/* Appends one frame: "LENGTH <110>1 TIME HOST ringfence-audit - MSGID - MESSAGE". */
static void
audit_syslog_frame(struct buf *out, struct str time, struct str host,
    const char *message_id, struct str message)
{
	struct buf frame = {0};

	buf_printf(&frame, "<%d>1 %.*s %.*s ringfence-audit - %s - ", PRIORITY,
	    STR_ARG(time.len != 0 ? time : STR("-")),
	    STR_ARG(host.len != 0 ? host : STR("-")), message_id);
	buf_add_str(&frame, message);
	buf_printf(out, "%zu ", frame.len);
	buf_add_str(out, buf_str(&frame));
	buf_free(&frame);
}

int
audit_syslog_parse(struct str target, struct audit_syslog_options *out, struct err *err)
{
	const struct str plain = STR("syslog://"), tls = STR("syslog+tls://");
	uint64_t number;
	size_t colon;

	out->tls = str_starts(target, tls);
	if (!out->tls && !str_starts(target, plain))
		return 0;
	target = str_slice(target, out->tls ? tls.len : plain.len, target.len);
	if (target.len != 0 && target.ptr[0] == '[') {
		size_t end = str_find(target, ']', 0);

		out->host = end < target.len ? str_slice(target, 1, end) : STR("");
		target = str_slice(target, end + 1, target.len);
		colon = 0;
	} else {
		colon = str_find(target, ':', 0);
		out->host = str_slice(target, 0, colon);
	}
	out->port = out->tls ? STR(PORT_TLS) : STR(PORT_DEFAULT);
	if (colon < target.len)
		out->port = str_slice(target, colon + 1, target.len);
	if (out->host.len == 0 || out->host.len >= NI_MAXHOST ||
	    (colon < target.len && target.ptr[colon] != ':') ||
	    !str_to_u64(out->port, 65535, &number) || number == 0)
		return err_set(err, ERR_INVALID,
		    "write syslog://HOST:PORT or syslog+tls://HOST:PORT");
	return 1;
}

/* ---- how far it came ---- */

static int
read_state(struct syslog_sink *s, struct err *err)
{
	struct err missing = ERR_INIT;
	struct buf text = {0};
	int rc;

	if (s->options.state == NULL || s->state_read)
		return 0;
	rc = audit_store_read(AT_FDCWD, s->options.state, STATE_BYTES, &text, &missing);
	if (rc == ERR_NOT_FOUND) {
		rc = 0;
	} else if (rc != 0) {
		*err = missing;
	} else if (!str_to_u64(str_trim(buf_str(&text)), UINT64_MAX, &s->arrived)) {
		rc = err_set(
		    err, ERR_INVALID, "%s: not a number of lines", s->options.state);
	}
	s->state_read = rc == 0;
	buf_free(&text);
	return rc;
}

static int
write_state(struct syslog_sink *s, struct err *err)
{
	struct buf text = {0};
	int rc = 0;

	if (s->options.state == NULL)
		return 0;
	buf_printf(&text, "%llu\n", (unsigned long long)s->arrived);
	rc = audit_store_write(
	    AT_FDCWD, s->options.state, STATE_MODE, true, buf_str(&text), err);
	buf_free(&text);
	return rc;
}

/* ---- the connection ---- */

static int
away(struct syslog_sink *s, struct err *err, const char *what)
{
	return err_set(err, ERR_UNAVAILABLE, "%s:%s: %s", s->host, s->port, what);
}

/* Connects, or fails within WAIT_S. */
static bool
connect_to(struct syslog_sink *s, const struct addrinfo *a)
{
	const struct timeval patience = {.tv_sec = WAIT_S};
	struct pollfd wait;
	int failure = 0, one = 1;
	socklen_t len = sizeof(failure);

	s->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return false;
	wait = (struct pollfd){.fd = s->fd, .events = POLLOUT};
	if ((connect(s->fd, a->ai_addr, a->ai_addrlen) == 0 ||
		(errno == EINPROGRESS && poll(&wait, 1, WAIT_S * 1000) == 1 &&
		    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &failure, &len) == 0 &&
		    failure == 0)) &&
	    fcntl(s->fd, F_SETFL, 0) == 0 &&
	    setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ==
		0 &&
	    setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ==
		0 &&
	    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0)
		return true;
	(void)close(s->fd); /* nothing was sent */
	s->fd = -1;
	return false;
}

/* The key's file must be its owner's alone, as all keys'. */
static int
show_certificate(struct syslog_sink *s, struct err *err)
{
	struct secret pem = {0};
	EVP_PKEY *key = NULL;
	int rc = secret_read_file(&pem, s->options.key, false, err);

	if (rc != 0)
		return rc;
	key = tls_key_open(secret_str(&pem), err);
	secret_free(&pem);
	if (key == NULL)
		return err_wrap(err, "%s", s->options.key);
	if (SSL_CTX_use_certificate_chain_file(s->ctx, s->options.certificate) != 1 ||
	    SSL_CTX_use_PrivateKey(s->ctx, key) != 1)
		rc = tls_error(err, ERR_INVALID, s->options.certificate);
	EVP_PKEY_free(key);
	return rc;
}

static int
make_context(struct syslog_sink *s, struct err *err)
{
	if (s->ctx != NULL)
		return 0;
	s->ctx = SSL_CTX_new(TLS_client_method());
	if (s->ctx == NULL ||
	    SSL_CTX_set_min_proto_version(s->ctx, TLS1_2_VERSION) != 1 ||
	    (s->options.ca != NULL
		    ? SSL_CTX_load_verify_locations(s->ctx, s->options.ca, NULL)
		    : SSL_CTX_set_default_verify_paths(s->ctx)) != 1)
		return tls_error(err, ERR_INVALID, "cannot read the authorities");
	SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER, NULL);
	return s->options.certificate != NULL ? show_certificate(s, err) : 0;
}

/* The certificate must name the host that was asked for. */
static int
start_tls(struct syslog_sink *s, struct err *err)
{
	if (make_context(s, err) != 0)
		return err->code;
	s->ssl = SSL_new(s->ctx);
	if (s->ssl == NULL || !tls_expect_host(s->ssl, s->options.host) ||
	    SSL_set_fd(s->ssl, s->fd) != 1)
		return tls_error(err, ERR_INVALID, "cannot start TLS");
	if (SSL_connect(s->ssl) == 1)
		return 0;
	if (SSL_get_verify_result(s->ssl) != X509_V_OK)
		return away(s, err,
		    X509_verify_cert_error_string(SSL_get_verify_result(s->ssl)));
	return away(s, err, "no TLS");
}

static int
syslog_open(struct audit_sink *sink, uint64_t *out_lines, struct err *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct syslog_sink *s = of(sink);
	struct addrinfo *list = NULL;
	int rc = read_state(s, err);

	if (rc != 0)
		return rc;
	buf_clear(&s->out);
	rc = getaddrinfo(s->host, s->port, &hints, &list);
	if (rc != 0)
		return away(s, err, gai_strerror(rc));
	for (const struct addrinfo *a = list; a != NULL && s->fd < 0; a = a->ai_next) {
		if (!connect_to(s, a) && a->ai_next == NULL)
			(void)err_sys(err, "connect"); /* told, next */
	}
	freeaddrinfo(list);
	if (s->fd < 0)
		return away(s, err, "does not answer");
	*out_lines = s->taken = s->arrived;
	s->taken_at = monotime_now();
	return s->options.tls ? start_tls(s, err) : 0;
}

static int
flush_out(struct syslog_sink *s, struct err *err)
{
	struct str rest = buf_str(&s->out);

	while (rest.len != 0) {
		ssize_t n = s->ssl != NULL
				? SSL_write(s->ssl, rest.ptr, (int)rest.len)
				: send(s->fd, rest.ptr, rest.len, MSG_NOSIGNAL);

		if (n < 0 && s->ssl == NULL && errno == EINTR)
			continue;
		if (n <= 0)
			return away(s, err, "the connection is lost");
		rest = str_slice(rest, (size_t)n, rest.len);
	}
	buf_clear(&s->out);
	return 0;
}

/* ---- what is sent ---- */

static int
syslog_line(struct audit_sink *sink, const struct audit_reader *at, struct str line,
    struct err *err)
{
	struct syslog_sink *s = of(sink);
	struct audit_record record;
	struct str time = STR("");

	arena_reset(s->scratch);
	/* A line that is no JSON is sent like any other. */
	if (audit_record_parse(&record, s->scratch, line, at->lines - 1) &&
	    record.has_time)
		time = record.text[AUDIT_FIELD_TIME];
	audit_syslog_frame(&s->out, time, str_from(s->own_host), "event", line);
	return s->out.len >= FLUSH_BYTES ? flush_out(s, err) : 0;
}

static int
syslog_checkpoint(struct audit_sink *sink, struct str note, struct err *err)
{
	struct syslog_sink *s = of(sink);
	char time[WALLTIME_TEXT_BYTES];
	struct buf message = {0};

	buf_add_cstr(&message, "{\"checkpoint\":");
	buf_add_json(&message, note);
	buf_add_char(&message, '}');
	audit_syslog_frame(&s->out, str_from(walltime_format(walltime_now(), time)),
	    str_from(s->own_host), "checkpoint", buf_str(&message));
	buf_free(&message);
	return flush_out(s, err);
}

/* Until the peer's kernel has all. */
static int
drain(struct syslog_sink *s, struct err *err)
{
	monotime_t began = monotime_now();
	int waiting = 1;
	int rc = flush_out(s, err);

	while (rc == 0 && waiting > 0) {
		struct pollfd peer = {.fd = s->fd, .events = POLLRDHUP};

		if (poll(&peer, 1, 0) > 0 || ioctl(s->fd, SIOCOUTQ, &waiting) != 0)
			return away(s, err, "the connection is lost");
		if (monotime_since(began, monotime_now()) >
		    WAIT_S * UINT64_C(1000000000))
			return away(s, err, "takes nothing");
		if (waiting > 0)
			(void)poll(&peer, 1, POLL_MS); /* looked at again, above */
	}
	return rc;
}

static int
syslog_settle(struct audit_sink *sink, uint64_t lines, struct err *err)
{
	struct syslog_sink *s = of(sink);
	int rc = drain(s, err);

	if (rc != 0 || monotime_since(s->taken_at, monotime_now()) < CONFIRM_NS)
		return rc;
	if (s->arrived != s->taken) {
		s->arrived = s->taken;
		rc = write_state(s, err);
	}
	s->taken = lines;
	s->taken_at = monotime_now();
	return rc;
}

/* We say that this is the end, and the peer, having read up to it, says so too. */
static int
syslog_finish(struct audit_sink *sink, uint64_t lines, struct err *err)
{
	struct syslog_sink *s = of(sink);
	char rest[1024];
	ssize_t n = 1;
	int rc = drain(s, err);

	if (rc != 0)
		return rc;
	if (s->ssl != NULL)
		(void)SSL_shutdown(s->ssl); /* the end of the connection tells */
	if (shutdown(s->fd, SHUT_WR) != 0)
		return away(s, err, "the connection is lost");
	while (n > 0 || (n < 0 && errno == EINTR))
		n = recv(s->fd, rest, sizeof(rest), 0);
	if (n < 0)
		return away(
		    s, err, "the connection was lost before everything was read");
	s->arrived = lines;
	return write_state(s, err);
}

static void
syslog_close(struct audit_sink *sink)
{
	struct syslog_sink *s = of(sink);

	if (s->ssl != NULL) {
		(void)SSL_shutdown(s->ssl); /* a courtesy */
		SSL_free(s->ssl);
	}
	s->ssl = NULL;
	if (s->fd >= 0)
		(void)close(s->fd); /* what is not settled is sent again */
	s->fd = -1;
}

static void
syslog_free(struct audit_sink *sink)
{
	struct syslog_sink *s = of(sink);

	syslog_close(sink);
	SSL_CTX_free(s->ctx);
	buf_free(&s->out);
	arena_free(s->scratch);
	free(s);
}

/* A header has printable ASCII and no space. */
static void
own_name(char *out, size_t size)
{
	if (gethostname(out, size - 1) != 0)
		out[0] = '\0';
	out[size - 1] = '\0';
	for (char *p = out; *p != '\0'; p++) {
		if (*p <= ' ' || *p > '~')
			*p = '-';
	}
}

struct audit_sink *
audit_sink_syslog(const struct audit_syslog_options *options)
{
	static const struct audit_sink_ops ops = {
	    .open = syslog_open,
	    .line = syslog_line,
	    .checkpoint = syslog_checkpoint,
	    .settle = syslog_settle,
	    .finish = syslog_finish,
	    .close = syslog_close,
	    .free = syslog_free,
	};
	struct syslog_sink *s = xcalloc(1, sizeof(*s));

	(void)signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an error, no end */
	s->sink.ops = &ops;
	s->options = *options;
	s->fd = -1;
	s->scratch = arena_new();
	memcpy(s->host, options->host.ptr, options->host.len);
	memcpy(s->port, options->port.ptr,
	    options->port.len < sizeof(s->port) ? options->port.len
						: sizeof(s->port) - 1);
	own_name(s->own_host, sizeof(s->own_host));
	return &s->sink;
}
