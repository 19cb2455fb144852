/*
 * The key role for threads that may wait for it: connections that curl makes. One thread is served
 * after the other, each within a limit of time; the role may be away meanwhile, and another one come.
 */
#ifndef AUTHN_KEY_THREAD_H
#define AUTHN_KEY_THREAD_H

/* From now on handshakes of this process that are on no job are signed for so. Before there are
 * threads. */
void key_thread_start(void);
/* A socket to the key role, the first or the next, which it takes. Does not wait. */
void key_thread_connect(int fd);

#endif
