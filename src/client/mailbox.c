#include "client/mailbox.h"

struct str *mailbox_add(struct mailbox *m)
{
    if (m->n == CLIENT_MESSAGES_MAX)
        return NULL;
    struct str *s = &m->message[(m->at + m->n++) % CLIENT_MESSAGES_MAX];
    str_init(s, CLIENT_MESSAGE_BYTES_MAX);
    return s;
}

bool mailbox_take(struct mailbox *m, struct bytes *out)
{
    if (m->lent) {
        str_fini(&m->message[m->at]);
        m->at = (m->at + 1) % CLIENT_MESSAGES_MAX;
        m->n--;
        m->lent = false;
    }
    if (m->n == 0)
        return false;
    *out = str_bytes(&m->message[m->at]);
    m->lent = true;
    return true;
}

void mailbox_fini(struct mailbox *m)
{
    for (uint32_t i = 0; i < m->n; i++)
        str_fini(&m->message[(m->at + i) % CLIENT_MESSAGES_MAX]);
    m->n = 0;
}
