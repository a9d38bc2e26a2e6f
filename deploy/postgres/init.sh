#!/bin/sh
# One database and one login role per service, none of them let into another's, and the role that Debezium reads with.
#
# The image of PostgreSQL runs this once, when its volume is new. Against any other server, run it as a superuser with the
# variables of psql: PGHOST=db PGUSER=postgres PGPASSWORD=... ORDERS_PASSWORD=... sh deploy/postgres/init.sh
# Running it again changes nothing; a role that is there keeps its password.
#
#   ORDERS_PASSWORD BILLING_PASSWORD SHIPPING_PASSWORD BOOKKEEPER_PASSWORD   passwords of the services' roles
#   MESSAGEKIT_CDC_PASSWORD   password of Debezium's role
#   MESSAGEKIT_PREFIX         put before each name, to try it beside others; empty unless set
set -eu

export PGUSER="${PGUSER:-${POSTGRES_USER:-postgres}}"
export PGDATABASE="${PGDATABASE:-${POSTGRES_DB:-$PGUSER}}"
export MESSAGEKIT_PREFIX="${MESSAGEKIT_PREFIX:-}"
export ORDERS_PASSWORD="${ORDERS_PASSWORD:?is not set: the password of the role orders}"
export BILLING_PASSWORD="${BILLING_PASSWORD:?is not set: the password of the role billing}"
export SHIPPING_PASSWORD="${SHIPPING_PASSWORD:?is not set: the password of the role shipping}"
export BOOKKEEPER_PASSWORD="${BOOKKEEPER_PASSWORD:?is not set: the password of the role bookkeeper}"
export MESSAGEKIT_CDC_PASSWORD="${MESSAGEKIT_CDC_PASSWORD:?is not set: the password of the role messagekit_cdc}"

# \getenv and not -v: arguments of a process are there for everybody to read. Needs psql 15.
psql --no-psqlrc --quiet --tuples-only --set ON_ERROR_STOP=1 <<'SQL'
\getenv prefix MESSAGEKIT_PREFIX
\getenv orders_password ORDERS_PASSWORD
\getenv billing_password BILLING_PASSWORD
\getenv shipping_password SHIPPING_PASSWORD
\getenv bookkeeper_password BOOKKEEPER_PASSWORD
\getenv cdc_password MESSAGEKIT_CDC_PASSWORD

-- The server's log is no place for passwords either.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';

CREATE TEMPORARY TABLE wanted_roles AS
SELECT :'prefix' || name AS name, attributes, password FROM (VALUES
  ('orders', '', :'orders_password'),
  ('billing', '', :'billing_password'),
  ('shipping', '', :'shipping_password'),
  ('bookkeeper', '', :'bookkeeper_password'),
  ('messagekit_cdc', 'REPLICATION', :'cdc_password')
) AS role (name, attributes, password);

SELECT format('CREATE ROLE %I LOGIN %s PASSWORD %L', name, attributes, password)
FROM wanted_roles WHERE name NOT IN (SELECT rolname FROM pg_roles) \gexec

-- A service owns its database: it makes its tables, and the publication of its outbox, without any further right.
SELECT format('CREATE DATABASE %I OWNER %I', name, name)
FROM wanted_roles WHERE attributes = '' AND name NOT IN (SELECT datname FROM pg_database) \gexec

-- Every role may connect to every database unless that is taken back.
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', name) FROM wanted_roles WHERE attributes = '' \gexec

-- Debezium reads the outbox of these two from the write-ahead log; no table has to be granted for that.
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', :'prefix' || service, :'prefix' || 'messagekit_cdc')
FROM (VALUES ('orders'), ('billing')) AS writing (service) \gexec
SQL
