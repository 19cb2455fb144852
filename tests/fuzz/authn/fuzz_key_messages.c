/*
 * Requests to the key role, and its answers. What is decoded and encoded again is the same message;
 * and nothing is good for both sides of a handshake but what a client of TLS 1.2 signs, whose
 * messages could be chosen to look like anything.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/tls/key_messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_request(const struct proc_msg *msg)
{
	struct buf again = {NULL, 0, 0};
	struct key_request request;

	if (!key_get_request(msg, &request))
		return;
	if (request.content.len > KEY_CONTENT_BYTES ||
	    key_scheme_info(request.scheme) == NULL)
		abort();
	key_put_request(&again, &request);
	if (again.len != msg->len || memcmp(again.data, msg->data, again.len) != 0)
		abort();
	if (key_content_ok(KEY_FOR_SERVER, &request) &&
	    key_content_ok(KEY_FOR_CLIENT, &request) && request.content.ptr[0] != 1)
		abort();
	buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct proc_msg msg = {.data = data, .len = size};
	struct str signature;

	try_request(&msg);
	if (key_get_signature(&msg, &signature) &&
	    signature.len != size - sizeof(uint32_t))
		abort();
	return 0;
}
