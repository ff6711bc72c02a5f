# Several targets: each has its own state, queue, rate and health, and one that is
# away never delays another.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $password = 'Tr0ub4dor-and-3';
my $here = Inval::Redis->new;
my $there = Inval::Redis->new(
	password => $password,
	acl => [ "app on >$password ~* &* +\@all" ]);
my $node = new_node('targets', url => $here->unix_url,
	conf => "inval.retry_max = '200ms'\n");

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

sub target_is
{
	my ($target, $state) = @_;

	return poll_query($node, 'postgres',
		"SELECT state FROM inval_target_status WHERE target = '$target'", $state);
}

sub owed_to
{
	my ($target) = @_;

	return sql("SELECT count(*) FROM inval_queue WHERE target = '$target'");
}

# Made, listed, changed.
sql("SELECT inval_add_target('there', '" . $there->tcp_url(0, ":$password") . "',
	region => 'eu-1', namespace => 'app:')");
is(sql(q{SELECT target, region, namespace, max_rate FROM inval_target_status ORDER BY 1}),
	"default|||\nthere|eu-1|app:|", 'both targets are listed');
sql(q{
	CREATE TABLE team (id int PRIMARY KEY, slug text, n int DEFAULT 0);
	INSERT INTO team SELECT i, 'app:' || i FROM generate_series(1, 200) i;
	SELECT inval_track('team', key => 'app:team:{id}', targets => '{default,there}');
	CREATE TABLE slow (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO slow SELECT generate_series(1, 200);
	SELECT inval_track('slow', key => 'app:slow:{id}', delivery => 'background',
		targets => '{there}');
	SELECT inval_track('slow', key => 'slow:{id}', delivery => 'background')});
$_->fill('app:team:', 1, 200) foreach $here, $there;
$there->fill('app:slow:', 1, 200);
$here->fill('slow:', 1, 200);

# Both, at commit.
sql('UPDATE team SET n = 1 WHERE id = 1');
is($_->cmd('EXISTS', 'app:team:1'), 0, 'gone from both when COMMIT returns')
  foreach $here, $there;
is(sql('SELECT count(*) FROM inval_queue'), 0, 'nothing is owed');
is(sql(q{SELECT target, rows_seen, keys_queued, delivered_at_commit FROM inval_stats
		WHERE relation = 'team'::regclass ORDER BY 1}),
	"default|1|1|1\nthere|1|1|1", 'each is counted');

# Each has a worker.
sql('UPDATE slow SET n = 1 WHERE id = 1');
ok(wait_keys_gone($there, 'app:slow:1'), 'in the background, there');
ok(wait_keys_gone($here, 'slow:1'), 'in the background, here');
ok(poll_query($node, 'postgres', q{
		SELECT count(DISTINCT worker_pid) FROM inval_target_status}, 2),
	'each target has a worker of its own');

# One is frozen: the other goes on.
$there->freeze;
sql('UPDATE team SET n = 2 WHERE id = 2');
is($here->cmd('EXISTS', 'app:team:2'), 0, 'frozen: gone from the other when COMMIT returns');
ok(target_is('there', 'down'), 'frozen: down');
ok(target_is('default', 'up'), 'frozen: the other is up');
foreach my $id (3 .. 30)
{
	sql("UPDATE team SET n = 2 WHERE id = $id; UPDATE slow SET n = 2 WHERE id = $id");
}
is(scalar($here->existing(map { "app:team:$_" } 3 .. 30)), 0,
	'frozen: the other gets its keys at commit');
ok(wait_keys_gone($here, map { "slow:$_" } 3 .. 30),
	'frozen: and in the background');
ok(poll_query($node, 'postgres', q{
		SELECT count(*) FROM inval_queue WHERE target = 'default'}, 0),
	'frozen: nothing is owed to the other');
is(sql("SELECT count(DISTINCT key) FROM inval_queue WHERE target = 'there'"), 29 + 28,
	'frozen: all of its own stays queued');
$there->thaw;
ok(wait_keys_gone($there, map { ("app:team:$_", "app:slow:$_") } 3 .. 30),
	'thawed: its keys go');
ok(wait_queue_empty($node, 'postgres'), 'thawed: nothing is owed');

# What one of two has confirmed it is not sent again because the other has not, and
# the queue does not show it: another worker knows that, too.
sub one_is_away
{
	my ($key, $other, $healthy, @targets) = @_;

	$healthy->cmd('SET', $key, 'x');
	$healthy->cmd('CONFIG', 'RESETSTAT');
	$there->freeze;
	is(sql("BEGIN; SELECT count(inval_touch('$key', target => t))
				FROM unnest('{$other,there}'::text[]) t; COMMIT;
			SELECT target FROM inval_queue WHERE key = '$key'"),
		"2\nthere", "$key: the one that is away alone is owed it");
	is($healthy->cmd('EXISTS', $key), 0, "$key: gone from the other when COMMIT returns");
	return;
}

one_is_away('app:once', 'default', $here);
ok(target_is('there', 'down'), 'confirmed by one: the other is down');
my $before = worker_pid($node, 'postgres');
sql("SELECT pg_terminate_backend($before)");
ok(poll_query($node, 'postgres', qq{
		SELECT worker_pid <> $before FROM inval_target_status WHERE target = 'default'}),
	'confirmed by one: another worker comes');
$here->cmd('SET', 'slow:31', 'x');
sql('UPDATE slow SET n = 2 WHERE id = 31');
ok(wait_keys_gone($here, 'slow:31'), 'confirmed by one: and delivers');
is(sql(q{SELECT target FROM inval_queue WHERE key = 'app:once'}), 'there',
	'confirmed by one: the other alone is owed it');
is($here->calls('unlink'), 2, 'confirmed by one: it was sent it once');
$there->thaw;
ok(wait_queue_empty($node, 'postgres'), 'confirmed by one: the other gets it, too');
ok(target_is('there', 'up'), 'confirmed by one: and is up');

# What was confirmed by a target is not by another of the same name.
my $third = $here->select_db(5);
my $workers = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'inval worker'};
my $add_third = "SELECT inval_add_target('third', '" . $here->unix_url(5) . "')";
my $reader = $node->background_psql('postgres');

sql($add_third);
ok(poll_query($node, 'postgres', $workers, 3), 'a third has a worker');
# Nobody empties a table that somebody reads.
$reader->query_safe('BEGIN; SELECT count(*) FROM inval_outbox_0, inval_outbox_1, inval_outbox_2');
one_is_away('app:again', 'third', $third);
sql(q{SELECT inval_drop_target('third')});
ok(poll_query($node, 'postgres', $workers, 2), 'it is dropped, and its worker has left');
$third->cmd('SET', 'app:again', 'x');
sql($add_third);
ok(wait_keys_gone($third, 'app:again'), 'the next of that name is owed what is there');
$reader->quit;
$there->thaw;
ok(wait_queue_empty($node, 'postgres'), 'and the queue is empty');
ok(target_is('there', 'up'), 'and all are up');
sql(q{SELECT inval_drop_target('third')});
$here->select_db(0);

# A pause survives a restart, and concerns one target.
sql("SELECT inval_pause('there')");
$node->restart;
ok(target_is('there', 'paused'), 'paused: still, after a restart');
ok(target_is('default', 'up'), 'paused: the other is not');
sql('UPDATE team SET n = 3 WHERE id = 40; UPDATE slow SET n = 3 WHERE id = 40');
is($here->cmd('EXISTS', 'app:team:40'), 0, 'paused: the other gets its keys');
ok(wait_keys_gone($here, 'slow:40'), 'paused: in the background too');
is($there->cmd('EXISTS', 'app:team:40', 'app:slow:40'), 2, 'paused: it gets none');
sql("SELECT inval_resume('there')");
ok(wait_keys_gone($there, 'app:team:40', 'app:slow:40'), 'resumed: its keys go');
sql('SELECT inval_pause()');
$node->stop('immediate');
$node->start;
ok(target_is('default', 'paused'), 'paused: the target "default" after a crash');
ok(target_is('there', 'up'), 'paused: and the other is not');
sql('SELECT inval_resume()');
ok(target_is('default', 'up'), 'resumed');

# More than a socket takes at once: the one that does not answer must not take the
# time in which the other would take the rest.
sql(q{
	CREATE TABLE large (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO large SELECT generate_series(1, 12000);
	SELECT inval_track('large', key => 'app:{id}:' || repeat('x', 1000),
		targets => '{default,there}')});
foreach my $case ([ $here, 'there' ], [ $there, 'default' ])
{
	my ($frozen, $other) = @$case;
	my $downs = times_logged($node, qr/inval target "$other" is down/);

	$frozen->freeze;
	sql(q{SET inval.pending_memory = '256MB'; UPDATE large SET n = n + 1});
	is(times_logged($node, qr/inval target "$other" is down/), $downs,
		"large sets: $other is not called down");
	is(sql("SELECT state FROM inval_target_status WHERE target = '$other'"), 'up',
		"large sets: $other is up");
	$frozen->thaw;
	ok(wait_queue_empty($node, 'postgres'), 'large sets: all is delivered at last');
	ok(target_is('default', 'up') && target_is('there', 'up'), 'large sets: and all are up');
}
sql(q{DROP TABLE large});

# Namespaces
like(error_of($node, q{SELECT inval_track('team', key => 'other:{id}', targets => '{there}')}),
	qr/ERROR: .*outside the namespace of target "there"/,
	'a key that cannot be in the namespace is refused');
like(error_of($node, q{SELECT inval_touch('other:1', target => 'there')}),
	qr/ERROR: .*outside the namespace of target "there"/, 'by inval_touch too');
sql(q{SELECT inval_track('team', key => '{slug}:x', targets => '{there}')});
$there->cmd('SET', "app:$_:x", 'cached') foreach 50, 51;
$there->cmd('SET', 'bad:x', 'cached');
like(error_of($node, q{UPDATE team SET slug = 'bad' WHERE id = 50}),
	qr/WARNING: .*outside the namespace of target "there"/,
	'a row whose key is outside: said aloud');
is($there->cmd('EXISTS', 'app:50:x'), 0, 'the old key, which was inside, is gone');
is($there->cmd('EXISTS', 'bad:x'), 1, 'the new one is left alone');
is(sql(q{SELECT skipped FROM inval_stats WHERE rule = (
			SELECT id FROM inval_rule WHERE key = '{slug}:x')}), 1, 'and is counted');

# Rates: small batches.
sql("SELECT inval_add_target('there', '" . $there->tcp_url(0, ":$password") . "',
	max_rate => 200)");
sql("SELECT inval_pause('there')");
sql('UPDATE slow SET n = 4 WHERE id = ' . $_) foreach 60 .. 159;
$there->cmd('CONFIG', 'RESETSTAT');
sql("SELECT inval_resume('there')");
ok(wait_keys_gone($there, map { "app:slow:$_" } 60 .. 159), 'with a rate: all goes');
cmp_ok($there->calls('unlink'), '>=', 10, 'with a rate: in small batches');

# What others can see of it
$node->safe_psql('postgres', 'CREATE ROLE app');
is($node->safe_psql('postgres', q{
		SET ROLE app;
		SELECT count(*) FROM pg_foreign_server s WHERE s::text LIKE '%Tr0ub%'}), 0,
	'no password in the catalog of servers');
is($node->safe_psql('postgres', q{
		SET ROLE app;
		SELECT count(*) FROM pg_user_mappings m WHERE m::text LIKE '%Tr0ub%'}), 0,
	'nor in what others see of user mappings');
like(error_of($node, q{SET ROLE app; SELECT inval_add_target('mine', 'redis://localhost')}),
	qr/permission denied/, 'not everybody makes targets');
password_hidden($node, 'postgres', $password, 'targets');

# Bad ones
like(error_of($node, q{SELECT inval_add_target('default', 'redis://localhost')}),
	qr/ERROR: .*always there/, 'the target "default" is not made');
like(error_of($node, q{SELECT inval_add_target('a b', 'redis://localhost')}),
	qr/ERROR: .*cannot be the name/, 'bad name');
like(error_of($node, q{SELECT inval_add_target('bad', 'http://secret@localhost')}),
	qr/ERROR: +invalid URL of a target(?!.*secret)/s, 'bad URL');
like(error_of($node, q{SELECT inval_add_target('bad', 'redis://localhost', max_rate => 0)}),
	qr/ERROR: .*max_rate must be positive/, 'bad rate');
like(error_of($node, q{SELECT inval_track('team', 'id', targets => '{nowhere}')}),
	qr/ERROR: +target "nowhere" does not exist/, 'unknown target');
like(error_of($node, q{SELECT inval_track('team', 'id', targets => '{there,there}')}),
	qr/ERROR: .*more than once/, 'twice the same');

# Dropped
like(error_of($node, q{SELECT inval_drop_target('there')}),
	qr/ERROR: +cannot drop target "there" because a rule needs it/,
	'one that rules name is kept');
sql("SELECT inval_pause('there')");
sql('UPDATE slow SET n = 5 WHERE id = 170');
cmp_ok(owed_to('there'), '>', 0, 'something is queued for it');
sql(q{
	SELECT inval_untrack('team');
	SELECT inval_untrack('slow', 'app:slow:{id}')});
is(sql(q{SELECT inval_drop_target('there')}), 't', 'dropped');
is(sql(q{SELECT inval_drop_target('there')}), 'f', 'there is none any more');
is(owed_to('there'), 0, 'nothing is owed to it');
ok(poll_query($node, 'postgres', q{
		SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'inval worker'}, 1),
	'its worker has left');
sql('UPDATE slow SET n = 5 WHERE id = 171');
ok(wait_keys_gone($here, 'slow:171'), 'the other goes on');
ok(wait_queue_empty($node, 'postgres'), 'and the queue is empty');

# Two names that have the same number (a hash): that the one was dropped is not held
# against the other.
my ($first, $second) = ('n744', 'n171856');
is(sql("SELECT hashtext('$first') = hashtext('$second')"), 't', 'two names with one number');
sql("SELECT inval_add_target('$first', '" . $there->tcp_url(0, ":$password") . "')");
like(error_of($node, "SELECT inval_add_target('$second', 'redis://localhost')"),
	qr/ERROR: .*would have the same number/, 'not at the same time');
ok(poll_query($node, 'postgres',
		"SELECT worker_pid IS NOT NULL FROM inval_target_status WHERE target = '$first'"),
	'the workers know the first');
$there->cmd('SET', 'of_the_second', 'x');
sql("SELECT inval_drop_target('$first');
	SELECT inval_add_target('$second', '" . $there->tcp_url(0, ":$password") . "');
	SELECT inval_pause('$second');
	SELECT inval_touch('of_the_second', target => '$second')");
is(owed_to($second), 1, 'the second is owed something');
sql("SELECT inval_resume('$second')");
ok(wait_keys_gone($there, 'of_the_second'), 'and is given it');
sql("SELECT inval_drop_target('$second')");

# A dump has them.
sql("SELECT inval_add_target('again', '" . $there->tcp_url(0, ":$password") . "',
	namespace => 'app:')");
sql(q{SELECT inval_track('team', key => 'app:team:{id}', targets => '{again}')});
{
	my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';

	$node->command_ok(
		[ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ], 'dumped');
	sql('CREATE DATABASE restored');
	$node->command_ok(
		[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump,
		  '-d', $node->connstr('restored') ],
		'restored');
	$there->cmd('SET', 'app:team:7', 'cached');
	$node->safe_psql('restored', 'UPDATE team SET n = 9 WHERE id = 7');
	ok(wait_keys_gone($there, 'app:team:7'), 'the restored rule reaches the restored target');
	$node->safe_psql('restored', 'DROP EXTENSION inval');
	is($node->safe_psql('restored', 'SELECT count(*) FROM pg_foreign_server'), 0,
		'and goes with the extension');
}

no_crash($node, 'targets');
$node->stop;
done_testing();
