#include "authn/directory/directory_account.h"

#include <string.h>

#define FILETIME_EPOCH  116444736000000000ll /* 1601 to 1970 in units of 100 ns */
#define FILETIME_NEVER  INT64_MAX
#define SECONDS_MAX     8000000000ll /* what fits in a walltime_t, and no more */
#define UAC_DISABLED    0x2u
#define UAC_LOCKED      0x10u
#define UAC_NO_EXPIRY   0x10000u
#define UAC_PWD_EXPIRED 0x800000u

static const char garbled[] =
    "an attribute of the account's state cannot be understood";

const char *const account_attributes[ACCOUNT_ATTRS] = {
    /* Active Directory: MS-ADTS 2.2.16, and MS-ADA1 to 3 */
    [ACCOUNT_UAC] = "userAccountControl",
    [ACCOUNT_UAC_COMPUTED] = "msDS-User-Account-Control-Computed",
    [ACCOUNT_EXPIRES] = "accountExpires",
    [ACCOUNT_PWD_LAST_SET] = "pwdLastSet",
    /* 389 Directory Server and FreeIPA */
    [ACCOUNT_NS_LOCK] = "nsAccountLock",
    [ACCOUNT_UNLOCK_TIME] = "accountUnlockTime",
    [ACCOUNT_PASSWORD_EXPIRATION] = "passwordExpirationTime",
    [ACCOUNT_KRB_PASSWORD] = "krbPasswordExpiration",
    [ACCOUNT_KRB_PRINCIPAL] = "krbPrincipalExpiration",
    /* OpenLDAP's ppolicy: draft-behera-ldap-password-policy */
    [ACCOUNT_PPOLICY_LOCKED] = "pwdAccountLockedTime",
    [ACCOUNT_PPOLICY_RESET] = "pwdReset",
    [ACCOUNT_PPOLICY_CHANGED] = "pwdChangedTime",
    [ACCOUNT_PPOLICY_START] = "pwdStartTime",
    [ACCOUNT_PPOLICY_END] = "pwdEndTime",
    [ACCOUNT_PPOLICY_DN] = "pwdPolicySubentry",
    /* RFC 2307 */
    [ACCOUNT_SHADOW_EXPIRE] = "shadowExpire",
};

/* ---- values ---- */

static bool
digits(struct str text, size_t at, size_t count, int64_t *out)
{
	*out = 0;
	if (at + count > text.len)
		return false;
	for (size_t i = at; i < at + count; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		*out = *out * 10 + (text.ptr[i] - '0');
	}
	return true;
}

/* Days from 1970-01-01, of the proleptic Gregorian calendar. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
	static const int before[] = {
	    0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	const int64_t last = year - 1;

	return last * 365 + last / 4 - last / 100 + last / 400 - 719162 +
	       before[month - 1] + (leap && month > 2 ? 1 : 0) + day - 1;
}

/* What follows the time of day: a fraction, then Z or an offset. In seconds east. */
static bool
time_zone(struct str rest, int64_t *out_offset)
{
	int64_t hours, minutes = 0;

	if (rest.len != 0 && (rest.ptr[0] == '.' || rest.ptr[0] == ',')) {
		size_t n = 1;

		while (n < rest.len && rest.ptr[n] >= '0' && rest.ptr[n] <= '9')
			n++;
		if (n == 1)
			return false;
		rest = str_slice(rest, n, rest.len);
	}
	*out_offset = 0;
	if (str_is(rest, "Z"))
		return true;
	if (rest.len != 3 && rest.len != 5)
		return false;
	if ((rest.ptr[0] != '+' && rest.ptr[0] != '-') || !digits(rest, 1, 2, &hours) ||
	    (rest.len == 5 && !digits(rest, 3, 2, &minutes)) || hours > 23 ||
	    minutes > 59)
		return false;
	*out_offset = (hours * 60 + minutes) * (rest.ptr[0] == '+' ? 60 : -60);
	return true;
}

bool
account_time(struct str text, walltime_t *out_time)
{
	int64_t year, month, day, hour, part[2] = {0, 0}, offset, s;
	size_t at = 10;

	if (!digits(text, 0, 4, &year) || !digits(text, 4, 2, &month) ||
	    !digits(text, 6, 2, &day) || !digits(text, 8, 2, &hour))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(part) && at < text.len &&
			   text.ptr[at] >= '0' && text.ptr[at] <= '9';
	     i++, at += 2) {
		if (!digits(text, at, 2, &part[i]))
			return false;
	}
	/* The year 0 has no last year to count days from. */
	if (year < 1 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
	    part[0] > 59 || part[1] > 60 ||
	    !time_zone(str_slice(text, at, text.len), &offset))
		return false;
	s = days_of(year, month, day) * 86400 + hour * 3600 + part[0] * 60 + part[1] -
	    offset;
	if (s > SECONDS_MAX) /* later than anybody lives: all the same */
		s = SECONDS_MAX;
	if (s < -SECONDS_MAX)
		s = -SECONDS_MAX;
	out_time->ns = s * NS_PER_S;
	return true;
}

/* Active Directory writes integers with a sign. */
static bool
integer(struct str text, int64_t *out)
{
	const bool negative = text.len != 0 && text.ptr[0] == '-';
	uint64_t value;

	if (!str_to_u64(str_slice(text, negative, text.len), INT64_MAX, &value))
		return false;
	*out = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

static bool
truth(struct str text, bool *out)
{
	char lower[8] = "";

	if (text.len == 0 || text.len >= sizeof(lower))
		return false;
	for (size_t i = 0; i < text.len; i++)
		lower[i] = (char)(text.ptr[i] | 0x20);
	*out = strcmp(lower, "true") == 0;
	return *out || strcmp(lower, "false") == 0;
}

/* ---- one rule for each vocabulary ---- */

struct judging {
	const struct account_values *values;
	const struct account_policy *policy;
	walltime_t now;
};

static const struct str *
value(const struct judging *j, enum account_attr which)
{
	const struct str *v = &j->values->v[which];

	return v->len != 0 ? v : NULL;
}

/* `text` once the time in the attribute has come. */
static const char *
passed(const struct judging *j, enum account_attr which, const char *text)
{
	const struct str *v = value(j, which);
	walltime_t t;

	if (v == NULL)
		return NULL;
	if (!account_time(*v, &t))
		return garbled;
	return t.ns <= j->now.ns ? text : NULL;
}

static const char *
ad_problem(const struct judging *j)
{
	static const struct {
		enum account_attr attr;
		uint32_t bit;
		const char *text;
	} bits[] = {
	    {ACCOUNT_UAC, UAC_DISABLED, "the account is disabled"},
	    {ACCOUNT_UAC_COMPUTED, UAC_LOCKED, "the account is locked"},
	    {ACCOUNT_UAC_COMPUTED, UAC_PWD_EXPIRED, "the password has expired"},
	};
	int64_t flags[ACCOUNT_UAC_COMPUTED + 1] = {0, 0};

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		if (value(j, (enum account_attr)i) != NULL &&
		    !integer(j->values->v[i], &flags[i]))
			return garbled;
	}
	for (size_t i = 0; i < ARRAY_LEN(bits); i++) {
		if (((uint64_t)flags[bits[i].attr] & bits[i].bit) != 0)
			return bits[i].text;
	}
	if (value(j, ACCOUNT_PWD_LAST_SET) != NULL) {
		int64_t set;

		if (!integer(j->values->v[ACCOUNT_PWD_LAST_SET], &set))
			return garbled;
		if (set == 0 && ((uint64_t)flags[ACCOUNT_UAC] & UAC_NO_EXPIRY) == 0)
			return "the password must be changed";
	}
	return NULL;
}

static const char *
ad_expired(const struct judging *j)
{
	const struct str *v = value(j, ACCOUNT_EXPIRES);
	int64_t t;

	if (v == NULL)
		return NULL;
	if (!integer(*v, &t) || t < 0)
		return garbled;
	if (t == 0 || t == FILETIME_NEVER)
		return NULL;
	return (t - FILETIME_EPOCH) / 10000000 <= j->now.ns / NS_PER_S
		   ? "the account has expired"
		   : NULL;
}

static const char *
netscape_problem(const struct judging *j)
{
	const struct str *locked = value(j, ACCOUNT_NS_LOCK);
	const struct str *until = value(j, ACCOUNT_UNLOCK_TIME);
	const char *problem;
	bool is_locked;
	walltime_t t;

	if (locked != NULL && !truth(*locked, &is_locked))
		return garbled;
	if (locked != NULL && is_locked)
		return "the account is disabled";
	if (until != NULL) {
		if (!account_time(*until, &t))
			return garbled;
		/* The epoch's beginning: until somebody unlocks it. */
		if (t.ns == 0 || t.ns > j->now.ns)
			return "the account is locked";
	}
	problem = passed(j, ACCOUNT_KRB_PRINCIPAL, "the account has expired");
	if (problem == NULL)
		problem = passed(j, ACCOUNT_KRB_PASSWORD, "the password has expired");
	if (problem == NULL)
		problem =
		    passed(j, ACCOUNT_PASSWORD_EXPIRATION, "the password has expired");
	return problem;
}

static const char *
ppolicy_locked(const struct judging *j)
{
	const struct str *v = value(j, ACCOUNT_PPOLICY_LOCKED);
	walltime_t t;

	if (v == NULL)
		return NULL;
	/* Year zero: an administrator did it, and time does not undo it. */
	if (str_starts(*v, STR("00000101")))
		return "the account is locked";
	if (!account_time(*v, &t))
		return garbled;
	/* The attribute stays behind until the next login. */
	if (j->policy->known && j->policy->lockout_s != 0 &&
	    t.ns / NS_PER_S + (int64_t)j->policy->lockout_s <= j->now.ns / NS_PER_S)
		return NULL;
	return "the account is locked";
}

static const char *
ppolicy_problem(const struct judging *j)
{
	const struct str *reset = value(j, ACCOUNT_PPOLICY_RESET);
	const struct str *changed = value(j, ACCOUNT_PPOLICY_CHANGED);
	const struct str *start = value(j, ACCOUNT_PPOLICY_START);
	const struct account_policy *p = j->policy;
	const char *problem = ppolicy_locked(j);
	bool must_change = false;
	walltime_t t;

	if (problem != NULL)
		return problem;
	if (reset != NULL && !truth(*reset, &must_change))
		return garbled;
	if (must_change)
		return "the password must be changed";
	if (start != NULL && !account_time(*start, &t))
		return garbled;
	if (start != NULL && t.ns > j->now.ns)
		return "the account is not in use yet";
	problem = passed(j, ACCOUNT_PPOLICY_END, "the account has expired");
	if (problem != NULL || changed == NULL || !p->known || p->max_age_s == 0 ||
	    p->grace)
		return problem;
	if (!account_time(*changed, &t))
		return garbled;
	return t.ns / NS_PER_S + (int64_t)p->max_age_s <= j->now.ns / NS_PER_S
		   ? "the password has expired"
		   : NULL;
}

static const char *
shadow_problem(const struct judging *j)
{
	const struct str *v = value(j, ACCOUNT_SHADOW_EXPIRE);
	int64_t day;

	if (v == NULL)
		return NULL;
	if (!integer(*v, &day))
		return garbled;
	return day >= 0 && day <= j->now.ns / NS_PER_S / 86400
		   ? "the account has expired"
		   : NULL;
}

const char *
account_problem(const struct account_values *values,
    const struct account_policy *policy, walltime_t now)
{
	static const char *(*const rules[])(const struct judging *) = {
	    ad_problem, ad_expired, netscape_problem, ppolicy_problem, shadow_problem};
	const struct judging j = {values, policy, now};

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		const char *problem = rules[i](&j);

		if (problem != NULL)
			return problem;
	}
	return NULL;
}

const char *
account_bind_problem(struct str diagnostic)
{
	static const struct {
		const char *code;
		const char *text;
	} codes[] = {
	    {"525", "no such user"},
	    {"52e", "a wrong password"},
	    {"530", "not at this time of day"},
	    {"531", "not from this machine"},
	    {"532", "the password has expired"},
	    {"533", "the account is disabled"},
	    {"701", "the account has expired"},
	    {"773", "the password must be changed"},
	    {"775", "the account is locked"},
	};
	const struct str mark = STR("data ");

	for (size_t at = 0; at + mark.len + 3 <= diagnostic.len; at++) {
		struct str rest = str_slice(diagnostic, at, diagnostic.len);

		if (!str_starts(rest, mark))
			continue;
		rest = str_slice(rest, mark.len, mark.len + 3);
		for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
			if (str_is(rest, codes[i].code))
				return codes[i].text;
		}
	}
	return NULL;
}
