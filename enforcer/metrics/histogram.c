#include "enforcer/metrics/histogram.h"

#include "common/prometheus.h"

static const struct {
	uint64_t us;
	const char *text; /* seconds */
} bounds[HISTOGRAM_BUCKETS] = {
    {500, "0.0005"},
    {1000, "0.001"},
    {2500, "0.0025"},
    {5000, "0.005"},
    {10000, "0.01"},
    {25000, "0.025"},
    {50000, "0.05"},
    {100000, "0.1"},
    {250000, "0.25"},
    {500000, "0.5"},
    {1000000, "1"},
    {2500000, "2.5"},
    {10000000, "10"},
    {60000000, "60"},
};

void
histogram_add(struct histogram *h, uint64_t took_us)
{
	size_t i = 0;

	while (i < HISTOGRAM_BUCKETS && took_us > bounds[i].us)
		i++;
	if (i < HISTOGRAM_BUCKETS)
		h->counts[i]++;
	h->count++;
	h->sum_us += took_us;
}

void
histogram_write(
    struct buf *out, const char *name, const char *help, const struct histogram *h)
{
	uint64_t below = 0;

	prometheus_head(out, name, "histogram", help);
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		below += h->counts[i];
		buf_printf(out, "%s_bucket{le=\"%s\"} %llu\n", name, bounds[i].text,
		    (unsigned long long)below);
	}
	buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.6f\n%s_count %llu\n",
	    name, (unsigned long long)h->count, name, (double)h->sum_us / 1e6, name,
	    (unsigned long long)h->count);
}
