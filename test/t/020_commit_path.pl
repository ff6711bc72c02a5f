# What makes commits and the worker fast, as far as it can be seen without a
# clock: who waits for whom, and what is written.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;

# While a session waits for replies, its locks are free already.
{
	my $node = new_node('locks', url => $redis->unix_url,
		conf => "inval.commit_timeout = '60s'\ninval.sweep_interval = '10ms'\n");
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$node->safe_psql('postgres', q{
		CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
		INSERT INTO team VALUES (1), (2);
		SELECT inval_track('team', 'id')});
	$redis->cmd('SET', 'team:1', 'cached');
	# A first commit, so that the session is connected to Redis.
	$session->query_safe('UPDATE team SET n = n + 1 WHERE id = 2');
	$session->query_safe('BEGIN; UPDATE team SET n = 7 WHERE id = 1');
	$redis->freeze;
	start_commit($session);
	ok(backend_in_commit($node, $pid, 'SELECT n = 7 FROM team WHERE id = 1'),
		'a session waits for Redis inside COMMIT');
	is($node->safe_psql('postgres', q{
			SET lock_timeout = '10s';
			BEGIN; UPDATE team SET n = 8 WHERE id = 1 RETURNING n; ROLLBACK}),
		8, 'another one gets the row lock meanwhile');
	is($node->safe_psql('postgres', qq{
			SELECT count(*) FROM pg_locks WHERE pid = $pid AND granted}),
		0, 'the first holds no lock at all');
	is($node->safe_psql('postgres',
			"SELECT state FROM pg_stat_activity WHERE pid = $pid"),
		'active', 'and waits still');
	$redis->thaw;
	ok(wait_keys_gone($redis, 'team:1'), 'the key is gone');
	$session->quit;
	is(queue_length($node, 'postgres'), 0, 'and nothing is owed');
	is($node->safe_psql('postgres', q{
			SELECT sum(delivered_at_commit), sum(delivered_by_worker) FROM inval_stats}),
		'2|0', 'nor was anything taken away from the commit');
	no_crash($node, 'locks');
	$node->stop;
}

# How many rows were deleted, by the WAL between two places in it.
sub deletions
{
	my ($node, $from) = @_;

	return $node->safe_psql('postgres', qq{
		SELECT count(*)
		FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn()) AS record
		WHERE resource_manager = 'Heap' AND record_type LIKE 'DELETE%'
			AND EXISTS (
				SELECT FROM pg_class
				WHERE relname LIKE 'inval\\_outbox\\__'
					AND record.block_ref LIKE
						'%/' || pg_relation_filenode(oid) || ' fork main %')});
}

sub place_in_wal
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'CHECKPOINT; SELECT pg_current_wal_lsn()');
}

# What the worker delivers of small transactions it notes in the ledger.
{
	my $node = new_node('ledger', url => $redis->unix_url,
		# A sweep that moves a row deletes it too.
		conf => "inval.sweep_interval = '60s'\n");
	my $from;

	$node->safe_psql('postgres', q{
		CREATE EXTENSION pg_walinspect;
		CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
		INSERT INTO team SELECT generate_series(1, 5000);
		SELECT inval_track('team', 'id', delivery => 'background')});
	$redis->fill('team:', 1, 5000);

	# What is older than the worker is deleted, and what waits for a target that is
	# paused: so it is the worker that is kept from its work.
	ok(poll_query($node, 'postgres', q{
			SELECT worker_pid IS NOT NULL FROM inval_target_status}, 't'),
		'ledger: there is a worker');
	my $worker = $node->safe_psql('postgres', 'SELECT worker_pid FROM inval_target_status');
	kill 'STOP', $worker;
	$from = place_in_wal($node);
	$node->safe_psql('postgres', "UPDATE team SET n = n + 1 WHERE id = $_")
	  foreach 1 .. 50;
	$node->safe_psql('postgres', 'UPDATE team SET n = n + 1 WHERE id BETWEEN 51 AND 90');
	is(queue_length($node, 'postgres'), 90, 'ledger: small transactions are queued');
	kill 'CONT', $worker;
	ok(wait_keys_gone($redis, map { "team:$_" } 1 .. 90), 'ledger: their keys go');
	ok(wait_queue_empty($node, 'postgres'), 'ledger: they are owed no more');
	$node->safe_psql('postgres', 'CHECKPOINT');
	is(deletions($node, $from), 0, 'ledger: no row was deleted for that');

	# More than one row of a transaction: those are deleted.
	$from = place_in_wal($node);
	$node->safe_psql('postgres', 'UPDATE team SET n = n + 1 WHERE id > 1000');
	ok(wait_queue_empty($node, 'postgres'), 'rows: the queue gets empty');
	ok(wait_keys_gone($redis, map { "team:$_" } 1001 .. 5000), 'rows: the keys go');
	$node->safe_psql('postgres', 'CHECKPOINT');
	cmp_ok(deletions($node, $from), '>', 1, 'rows: those of a larger transaction are');
	no_crash($node, 'ledger');
	$node->stop;
}

# Without a worker nobody empties the tables before the ledger forgets: the small
# ledger of a server that does not preload the library, and many transactions.
{
	my $node = new_node('forgetful', url => $redis->unix_url, preload => 0,
		extension => 0);
	my $from;

	$node->safe_psql('postgres', q{
		SET client_min_messages = error;
		CREATE EXTENSION inval;
		CREATE EXTENSION pg_walinspect;
		CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
		INSERT INTO team SELECT generate_series(1, 10);
		SELECT inval_track('team', 'id', delivery => 'background')});
	$redis->fill('team:', 1, 10);
	$node->safe_psql('postgres', 'UPDATE team SET n = n + 1 WHERE id = 1');
	$node->safe_psql('postgres', q{
		DO $$
		BEGIN
			FOR i IN 1 .. 20000 LOOP
				PERFORM pg_current_xact_id();
				COMMIT;
			END LOOP;
		END $$});
	$node->safe_psql('postgres', 'UPDATE team SET n = n + 1 WHERE id = 2');
	is(queue_length($node, 'postgres'), 2, 'forgetful: an old and a new transaction');
	$from = place_in_wal($node);
	is($node->safe_psql('postgres', 'SELECT inval_drain()'), 2,
		'forgetful: both are delivered');
	is(queue_length($node, 'postgres'), 0, 'forgetful: nothing is owed');
	is(scalar($redis->existing('team:1', 'team:2')), 0, 'forgetful: the keys are gone');
	$node->safe_psql('postgres', 'CHECKPOINT');
	is(deletions($node, $from), 2, 'forgetful: the rows are deleted, not noted');
	no_crash($node, 'forgetful');
	$node->stop;
}

done_testing();
