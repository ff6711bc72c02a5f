# What makes commits and the worker fast, as far as it can be seen without a
# clock: who waits for whom, and what is written.

use strict;
use warnings;

use Inval::Test;
use POSIX ();
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
	signals_are_no_trouble($node);
	sessions_are_bounded($node);
	no_crash($node, 'locks');
	$node->stop;
}

# Whatever interrupts a system call, the connection is as it was.
sub signals_are_no_trouble
{
	my ($node) = @_;
	my $session = $node->background_psql('postgres');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my $storm = fork // die "fork: $!";

	if (!$storm)
	{
		1 while kill 'USR1', $pid;
		POSIX::_exit(0);
	}
	$session->query_safe(q{
		SELECT inval_stats_reset();
		DO $$
		BEGIN
			FOR i IN 1 .. 2000 LOOP
				UPDATE team SET n = n + 1 WHERE id = 1;
				COMMIT;
			END LOOP;
		END $$});
	kill 'KILL', $storm;
	waitpid $storm, 0;
	$session->quit;
	ok(wait_queue_empty($node, 'postgres'), 'signals: nothing is owed');
	is($node->safe_psql('postgres', q{
			SELECT sum(delivered_at_commit), sum(delivered_by_worker) FROM inval_stats}),
		'2000|0', 'signals: and all went out at commit');
	return;
}

# inval.max_connections: who finds too many connected leaves his keys to the worker.
sub sessions_are_bounded
{
	my ($node) = @_;
	my $open = sub {
		my ($count) = @_;

		return map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. $count;
	};
	my ($keeper, $passer, $third) = $open->(3);
	my $sessions = sub {
		my ($count, $what) = @_;

		return ok(poll_query($node, 'postgres',
				'SELECT sessions FROM inval_target_status', $count), "sessions: $what");
	};
	my $clients = sub {
		my @clients = split /\n/, $redis->cmd('CLIENT', 'LIST', 'TYPE', 'normal');

		return scalar @clients;
	};
	my $delivered = sub {
		my ($session, $table, $id, $figures, $what) = @_;

		$redis->cmd('SET', "$table:$id", 'cached');
		$node->safe_psql('postgres', 'SELECT inval_stats_reset()');
		$session->query_safe("UPDATE $table SET n = n + 1 WHERE id = $id");
		ok(wait_keys_gone($redis, "$table:$id"), "sessions: $what: the key goes");
		ok(poll_query($node, 'postgres', qq{
				SELECT sum(delivered_at_commit), sum(delivered_by_worker) FROM inval_stats
				WHERE relation = '$table'::regclass}, $figures),
			"sessions: $what");
	};
	my $none;

	$node->safe_psql('postgres', q{
		CREATE TABLE fenced (id int PRIMARY KEY, n int DEFAULT 0);
		INSERT INTO fenced VALUES (1);
		SELECT inval_track('fenced', 'id', delivery => 'strict')});
	$node->append_conf('postgresql.conf', 'inval.max_connections = 2');
	reload($node);
	$sessions->(0, 'at first there are none');
	# The worker, which may have hung up while the server was frozen, connects.
	$node->safe_psql('postgres', "SELECT inval_touch('team:3', delivery => 'background')");
	ok(wait_queue_empty($node, 'postgres'), 'sessions: nothing is owed');
	$none = $clients->();

	$delivered->($keeper, 'team', 1, '1|0', 'the first delivers at commit');
	$sessions->(1, 'and keeps its connection');
	$delivered->($passer, 'team', 2, '1|0', 'the second, too');
	$sessions->(1, 'and gives it back');
	is($clients->(), $none + 1, 'sessions: there is one connection');

	# In transactions, as who has idled for a second would give a seat up.
	$_->query_safe("BEGIN; SELECT FROM inval_peek('team:1')") foreach $keeper, $passer;
	$sessions->(2, 'all seats are taken');
	$delivered->($third, 'team', 1, '0|1', 'the third leaves its keys to the worker');
	is($clients->(), $none + 2, 'sessions: there are two connections');
	is($node->safe_psql('postgres',
			'SELECT state, sessions, turned_away, last_error FROM inval_target_status'),
		'up|2|1|', 'sessions: which is counted, and nothing is said of the target');
	is(times_logged($node, 'is down'), 0, 'sessions: nor is it in the log');
	$delivered->($third, 'fenced', 1, '1|0', 'what is strict has one more');
	$sessions->(2, 'which it gives back');
	$redis->cmd('SET', 'team:2', 'cached');
	$keeper->query_safe('UPDATE team SET n = n + 1 WHERE id = 2; COMMIT');
	is(scalar($redis->existing('team:2')), 0, 'sessions: who has a connection uses it');

	$passer->query('SELECT 1 / 0; ROLLBACK');
	ok(poll_query($node, 'postgres', 'SELECT sessions < 2 FROM inval_target_status', 't'),
		'sessions: who rolls back gives his back');
	$delivered->($third, 'team', 1, '1|0', 'then the third delivers at commit');

	# Whoever only looks on gives his up, where others want it.
	$_->quit foreach $keeper, $passer, $third;
	$sessions->(0, 'who has ended has none');
	($keeper, $passer, $third) = $open->(3);
	$keeper->query_safe('UPDATE team SET n = n + 1 WHERE id = 2');
	$sessions->(1, 'one is connected and idle');
	$passer->query_safe("BEGIN; SELECT FROM inval_peek('team:1')");
	ok(poll_until(sub {
				$keeper->query_safe('SELECT 1');
				return $node->safe_psql('postgres',
					'SELECT sessions FROM inval_target_status') == 1;
			}),
		'sessions: who has not used his for a second has none after a transaction');
	$keeper->query_safe("BEGIN; SELECT FROM inval_peek('team:1')");
	$sessions->(2, 'two are in transactions');
	$node->safe_psql('postgres', q{
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE state = 'idle in transaction'});
	$sessions->(0, 'they are killed, and none is counted');
	ok(poll_until(sub { return $clients->() == $none; }), 'sessions: nor connected');

	# Without a limit all keep theirs, and a lower one is kept to.
	$node->append_conf('postgresql.conf', 'inval.max_connections = 0');
	reload($node);
	($keeper, $passer) = $open->(2);
	$_->query_safe('UPDATE team SET n = n + 1 WHERE id = 1') foreach $keeper, $passer, $third;
	$sessions->(3, 'without a limit all keep theirs');
	$node->append_conf('postgresql.conf', 'inval.max_connections = 1');
	reload($node);
	$_->query_safe('SELECT 1') foreach $keeper, $passer, $third;
	$sessions->(0, 'with one, those that there are too many of go');

	# The place in shared memory goes, and comes back.
	$node->append_conf('postgresql.conf', 'inval.max_connections = 0');
	reload($node);
	$_->query_safe('UPDATE team SET n = n + 1 WHERE id = 1') foreach $keeper, $passer;
	$node->safe_psql('postgres', 'DROP EXTENSION inval CASCADE; CREATE EXTENSION inval');
	$node->safe_psql('postgres', "SELECT inval_track('team', 'id')");
	$passer->query_safe('UPDATE team SET n = n + 1 WHERE id = 1');
	$keeper->quit;
	$sessions->(1, 'one is left after DROP EXTENSION');
	$_->quit foreach $passer, $third;
	$sessions->(0, 'and at last none');

	# Nor does whoever is still counted at a place count at the target that has it next.
	($keeper) = $open->(1);
	$keeper->query_safe('UPDATE team SET n = n + 1 WHERE id = 1');
	$sessions->(1, 'one is connected');
	$node->append_conf('postgresql.conf', 'inval.max_connections = 1');
	reload($node);
	$node->safe_psql('postgres', 'DROP EXTENSION inval CASCADE');
	ok(poll_query($node, 'postgres', q{
			SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'inval worker'}, 0),
		'sessions: the place is free');
	$node->safe_psql('postgres', 'CREATE DATABASE beside');
	$node->safe_psql('beside', q{
		CREATE EXTENSION inval;
		CREATE TABLE near (id int PRIMARY KEY, n int DEFAULT 0);
		INSERT INTO near VALUES (1);
		SELECT inval_track('near', 'id')});
	ok(wait_target_state($node, 'beside', 'up'), 'sessions: another has it');
	$node->safe_psql('beside', 'UPDATE near SET n = 1');
	is($node->safe_psql('beside', 'SELECT sessions, turned_away FROM inval_target_status'),
		'0|0', 'sessions: which turns nobody away');
	$keeper->quit;
	return;
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
