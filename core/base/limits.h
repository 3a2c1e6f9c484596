/* Bounds that protect a node and its rows from any single request or account. */
#ifndef GY_BASE_LIMITS_H
#define GY_BASE_LIMITS_H

/* MSCCs in one CCR; more are refused with 5009. Real gateways send up to about 50. */
#define GY_SERVICES_MAX 256
/* Service-Identifiers in one MSCC, Used-Service-Units in one MSCC, identities in one CCR. */
#define GY_SERVICE_IDS_MAX 64
#define GY_USED_MAX        64
#define GY_IDENTITIES_MAX  16
/* Open sessions of one account; a further CCR-I gets 5012. Keeps the account row small. */
#define GY_ACCOUNT_SESSIONS_MAX 1024
/* Reservations (one per Rating-Group and service set) of one session. */
#define GY_SESSION_RESERVATIONS_MAX 512
/* Closed sessions kept in the account row for late and repeated requests; older: gyro.record. */
#define GY_TOMBSTONES_MAX 2
/* G-S-U-Pool-Identifiers: 1 to this. Stored in 16 bits. */
#define GY_POOL_MAX 65535
/* Answers a session keeps in the account row for duplicates, and their MSCC rows in all. */
#define GY_ANSWERS_KEPT     4
#define GY_ANSWER_ROWS_KEPT 16
/* Directed-Traffic-Infos in one CCR; octets of Product-Id, Purchase-Id, Card-Id and
 * Directed-App-Id, and of Directed-URL and Directed-Flow. */
#define GY_DIRECTED_MAX     16
#define GY_CARD_NAME_MAX    255
#define GY_CARD_ADDRESS_MAX 2048
/* Largest Session-Id taken, octets. */
#define GY_SESSION_ID_MAX 512
/* Octets of CC-Correlation-Id and of Acct-Multi-Session-Id that a record keeps. */
#define GY_CORRELATION_MAX 512
/* No amount of units or money beyond this takes part in arithmetic: leaves room for sums. */
#define GY_AMOUNT_MAX (INT64_C(1) << 60)

#endif
