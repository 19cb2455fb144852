/*
 * Time. Pure code takes these as arguments; only daemons and tools read clocks.
 * Every function may be called from any thread; none opens a file.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include "common/str.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

typedef struct {
	uint64_t ns; /* CLOCK_MONOTONIC */
} monotime_t;

typedef struct {
	int64_t ns; /* since 1970-01-01T00:00:00Z */
} walltime_t;

MUST_CHECK monotime_t monotime_now(void);
MUST_CHECK walltime_t walltime_now(void);
/* b - a in nanoseconds, 0 if b is earlier. */
MUST_CHECK uint64_t monotime_since(monotime_t a, monotime_t b);

#define WALLTIME_TEXT_BYTES 32
/* RFC 3339 with microseconds, UTC: 2026-01-02T03:04:05.000678Z, into `out` of
 * WALLTIME_TEXT_BYTES. Returns out. */
const char *walltime_format(walltime_t t, char *out);
/* The same without a fraction, as Kubernetes writes creation times. */
const char *walltime_format_seconds(walltime_t t, char *out);
/* Reads RFC 3339, with any fraction and offset, years 1678 to 2261; false for
 * anything else, and *out_time is then unchanged. */
MUST_CHECK bool walltime_parse(const char *text, walltime_t *out_time);
/* The same of text that no NUL ends; false also for 64 bytes or more. */
MUST_CHECK bool walltime_parse_str(struct str text, walltime_t *out_time);

/* Reads Go's durations in whole units: "12h", "90m", "1h30m", "45s". False for anything else,
 * for none at all (0), and for more than UINT32_MAX seconds, so that as nanoseconds it can be
 * added to any time of now; *out_seconds is then unchanged. */
MUST_CHECK bool duration_parse(struct str text, uint64_t *out_seconds);

#endif
