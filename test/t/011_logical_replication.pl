# Logical replication, in both roles.  A publication FOR ALL TABLES must not carry
# the outbox, which every commit writes to; and rows that arrive by replication
# are changes too.

use strict;
use warnings;

use InvalTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = InvalRedis->new;
my $node = new_node('publisher',
	url => $redis->unix_url(0),
	init => { allows_streaming => 'logical' },
	conf => "max_connections = 20\n");
my $tables = q{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, 100)};

$node->safe_psql('postgres', qq{
	$tables;
	SELECT inval_track('team', 'id');
	CREATE PUBLICATION everything FOR ALL TABLES;
	CREATE PUBLICATION teams FOR TABLE team});
is($node->safe_psql('postgres', q{
		SELECT count(*) FROM pg_publication_tables
		WHERE pubname = 'everything' AND tablename LIKE 'inval_outbox%'}),
	0, 'FOR ALL TABLES does not publish the outbox');

my %subscriber = (
	with => new_node('with', url => $redis->unix_url(1), conf => 'wal_receiver_timeout = 0'),
	without => new_node('without', preload => 0, extension => 0));

foreach my $name ('with', 'without')
{
	$subscriber{$name}->safe_psql('postgres',
		'CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0)');
}
$subscriber{with}->safe_psql('postgres', "SELECT inval_track('team', 'id')");
foreach my $name ('with', 'without')
{
	my ($status, $output, $error) = $subscriber{$name}->psql('postgres',
		"CREATE SUBSCRIPTION sub_$name CONNECTION '"
		  . $node->connstr . " dbname=postgres' PUBLICATION teams");

	is($status, 0, "$name inval: CREATE SUBSCRIPTION works") or diag($error);
	ok(poll_query($subscriber{$name}, 'postgres', 'SELECT count(*) FROM team', 100),
		"$name inval: the table is copied");
	ok(poll_query($subscriber{$name}, 'postgres',
			"SELECT count(*) = 0 FROM pg_subscription_rel WHERE srsubstate NOT IN ('r', 's')"),
		"$name inval: and in step");
}

foreach my $db (0, 1)
{
	$redis->select_db($db)->fill('team:', 1, 100);
}
$node->safe_psql('postgres', 'UPDATE team SET n = 1 WHERE id <= 10');
$node->safe_psql('postgres', 'BEGIN; UPDATE team SET n = 1 WHERE id > 10; ROLLBACK');
is(scalar($redis->select_db(0)->existing(map { "team:$_" } 1 .. 20)), 10,
	'publisher: gone at commit');
ok(wait_keys_gone($redis->select_db(1), map { "team:$_" } 1 .. 10),
	'subscriber: what replication changes is gone, too');
is(scalar($redis->existing(map { "team:$_" } 11 .. 100)), 90, 'subscriber: and no more');
foreach my $name ('with', 'without')
{
	ok(poll_query($subscriber{$name}, 'postgres', 'SELECT sum(n) FROM team', 10),
		"$name inval: the change has arrived");
}

# A queue that stands, is spilled and is emptied on the publisher.
$redis->freeze;
$node->safe_psql('postgres', q{
	SET inval.pending_memory = '64kB';
	INSERT INTO team SELECT generate_series(101, 20000)});
$node->safe_psql('postgres', 'UPDATE team SET n = 2 WHERE id = 1');
foreach my $name ('with', 'without')
{
	ok(poll_query($subscriber{$name}, 'postgres', 'SELECT max(n) FROM team', 2),
		"$name inval: changes arrive while Redis is away");
}
$redis->thaw;
ok(wait_queue_empty($node, 'postgres'), 'publisher: the queue is empty');
ok(wait_queue_empty($subscriber{with}, 'postgres'), 'subscriber: the queue is empty');
$node->safe_psql('postgres', 'UPDATE team SET n = 3 WHERE id = 2; TRUNCATE team');
foreach my $name ('with', 'without')
{
	ok(poll_query($subscriber{$name}, 'postgres', 'SELECT count(*) FROM team', 0),
		"$name inval: replication goes on");
	$subscriber{$name}->safe_psql('postgres',
		"ALTER SUBSCRIPTION sub_$name REFRESH PUBLICATION");
	is(join("\n", grep { /ERROR/ && !/inval_rule/ }
				split /\n/, slurp_file($subscriber{$name}->logfile)),
		'', "$name inval: without an error");
	no_crash($subscriber{$name}, "$name inval: no server process crashed");
}
ok(wait_queue_empty($subscriber{with}, 'postgres'), 'subscriber: the queue is empty');
is(scalar($redis->select_db(1)->existing(map { "team:$_" } 1 .. 100)), 0,
	'subscriber: a truncate that arrives means its rows');
$subscriber{$_}->safe_psql('postgres', "DROP SUBSCRIPTION sub_$_")
  foreach 'with', 'without';
no_crash($node, 'publisher: no server process crashed');

# The table of rules is an ordinary one, hence published FOR ALL TABLES.  A
# subscriber that has inval keeps to its own rules.
my $other = new_node('other', url => $redis->unix_url(1));

$other->safe_psql('postgres', q{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	SELECT inval_track('team', key => 'mine:{id}')});
my $rules = $other->safe_psql('postgres', 'TABLE inval_rule');
$other->safe_psql('postgres',
	"CREATE SUBSCRIPTION everything CONNECTION '"
	  . $node->connstr . " dbname=postgres' PUBLICATION everything");
ok(poll_query($other, 'postgres', q{
	SELECT count(*) > 1 AND bool_and(srsubstate IN ('r', 's')) FROM pg_subscription_rel}),
	'FOR ALL TABLES, to a subscriber with inval: in step');
$node->safe_psql('postgres', q{
	SELECT inval_track('team', key => 'other:{id}');
	SELECT inval_track('team', 'id', state => 'shadow');
	INSERT INTO team VALUES (-1, 1);
	SELECT inval_untrack('team')});
ok(poll_query($other, 'postgres', 'SELECT count(*) FROM team WHERE id = -1', 1),
	'FOR ALL TABLES, to a subscriber with inval: changes arrive');
$node->wait_for_catchup('everything');
is($other->safe_psql('postgres', 'TABLE inval_rule'), $rules,
	'FOR ALL TABLES, to a subscriber with inval: which keeps its own rules');

done_testing();
