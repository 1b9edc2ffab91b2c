#include "bus/psrpc_code.h"

#include <string.h>

static const struct {
    const char *text;
    int http;
} codes[PSRPC_CODES] = {
    [PSRPC_OK] = {"", 200},
    [PSRPC_CANCELED] = {"canceled", 503},
    [PSRPC_UNKNOWN] = {"unknown", 500},
    [PSRPC_INVALID_ARGUMENT] = {"invalid_argument", 400},
    [PSRPC_MALFORMED_REQUEST] = {"malformed_request", 400},
    [PSRPC_MALFORMED_RESULT] = {"malformed_result", 500},
    [PSRPC_DEADLINE_EXCEEDED] = {"deadline_exceeded", 503},
    [PSRPC_NOT_FOUND] = {"not_found", 404},
    [PSRPC_ALREADY_EXISTS] = {"already_exists", 409},
    [PSRPC_PERMISSION_DENIED] = {"permission_denied", 403},
    [PSRPC_RESOURCE_EXHAUSTED] = {"resource_exhausted", 429},
    [PSRPC_FAILED_PRECONDITION] = {"failed_precondition", 412},
    [PSRPC_ABORTED] = {"aborted", 409},
    [PSRPC_OUT_OF_RANGE] = {"out_of_range", 416},
    [PSRPC_UNIMPLEMENTED] = {"unimplemented", 501},
    [PSRPC_INTERNAL] = {"internal", 500},
    [PSRPC_UNAVAILABLE] = {"unavailable", 503},
    [PSRPC_DATA_LOSS] = {"data_loss", 500},
    [PSRPC_UNAUTHENTICATED] = {"unauthenticated", 401},
    [PSRPC_NOT_ACCEPTABLE] = {"not_acceptable", 406},
    [PSRPC_UNPROCESSABLE_ENTITY] = {"unprocessable_entity", 422},
    [PSRPC_UPSTREAM_CLIENT_ERROR] = {"upstream_client_error", 424},
    [PSRPC_UPSTREAM_SERVER_ERROR] = {"upstream_server_error", 502},
};

const char *psrpc_code_text(enum psrpc_code code)
{
    return codes[code].text;
}

enum psrpc_code psrpc_code_of(const char *text)
{
    for (int i = 0; i < PSRPC_CODES; i++) {
        if (strcmp(codes[i].text, text) == 0)
            return (enum psrpc_code)i;
    }
    return PSRPC_UNKNOWN;
}

int psrpc_code_http(enum psrpc_code code)
{
    return codes[code].http;
}
