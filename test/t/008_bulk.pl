# A transaction of a million rows: its backend's memory stays bounded whatever
# it touches, every key is delivered, and a thousand keys that a million rows
# share are sent as a thousand.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $rows = $ENV{INVAL_BULK_ROWS} || 1_000_000;
my $redis = Inval::Redis->new;
my $node = new_node('bulk',
	url => $redis->unix_url,
	# Shared memory counts in a process's size once it is touched: keep it small.
	conf => qq{
		shared_buffers = '16MB'
		inval.pending_memory = '16MB'
		max_wal_size = '4GB'});

$node->safe_psql('postgres', qq{
	CREATE TABLE plain (id int, grp int, n int);
	INSERT INTO plain SELECT i, i % 1000, 0 FROM generate_series(1, $rows) i;
	CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN RETURN NULL; END';
	CREATE TABLE wide (LIKE plain);
	INSERT INTO wide SELECT * FROM plain;
	CREATE TABLE narrow (LIKE plain);
	INSERT INTO narrow SELECT * FROM plain;
	SELECT inval_track('wide', 'id');
	SELECT inval_track('narrow', 'grp');
	VACUUM ANALYZE});

# The most memory that a session's backend needs to run the SQL, over what it
# had before, in kB.
sub peak_growth
{
	my ($sql) = @_;
	my $peak = q{SELECT (regexp_match(pg_read_file('/proc/self/status'),
		'VmHWM:\s+(\d+) kB'))[1]};
	# Reads enough for all of the shared buffers to be counted before.
	my $output = $node->safe_psql('postgres',
		"SET max_parallel_workers_per_gather = 0; SELECT count(*) FROM plain; $peak; $sql; $peak");
	my ($before, $after) = (split /\n/, $output)[ 1, -1 ];

	return $after - $before;
}

# PostgreSQL itself keeps a list of the rows that triggers must fire for: the
# growth without inval is what an AFTER ROW trigger costs anyway.
$node->safe_psql('postgres', q{
	CREATE TRIGGER nothing AFTER UPDATE ON plain FOR EACH ROW
		WHEN (NEW.n < 0) EXECUTE FUNCTION nothing()});
my $base = peak_growth('UPDATE plain SET n = n + 1');
note("untracked: $base kB");

# Ours on top of that: inval.pending_memory, the commands, and some room.
my $bound = (16 + 10) * 1024;

$redis->fill('wide:', 1, $rows);
$redis->pipeline(map { [ 'SET', "other:$_", 'cached' ] } 1 .. 10);
my $growth = peak_growth('UPDATE wide SET n = n + 1');
note("$rows keys: $growth kB");
cmp_ok($growth - $base, '<', $bound, "$rows distinct keys: memory stays bounded");
ok(poll_until(sub { $redis->cmd('DBSIZE') == 10 }, 'all keys to go'),
	"$rows distinct keys: all are gone, and no others");
ok(wait_queue_empty($node, 'postgres'), "$rows distinct keys: the queue is empty");
# A key that comes again after it was spilled counts again: a row's old key and
# its new one can fall on both sides of a spill.
ok(poll_query($node, 'postgres', qq{
		SELECT rows_seen, keys_queued BETWEEN $rows AND $rows * 1.001,
			delivered_at_commit + delivered_by_worker >= keys_queued
		FROM inval_stats WHERE relation = 'wide'::regclass}, "$rows|t|t"),
	"$rows distinct keys: counted");

# The same, rolled back: it spills and is forgotten.
$redis->fill('wide:', 1, 1000);
$node->safe_psql('postgres', 'BEGIN; UPDATE wide SET n = n + 1; ROLLBACK');
is(queue_length($node, 'postgres'), 0, 'rolled back: the queue is empty');
is($redis->cmd('DBSIZE'), 1010, 'rolled back: no key is gone');

# And rolled back to a savepoint, after it has spilled.
$node->safe_psql('postgres', q{
	BEGIN;
	UPDATE wide SET n = n + 1 WHERE id = 1;
	SAVEPOINT a;
	UPDATE wide SET n = n + 1;
	ROLLBACK TO a;
	UPDATE wide SET n = n + 1 WHERE id = 2;
	COMMIT});
ok(wait_keys_gone($redis, 'wide:1', 'wide:2'), 'rolled back to a savepoint: two keys are gone');
ok(wait_queue_empty($node, 'postgres'), 'rolled back to a savepoint: the queue is empty');
is($redis->cmd('DBSIZE'), 1008, 'rolled back to a savepoint: no other key is gone');

$redis->cmd('FLUSHALL');
$redis->fill('narrow:', 0, 999);
$redis->cmd('CONFIG', 'RESETSTAT');
$growth = peak_growth('UPDATE narrow SET n = n + 1');
note("1000 keys: $growth kB");
cmp_ok($growth - $base, '<', $bound, '1,000 distinct keys: memory stays bounded');
ok(poll_until(sub { $redis->cmd('DBSIZE') == 0 }, 'all keys to go'),
	'1,000 distinct keys: all are gone');
ok(wait_queue_empty($node, 'postgres'), '1,000 distinct keys: the queue is empty');
ok(poll_query($node, 'postgres', q{
		SELECT rows_seen, keys_queued FROM inval_stats
		WHERE relation = 'narrow'::regclass}, "$rows|1000"),
	'1,000 distinct keys: 1,000 queued');
cmp_ok($redis->calls('unlink'), '<=', 1000, '1,000 distinct keys: 1,000 sent');

# COPY, DELETE and TRUNCATE of as much
$redis->fill('wide:', $rows + 1, $rows + 1000);
$node->safe_psql('postgres', qq{
	INSERT INTO wide SELECT i, 0, 0 FROM generate_series($rows + 1, 2 * $rows) i});
ok(poll_until(sub { $redis->cmd('DBSIZE') == 0 }, 'INSERT'), 'INSERT: all gone');
$redis->fill('wide:', 1, 1000);
$redis->fill('wide:', 2 * $rows - 1000, 2 * $rows);
$node->safe_psql('postgres', 'TRUNCATE wide');
ok(poll_until(sub { $redis->cmd('DBSIZE') == 0 }, 'TRUNCATE'), 'TRUNCATE: all gone');
ok(wait_queue_empty($node, 'postgres'), 'the queue is empty');
no_crash($node, 'no server process crashed');

done_testing();
