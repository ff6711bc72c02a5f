# A long outage is bounded: beyond inval.backlog_max_keys or inval.backlog_max_age
# the backlog of a target that is down collapses into the removal of its
# namespace, once.  Nothing that was owed is forgotten by that, nothing outside
# of the namespace is touched, and deletes go on while the removal runs.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $here = Inval::Redis->new;
my $there = Inval::Redis->new;
my $node = new_node('backlog', url => $here->unix_url, conf => join "\n",
	"inval.retry_max = '200ms'",
	"inval.sweep_interval = '100ms'",
	'inval.backlog_max_keys = 50');

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

sub set
{
	my (%settings) = @_;

	$node->append_conf('postgresql.conf', "$_ = $settings{$_}\n") foreach keys %settings;
	reload($node);
	return;
}

# What is queued for a target, by keys: "delete 3, prefix 1".  Of prefixes there
# must not be two that are the same.
sub queued_for
{
	my ($target) = @_;

	return sql("SELECT string_agg(action || ' ' || n, ', ' ORDER BY action) FROM (
		SELECT action, CASE action WHEN 'prefix' THEN count(*)
			ELSE count(DISTINCT key) END AS n FROM inval_queue
		WHERE target = '$target' GROUP BY action) AS actions");
}

sub wait_queued
{
	my ($target, $what, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(poll_until(sub { queued_for($target) eq $what }, "queue of $target: $what"),
		$name) || diag(queued_for($target));
}

sub wait_collapsed
{
	my ($target, $than) = @_;

	return poll_query($node, 'postgres', "SELECT coalesce(collapsed_at > '$than', false)
		FROM inval_target_status WHERE target = '$target'");
}

sub now { return sql('SELECT clock_timestamp()'); }

sub worker_of
{
	my ($target) = @_;
	my $query = "SELECT worker_pid FROM inval_target_status WHERE target = '$target'";

	poll_query($node, 'postgres', "SELECT ($query) IS NOT NULL");
	return sql($query);
}

# In the namespace are the keys app:*; all that looks similar is not in it.
my @outside = ('app', 'app;x', 'bapp:1', 'App:1', 'other:1', 'ap', "app\n:1");

sql("SELECT inval_add_target('there', '" . $there->unix_url . "', namespace => 'app:')");
sql(q{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, 1000);
	SELECT inval_track('team', key => 'app:{id}', targets => '{there}',
		delivery => 'background');
	CREATE TABLE late (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO late VALUES (1);
	SELECT inval_track('late', key => 'app:late:{id}', targets => '{there}',
		repeat_after => '1 hour');
	CREATE TABLE mine (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO mine SELECT generate_series(1, 1000);
	SELECT inval_track('mine', key => 'mine:{id}', delivery => 'background')});

sub fill_there
{
	$there->fill('app:', 1, 1000);
	$there->cmd('SET', $_, 'kept') foreach @outside;
	# A server that is killed comes back with what it had.
	$there->cmd('SAVE');
	return;
}

sub outage
{
	$there->kill9;
	sql('UPDATE late SET n = n + 1');
	ok(wait_target_state($node, 'postgres', 'down', 'there'), 'the target is down');
	return now();
}

# By number of entries
fill_there();
my $since = outage();
sql("UPDATE team SET n = 1 WHERE id = $_") foreach 1 .. 40;
wait_queued('there', 'delete 41', 'below the limit: all is queued');
is(sql("SELECT collapsed_at IS NULL AND collapsed_keys IS NULL FROM inval_target_status
		WHERE target = 'there'"), 't', 'below the limit: nothing has collapsed');
sql("SELECT inval_pause(); SELECT inval_touch('app:1')");
sql("UPDATE team SET n = 1 WHERE id BETWEEN 41 AND 100");
ok(wait_collapsed('there', $since), 'beyond it: the backlog collapses');
# The repetition of "late" is not due for an hour: it stays.
wait_queued('there', 'delete 1, prefix 1', 'beyond it: into one entry');
is(sql("SELECT key FROM inval_queue WHERE action = 'prefix'"), 'app:',
	'the entry is for the namespace');
is(sql("SELECT collapsed_keys FROM inval_target_status WHERE target = 'there'"), 101,
	'the status tells how many entries');
is(times_logged($node, qr/LOG: +inval target "there" is down, and its backlog of 101 invalidations/), 1,
	'so does the log, once');

ok(poll_query($node, 'postgres', q{
		SELECT bool_and(pg_relation_size(format('inval_outbox_%s', i)::regclass) = 0)
		FROM generate_series(0, 2) i}),
	'and the tables that commits write to are emptied, although the target is down');

# What comes after it is queued as usual, and collapses into the same entry.
$since = now();
sql("UPDATE team SET n = 2 WHERE id = 1");
wait_queued('there', 'delete 2, prefix 1', 'what comes later is queued');
my $entry = sql("SELECT id FROM inval_queue WHERE action = 'prefix'");
sql("UPDATE team SET n = 2 WHERE id BETWEEN 2 AND 80");
ok(wait_collapsed('there', $since), 'beyond the limit again: collapsed again');
wait_queued('there', 'delete 1, prefix 1', 'there is still one entry');
isnt(sql("SELECT id FROM inval_queue WHERE action = 'prefix'"), $entry,
	'a new one, so that a removal that is under way does not count');

# Meanwhile the other target is as always.
is(queued_for('default'), 'delete 1', 'what another target owes does not collapse');
sql('SELECT inval_resume()');
$here->fill('mine:', 1, 10);
sql("UPDATE mine SET n = 1 WHERE id <= 10");
ok(wait_keys_gone($here, map { "mine:$_" } 1 .. 10), 'another target goes on');
is(sql("SELECT collapsed_at IS NULL FROM inval_target_status WHERE target = 'default'"), 't',
	'another target has not collapsed');

# Back again, over a crash of the server right after the collapse, and a worker
# that is killed.
my $killed = worker_of('there');
kill 'KILL', $killed;
ok(poll_query($node, 'postgres',
		"SELECT worker_pid <> $killed FROM inval_target_status WHERE target = 'there'"),
	'the worker is killed');
wait_queued('there', 'delete 1, prefix 1', 'killed: the entry is there');
$node->stop('immediate');
$node->start;
wait_queued('there', 'delete 1, prefix 1', 'crashed: the entry is there');
$there->start;
ok(wait_keys_gone($there, map { "app:$_" } 1 .. 1000),
	'back: everything in the namespace is gone');
wait_queued('there', 'delete 1', 'back: nothing is owed but the repetition');
is(scalar($there->existing(@outside)), scalar(@outside),
	'back: nothing outside of the namespace was touched');
ok(poll_query($node, 'postgres', "SELECT progress IS NULL FROM inval_target_status
		WHERE target = 'there'"), 'back: no removal runs');
is(times_logged($node, qr/LOG: +inval target "there": all keys that start with "app:" are removed/), 1,
	'back: the log tells');

# By age
set('inval.backlog_max_keys' => 0, 'inval.backlog_max_age' => "'1s'");
fill_there();
$since = outage();
sql("UPDATE team SET n = 3 WHERE id <= 2");
ok(wait_collapsed('there', $since), 'by age: collapsed');
wait_queued('there', 'delete 1, prefix 1', 'by age: into one entry');
ok(sql("SELECT oldest_age >= '1 second' FROM inval_target_status WHERE target = 'there'") eq 't',
	'by age: it is as old as what it stands for');

# Not while it is paused: somebody has decided so.
sql("SELECT inval_pause('there'); UPDATE team SET n = 4 WHERE id <= 3");
ok(poll_until(sub { times_logged($node, qr/WARNING: .*inval target "there" is paused, and/) == 1 },
		'a warning'), 'paused: a warning');
is(queued_for('there'), 'delete 4, prefix 1', 'paused: nothing collapses');
sql("SELECT inval_resume('there')");
set('inval.backlog_max_age' => 0);
$there->start;
ok(wait_keys_gone($there, map { "app:$_" } 1 .. 1000), 'by age: all keys are removed');
wait_queued('there', 'delete 1', 'by age: nothing is owed');
is(scalar($there->existing(@outside)), scalar(@outside),
	'by age: nothing outside was touched');

# Special characters in the namespace
my $odd = 'a*b[c-e]?\\f^]:';
my @inside = map { "$odd$_" } '', 1 .. 300, 'x*', "\0zero", "\xff";
my @similar = ('aXb[c-e]?\\f^]:1', 'a*bc]?\\f^]:1', 'a*bcX\\f^]:1', 'a*bdf', 'a*b[c-e]X\\f^]:1',
	'a*b[c-e]?f^]:1', 'a', 'ab', 'a*b[c-e]?\\f^]');
sql("SELECT inval_add_target('odd', '" . $there->unix_url(1) . "', namespace => '$odd')");
sql("CREATE TABLE odd (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO odd SELECT generate_series(1, 10);
	SELECT inval_track('odd', key => '$odd\{id}', targets => '{odd}', delivery => 'background')");
set('inval.backlog_max_keys' => 5);
ok(worker_of('odd'), 'odd namespace: a worker');
$there->select_db(1)->cmd('SET', $_, 'x') foreach @inside, @similar;
$there->cmd('SAVE');
$since = now();
$there->kill9;
sql('UPDATE odd SET n = 1');
ok(wait_collapsed('odd', $since), 'odd namespace: collapsed');
$there->start;
ok(wait_keys_gone($there, @inside), 'odd namespace: all in it are removed');
is(scalar($there->existing(@similar)), scalar(@similar),
	'odd namespace: what only looks like it is not');
wait_queued('odd', '', 'odd namespace: nothing is owed');
$there->select_db(0);

# Deletes are delivered while a long removal runs, which starts anew when it is
# interrupted.
sql("SELECT inval_add_target('there', '" . $there->unix_url . "', namespace => 'app:',
	max_rate => 400)");
$there->fill('app:many:', 1, 20_000);
fill_there();
$since = outage();
sql('UPDATE team SET n = 5 WHERE id <= 100');
ok(wait_collapsed('there', $since), 'long removal: collapsed');
$there->start;
ok(poll_query($node, 'postgres', q{SELECT progress ~ '^prefix: about \d+ %, [1-9]\d* keys removed$'
		FROM inval_target_status WHERE target = 'there'}),
	'long removal: the status tells how far it is');
foreach my $id (900 .. 905)
{
	# Written anew, so that it is the delete that removes it.
	$there->cmd('SET', "app:$id", 'cached');
	sql("UPDATE team SET n = 6 WHERE id = $id");
	ok(wait_keys_gone($there, "app:$id"), 'long removal: a delete is delivered');
}
wait_queued('there', 'delete 1, prefix 1', 'long removal: it still runs');
cmp_ok($there->cmd('DBSIZE'), '>', 10_000, 'long removal: and has much to do');
$there->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
kill 'KILL', worker_of('there');
ok(poll_query($node, 'postgres', q{SELECT progress IS NOT NULL
		FROM inval_target_status WHERE target = 'there'}),
	'long removal: it goes on after its worker and its connection were killed');
# Where it was means nothing to a server that has just started.
ok(poll_query($node, 'postgres', q{SELECT progress ~ ' [1-9]\d\d+ keys removed$'
		FROM inval_target_status WHERE target = 'there'}),
	'long removal: on its way');
$there->kill9;
$there->start;
sql("SELECT inval_add_target('there', '" . $there->unix_url . "', namespace => 'app:')");
ok(poll_until(sub { $there->cmd('DBSIZE') == @outside }, 'the removal to end'),
	'long removal: in the end all is gone, and nothing else')
  or diag($there->cmd('DBSIZE'));
wait_queued('there', 'delete 1', 'long removal: nothing is owed');

# A server that refuses the search: the entry says so and waits, deletes go on.
fill_there();
$since = outage();
sql('UPDATE team SET n = 7 WHERE id <= 100');
ok(wait_collapsed('there', $since), 'refused: collapsed');
$there->{acl} = ['default on nopass ~* &* +@all -scan'];
$there->start;
ok(poll_query($node, 'postgres', q{SELECT last_error LIKE 'NOPERM%' FROM inval_queue
		WHERE action = 'prefix'}), 'refused: the queue tells why');
sql('UPDATE team SET n = 8 WHERE id = 300');
ok(wait_keys_gone($there, 'app:300'), 'refused: deletes are delivered');
is(sql("SELECT state FROM inval_target_status WHERE target = 'there'"), 'up',
	'refused: the target is up');
$there->cmd('ACL', 'SETUSER', 'default', '+scan');
ok(wait_keys_gone($there, map { "app:$_" } 1 .. 1000), 'allowed again: all are removed');
wait_queued('there', 'delete 1', 'allowed again: nothing is owed');

# A key that the target refuses to remove does not keep the others.
fill_there();
$since = outage();
sql('UPDATE team SET n = 9 WHERE id <= 100');
ok(wait_collapsed('there', $since), 'key refused: collapsed');
$there->{acl} = ['default on nopass resetkeys ~app:1* ~app:2* ~app:9* &* +@all'];
$there->start;
ok(wait_keys_gone($there, map { "app:$_" } 100 .. 299, 900 .. 999),
	'key refused: the others are removed');
wait_queued('there', 'delete 1', 'key refused: the removal ends');
is(times_logged($node, qr/WARNING: +inval target "there" refuses to remove \d+ keys/), 1,
	'key refused: with a warning');
$there->cmd('ACL', 'SETUSER', 'default', '~*');

# Keys from before the namespace was changed are not in it: they stay.
$since = outage();
sql("SELECT inval_touch('app:old:' || i, target => 'there') FROM generate_series(1, 20) i");
wait_queued('there', 'delete 1, prefix 1', 'changed namespace: collapsed, so far');
sql("SELECT inval_add_target('there', '" . $there->unix_url . "', namespace => 'new:')");
sql('UPDATE team SET n = 10 WHERE id <= 20');
$since = now();
sql("SELECT inval_touch('new:' || i, target => 'there') FROM generate_series(1, 20) i");
ok(wait_collapsed('there', $since), 'changed namespace: collapsed again');
is(sql("SELECT string_agg(key, ' ' ORDER BY key) FROM inval_queue
		WHERE action = 'prefix' AND target = 'there'"), 'app: new:',
	'changed namespace: each has its entry');
$there->{acl} = [];
sql(q{SELECT inval_pause('there')});
$there->start;
$there->fill('app:', 500, 510);
$there->fill('new:', 500, 510);
sql(q{SELECT inval_resume('there')});
ok(poll_query($node, 'postgres', q{SELECT last_error FROM inval_queue
		WHERE key = 'app:' AND action = 'prefix'}, 'outside the namespace of the target'),
	'changed namespace: what is outside of it now is refused');
ok(wait_keys_gone($there, map { "new:$_" } 500 .. 510), 'changed namespace: the new one is removed');
is(scalar($there->existing(map { "app:$_" } 500 .. 510)), 11,
	'changed namespace: the old one is not');
sql("SELECT inval_add_target('there', '" . $there->unix_url . "', namespace => 'app:')");
ok(wait_keys_gone($there, map { "app:$_" } 500 .. 510),
	'changed namespace: until it is the namespace again');
wait_queued('there', 'delete 1', 'changed namespace: nothing is owed');

# inval_drain does it too, if there is no worker.
set('inval.workers' => 1);
fill_there();
$since = outage();
sql('UPDATE team SET n = 11 WHERE id <= 100');
ok(wait_collapsed('there', $since), 'drain: collapsed');
set('inval.workers' => 0);
kill 'KILL', worker_of('there');
ok(poll_query($node, 'postgres', q{SELECT worker_pid IS NULL FROM inval_target_status
		WHERE target = 'there'}), 'drain: there is no worker');
$there->start;
cmp_ok(sql('SELECT inval_drain()'), '>=', 1, 'drain: delivers the entry');
is(scalar($there->existing(map { "app:$_" } 1 .. 1000)), 0, 'drain: all are removed');
is(scalar($there->existing(@outside)), scalar(@outside), 'drain: nothing outside');
is(queued_for('there'), 'delete 1', 'drain: nothing is owed');
set('inval.workers' => 8);
ok(worker_of('there'), 'drain: a worker again');

# Without a namespace nothing is dropped, and a warning comes, once and again when
# it is ten times worse.
$here->fill('mine:', 1, 1000);
$here->cmd('SAVE');
$here->kill9;
my $warning = qr/WARNING: +inval target "default" is down, and \d+ invalidations are queued for it/;
sql("UPDATE mine SET n = n + 1 WHERE id = $_") foreach 1 .. 20;
ok(poll_until(sub { times_logged($node, $warning) == 1 }, 'a warning'), 'no namespace: a warning');
sql("UPDATE mine SET n = n + 1 WHERE id = $_") foreach 21 .. 25;
is(times_logged($node, $warning), 1, 'no namespace: one');
sql("UPDATE mine SET n = n + 1 WHERE id BETWEEN 26 AND 700");
ok(poll_until(sub { times_logged($node, $warning) == 2 }, 'another'), 'no namespace: another');
is(queued_for('default'), 'delete 700', 'no namespace: nothing is dropped');
is(sql("SELECT collapsed_at IS NULL FROM inval_target_status WHERE target = 'default'"), 't',
	'no namespace: nothing has collapsed');
$here->start;
ok(wait_keys_gone($here, map { "mine:$_" } 1 .. 700), 'no namespace: all are delivered');
wait_queued('default', '', 'no namespace: nothing is owed');
is(scalar($here->existing(map { "mine:$_" } 701 .. 1000)), 300, 'no namespace: and nothing else');

no_crash($node, 'no server process crashed', kill9 => 1);
$node->stop;
done_testing();
