/* bus/psrpc_code.h - the error codes of psrpc: words on the wire, HTTP statuses for people.
 * (egress-ingress.md 2.5)
 *
 * Data; no state.
 */
#ifndef BUS_PSRPC_CODE_H
#define BUS_PSRPC_CODE_H

/* On the wire a word ("not_found"); as a number the HTTP status that it means. */
enum psrpc_code {
    PSRPC_OK,
    PSRPC_CANCELED,
    PSRPC_UNKNOWN,
    PSRPC_INVALID_ARGUMENT,
    PSRPC_MALFORMED_REQUEST,
    PSRPC_MALFORMED_RESULT,
    PSRPC_DEADLINE_EXCEEDED,
    PSRPC_NOT_FOUND,
    PSRPC_ALREADY_EXISTS,
    PSRPC_PERMISSION_DENIED,
    PSRPC_RESOURCE_EXHAUSTED,
    PSRPC_FAILED_PRECONDITION,
    PSRPC_ABORTED,
    PSRPC_OUT_OF_RANGE,
    PSRPC_UNIMPLEMENTED,
    PSRPC_INTERNAL,
    PSRPC_UNAVAILABLE,
    PSRPC_DATA_LOSS,
    PSRPC_UNAUTHENTICATED,
    PSRPC_NOT_ACCEPTABLE,
    PSRPC_UNPROCESSABLE_ENTITY,
    PSRPC_UPSTREAM_CLIENT_ERROR,
    PSRPC_UPSTREAM_SERVER_ERROR,
    PSRPC_CODES
};

/* "not_found"; "" for PSRPC_OK. */
const char *psrpc_code_text(enum psrpc_code code);
/* PSRPC_UNKNOWN for words that are not in the table. */
enum psrpc_code psrpc_code_of(const char *text);
int psrpc_code_http(enum psrpc_code code);

#endif
