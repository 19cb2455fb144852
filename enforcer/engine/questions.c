/*
 * A workload's questions are in a list by age, and all are in a map by what they are.
 */
#include "enforcer/engine/questions.h"

#include <stdlib.h>
#include <string.h>

#include "common/map.h"

#define CLIENT_BYTES 17

struct client {
	struct pending *first, *last; /* the oldest is the first */
	size_t count;
	char key[CLIENT_BYTES];
	size_t key_len;
};

struct pending {
	struct pending *older, *newer; /* of the client */
	struct client *client;
	uint64_t until_ms;
	struct str key; /* of the text */
	char text[];
};

struct questions {
	struct map clients;
	struct map pending;
};

struct questions *
questions_new(void)
{
	return xcalloc(1, sizeof(struct questions));
}

void
questions_free(struct questions *q)
{
	if (q == NULL)
		return;
	for (size_t i = 0; i < q->pending.len; i++)
		free(q->pending.entries[i].value);
	for (size_t i = 0; i < q->clients.len; i++)
		free(q->clients.entries[i].value);
	map_fini(&q->pending);
	map_fini(&q->clients);
	free(q);
}

/* ---- keys ---- */

static void
add_client(struct buf *key, const struct ip_addr *client)
{
	buf_add_char(key, (char)client->family);
	buf_add(key, client->bytes, ip_bytes(client->family));
}

static struct str
key_of(struct buf *key, const struct ip_addr *client, uint16_t port,
    const struct dns_question *question)
{
	uint16_t type = (uint16_t)question->type;

	add_client(key, client);
	buf_add(key, &port, sizeof(port));
	buf_add(key, &question->id, sizeof(question->id));
	buf_add(key, &type, sizeof(type));
	buf_add_cstr(key, question->name);
	return buf_str(key);
}

/* ---- the list of one client ---- */

static struct client *
client_of(struct questions *q, const struct ip_addr *addr)
{
	struct buf key = {0};
	struct client *client;

	add_client(&key, addr);
	client = map_get(&q->clients, buf_str(&key));
	if (client == NULL) {
		client = xcalloc(1, sizeof(*client));
		client->key_len = key.len;
		memcpy(client->key, key.data, key.len);
		(void)map_set(
		    &q->clients, (struct str){client->key, key.len}, client); /* new */
	}
	buf_free(&key);
	return client;
}

static void
append(struct client *client, struct pending *p)
{
	p->client = client;
	p->older = client->last;
	p->newer = NULL;
	if (client->last != NULL)
		client->last->newer = p;
	else
		client->first = p;
	client->last = p;
	client->count++;
}

static void
take_out(struct pending *p)
{
	struct client *client = p->client;

	if (p->older != NULL)
		p->older->newer = p->newer;
	else
		client->first = p->newer;
	if (p->newer != NULL)
		p->newer->older = p->older;
	else
		client->last = p->older;
	client->count--;
}

static void
forget(struct questions *q, struct pending *p)
{
	struct client *client = p->client;

	take_out(p);
	(void)map_remove(&q->pending, p->key); /* was there */
	free(p);
	if (client->count > 0)
		return;
	(void)map_remove(
	    &q->clients, (struct str){client->key, client->key_len}); /* was there */
	free(client);
}

/* ---- questions ---- */

/* What nobody answered in time, and what is too much. The client is there afterwards, as it
 * has one question more than this takes. */
static void
make_room(struct questions *q, struct client *client, uint64_t now_ms)
{
	while (client->first != client->last &&
	       (client->first->until_ms <= now_ms || client->count > QUESTIONS_OF_ONE))
		forget(q, client->first);
}

void
questions_ask(struct questions *q, const struct ip_addr *client, uint16_t port,
    const struct dns_question *question, uint64_t now_ms)
{
	struct buf key = {0};
	struct str text = key_of(&key, client, port, question);
	struct pending *p = map_get(&q->pending, text);

	if (p != NULL) {
		take_out(p);
		append(p->client, p);
	} else {
		p = xcalloc(1, sizeof(*p) + text.len);
		memcpy(p->text, text.ptr, text.len);
		p->key = (struct str){p->text, text.len};
		(void)map_set(&q->pending, p->key, p); /* new */
		append(client_of(q, client), p);
	}
	p->until_ms = now_ms + QUESTIONS_WAIT_MS;
	make_room(q, p->client, now_ms);
	buf_free(&key);
}

bool
questions_answer(struct questions *q, const struct ip_addr *client, uint16_t port,
    const struct dns_question *answer, uint64_t now_ms)
{
	struct buf key = {0};
	struct pending *p = map_get(&q->pending, key_of(&key, client, port, answer));
	bool in_time = p != NULL && p->until_ms > now_ms;

	if (p != NULL)
		forget(q, p);
	buf_free(&key);
	return in_time;
}

size_t
questions_count(const struct questions *q)
{
	return q->pending.len;
}
