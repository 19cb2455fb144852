#include "authn/api/console.h"

#include "authn/console_files.h" /* made by CMake */

/*
 * The page runs its own script and no other, in line or from elsewhere, talks to its own
 * origin, and is shown in no frame. It keeps no cookie, so no other page can act through
 * it.
 */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

static const struct {
	const char *path, *type;
	const unsigned char *data;
	size_t len;
} files[] = {
    {"/ringfence/", "text/html; charset=utf-8", console_html, sizeof(console_html)},
    {"/ringfence/console.css", "text/css; charset=utf-8", console_css,
	sizeof(console_css)},
    {"/ringfence/console.js", "text/javascript; charset=utf-8", console_js,
	sizeof(console_js)},
};

bool
console_reply(struct exchange *x, struct str path)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (!str_is(path, files[i].path))
			continue;
		if (!str_is(x->method, "GET") && !str_is(x->method, "HEAD")) {
			exchange_reply_error(x, 405,
			    "the server does not allow this method on the requested "
			    "resource");
			return true;
		}
		exchange_reply_header(x, "content-security-policy", str_from(policy));
		exchange_reply_header(x, "referrer-policy", STR("no-referrer"));
		exchange_reply_header(x, "x-frame-options", STR("DENY"));
		exchange_reply_header(
		    x, "cross-origin-opener-policy", STR("same-origin"));
		exchange_reply_header(
		    x, "cross-origin-resource-policy", STR("same-origin"));
		exchange_reply(x, 200, files[i].type,
		    (struct str){(const char *)files[i].data, files[i].len});
		return true;
	}
	return false;
}
