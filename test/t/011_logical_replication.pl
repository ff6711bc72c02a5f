# Logical replication, in both roles.  A publication FOR ALL TABLES must carry
# nothing of ours, so that a subscriber without inval is not disturbed by whatever
# is done with rules on the publisher; and rows that arrive by replication are
# changes too.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('publisher',
	url => $redis->unix_url(0),
	init => { allows_streaming => 'logical' },
	conf => "max_connections = 20\nmax_wal_senders = 20\nmax_replication_slots = 20\n");
my $tables = q{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE later (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE gone (id int PRIMARY KEY);
	CREATE TABLE event (id int, day int, n int DEFAULT 0, PRIMARY KEY (id, day))
		PARTITION BY RANGE (day);
	CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10);
	CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (10) TO (20)};
my $rows = q{
	INSERT INTO team SELECT generate_series(1, 100);
	INSERT INTO later SELECT generate_series(1, 100);
	INSERT INTO event SELECT i, i FROM generate_series(0, 19) i};
my @events = map { "event:$_" } 0 .. 19;

$node->safe_psql('postgres', qq{
	$tables;
	$rows;
	CREATE MATERIALIZED VIEW view AS SELECT id, n FROM team;
	SELECT inval_track('team', 'id');
	SELECT inval_track('event', 'id');
	SELECT inval_track('view', 'id');
	SELECT inval_set_var('sha', 'one');
	CREATE PUBLICATION everything FOR ALL TABLES;
	CREATE PUBLICATION everything_by_root FOR ALL TABLES
		WITH (publish_via_partition_root = true)});

sub published
{
	return $node->safe_psql('postgres', q{
		SELECT pubname, string_agg(schemaname || '.' || tablename, ' ' ORDER BY tablename)
		FROM pg_publication_tables GROUP BY pubname ORDER BY pubname});
}

my $published = 'everything|public.event_1 public.event_2 public.gone public.later public.team
everything_by_root|public.event public.gone public.later public.team';
is(published(), $published, 'FOR ALL TABLES publishes nothing of ours');

# Subscribers with and without inval, by each publication.  Each is made by an initdb
# of its own, for which any option will do: copies of one cluster share its system
# identifier, from which the slots that copy a table's rows have their names.
my @own = (init => { extra => [ '--data-checksums' ] });
my %publication = (
	with => 'everything',
	with_root => 'everything_by_root',
	without => 'everything',
	without_root => 'everything_by_root');
my %redis_db = (with => 1, with_root => 2);
my %subscriber;

foreach my $name (sort keys %publication)
{
	my $with = $name =~ /^with_?(root)?$/;

	$subscriber{$name} = $with
	  ? new_node($name, url => $redis->unix_url($redis_db{$name}), @own,
		conf => "wal_receiver_timeout = 0\nwal_retrieve_retry_interval = '100ms'\n")
	  : new_node($name, preload => 0, extension => 0, @own,
		conf => "wal_retrieve_retry_interval = '100ms'\n");
	$subscriber{$name}->safe_psql('postgres', $tables);
	$subscriber{$name}->safe_psql('postgres', q{
		SELECT inval_track('team', 'id');
		SELECT inval_track('event', 'id');
		SELECT inval_track('later', key => 'mine:{id}')}) if $with;
}

# A query that must come true on a subscriber.
sub arrives
{
	my ($name, $query, $expected, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(poll_query($subscriber{$name}, 'postgres', $query, $expected), "$name: $what");
}

sub in_step
{
	my ($name, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return arrives($name,
		"SELECT count(*) > 0 AND bool_and(srsubstate IN ('r', 's')) FROM pg_subscription_rel",
		't', $what);
}

# The copy of the rows that are there is a change of each of them.
$redis->select_db(1)->fill('team:', 1, 100);
$redis->select_db($_)->pipeline(map { [ 'SET', $_, 1 ] } @events) foreach 1, 2;
foreach my $name (sort keys %publication)
{
	my ($status, $output, $error) = $subscriber{$name}->psql('postgres',
		"CREATE SUBSCRIPTION sub_$name CONNECTION '"
		  . $node->connstr . " dbname=postgres' PUBLICATION $publication{$name}");

	is($status, 0, "$name: CREATE SUBSCRIPTION works") or diag($error);
}
foreach my $name (sort keys %publication)
{
	in_step($name, 'the tables are copied');
	arrives($name, 'SELECT (SELECT count(*) FROM team), (SELECT count(*) FROM event)', '100|20',
		'with their rows');
}
ok(wait_keys_gone($redis->select_db(1), (map { "team:$_" } 1 .. 100), @events),
	'with: the initial copy invalidates');
ok(wait_keys_gone($redis->select_db(2), @events), 'with_root: the initial copy invalidates');
# What was confirmed too late for the commit is delivered once more.
ok(wait_queue_empty($subscriber{$_}, 'postgres'), "$_: and nothing is left to do")
  foreach 'with', 'with_root';

# Changes of rows
foreach my $db (0, 1, 2)
{
	$redis->select_db($db)->fill('team:', 1, 100);
	$redis->pipeline(map { [ 'SET', $_, 1 ] } @events);
}
$node->safe_psql('postgres', q{
	UPDATE team SET n = 1 WHERE id <= 10;
	UPDATE event SET n = 1 WHERE id IN (3, 13);
	UPDATE event SET day = 15 WHERE id = 4});
$node->safe_psql('postgres', 'BEGIN; UPDATE team SET n = 1 WHERE id > 10; ROLLBACK');
foreach my $db (0, 1, 2)
{
	my $name = ('publisher', 'with', 'with_root')[$db];

	ok(wait_keys_gone($redis->select_db($db), (map { "team:$_" } 1 .. 10),
			'event:3', 'event:4', 'event:13'),
		"$name: what changes is gone, of partitions too");
	is(scalar($redis->existing((map { "team:$_" } 11 .. 100), @events)), 90 + 17,
		"$name: and no more");
}
foreach my $name (sort keys %publication)
{
	arrives($name, 'SELECT (SELECT sum(n) FROM team), (SELECT sum(n) FROM event)', '10|2',
		'changes arrive');
}

# Rules of all kinds, made, changed and dropped while the subscriptions run.
$node->safe_psql('postgres', q{
	SELECT inval_track('later', 'id');
	UPDATE later SET n = 1 WHERE id = 1;
	SELECT inval_track('later', key => '{$sha}:{id}', state => 'shadow');
	SELECT inval_track('later', key => 'mine:{id}', delivery => 'background');
	SELECT inval_set_var('sha', 'one', 'two');
	SELECT inval_guard('warn', 'guard_me');
	SELECT inval_track('view', key => 'second:{id}');
	UPDATE later SET n = 1 WHERE id = 2;
	REFRESH MATERIALIZED VIEW view;
	SELECT inval_track('gone', 'id');
	INSERT INTO gone VALUES (1);
	DELETE FROM gone;
	SELECT inval_untrack('gone');
	SELECT inval_untrack('later', '{$sha}:{id}');
	SELECT inval_set_var('sha', VARIADIC '{}');
	SELECT inval_guard('off', 'guard_me');
	UPDATE later SET n = 1 WHERE id = 3});
is(published(), $published, 'nor when rules are made, changed and dropped');
$redis->select_db($_)->pipeline(map { [ 'SET', "mine:$_", 1 ] } 1 .. 100) foreach 1, 2;
$node->safe_psql('postgres', 'UPDATE later SET n = 1 WHERE id = 4');
foreach my $name (sort keys %publication)
{
	arrives($name, 'SELECT sum(n) FROM later', 4, 'changes arrive while rules come and go');
	my ($status, $output, $error) = $subscriber{$name}->psql('postgres',
		"ALTER SUBSCRIPTION sub_$name REFRESH PUBLICATION");
	is($status, 0, "$name: REFRESH PUBLICATION works") or diag($error);
	in_step($name, 'and in step');
}
ok(wait_keys_gone($redis->select_db($_), 'mine:4'), 'a subscriber keeps to its own rules')
  foreach 1, 2;
is($subscriber{with}->safe_psql('postgres',
		q{SELECT string_agg(key, ' ' ORDER BY id) FROM inval_rule}),
	'team:{id} event:{id} mine:{id}', 'and to no others');

# A table that is made and tracked later.
my $new = 'CREATE TABLE new (id int PRIMARY KEY)';

$subscriber{$_}->safe_psql('postgres', $new) foreach sort keys %publication;
$subscriber{with}->safe_psql('postgres', "SELECT inval_track('new', 'id')");
$node->safe_psql('postgres', "$new; SELECT inval_track('new', 'id'); INSERT INTO new VALUES (1)");
$redis->select_db(1)->pipeline([ 'SET', 'new:1', 1 ], [ 'SET', 'new:2', 1 ]);
foreach my $name (sort keys %publication)
{
	$subscriber{$name}->safe_psql('postgres', "ALTER SUBSCRIPTION sub_$name REFRESH PUBLICATION");
	arrives($name, 'SELECT count(*) FROM new', 1, 'a new table arrives');
	in_step($name, 'and is in step');
}
$node->safe_psql('postgres', 'INSERT INTO new VALUES (2)');
ok(wait_keys_gone($redis, 'new:1', 'new:2'), 'with: its rows are changes');
arrives('without', 'SELECT count(*) FROM new', 2, 'changes of it arrive');

# A query of the subscriber's own that fails keeps nothing from arriving, nor the
# other rules from being applied.
$subscriber{with}->safe_psql('postgres', q{
	CREATE TABLE factor (team int, by int);
	INSERT INTO factor SELECT generate_series(1, 100), 1;
	SELECT inval_track('team', key => 'part:{part}',
		via => 'SELECT 100 / by AS part FROM factor WHERE team = {id}');
	UPDATE factor SET by = 0 WHERE team = 50});
$redis->select_db(1)->pipeline(map { [ 'SET', $_, 1 ] } 'team:50', 'team:51', 'part:100');
$node->safe_psql('postgres', 'UPDATE team SET n = n + 1 WHERE id IN (50, 51)');
ok(wait_keys_gone($redis, 'team:50', 'team:51', 'part:100'), 'with: a query that fails is passed by');
ok(poll_query($subscriber{with}, 'postgres', q{
	SELECT max(skipped) > 0 FROM inval_stats JOIN inval_rule ON id = rule
	WHERE inval_rule.key = 'part:{part}'}, 't'), 'with: and counted');
$subscriber{with}->safe_psql('postgres', q{SELECT inval_untrack('team', 'part:{part}')});

# A queue that stands, is spilled and is emptied on the publisher.
$redis->freeze;
$node->safe_psql('postgres', q{
	SET inval.pending_memory = '64kB';
	INSERT INTO team SELECT generate_series(101, 10000)});
$node->safe_psql('postgres', 'UPDATE team SET n = 2 WHERE id = 1');
foreach my $name (sort keys %publication)
{
	arrives($name, 'SELECT max(n) FROM team', 2, 'changes arrive while Redis is away');
}
$redis->thaw;
ok(wait_queue_empty($node, 'postgres'), 'publisher: the queue is empty');

# TRUNCATE of tables and partitions
foreach my $db (1, 2)
{
	$redis->select_db($db)->fill('team:', 1, 100);
	$redis->pipeline(map { [ 'SET', $_, 1 ] } @events);
}
$node->safe_psql('postgres', 'TRUNCATE team');
$node->safe_psql('postgres', 'TRUNCATE event');
foreach my $name (sort keys %publication)
{
	arrives($name, 'SELECT (SELECT count(*) FROM team), (SELECT count(*) FROM event)', '0|0',
		'TRUNCATE arrives');
}
foreach my $name ('with', 'with_root')
{
	ok(wait_keys_gone($redis->select_db($redis_db{$name}), (map { "team:$_" } 1 .. 100), @events),
		"$name: and means its rows");
	ok(wait_queue_empty($subscriber{$name}, 'postgres'), "$name: the queue is empty");
}

# As replication does, whoever says that he is a replica fires our triggers.
$redis->select_db(0)->pipeline(map { [ 'SET', "later:$_", 1 ] } 1 .. 3);
$node->safe_psql('postgres', q{
	SET session_replication_role = replica;
	UPDATE later SET n = 5 WHERE id = 1;
	DELETE FROM later WHERE id = 2});
is(join(' ', $redis->existing(map { "later:$_" } 1 .. 3)), 'later:3',
	'session_replication_role = replica changes nothing');
$node->safe_psql('postgres', 'SET session_replication_role = replica; TRUNCATE later');
is($redis->cmd('EXISTS', 'later:3'), 0, 'nor for TRUNCATE');

foreach my $name (sort keys %publication)
{
	is(join("\n", grep { /ERROR/ } split /\n/, slurp_file($subscriber{$name}->logfile)),
		'', "$name: all that without an error");
	no_crash($subscriber{$name}, "$name: no server process crashed");
	$subscriber{$name}->safe_psql('postgres', "DROP SUBSCRIPTION sub_$name");
}
no_crash($node, 'publisher: no server process crashed');

done_testing();
