/* bus/psrpc_recorded.h - frames that the original psrpc 0.7.3 put on a Redis bus, with the
 * channels that they went over.  For tests.
 */
#ifndef BUS_PSRPC_RECORDED_H
#define BUS_PSRPC_RECORDED_H

/* IOInfo|GetIngressInfo|REQ */
#define RECORDED_GET_REQUEST                                                                       \
    "0a24747970652e676f6f676c65617069732e636f6d2f696e7465726e616c2e5265717565737412440a1052"       \
    "45515f61584a48693756677a4561301210434c495f4d384d4b30356a6b726e696a18aca4fa84e2b688f518"       \
    "20ace0bb9bedb688f518420a12086d796b6579313233"

/* IOInfo|CLI_M8MK05jkrnij|CLAIM */
#define RECORDED_GET_CLAIM                                                                         \
    "0a29747970652e676f6f676c65617069732e636f6d2f696e7465726e616c2e436c61696d52657175657374"       \
    "12290a105245515f61584a48693756677a45613012105352565f357759575a6b5054514f6f701d0000803f"

/* IOInfo|GetIngressInfo|RCLAIM */
#define RECORDED_GET_CHOICE                                                                        \
    "0a2a747970652e676f6f676c65617069732e636f6d2f696e7465726e616c2e436c61696d526573706f6e73"       \
    "6512240a105245515f61584a48693756677a45613012105352565f357759575a6b5054514f6f70"

/* IOInfo|CLI_M8MK05jkrnij|RES */
#define RECORDED_GET_ANSWER                                                                        \
    "0a25747970652e676f6f676c65617069732e636f6d2f696e7465726e616c2e526573706f6e7365124c0a10"       \
    "5245515f61584a48693756677a45613012105352565f357759575a6b5054514f6f70189b92a886e2b688f5"       \
    "183a1c0a120a06494e5f6162631a086d796b65793132331a0677733a2f2f78"

/* IOInfo|CLI_M8MK05jkrnij|RES */
#define RECORDED_GET_REFUSAL                                                                       \
    "0a25747970652e676f6f676c65617069732e636f6d2f696e7465726e616c2e526573706f6e7365124c0a10"       \
    "5245515f6d7635506e4249346b6b414712105352565f357759575a6b5054514f6f70189dcc9487e2b688f5"       \
    "182a11696e6772657373206e6f7420666f756e6432096e6f745f666f756e64"

/* IngressInternal|StartIngress|REQ */
#define RECORDED_START_REQUEST                                                                     \
    "0a24747970652e676f6f676c65617069732e636f6d2f696e7465726e616c2e5265717565737412440a1052"       \
    "45515f36453738676871576c347a301210434c495f3535665561724c5164644a6218a4d9ee98e3b688f518"       \
    "20a495b0afeeb688f518420a0a080a06494e5f75726c"

/* IngressInternal|ListActiveIngress|REQ */
#define RECORDED_LIST_REQUEST                                                                      \
    "0a24747970652e676f6f676c65617069732e636f6d2f696e7465726e616c2e52657175657374123a0a1052"       \
    "45515f376673565361544f616341771210434c495f3535665561724c5164644a6218b58d9dfae3b688f518"       \
    "20b5d3a389e5b688f5182801"

/* SET NX of the server that took the first of them. */
#define RECORDED_GET_KEY "Wkh+EOLVcEYLzbQXcp8WnvBPNwtqZOOqpdkJ9kM3OkU="

#endif
