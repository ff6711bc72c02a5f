# Queue tables in PostgreSQL die of an old snapshot: what is deleted cannot be
# vacuumed, and every look at the queue reads all of it.  Here a transaction with
# an old snapshot, that has even read the queue, is open for the whole run; the
# queue must drain and its tables must not grow.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('snapshot', url => $redis->unix_url);
my $limit = 16 * 1024 * 1024;
# Keys of this length, this many in a transaction, make the outbox busy.
my ($key_length, $keys_each) = (1000, 10);
my ($rounds, $transactions) = (8, 1000);

$node->safe_psql('postgres', qq{
	CREATE TABLE at_commit (id int PRIMARY KEY, name text, n int DEFAULT 0)
		WITH (fillfactor = 50);
	-- Digits that do not compress to nothing.
	INSERT INTO at_commit
		SELECT i, (SELECT string_agg(md5(i || ',' || j), '')
			FROM generate_series(1, $key_length / 32) j)
		FROM generate_series(1, 1000) i;
	CREATE TABLE in_background (LIKE at_commit INCLUDING ALL);
	INSERT INTO in_background SELECT * FROM at_commit;
	SELECT inval_track('at_commit', key => 'c:{id}:{name}');
	SELECT inval_track('in_background', key => 'b:{id}:{name}', delivery => 'background')});

my $outbox_size = q{
	SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class
	WHERE relname LIKE 'inval_outbox%' AND relkind IN ('r', 'm', 'S', 'p')};

foreach my $table ('at_commit', 'in_background')
{
	append_to_file($node->basedir . "/$table.sql",
		# Each client has rows of its own: deadlocks are not the subject.
		"\\set id :client_id * 250 + random(1, 250 - $keys_each)\n"
		  . "UPDATE $table SET n = n + 1 WHERE id BETWEEN :id AND :id + $keys_each - 1;\n");
}

my $old = $node->background_psql('postgres');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($old->query_safe('SELECT count(*) FROM inval_queue'), 0, 'the old snapshot sees an empty queue');
$old->query_safe('SELECT sum(n) FROM at_commit');

my $most = 0;
foreach my $round (1 .. $rounds)
{
	foreach my $table ('at_commit', 'in_background')
	{
		$node->command_ok(
			[ 'pgbench', '-n', '-c', 4, '-t', $transactions / 8,
				'-f', $node->basedir . "/$table.sql", $node->connstr('postgres') ],
			"round $round: changes of $table");
	}
	ok(wait_queue_empty($node, 'postgres'), "round $round: the queue drains");

	my $size = $node->safe_psql('postgres', $outbox_size);
	$most = $size if $size > $most;
}

my $written = $rounds * $transactions * $keys_each * $key_length;
note("written about $written bytes, outbox at most $most bytes after a round");
cmp_ok($written, '>', 4 * $limit, 'far more was written than the outbox may hold');
ok(poll_query($node, 'postgres', "SELECT ($outbox_size) < $limit"),
	'the outbox is small while the old snapshot is held')
  or diag($node->safe_psql('postgres', q{
	SELECT relname, pg_total_relation_size(oid) FROM pg_class
	WHERE relname LIKE 'inval_outbox%' ORDER BY 1}));
cmp_ok($most, '<', $limit, 'and was so after every round');

is($old->query_safe('SELECT sum(n) FROM at_commit'), 0, 'the old snapshot is still what it was');
is($old->query_safe('SELECT count(*) FROM inval_queue'), 0, 'and may look at the queue again');
$old->query_safe('COMMIT');
$old->quit;

# Redis away meanwhile: the queue grows with what is due, and shrinks again.
$old = $node->background_psql('postgres');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM inval_queue');
$redis->freeze;
$node->safe_psql('postgres', "UPDATE at_commit SET n = 0; UPDATE in_background SET n = 0");
is(queue_length($node, 'postgres'), 2000, 'an outage: all is queued');
$redis->thaw;
ok(wait_queue_empty($node, 'postgres'), 'after it: the queue drains');
ok(poll_query($node, 'postgres', "SELECT ($outbox_size) < $limit"), 'and the outbox is small');
$old->quit;
no_crash($node, 'no server process crashed');

done_testing();
