/* media/lock.h - the child gives up what it will not need.
 *
 * To be called once everything is loaded and before threads exist: a filter and a ruleset hold
 * for the calling thread and those it makes later.  What an older kernel does not know is left
 * out; the limits hold everywhere.
 */
#ifndef MEDIA_LOCK_H
#define MEDIA_LOCK_H

#include "base/base.h"

struct lock_report {
    bool landlock; /* no file can be opened */
    bool filter;   /* no socket, no program, no process */
};

/* Negative when not even the limits can be set. */
MUST_CHECK int lock_in(struct lock_report *report);

#endif
