/* bench_noop--1.0.sql: the objects of the extension */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION bench_noop" to load this file. \quit

CREATE FUNCTION bench_noop() RETURNS trigger
	AS 'MODULE_PATHNAME' LANGUAGE C;
