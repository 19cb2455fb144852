#include "common/prometheus.h"

void
prometheus_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void
prometheus_add(struct buf *out, const char *name, const char *type, const char *help,
    uint64_t value)
{
	prometheus_head(out, name, type, help);
	buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

void
prometheus_add_seconds(struct buf *out, const char *name, const char *help, int64_t ns)
{
	prometheus_head(out, name, "gauge", help);
	buf_printf(out, "%s %.6f\n", name, (double)ns / 1e9);
}

void
prometheus_add_value(struct buf *out, struct str value)
{
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c == '\\' || c == '"')
			buf_add_char(out, '\\');
		if (c == '\n')
			buf_add_cstr(out, "\\n");
		else
			buf_add_char(out, c);
	}
}
