/* Reading a catalogue out of the archive, on any connection: for nodes and for gyroctl. */
#ifndef GY_STORE_CATALOGUE_H
#define GY_STORE_CATALOGUE_H

#include <libpq-fe.h>

#include "core/rating/dynamic.h"
#include "core/store/binary.h"
#include "core/store/statement.h"

/* The catalogue of an archived version (gyro.catalogue_keep), the root of its own talloc tree. The
 * connection is in no pipeline. GY_STORE_REFUSED: it is not sound, or the database objects; error
 * says which rule and why. Else an environment error. */
enum gy_rc gy_catalogue_load(PGconn *connection, int64_t version, struct gy_catalogue **catalogue,
			     char *error, size_t error_size) GY_MUST_CHECK;

/* For the files that read its parts. The result may be a failure. */
PGresult *gy_catalogue_query(PGconn *connection, enum gy_sql sql, int64_t version);
/* GY_OK, or what its SQLSTATE means; error then has the first line of the database's words. */
enum gy_rc gy_catalogue_result(const PGconn *connection, const PGresult *result, char *error,
			       size_t error_size) GY_MUST_CHECK;
/* A text value under pool, NULL if it is NULL. */
char *gy_result_text(void *pool, const PGresult *result, int row, int column);

/* The dynamic half, compiled; catalogue->dynamic stays NULL if there is nothing dynamic. */
enum gy_rc gy_dynamic_load(PGconn *connection, struct gy_catalogue *catalogue, char *error,
			   size_t error_size) GY_MUST_CHECK;
/* Pushed values of now, under pool. */
enum gy_rc gy_pushed_load(PGconn *connection, void *pool, struct gy_pushed **pushed, char *error,
			  size_t error_size) GY_MUST_CHECK;

#endif
