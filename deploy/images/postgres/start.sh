#!/bin/sh
# SPDX-License-Identifier: MIT
# Start PostgreSQL with one database, and one user whose password is in a file. Both are seen to at
# each start, so another password counts after a restart.
set -eu

if [ ! -r "$POSTGRES_PASSWORD_FILE" ]; then
    echo "start: POSTGRES_PASSWORD_FILE: $POSTGRES_PASSWORD_FILE cannot be read" >&2
    exit 1
fi
password=$(cat "$POSTGRES_PASSWORD_FILE")
if [ -z "$password" ]; then
    echo "start: POSTGRES_PASSWORD_FILE: $POSTGRES_PASSWORD_FILE is empty" >&2
    exit 1
fi

# A name or a text for SQL: its quotes doubled, in quotes.
quoted() { printf '%s%s%s' "$1" "$(printf '%s' "$2" | sed "s/$1/$1$1/g")" "$1"; }
user=$(quoted '"' "$POSTGRES_USER_NAME")
database=$(quoted '"' "$POSTGRES_DATABASE")
# One statement on standard input, before there is a server: it is in no process list.
sql() { printf '%s\n' "$1" | postgres --single -j -c log_statement=none -c log_min_error_statement=panic "$2" 2>&1; }

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --auth-local=peer --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 \
           --username=postgres >/dev/null
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
fi
rm -f "$PGDATA/postmaster.pid" # of a container that was killed; this one is alone in its namespace
if ! sql "SELECT 'there:' || rolname FROM pg_roles WHERE rolname = $(quoted "'" "$POSTGRES_USER_NAME");" postgres |
        grep -q 'there:'; then
    sql "CREATE ROLE $user LOGIN;" postgres >/dev/null
fi
if ! sql "SELECT 'there:' || datname FROM pg_database WHERE datname = $(quoted "'" "$POSTGRES_DATABASE");" postgres |
        grep -q 'there:'; then
    sql "CREATE DATABASE $database OWNER $user;" postgres >/dev/null
fi
sql "ALTER ROLE $user PASSWORD $(quoted "'" "$password");" postgres >/dev/null
unset password
exec postgres -c listen_addresses='*' -c unix_socket_directories='' -c logging_collector=off "$@"
