/* The migrations, embedded into programs at build time: gyroctl applies them, a node compares the
 * newest number with what its database says (gyro.schema_version) and refuses to charge if they
 * differ. They are the files beside this header; schema.c is generated from them. */
#ifndef GY_STORE_SCHEMA_H
#define GY_STORE_SCHEMA_H

struct gy_migration {
	int version;      /* 1, 2, ... without gaps */
	const char *name; /* of the file, without number and ending */
	const char *sql;  /* one or more statements */
};

extern const struct gy_migration gy_migrations[]; /* ascending */
extern const int gy_migrations_count;

/* Number of the last one: the version this build works with. */
extern const int gy_schema_newest;

#endif
