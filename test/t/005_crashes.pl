# Crash drills.  Each time Redis is unavailable when the transaction commits, so
# that the delivery at commit cannot have happened, and then something dies.
# After recovery every committed key is gone, and no rolled-back one is.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('crashes',
	url => $redis->unix_url,
	conf => "inval.commit_timeout = '100ms'\ninval.sweep_interval = '10ms'\n");
my $id = 0;

$node->safe_psql('postgres', q{
	CREATE TABLE at_commit (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE in_background (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO at_commit SELECT generate_series(1, 1000);
	INSERT INTO in_background SELECT generate_series(1, 1000);
	SELECT inval_track('at_commit', 'id');
	SELECT inval_track('in_background', 'id', delivery => 'background');
});

# Changes ten rows of each table; gives the keys of those that commit and of
# those that roll back, all of them cached before.
sub prepare_rows
{
	my @rows = ($id + 1 .. $id + 10);
	my @others = ($id + 11 .. $id + 20);

	$id += 20;
	my @keys = map { ("at_commit:$_", "in_background:$_") } @rows;
	my @kept = map { ("at_commit:$_", "in_background:$_") } @others;
	$redis->pipeline(map { [ 'SET', $_, 'cached' ] } @keys, @kept);
	return (\@rows, \@others, \@keys, \@kept);
}

sub change
{
	my ($rows) = @_;
	my $list = join ', ', @$rows;

	return join ' ', map { "UPDATE $_ SET n = n + 1 WHERE id IN ($list);" }
	  'at_commit', 'in_background';
}

sub recovered
{
	my ($what, $keys, $kept) = @_;

	ok(wait_keys_gone($redis, @$keys), "$what: every committed key is gone");
	ok(wait_queue_empty($node, 'postgres'), "$what: the queue is empty");
	is(scalar($redis->existing(@$kept)), scalar(@$kept),
		"$what: no rolled-back key is gone");
	ok(wait_target_state($node, 'postgres', 'up'), "$what: the target is up");
	return;
}

sub wait_server
{
	return poll_query($node, 'postgres', 'SELECT NOT pg_is_in_recovery()');
}

# Changes committed and rolled back while Redis is frozen, one more transaction
# left open, then the accident.
sub drill
{
	my ($what, $accident) = @_;
	my ($rows, $others, $keys, $kept) = prepare_rows();
	my $open;

	$redis->freeze;
	$open = $node->background_psql('postgres', on_error_stop => 0);
	$open->query_safe('BEGIN; ' . change([ @$others[ 5 .. 9 ] ]));
	$node->safe_psql('postgres',
		'BEGIN; ' . change($rows) . ' COMMIT; BEGIN; '
		  . change([ @$others[ 0 .. 4 ] ]) . ' ROLLBACK;');
	is(queue_length($node, 'postgres'), scalar(@$keys), "$what: queued before");
	$accident->();
	abandon($open);
	ok(wait_server(), "$what: the server is there");
	ok(poll_query($node, 'postgres', 'SELECT count(*) FROM inval_queue', scalar(@$keys)),
		"$what: queued after");
	$redis->thaw;
	recovered($what, $keys, $kept);
	return;
}

# Ends the worker and waits for another one, so that the server surely has
# taken notice.
sub end_worker
{
	my ($signal) = @_;
	my $old = worker_pid($node, 'postgres');

	kill $signal, $old;
	ok(poll_query($node, 'postgres',
			"SELECT worker_pid <> $old FROM inval_target_status WHERE target = 'default'"),
		"SIG$signal: another worker comes");
	return;
}

drill('nothing', sub { });
drill('the worker is terminated', sub { end_worker('TERM') });
no_crash($node, 'no server process crashed by itself');

drill('kill -9 of the worker', sub { end_worker('KILL') });
drill('immediate shutdown', sub { $node->stop('immediate'); $node->start; });
drill('fast shutdown', sub { $node->stop('fast'); $node->start; });
drill(
	'kill -9 of the postmaster',
	sub {
		my ($pid) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;

		$node->kill9;
		ok(poll_until(sub { !kill 0, $pid }, 'the postmaster to be gone'),
			'kill -9 of the postmaster: it is gone');
		# Its children notice and end; only then can another one start.
		ok(poll_until(sub { $node->start(fail_ok => 1) }, 'another postmaster'),
			'kill -9 of the postmaster: another one starts');
	});

# Keys as large as they may be, and the accident while the tables that they were in
# are being emptied.
{
	my $large = q{(SELECT left(string_agg(md5(random()::text), ''), 7400)
		FROM generate_series(1, 240))};
	my $queue = "SELECT count(inval_touch(i || $large || i, delivery => 'background'))
		FROM generate_series(1, 200) i";

	is($node->safe_psql('postgres', q{
			SELECT count(*) FROM pg_class
			WHERE relname ~ '^inval_outbox_[0-9]$' AND reltoastrelid = 0}),
		9, 'large keys: nothing is stored out of line');
	foreach my $round (1 .. 3)
	{
		my $old = worker_pid($node, 'postgres');

		$node->psql('postgres', $queue) foreach 1 .. $round;
		kill 'KILL', $old;
		ok(poll_query($node, 'postgres',
				"SELECT worker_pid <> $old FROM inval_target_status WHERE target = 'default'"),
			"large keys: another worker comes, $round");
		ok(wait_queue_empty($node, 'postgres'), "large keys: the queue is empty, $round");
	}
	# In each of the tables in turn
	foreach my $round (1 .. 6)
	{
		my ($status, $output, $error) = $node->psql('postgres', $queue);

		is("$status $error", '0 ', "large keys: and can be queued again, $round");
		ok(wait_queue_empty($node, 'postgres'), "large keys: and delivered, $round") or last;
	}
}

# The gap between the commit record and the delivery: a backend that waits for a
# frozen Redis inside COMMIT, its change visible to all, is killed.
$node->append_conf('postgresql.conf', "inval.commit_timeout = '30s'");
reload($node);

foreach my $how ('kill -9', 'immediate shutdown')
{
	my ($rows, $others, $keys, $kept) = prepare_rows();
	my ($session, $pid, $inside);

	$session = $node->background_psql('postgres', on_error_stop => 0);
	$pid = $session->query_safe('SELECT pg_backend_pid()');
	# A first commit, so that the session is connected to Redis.
	$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id = 1000');
	$session->query_safe('BEGIN; ' . change($rows));
	$redis->freeze;
	start_commit($session);
	ok(backend_in_commit($node, $pid,
			"SELECT n > 0 FROM at_commit WHERE id = $rows->[0]"),
		"$how inside COMMIT: caught after the commit record");
	is($node->safe_psql('postgres', q{
			SELECT count(*) FROM inval_queue WHERE key LIKE 'at_commit:%'}),
		10, "$how inside COMMIT: the queue shows what is not confirmed");
	if ($how eq 'kill -9')
	{
		kill 'KILL', $pid;
	}
	else
	{
		$node->stop('immediate');
		$node->start;
	}
	abandon($session);
	ok(poll_query($node, 'postgres',
			"SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $pid)"),
		"$how inside COMMIT: the backend is gone");
	ok(wait_server(), "$how inside COMMIT: the server is there");
	is($node->safe_psql('postgres', "SELECT n FROM at_commit WHERE id = $rows->[0]"),
		1, "$how inside COMMIT: the change is committed");
	$redis->thaw;
	recovered("$how inside COMMIT", $keys, $kept);
}

# A client that gives up during the wait: the commit stands and is delivered.
{
	my ($rows, $others, $keys, $kept) = prepare_rows();
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id = 1000');
	$session->query_safe('BEGIN; ' . change($rows));
	$redis->freeze;
	start_commit($session);
	ok(backend_in_commit($node, $pid,
			"SELECT n > 0 FROM at_commit WHERE id = $rows->[0]"),
		'terminated inside COMMIT: caught after the commit record');
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid), pg_terminate_backend($pid)");
	$redis->thaw;
	abandon($session);
	recovered('terminated inside COMMIT', $keys, $kept);
}

no_crash($node, 'nothing crashed but what was killed', kill9 => 1);
done_testing();
