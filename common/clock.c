/*
 * Calendar arithmetic is done here and not by gmtime_r(3) and timegm(3): those
 * initialise the time zone first, which opens /etc/localtime, and a role without
 * access to files dies of that.
 */
#include "common/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_SECONDS 86400LL
#define TEXT_BYTES  64 /* more than anybody writes */
/* Whole years that a walltime_t can hold. */
#define YEAR_FIRST 1678
#define YEAR_LAST  2261

struct civil {
	int64_t year;
	unsigned month, day, hour, minute, second;
	uint32_t ns;
};

monotime_t
monotime_now(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0)
		base_die("no monotonic clock");
	return (monotime_t){(uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec};
}

walltime_t
walltime_now(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		base_die("no clock");
	return (walltime_t){(int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec};
}

uint64_t
monotime_since(monotime_t a, monotime_t b)
{
	return b.ns > a.ns ? b.ns - a.ns : 0;
}

/* Days are counted in years that begin on 1 March, so that the leap day is the last
 * of its year; 400 years are one "era" of 146097 days. 719468 days lie between
 * 0000-03-01 and 1970-01-01. */
static int64_t
days_from_civil(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t month_from_march = (month + 9) % 12;
	int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

static void
civil_from_days(int64_t days, struct civil *out)
{
	int64_t shifted = days + 719468;
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int64_t day_of_era = shifted - era * 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
				  day_of_era / 146096) /
			      365;
	int64_t day_of_year =
	    day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month_from_march = (5 * day_of_year + 2) / 153;

	out->day = (unsigned)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
	out->month = (unsigned)((month_from_march + 2) % 12 + 1);
	out->year = year_of_era + era * 400 + (out->month <= 2 ? 1 : 0);
}

static void
civil_from_walltime(walltime_t t, struct civil *out)
{
	int64_t seconds = t.ns / NS_PER_S;
	int64_t ns = t.ns % NS_PER_S;
	int64_t days, rest;

	if (ns < 0) {
		ns += NS_PER_S;
		seconds--;
	}
	days = seconds / DAY_SECONDS;
	rest = seconds % DAY_SECONDS;
	if (rest < 0) {
		rest += DAY_SECONDS;
		days--;
	}
	civil_from_days(days, out);
	out->hour = (unsigned)(rest / 3600);
	out->minute = (unsigned)(rest / 60 % 60);
	out->second = (unsigned)(rest % 60);
	out->ns = (uint32_t)ns;
}

const char *
walltime_format(walltime_t t, char *out)
{
	struct civil c;

	civil_from_walltime(t, &c);
	(void)snprintf(out, WALLTIME_TEXT_BYTES, "%04d-%02u-%02uT%02u:%02u:%02u.%06uZ",
	    (int)c.year, c.month, c.day, c.hour, c.minute, c.second, c.ns / 1000);
	return out;
}

const char *
walltime_format_seconds(walltime_t t, char *out)
{
	struct civil c;

	civil_from_walltime(t, &c);
	(void)snprintf(out, WALLTIME_TEXT_BYTES, "%04d-%02u-%02uT%02u:%02u:%02uZ",
	    (int)c.year, c.month, c.day, c.hour, c.minute, c.second);
	return out;
}

/* Reads exactly `digits` digits. */
static bool
parse_digits(const char **p, unsigned digits, unsigned *out)
{
	unsigned value = 0;

	for (unsigned i = 0; i < digits; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		value = value * 10 + (unsigned)(**p - '0');
	}
	*out = value;
	return true;
}

static bool
parse_char(const char **p, const char *one_of)
{
	if (**p == '\0' || strchr(one_of, **p) == NULL)
		return false;
	(*p)++;
	return true;
}

/* Digits beyond nanoseconds are read and dropped. */
static bool
parse_fraction(const char **p, uint32_t *out_ns)
{
	uint32_t ns = 0;
	uint32_t unit = NS_PER_S / 10;

	*out_ns = 0;
	if (**p != '.')
		return true;
	(*p)++;
	if (**p < '0' || **p > '9')
		return false;
	for (; **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
		ns += (uint32_t)(**p - '0') * unit;
	*out_ns = ns;
	return true;
}

static bool
parse_offset(const char **p, int64_t *out_seconds)
{
	unsigned hours, minutes;
	int64_t sign;

	*out_seconds = 0;
	if (parse_char(p, "Zz"))
		return true;
	sign = **p == '-' ? -1 : 1;
	if (!parse_char(p, "+-") || !parse_digits(p, 2, &hours) ||
	    !parse_char(p, ":") || !parse_digits(p, 2, &minutes))
		return false;
	*out_seconds = sign * (int64_t)(hours * 3600 + minutes * 60);
	return hours < 24 && minutes < 60;
}

static unsigned
month_days(int64_t year, unsigned month)
{
	static const unsigned char days[] = {
	    31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

/* A leap second (60) counts as the second after it. */
static bool
civil_sane(const struct civil *c)
{
	return c->year >= YEAR_FIRST && c->year <= YEAR_LAST && c->month >= 1 &&
	       c->month <= 12 && c->day >= 1 &&
	       c->day <= month_days(c->year, c->month) && c->hour < 24 &&
	       c->minute < 60 && c->second <= 60;
}

bool
walltime_parse(const char *text, walltime_t *out_time)
{
	struct civil c = {0};
	int64_t offset, seconds;
	unsigned year;
	const char *p = text;

	if (!parse_digits(&p, 4, &year) || !parse_char(&p, "-") ||
	    !parse_digits(&p, 2, &c.month) || !parse_char(&p, "-") ||
	    !parse_digits(&p, 2, &c.day) || !parse_char(&p, "Tt ") ||
	    !parse_digits(&p, 2, &c.hour) || !parse_char(&p, ":") ||
	    !parse_digits(&p, 2, &c.minute) || !parse_char(&p, ":") ||
	    !parse_digits(&p, 2, &c.second) || !parse_fraction(&p, &c.ns) ||
	    !parse_offset(&p, &offset) || *p != '\0')
		return false;
	c.year = year;
	if (!civil_sane(&c))
		return false;
	seconds = days_from_civil(c.year, c.month, c.day) * DAY_SECONDS +
		  (int64_t)c.hour * 3600 + (int64_t)c.minute * 60 + c.second - offset;
	out_time->ns = seconds * NS_PER_S + c.ns;
	return true;
}

bool
walltime_parse_str(struct str text, walltime_t *out_time)
{
	char copy[TEXT_BYTES];

	if (text.len == 0 || text.len >= sizeof(copy) ||
	    str_find(text, '\0', 0) != text.len)
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	return walltime_parse(copy, out_time);
}

bool
duration_parse(struct str text, uint64_t *out_seconds)
{
	uint64_t total = 0, value;
	size_t at = 0;

	while (at < text.len) {
		size_t end = at;

		while (end < text.len && text.ptr[end] >= '0' && text.ptr[end] <= '9')
			end++;
		if (end == text.len ||
		    !str_to_u64(str_slice(text, at, end), UINT32_MAX, &value))
			return false;
		if (text.ptr[end] == 'h')
			value *= 3600;
		else if (text.ptr[end] == 'm')
			value *= 60;
		else if (text.ptr[end] != 's')
			return false;
		total += value;
		if (total > UINT32_MAX)
			return false;
		at = end + 1;
	}
	if (total == 0)
		return false;
	*out_seconds = total;
	return true;
}
