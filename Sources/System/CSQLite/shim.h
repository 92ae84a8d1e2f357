//  What Swift cannot import from sqlite3.h: macros that are expressions or casts, and variadic calls.

#include <sqlite3.h>

enum {
    KARRI_SQLITE_CONSTRAINT_CHECK = SQLITE_CONSTRAINT_CHECK,
    KARRI_SQLITE_CONSTRAINT_DATATYPE = SQLITE_CONSTRAINT_DATATYPE,
    KARRI_SQLITE_CONSTRAINT_FOREIGNKEY = SQLITE_CONSTRAINT_FOREIGNKEY,
    KARRI_SQLITE_CONSTRAINT_NOTNULL = SQLITE_CONSTRAINT_NOTNULL,
    KARRI_SQLITE_CONSTRAINT_PRIMARYKEY = SQLITE_CONSTRAINT_PRIMARYKEY,
    KARRI_SQLITE_CONSTRAINT_ROWID = SQLITE_CONSTRAINT_ROWID,
    KARRI_SQLITE_CONSTRAINT_UNIQUE = SQLITE_CONSTRAINT_UNIQUE,
    KARRI_SQLITE_IOERR_FSYNC = SQLITE_IOERR_FSYNC,
    KARRI_SQLITE_IOERR_DIR_FSYNC = SQLITE_IOERR_DIR_FSYNC,
};

// SQLite copies the bytes before it returns, so they need to live no longer than the call.
static inline int karri_sqlite_bind_text(sqlite3_stmt *statement, int index, const char *bytes, sqlite3_uint64 count) {
    return sqlite3_bind_text64(statement, index, bytes, count, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static inline int karri_sqlite_bind_blob(sqlite3_stmt *statement, int index, const void *bytes, sqlite3_uint64 count) {
    return sqlite3_bind_blob64(statement, index, bytes, count, SQLITE_TRANSIENT);
}

// A misspelt "column" is an error and not a string.
static inline int karri_sqlite_refuse_quoted_strings(sqlite3 *database) {
    int in_definitions = sqlite3_db_config(database, SQLITE_DBCONFIG_DQS_DDL, 0, (int *)0);
    int in_statements = sqlite3_db_config(database, SQLITE_DBCONFIG_DQS_DML, 0, (int *)0);
    return in_definitions != SQLITE_OK ? in_definitions : in_statements;
}
