# Rules are part of the schema: every kind of dump carries them, and the tables of
# the restored database are tracked as before.  Restoring all of a database
# queues nothing; restoring rows into a tracked one is a change of these rows.

use strict;
use warnings;

use Inval::Rules;
use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('dump',
	url => $redis->unix_url,
	conf => "inval.workers = 16\nmax_worker_processes = 32\ninval.commit_timeout = '60s'\n");
my $dir = $node->basedir;
my $redis_db = 0;

create_rules($node, 'postgres');

# A foreign table has no truncate trigger before 16, so less to hold on to.
my $foreign = $node->safe_psql('postgres',
	"SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'");
if ($foreign)
{
	my ($host, $port) = ($node->host, $node->port);

	$node->safe_psql('postgres', qq{
		CREATE EXTENSION postgres_fdw;
		CREATE TABLE remote (id int);
		CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw
			OPTIONS (host '$host', port '$port', dbname 'postgres');
		CREATE USER MAPPING FOR CURRENT_USER SERVER loop;
		CREATE FOREIGN TABLE "A far" (id int) SERVER loop OPTIONS (table_name 'remote');
		SELECT inval_track('"A far"', key => 'far:{id}')});
}
my $before = rules_text($node, 'postgres');

# The same rules, made and dumped under the old meaning of backslashes, which 19 has no more.
$node->safe_psql('postgres', 'CREATE DATABASE old_strings');
$node->safe_psql('postgres', 'ALTER DATABASE old_strings SET standard_conforming_strings = off')
  if $node->safe_psql('postgres', 'SHOW server_version_num') < 190000;
$node->safe_psql('old_strings', 'CREATE EXTENSION inval');
create_rules($node, 'old_strings');

sub dump_of
{
	my ($db, $file, @options) = @_;

	$node->command_ok([ 'pg_dump', @options, '-f', "$dir/$file", $node->connstr($db) ],
		join ' ', 'pg_dump', @options);
	return "$dir/$file";
}

sub new_database
{
	my ($db) = @_;

	$redis_db++;
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql('postgres', "ALTER DATABASE $db SET inval.redis_url = '"
		  . $redis->unix_url($redis_db) . "'");
	$redis->select_db($redis_db);
	return;
}

sub psql_file
{
	my ($db, $file) = @_;

	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $file,
			$node->connstr($db) ], "$db: psql");
	return;
}

sub pg_restore
{
	my ($db, @options) = @_;

	$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr($db), @options ],
		"$db: pg_restore");
	return;
}

sub nothing_queued
{
	my ($db) = @_;

	is($node->safe_psql($db, 'SELECT coalesce(sum(keys_queued), 0) FROM inval_stats'), 0,
		"$db: restoring has queued nothing");
	is(queue_length($node, $db), 0, "$db: nor is anything in the queue");
	return;
}

# All of a database, in all formats.
my %restore = (
	plain => sub { psql_file($_[0], dump_of('postgres', 'plain.sql')) },
	custom => sub { pg_restore($_[0], '-j', 2, dump_of('postgres', 'custom', '-Fc')) },
	directory => sub { pg_restore($_[0], '-j', 4, dump_of('postgres', 'directory', '-Fd', '-j', 2)) },
	old_plain => sub { psql_file($_[0], dump_of('old_strings', 'old.sql')) },
	inserts => sub { psql_file($_[0], dump_of('postgres', 'inserts.sql', '--inserts')) });

foreach my $kind (sort keys %restore)
{
	my $db = "restored_$kind";
	my $expected = $kind =~ /^old/ ? rules_text($node, 'old_strings') : $before;

	new_database($db);
	$restore{$kind}->($db);
	nothing_queued($db);
	is(rules_text($node, $db), $expected, "$db: the rules are the same");
	is( $node->safe_psql($db, q{
			SELECT s.srvname FROM pg_foreign_server s
			JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'inval'
			JOIN pg_depend d ON d.classid = 'pg_foreign_server'::regclass AND d.objid = s.oid
				AND d.refclassid = 'pg_foreign_data_wrapper'::regclass AND d.deptype <> 'a'
			-- The extension brings this one.
			WHERE s.srvname <> 'inval_target_default'}),
		'', "$db: settings go with the extension");
	check_works($node, $db, $redis, $db);
	if ($foreign && $kind !~ /^old/)
	{
		$redis->cmd('SET', 'far:1', 1);
		$node->safe_psql($db, 'INSERT INTO "A far" VALUES (1)');
		ok(wait_keys_gone($redis, 'far:1'), "$db: changes of a foreign table are captured");
	}
	check_new_rule($node, $db, $db);
	check_drop_extension($node, $db, $db) unless $kind eq 'custom';
}

# Over what is there already: the keys of the rows that go are invalidated.
$redis->select_db(1)->cmd('SET', 'big:5', 1);
$node->safe_psql('restored_custom', "SELECT inval_untrack('z_team')");
pg_restore('restored_custom', '--clean', '--if-exists', "$dir/custom");
is(rules_text($node, 'restored_custom'), $before, '--clean: the rules are the same');
ok(wait_keys_gone($redis, 'big:5'), '--clean: what was there is invalidated');
check_drop_extension($node, 'restored_custom', '--clean');

# The schema first, the rows later: they are changes, each key queued once per
# transaction.  More than inval.commit_max_keys of them are the worker's work.
my $rows = 'SELECT rows_seen, keys_queued, keys_coalesced, delivered_at_commit, delivered_by_worker';

dump_of('postgres', 'schema.sql', '--schema-only');
foreach my $options ('', '--disable-triggers')
{
	my $db = 'later' . ($options ? '_disabled' : '');

	new_database($db);
	psql_file($db, "$dir/schema.sql");
	nothing_queued($db);
	is(rules_text($node, $db), $before, "$db: the rules are the same");
	check_new_rule($node, $db, $db);
	$node->safe_psql($db, q{
		SELECT inval_untrack('z_team');
		SELECT inval_untrack('"App ""1"""."Mat view"', 'new2:{id}')});
	$node->safe_psql('postgres', "ALTER DATABASE $db SET inval.commit_max_keys = 50");
	$redis->pipeline(map { [ 'SET', $_, 1 ] } 'plain:9', 'big:9', 'event:15', 'team:2:notes');
	psql_file($db, dump_of('postgres', "rows$options.sql", '--data-only', '-T', 'remote',
			$options || ()));
	is(rules_text($node, $db), $before, "$db: the triggers are enabled ALWAYS");
	ok(wait_keys_gone($redis, 'plain:9', 'big:9', 'event:15', 'team:2:notes'),
		"$db: restored rows are changes");
	ok(wait_queue_empty($node, $db), "$db: which the worker delivers");
	is( $node->safe_psql($db, "$rows FROM inval_stats WHERE relation = 'big'::regclass"),
		'2000|100|1900|50|50', "$db: 2000 rows are 100 keys, those above the limit in the background");
	is( $node->safe_psql($db, "$rows FROM inval_stats WHERE relation = 'x_task'::regclass"),
		'2|2|0|2|0', "$db: few keys are gone at commit");
	$node->safe_psql($db, 'REFRESH MATERIALIZED VIEW "App ""1"""."Mat view"');
	check_works($node, $db, $redis, $db);
	check_drop_extension($node, $db, $db);
}

# One table of many.
new_database('one_table');
$node->safe_psql('one_table', q{
	CREATE EXTENSION inval;
	CREATE TABLE parent (id int, n int);
	SELECT inval_track('parent', key => 'mine:{id}')});
psql_file('one_table', dump_of('postgres', 'one.sql', '-t', 'big'));
nothing_queued('one_table');
$redis->pipeline(map { [ 'SET', $_, 1 ] } 'big:3', 'mine:2');
$node->safe_psql('one_table', 'UPDATE big SET id = 0 WHERE team = 3');
ok(wait_keys_gone($redis, 'big:3'), 'pg_dump -t: the table is tracked');

# The child of a table that is tracked here too.
psql_file('one_table', dump_of('postgres', 'child.sql', '-t', 'child'));
$node->safe_psql('one_table', 'UPDATE parent SET n = 1');
ok(wait_keys_gone($redis, 'mine:2'), 'pg_dump -t: a child follows the rules of its new parent');
check_drop_extension($node, 'one_table', 'pg_dump -t');
no_crash($node, 'no server process crashed');

done_testing();
