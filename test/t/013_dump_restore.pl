# Rules are the user's data: a dump of the database carries them, and the tables
# of the restored database are tracked as before, also in another schema's order.

use strict;
use warnings;

use InvalTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = InvalRedis->new;
my $node = new_node('dump', url => $redis->unix_url);
my $file = $node->basedir . '/dump';

$node->safe_psql('postgres', q{
	CREATE SCHEMA app;
	CREATE TABLE app."Odd team" (id int PRIMARY KEY, "Kind" text, n int DEFAULT 0);
	INSERT INTO app."Odd team" SELECT i, 'a' FROM generate_series(1, 10) i;
	CREATE TABLE plain (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO plain SELECT generate_series(1, 10);
	SELECT inval_track('app."Odd team"', key => '{@schema}:{@table}:{id}:{Kind}',
		changes => '{n}');
	SELECT inval_track('plain', 'id', delivery => 'background')});
my $rules = q{SELECT id, relation, key, delivery, changes, state FROM inval_rule ORDER BY id};
my $before = $node->safe_psql('postgres', $rules);

$node->command_ok([ 'pg_dump', '-Fc', '-f', $file, $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->safe_psql('postgres',
	"ALTER DATABASE restored SET inval.redis_url = '" . $redis->unix_url(1) . "'");
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $file ],
	'pg_restore');
is($node->safe_psql('restored', $rules), $before, 'the rules are the same');
ok(worker_pid($node, 'restored'), 'the restored database has a worker');
ok(wait_queue_empty($node, 'restored'), 'nothing is queued');

$redis->select_db(1)->pipeline(
	map { ([ 'SET', "app:Odd team:$_:a", 1 ], [ 'SET', "plain:$_", 1 ]) } 1 .. 3);
$node->safe_psql('restored', q{
	UPDATE app."Odd team" SET n = 1 WHERE id = 1;
	UPDATE app."Odd team" SET n = 0 WHERE id = 2;
	UPDATE plain SET n = 1 WHERE id = 1});
ok(wait_keys_gone($redis, 'app:Odd team:1:a', 'plain:1'), 'the restored tables are tracked');
ok(wait_queue_empty($node, 'restored'), 'nothing is queued');
is(scalar($redis->existing('app:Odd team:2:a', 'plain:2')), 2, 'as exactly as before');
isnt($node->safe_psql('restored', "SELECT inval_track('plain', key => 'new:{id}')"),
	$node->safe_psql('restored', "SELECT max(id) FROM inval_rule WHERE key <> 'new:{id}'"),
	'and new rules get new numbers');

# Data alone, into a database that is tracked already: rows are rows.
$node->command_ok(
	[ 'pg_dump', '-a', '-t', 'plain', '-f', "$file.sql", $node->connstr('postgres') ],
	'pg_dump of the rows of one table');
$node->safe_psql('restored', 'DELETE FROM plain');
ok(wait_queue_empty($node, 'restored'), 'nothing is queued');
$redis->cmd('SET', 'plain:7', 1);
$node->command_ok([ 'psql', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$file.sql",
		$node->connstr('restored') ], 'restored');
ok(wait_keys_gone($redis, 'plain:7'), 'restored rows are changes');
no_crash($node, 'no server process crashed');

done_testing();
