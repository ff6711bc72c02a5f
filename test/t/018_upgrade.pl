# A database that is taken elsewhere file by file: pg_upgrade to another cluster
# (of the same version, which it allows), and CREATE DATABASE ... TEMPLATE.  Both
# take the outbox along: what was owed is still owed, what was confirmed at commit
# may be delivered once more.

use strict;
use warnings;

use Cwd ();

use Inval::Rules;
use Inval::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $bindir = $ENV{PATH} =~ /^([^:]+)/ ? $1 : '';
my $home = Cwd::cwd();
my $conf = "inval.commit_timeout = '60s'\ninval.sweep_interval = '10ms'\n";

sub upgrade
{
	my ($old, $new) = @_;
	my $work = PostgreSQL::Test::Utils::tempdir_short();
	my ($from, $to) = map { Cwd::abs_path($_->data_dir) } $old, $new;

	chdir $work or die "could not change to $work: $!";
	my $done = command_ok(
		[ 'pg_upgrade', '--no-sync',
			'-b', $bindir, '-B', $bindir,
			'-d', $from, '-D', $to,
			'-p', $old->port, '-P', $new->port,
			'-s', $work, '--link' ],
		'pg_upgrade');
	chdir $home or die "could not go back: $!";
	return $done;
}

# What is owed while Redis is away, in every kind of table of the outbox: at
# commit, early for want of memory, as large as they can be, and moved there.
sub owe
{
	my ($node, $db) = @_;

	$node->safe_psql($db, q{
		UPDATE plain SET n = 5 WHERE id BETWEEN 11 AND 20;
		SET inval.pending_memory = '64kB';
		INSERT INTO long SELECT i, repeat('x', 20) FROM generate_series(1, 3000) i;
		INSERT INTO long SELECT i, repeat('y', 7000) FROM generate_series(1, 3) i});
	return;
}

my @owed = ((map { "plain:$_" } 11 .. 20),
	(map { "long:$_:" . 'x' x 20 } 1 .. 3000), (map { "long:$_:" . 'y' x 7000 } 1 .. 3));
my $queue = q{SELECT rule, key, action, field, xid, queued_at FROM inval_queue ORDER BY 1, 2, 3, 4};

my $old = new_node('old', url => $redis->unix_url, conf => $conf);

create_rules($old, 'postgres');
$old->safe_psql('postgres', q{
	CREATE TABLE long (id int, t text);
	SELECT inval_track('long', key => 'long:{id}:{t}');
	CREATE MATERIALIZED VIEW short AS SELECT id FROM plain WHERE id < 3;
	SELECT inval_track('short', 'id')});
my $rules = rules_text($old, 'postgres');

# Confirmed at commit, and still in the outbox perhaps: no harm if repeated.
$old->safe_psql('postgres', "UPDATE plain SET n = 1 WHERE id = $_") foreach 21 .. 25;
ok(wait_queue_empty($old, 'postgres'), "upgraded: delivered");
$old->safe_psql('postgres', 'SELECT inval_pause()');
owe($old, 'postgres');
my $owed = $old->safe_psql('postgres', $queue);
is(scalar(grep { /\|plain:1[0-9]\||\|plain:20\||\|long:/ } split /\n/, $owed), scalar(@owed),
	"upgraded: queued");
my $xid = $old->safe_psql('postgres', 'SELECT pg_current_xact_id()');
# The old server must not deliver while it is stopped and upgraded.
set_redis_url($old, "unix:///nowhere?db=0");
$old->stop;

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->append_conf('postgresql.conf',
	join "\n",
	"shared_preload_libraries = 'inval'",
	"inval.redis_url = 'unix:///nowhere?db=0'",
	"log_statement = 'none'",
	"restart_after_crash = on\n$conf");
upgrade($old, $new);
$new->start;

is(rules_text($new, 'postgres'), $rules, "upgraded: rules, triggers, variables and guards are the same");
cmp_ok($new->safe_psql('postgres', 'SELECT pg_current_xact_id()'), '>=', $xid,
	"upgraded: transaction numbers go on");
my %there = map { $_ => 1 } split /\n/, $new->safe_psql('postgres', $queue);
is(scalar(grep { !$there{$_} } split /\n/, $owed), 0, "upgraded: what was queued is queued");

$redis->pipeline(map { [ 'SET', $_, 1 ] } @owed, 'plain:50');
set_redis_url($new, $redis->unix_url);
is($new->safe_psql('postgres', 'SELECT state FROM inval_target_status'), 'paused',
	"upgraded: what was paused is paused");
$new->safe_psql('postgres', 'SELECT inval_resume()');
ok(wait_keys_gone($redis, @owed), "upgraded: and is delivered");
ok(wait_queue_empty($new, 'postgres'), "upgraded: the queue is empty");
is($redis->cmd('EXISTS', 'plain:50'), 1, "upgraded: nothing else is delivered");

# The rule of a materialized view follows it, and goes with it.
$new->safe_psql('postgres', q{
	REFRESH MATERIALIZED VIEW "App ""1"""."Mat view";
	ALTER MATERIALIZED VIEW "App ""1"""."Mat view" RENAME TO moved;
	ALTER MATERIALIZED VIEW "App ""1""".moved SET SCHEMA public});
is($new->safe_psql('postgres',
		q{SELECT count(*) FROM inval_rule WHERE relation = 'moved'::regclass}),
	1, "upgraded: the rule of a materialized view follows it");
$new->safe_psql('postgres', q{
	ALTER MATERIALIZED VIEW moved SET SCHEMA "App ""1""";
	ALTER MATERIALIZED VIEW "App ""1""".moved RENAME TO "Mat view"});
$redis->cmd('SET', 'short:2', 1);
$new->safe_psql('postgres', q{
	DROP MATERIALIZED VIEW short;
	CREATE MATERIALIZED VIEW short AS SELECT 1 AS id});
is($new->safe_psql('postgres',
		q{SELECT count(*) FROM inval_rule WHERE relation = 'short'::regclass}),
	0, 'upgraded: and goes with it');
ok(wait_keys_gone($redis, 'short:2'), 'upgraded: and so do its keys');
$new->safe_psql('postgres', q{
	UPDATE plain SET n = 0, tags = '{x}';
	REFRESH MATERIALIZED VIEW "App ""1"""."Mat view"});
check_works($new, 'postgres', $redis, 'upgraded');
check_new_rule($new, 'postgres', 'upgraded');
check_drop_extension($new, 'postgres', 'upgraded');
no_crash($new, "upgraded: no server process crashed");
$new->stop;

# A copy of a database has what its template owed, too: rather once too often.
my $node = new_node('template', url => $redis->unix_url, conf => $conf);

$redis->cmd('FLUSHALL');
create_rules($node, 'postgres');
$node->safe_psql('postgres', q{
	CREATE TABLE long (id int, t text);
	SELECT inval_track('long', key => 'long:{id}:{t}')});
$rules = rules_text($node, 'postgres');

$node->safe_psql('postgres', 'SELECT inval_pause()');
owe($node, 'postgres');
$owed = $node->safe_psql('postgres', $queue);

$node->safe_psql('template1', 'CREATE DATABASE copy TEMPLATE postgres');
is($node->safe_psql('postgres', $queue), $owed, 'template: its queue is as it was');
$node->safe_psql('template1',
	"ALTER DATABASE copy SET inval.redis_url = '" . $redis->unix_url(1) . "'");
is(rules_text($node, 'copy'), $rules, 'copy: the rules are the same');
foreach my $db (0, 1)
{
	$redis->select_db($db)->pipeline(map { [ 'SET', $_, 1 ] } @owed);
}
ok(worker_pid($node, 'copy'), 'copy: has a worker');
is($node->safe_psql('copy', 'SELECT state FROM inval_target_status'), 'paused',
	'copy: is paused as its template is');
$node->safe_psql('copy', 'SELECT inval_resume()');
ok(wait_keys_gone($redis->select_db(1), @owed), 'copy: what the template owed is delivered');
ok(wait_queue_empty($node, 'copy'), 'copy: the queue is empty');
check_works($node, 'copy', $redis, 'copy');
is($node->safe_psql('postgres', $queue), $owed, 'template: has a queue of its own');
$node->safe_psql('postgres', 'SELECT inval_resume()');
ok(wait_keys_gone($redis->select_db(0), @owed), 'template: which is delivered, too');
ok(wait_queue_empty($node, 'postgres'), 'template: the queue is empty');
check_works($node, 'postgres', $redis, 'template');
check_drop_extension($node, 'copy', 'copy');
is(rules_text($node, 'postgres'), $rules, 'template: keeps its rules');
no_crash($node, 'no server process crashed');

done_testing();
