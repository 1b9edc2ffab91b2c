/* client/mailbox.h - messages that wait for the WebSocket, in order and bounded. */
#ifndef CLIENT_MAILBOX_H
#define CLIENT_MAILBOX_H

#include "base/str.h"
#include "client/client.h"

struct mailbox {
    struct str message[CLIENT_MESSAGES_MAX];
    uint32_t at, n;
    bool lent; /* the first was handed out */
};

/* A new message to be filled; NULL when CLIENT_MESSAGES_MAX wait. */
struct str *mailbox_add(struct mailbox *m);
/* The oldest one; valid until the next call. */
bool mailbox_take(struct mailbox *m, struct bytes *out);
void mailbox_fini(struct mailbox *m);

#endif
