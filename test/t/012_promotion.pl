# A standby has the queue, not the shared memory.  Until it is promoted it sends
# nothing; then it delivers what the lost primary had committed and not yet
# delivered.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $primary = new_node('primary',
	url => $redis->unix_url,
	init => { allows_streaming => 1 },
	conf => "max_connections = 20\n");
my $standby = PostgreSQL::Test::Cluster->new('standby');

$primary->backup('base');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

$primary->safe_psql('postgres', q{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, 100);
	SELECT inval_track('team', 'id');
	CREATE TABLE release (id int PRIMARY KEY);
	INSERT INTO release VALUES (1);
	SELECT inval_set_var('v', 'a', 'b');
	SELECT inval_track('release', key => 'release:{$v}:{id}')});
$redis->fill('team:', 1, 100);
$primary->safe_psql('postgres', 'UPDATE team SET n = 1 WHERE id <= 10');
is(scalar($redis->existing(map { "team:$_" } 1 .. 100)), 90, 'the primary delivers');

# SAVE first, so that it comes back with the keys it had.
$redis->cmd('SAVE');
$redis->kill9;
$primary->safe_psql('postgres', "UPDATE team SET n = 1 WHERE id = $_") foreach 11 .. 20;
$primary->safe_psql('postgres', q{
	BEGIN; UPDATE team SET n = 1 WHERE id IN (21, 22); PREPARE TRANSACTION 'later'});
$primary->safe_psql('postgres', 'BEGIN; UPDATE team SET n = 1 WHERE id = 31; ROLLBACK');
$primary->wait_for_catchup($standby);
ok(poll_query($standby, 'postgres', 'SELECT sum(n) FROM team', 20), 'the standby has the changes');
my ($status, $output, $error) =
  $standby->psql('postgres', 'SELECT count(DISTINCT key) >= 10 FROM inval_queue');
is("$status $output", '0 t', 'the queue can be read on a standby') or diag($error);
($status, $output, $error) =
  $standby->psql('postgres', 'SELECT count(*) FROM inval_target_status');
is("$status $output", '0 1', 'so can the status') or diag($error);
($status, $output, $error) = $standby->psql('postgres',
	q{SELECT string_agg(key, ' ' ORDER BY key) FROM inval_preview('release')});
is("$status $output", '0 release:a:1 release:b:1', 'and keys be previewed, of variables too')
  or diag($error);

$primary->stop('immediate');
$redis->start;
is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'still a standby');
is(scalar($redis->existing(map { "team:$_" } 11 .. 20)), 10, 'a standby sends nothing');

# There is no worker to find out where a name leads to, or that it is another.
my $other = Inval::Redis->new;
foreach my $port (map { $_->port } $redis, $other)
{
	$_->cmd('SET', 'where', $_->port) foreach $redis, $other;
	is($standby->safe_psql('postgres', qq{
			SET inval.redis_url = 'redis://localhost:$port/0';
			SELECT convert_from(value, 'UTF8') FROM inval_peek('where')}),
		$port, 'a session on a standby peeks where it is told to');
}

$standby->promote;
ok(wait_keys_gone($redis, map { "team:$_" } 11 .. 20), 'promoted: it delivers what was queued');
ok(wait_queue_empty($standby, 'postgres'), 'promoted: the queue is empty');
is(scalar($redis->existing(map { "team:$_" } 21 .. 100)), 80,
	'promoted: neither what is prepared nor what was rolled back');
$standby->safe_psql('postgres', "COMMIT PREPARED 'later'");
ok(wait_keys_gone($redis, 'team:21', 'team:22'), 'promoted: a prepared transaction commits');
$standby->safe_psql('postgres', 'UPDATE team SET n = 2 WHERE id = 40');
ok(wait_keys_gone($redis, 'team:40'), 'promoted: new changes are delivered');
ok(wait_queue_empty($standby, 'postgres'), 'promoted: the queue is empty');

# What was known of its targets while it was a standby does not get in the way: one of
# two has confirmed, and is sent nothing more while the other is away.
$other = Inval::Redis->new;
$standby->safe_psql('postgres', "SELECT inval_add_target('other', '" . $other->unix_url . "')");
$standby->safe_psql('postgres', "SELECT inval_touch('to_both', target => 'other')");
$redis->cmd('CONFIG', 'RESETSTAT');
$other->freeze;
$standby->safe_psql('postgres', q{
	BEGIN;
	SELECT inval_touch('to_both'), inval_touch('to_both', target => 'other');
	COMMIT});
ok(wait_target_state($standby, 'postgres', 'down', 'other'), 'promoted: another target is away');
is($standby->safe_psql('postgres', 'SELECT target FROM inval_queue'), 'other',
	'promoted: it alone is owed something');
is($redis->calls('unlink'), 1, 'promoted: the first was sent its key once');
$other->thaw;
ok(wait_queue_empty($standby, 'postgres'), 'promoted: and the other is given it');
no_crash($standby, 'no server process crashed');

done_testing();
