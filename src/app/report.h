/* app/report.h - the state of a job as the bus says it: livekit.IngressState.
 * (egress-ingress.md 4.1, 4.3)
 */
#ifndef APP_REPORT_H
#define APP_REPORT_H

#include "bus/psrpc.h"
#include "ingest/job.h"

/* IOInfo.UpdateIngressState. */
MUST_CHECK int report_send(struct psrpc *bus, const char *ingress_id, const char *resource_id,
                           const struct job_report *r, struct tick tick, psrpc_id *id);
/* The answer to IngressHandler.UpdateIngress and DeleteIngress. */
void report_answer(struct psrpc *bus, psrpc_id call, const char *resource_id,
                   const struct job_report *r, struct tick tick);

#endif
