/*
 * The page: one file that needs nothing else, and may do nothing else. What a tenant
 * named is text here, in elements or in JSON, never markup or script.
 */
#include "policy-lang/connectivity/graph_internal.h"

static void
add_head(struct buf *out)
{
	buf_add_cstr(out,
	    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
	    "'none'; "
	    "style-src 'unsafe-inline'; script-src '");
	buf_add_cstr(out, graph_page_js_hash);
	buf_add_cstr(out,
	    "'; base-uri 'none'; form-action 'none'\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	    "<title>Who may connect</title>\n<style>\n");
	buf_add_cstr(out, graph_page_css);
	buf_add_cstr(out, "</style>\n</head>\n<body>\n");
}

static void
add_controls(struct buf *out)
{
	buf_add_cstr(out,
	    "<header><h1>Who may connect</h1>\n"
	    "<form id=\"filters\">\n"
	    "<label>Namespace <select id=\"namespace\"><option value=\"\">everywhere"
	    "</option></select></label>\n"
	    "<label>Port <input id=\"port\" size=\"9\" placeholder=\"443/tcp\" "
	    "autocomplete=\"off\"></label>\n"
	    "<label>Text <input id=\"text\" type=\"search\" size=\"14\" "
	    "placeholder=\"name\" autocomplete=\"off\"></label>\n"
	    "<button type=\"reset\">All</button>\n"
	    "<output id=\"count\"></output></form></header>\n");
}

void
graph_print_html(
    struct arena *arena, struct buf *out, const struct model *m, const struct graph *g)
{
	add_head(out);
	add_controls(out);
	buf_add_cstr(out, "<main><div id=\"view\">\n");
	graph_draw(out, g, true);
	buf_add_cstr(out,
	    "<div id=\"zoom\"><button id=\"in\" aria-label=\"larger\">+</button>"
	    "<button id=\"out\" aria-label=\"smaller\">&minus;</button>"
	    "<button id=\"fit\" aria-label=\"show all of "
	    "it\">fit</button></div></div>\n"
	    "<aside id=\"side\" aria-live=\"polite\" tabindex=\"-1\"></aside></main>\n"
	    "<script type=\"application/json\" id=\"data\">");
	graph_print_whys(arena, out, m, g);
	buf_add_cstr(out, "</script>\n<script>");
	buf_add_cstr(out, graph_page_js);
	buf_add_cstr(out, "</script>\n</body>\n</html>\n");
}
