-- Takes from a database of schema 2 what schema 2 added.
DROP INDEX windows_by_begin;
DROP INDEX windows_by_end;
DROP TABLE mentions;
PRAGMA user_version = 1;
