# inval.repeat_after_replay: where readers fill the cache from standbys, a key is
# removed once more when all of them have replayed the commit.  Until then a
# standby shows the old row, which a reader may put back.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $primary = new_node('primary',
	url => $redis->unix_url,
	extension => 0,
	init => { allows_streaming => 1 },
	conf => "inval.repeat_after_replay = on\ninval.replay_timeout = 0\n"
	  . "wal_retrieve_retry_interval = '100ms'\ninval.backlog_max_keys = 5\n"
	  # What is not flushed stays so: no page has to make room, nobody else writes.
	  . "shared_buffers = 32MB\nautovacuum = off\n");
my $node = $primary;

# The extension's owner is somebody who may not see the standbys.
$node->safe_psql('postgres', q{
	CREATE ROLE dba SUPERUSER;
	SET ROLE dba;
	CREATE EXTENSION inval;
	RESET ROLE;
	ALTER ROLE dba NOSUPERUSER});
my $row = 0;	# rows are used once
my $late;	# the key of a repetition that comes later than this test ends

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

sub set
{
	my ($name, $value) = @_;

	$node->adjust_conf('postgresql.conf', $name, "'$value'");
	reload($node);
	return;
}

sub new_standby
{
	my ($name, $slot) = @_;
	my $standby = PostgreSQL::Test::Cluster->new($name);

	$standby->init_from_backup($node, 'base', has_streaming => 1);
	# It reports without that.
	$standby->append_conf('postgresql.conf', 'wal_receiver_status_interval = 1h');
	$standby->append_conf('postgresql.conf', "primary_slot_name = '$slot'") if $slot;
	$standby->start;
	poll_query($node, 'postgres', qq{
		SELECT count(*) = 1 FROM pg_stat_replication
		WHERE application_name = '$name' AND state = 'streaming' AND replay_lsn IS NOT NULL});
	return $standby;
}

sub pause
{
	my ($standby) = @_;

	$node->wait_for_catchup($standby, 'replay');
	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
	poll_query($standby, 'postgres', 'SELECT pg_get_wal_replay_pause_state()', 'paused');
	return;
}

sub resume
{
	my ($standby) = @_;

	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
	return;
}

# Changes a row, and reads it from a standby as a reader who caches it.
sub change_and_refill
{
	my ($standby, $table) = @_;

	$row++;
	sql("UPDATE $table SET n = 1 WHERE id = $row");
	ok(wait_keys_gone($redis, "$table:$row"), "$table:$row is gone");
	is($standby->safe_psql('postgres', "SELECT n FROM $table WHERE id = $row"),
		0, 'the standby shows the old row');
	$redis->cmd('SET', "$table:$row", 'old, from the standby');
	return "$table:$row";
}

# What waits is there when standbys have reported and the worker has been busy.
sub still_waits
{
	my ($key, $name) = @_;

	my $now = sql('SELECT now()');

	sql(q{SELECT inval_touch('other', delivery => 'background')});
	poll_query($node, 'postgres', qq{
		SELECT coalesce(bool_and(reply_time > '$now'), true) FROM pg_stat_replication});
	poll_query($node, 'postgres', qq{
		SELECT string_agg(DISTINCT key || ' ' || action || ' ' || attempts
						  || coalesce(last_error, ''), ',')
		FROM inval_queue WHERE key = '$key'}, "$key delete 0");
	is($redis->cmd('EXISTS', $key), 1, $name);
	return;
}

# Only the repetition that is due in an hour
sub nothing_waits
{
	my ($server) = @_;

	return poll_query($server || $node, 'postgres',
		"SELECT count(*) FROM inval_queue WHERE key <> '$late'", 0);
}

# The letters of the rows that a change of a row has queued
sub letters_of_change
{
	my ($id) = @_;
	my $xid = sql(qq{
		BEGIN; UPDATE team SET n = n + 1 WHERE id = $id; SELECT pg_current_xact_id(); COMMIT});

	return sql(join ' UNION ALL ',
		map { "SELECT lane FROM inval_outbox_$_ WHERE xid = '$xid'" } 0 .. 5);
}

$node->backup('base');
sql(q{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, 100);
	SELECT inval_track('team', 'id');
	CREATE TABLE slow (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO slow SELECT generate_series(1, 100);
	SELECT inval_track('slow', 'id', delivery => 'background');
	CREATE TABLE large (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO large SELECT generate_series(1, 2000);
	SELECT inval_track('large', 'id', delivery => 'background');
	CREATE TABLE late (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO late SELECT generate_series(1, 100);
	SELECT inval_track('late', 'id', repeat_after => '1 hour')});
ok(wait_queue_empty($node, 'postgres'), 'nothing waits yet');

# Where there is no standby there may have been one since the commit.
my $worker = worker_pid($node, 'postgres');
kill 'STOP', $worker;
sql('UPDATE team SET n = 1 WHERE id = 100');
$redis->cmd('SET', 'team:100', 'old, from a standby that is gone');
kill 'CONT', $worker;
sql('UPDATE slow SET n = 1 WHERE id = 100');
ok(wait_keys_gone($redis, 'slow:100', 'team:100'), 'no standby: delivered, and repeated');
ok(wait_queue_empty($node, 'postgres'), 'no standby: nothing waits');

# One that lags
sql(q{SELECT pg_create_physical_replication_slot('first', true)});
my $first = new_standby('first', 'first');

pause($first);
sql('SELECT inval_stats_reset()');
my $key = change_and_refill($first, 'team');

still_waits($key, 'what is put back stays while the standby lags');
resume($first);
ok(wait_keys_gone($redis, $key), 'and goes when it has replayed');
is($first->safe_psql('postgres', "SELECT n FROM team WHERE id = $row"), 1,
	'the standby shows the new row');
ok(wait_queue_empty($node, 'postgres'), 'then nothing waits');
is(sql(q{
		SELECT keys_queued, delivered_at_commit, delivered_by_worker FROM inval_stats
		WHERE rule = 1}), '1|1|0', 'it counts once');

# Nothing is written after the commit.
sql('UPDATE team SET n = 1 WHERE id = 99');
ok(wait_queue_empty($node, 'postgres'), 'nothing waits where nothing lags');

# In the background, alone and in rows of many; and beside a repetition by time
pause($first);
$key = change_and_refill($first, 'slow');
still_waits($key, 'background: it stays');
$redis->fill('large:', 1, 2000);
sql('UPDATE large SET n = 1');
ok(wait_keys_gone($redis, map { "large:$_" } 1 .. 2000), 'large: gone');
$redis->fill('large:', 1, 2000);
$late = change_and_refill($first, 'late');
my $prepared = $row + 1;
sql(qq{BEGIN; UPDATE team SET n = 1 WHERE id = $prepared; PREPARE TRANSACTION 'later'});
sql(q{COMMIT PREPARED 'later'});
$redis->cmd('SET', "team:$prepared", 'cached');
ok(poll_query($node, 'postgres', q{
		SELECT count(*) = 2000 FROM inval_queue WHERE key ~ 'large:'}), 'large: they wait');
still_waits($late, 'beside a repetition by time: it stays');
resume($first);
ok(wait_keys_gone($redis, $key), 'background: it goes');
ok(wait_keys_gone($redis, map { "large:$_" } 1 .. 2000), 'large: they go');
ok(wait_keys_gone($redis, $late), 'beside a repetition by time: it goes');
ok(wait_keys_gone($redis, "team:$prepared"), 'prepared: it goes');
$row = $prepared;
ok(poll_query($node, 'postgres', q{SELECT string_agg(key, ',') FROM inval_queue}, $late),
	'and only that repetition is left');

# The slowest counts.
my $second = new_standby('second');

pause($first);
pause($second);
$key = change_and_refill($first, 'team');
resume($second);
$node->wait_for_catchup($second, 'replay');
still_waits($key, 'two standbys: the slower one is waited for');
resume($first);
ok(wait_keys_gone($redis, $key), 'two standbys: and then it goes');

# The tables that commits write to are emptied all the same.
pause($first);
$key = change_and_refill($first, 'team');
ok(poll_query($node, 'postgres', q{
		SELECT bool_and(pg_relation_size(format('inval_outbox_%s', i)::regclass) = 0)
		FROM generate_series(0, 2) i}), 'what waits for long is moved');
still_waits($key, 'moved: it waits');
resume($first);
ok(wait_keys_gone($redis, $key), 'moved: and is repeated');

# The worker is lost: it knows nothing of what it saw, and waits again.
pause($first);
$key = change_and_refill($first, 'team');
my $pid = worker_pid($node, 'postgres');
sql("SELECT pg_terminate_backend($pid)");
ok(poll_query($node, 'postgres', qq{
		SELECT worker_pid <> $pid FROM inval_target_status}), 'another worker');
still_waits($key, 'it still waits');
resume($first);
ok(wait_keys_gone($redis, $key), 'and is repeated');

# The server is shut down.  A standby with all it needs to replay comes back to it
# late; by its slot it is known meanwhile.
pause($first);
$key = change_and_refill($first, 'team');
$node->restart;
ok(wait_keys_gone($redis, $key), 'after a restart what is queued is delivered again');
$redis->cmd('SET', $key, 'old, from the standby');
still_waits($key, 'restart: and waits');
resume($first);
ok(wait_keys_gone($redis, $key), 'restart: and is repeated');

# A crash
pause($first);
$key = change_and_refill($first, 'team');
$node->stop('immediate');
$node->start;
ok(wait_keys_gone($redis, $key), 'after a crash too');
$redis->cmd('SET', $key, 'old, from the standby');
still_waits($key, 'crash: it waits');
resume($first);
ok(wait_keys_gone($redis, $key), 'crash: and is repeated');

# Longer than it may take
pause($first);
$key = change_and_refill($first, 'team');
still_waits($key, 'no limit: it waits');
set('inval.replay_timeout', '1s');
ok(wait_keys_gone($redis, $key), 'repeated when the time is over');
is($first->safe_psql('postgres', "SELECT n FROM team WHERE id = $row"), 0,
	'although the standby has not replayed it');
$key = change_and_refill($first, 'team');
ok(wait_keys_gone($redis, $key), 'the next one too');
is(times_logged($node, qr/has not replayed for longer than/), 1,
	'the log says so once');
set('inval.replay_timeout', '0');

# One that goes away
resume($first);
pause($second);
$key = change_and_refill($second, 'team');
still_waits($key, 'it waits for a standby that is there');
$second->stop('immediate');
ok(wait_keys_gone($redis, $key), 'not for one that is gone');
ok(nothing_waits(), 'nothing waits');
$second->start;

# With a slot it is expected back.
pause($first);
$key = change_and_refill($first, 'team');
$first->stop('immediate');
still_waits($key, 'it waits for a standby that is away and has a slot');
$first->start;
ok(wait_keys_gone($redis, $key), 'until it has replayed');
$first->stop('immediate');
$row++;
sql("UPDATE team SET n = 1 WHERE id = $row");
$redis->cmd('SET', "team:$row", 'old, from the standby');
still_waits("team:$row", 'away again');
sql(q{SELECT pg_drop_replication_slot('first')});
ok(wait_keys_gone($redis, "team:$row"), 'no slot, no waiting');

# One that is just connecting holds its slot before it streams.
my ($said, $told, $wrong) = ("CREATE_REPLICATION_SLOT coming TEMPORARY PHYSICAL RESERVE_WAL;\n", '', '');
my $coming = IPC::Run::start(
	[ 'psql', '-X', '-d', $node->connstr('postgres') . ' replication=true' ],
	'<', \$said, '>', \$told, '2>', \$wrong);
ok(poll_until(sub { $coming->pump_nb; $told =~ /coming/ }, 'a slot'), "a slot $wrong");
$row++;
sql("UPDATE team SET n = 1 WHERE id = $row");
$redis->cmd('SET', "team:$row", 'old, from the standby');
still_waits("team:$row", 'it waits for a standby that is connecting');
$coming->kill_kill;
ok(wait_keys_gone($redis, "team:$row"), 'until it is gone');

# The only one goes away: there is none to wait for.
pause($second);
$key = change_and_refill($second, 'team');
still_waits($key, 'it waits for the only standby');
$second->stop('immediate');
ok(wait_keys_gone($redis, $key), 'that is gone: repeated');
ok(nothing_waits(), 'nothing waits');
$second->start;

# The worker, which saw it for the last time before the commit, need not see it go.
pause($second);
$key = change_and_refill($second, 'team');
still_waits($key, 'it waits for the only standby again');
resume($second);
ok(wait_keys_gone($redis, $key), 'which has replayed it');
ok(nothing_waits(), 'nothing waits');
pause($second);
$worker = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'inval worker'});
kill 'STOP', $worker;
$key = change_and_refill($second, 'team');
$second->stop('immediate');
poll_query($node, 'postgres', 'SELECT count(*) FROM pg_stat_replication', 0);
kill 'CONT', $worker;
ok(wait_keys_gone($redis, $key), 'one that is gone before the worker looks: repeated');
$second->start;

# What takes a while is repeated as a whole: most of it was removed before the standby
# had replayed it.
my $slow = Inval::Redis->new;

sql("SELECT inval_add_target('slow', '" . $slow->unix_url . "', max_rate => 100)");
$slow->fill('prefix:', 1, 2000);
pause($second);
sql(q{SELECT inval_touch('prefix:', 'prefix', target => 'slow')});
ok(poll_until(sub { $slow->cmd('DBSIZE') < 2000 }, 'a removal'), 'a removal is on its way');
my ($gone) = grep { !$slow->cmd('EXISTS', "prefix:$_") } 1 .. 2000;
$slow->cmd('SET', "prefix:$gone", 'old, from the standby');
sql(q{SELECT inval_touch('other', target => 'slow')});
resume($second);
ok(poll_query($node, 'postgres', q{SELECT string_agg(action, ',') FROM inval_queue
		WHERE target = 'slow'}, 'prefix'), 'another key of its target is repeated meanwhile');
sql("SELECT inval_add_target('slow', '" . $slow->unix_url . "')");
ok(nothing_waits(), 'then there is no limit any more, and it ends');
is($slow->cmd('DBSIZE'), 0, 'what was put back meanwhile is gone, too');

# A backlog that has collapsed is repeated like what it stands for.
sql("SELECT inval_add_target('slow', '" . $slow->unix_url . "', namespace => 'app:')");
pause($second);
$slow->kill9;
sql(q{SELECT inval_touch('app:' || i, target => 'slow') FROM generate_series(1, 10) i});
ok(poll_query($node, 'postgres', q{SELECT string_agg(action, ',') FROM inval_queue
		WHERE target = 'slow'}, 'prefix'), 'a backlog has collapsed');
$slow->start;
$slow->cmd('SET', 'app:1', 'old');
ok(wait_keys_gone($slow, 'app:1'), 'and is delivered');
$slow->cmd('SET', 'app:1', 'old, from the standby');
resume($second);
ok(wait_keys_gone($slow, 'app:1'), 'and is repeated');
ok(nothing_waits(), 'nothing waits');

# What receives the log and replays nothing is no standby.
my $receiver = IPC::Run::start(
	[ 'pg_receivewal', '-n', '-D', PostgreSQL::Test::Utils::tempdir(), '-s', '1',
		'-d', $node->connstr('postgres') ],
	'>', \my $out, '2>', \my $err);
poll_query($node, 'postgres', q{
	SELECT count(*) = 1 FROM pg_stat_replication
	WHERE application_name <> 'second' AND state = 'streaming'});
sql('UPDATE team SET n = 1 WHERE id = 98');
ok(nothing_waits(), 'pg_receivewal is not waited for');
$receiver->signal('INT');
$receiver->finish;

# What is delivered late is waited for as the standbys are by then, not as they were when
# something younger was repeated.
sql('SELECT inval_pause(rule => 1)');
$row++;
sql("UPDATE team SET n = 1 WHERE id = $row");
sql("UPDATE slow SET n = 1 WHERE id = $row");
ok(poll_query($node, 'postgres', qq{SELECT string_agg(key, ',') FROM inval_queue
		WHERE key <> '$late'}, "team:$row"), 'one of a paused rule is left');
sql(q{SELECT pg_create_physical_replication_slot('new', true)});
$redis->cmd('SET', "team:$row", 'cached');
sql('SELECT inval_resume(rule => 1)');
ok(wait_keys_gone($redis, "team:$row"), 'and is delivered when that is resumed');
$redis->cmd('SET', "team:$row", 'old, from the new standby');
still_waits("team:$row", 'it waits for a standby that is new');
sql(q{SELECT pg_drop_replication_slot('new')});
ok(wait_keys_gone($redis, "team:$row"), 'and is repeated');

# What others have written since, and nobody has flushed, does not reach a standby, and is
# not waited for.
my $writer = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'});

$worker = sql(q{SELECT worker_pid FROM inval_target_status WHERE target = 'slow'});
kill 'STOP', $writer, $worker, worker_pid($node, 'postgres');
sql(q{SELECT inval_touch('app:1', target => 'slow')});
$slow->cmd('SET', 'app:1', 'old, from the standby');
my $open = $node->background_psql('postgres');
$open->query_safe('BEGIN; INSERT INTO late VALUES (0)');
kill 'CONT', $worker;
ok(wait_keys_gone($slow, 'app:1'), 'what is not flushed is not waited for');
kill 'CONT', $writer, worker_pid($node, 'postgres');
$open->quit;

# Off
set('inval.repeat_after_replay', 'off');
pause($second);
$row++;
unlike(letters_of_change($row), qr/[^cC]/, 'off: the row is as ever');
is(sql("SELECT count(*) FROM inval_queue WHERE key = 'team:$row'"), 0, 'off: nothing waits');
set('inval.repeat_after_replay', 'on');
is(letters_of_change($row), 'D', 'on: it is not');
resume($second);

# Promoted, a standby has the rows and works through them.
pause($second);
$key = change_and_refill($second, 'team');
still_waits($key, 'the primary waits for its standby');
poll_query($node, 'postgres',
	q{SELECT flush_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication});
$node->stop('immediate');
resume($second);
$second->promote;
ok(wait_keys_gone($redis, $key), 'promoted: what waited is delivered');
ok(nothing_waits($second), 'promoted: nothing waits');

# Without a worker it is inval_drain that waits.
my $plain = $node = new_node('plain',
	url => $redis->unix_url,
	preload => 0,
	init => { allows_streaming => 1 },
	conf => "inval.repeat_after_replay = on\n"
	  . "checkpoint_timeout = 1h\nshared_buffers = 32MB\nautovacuum = off\n");
$plain->backup('base');
sql(q{
	CREATE TABLE dirty (n int);
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, 100);
	SELECT inval_track('team', 'id')});
my $last = new_standby('last');

pause($last);
$key = change_and_refill($last, 'team');
my ($status, $output, $error) =
  $plain->psql('postgres', q{SELECT inval_drain('100 milliseconds')});
like($error, qr/the queue is not empty yet/, 'no worker: inval_drain waits in vain');
is($redis->cmd('EXISTS', $key), 1, 'no worker: nothing comes early');
resume($last);
$plain->wait_for_catchup($last, 'replay');
is(sql('SELECT inval_drain()'), 1, 'no worker: it delivers when the standby has replayed');
is($redis->cmd('EXISTS', $key), 0, 'no worker: gone');
is(sql('SELECT count(*) FROM inval_queue'), 0, 'no worker: nothing waits');

# A checkpoint that takes long, while nothing is written
$writer = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'});
sql('INSERT INTO dirty SELECT generate_series(1, 200000)');
sql('SELECT inval_drain()');
sql('UPDATE team SET n = 1 WHERE id = 98');
kill 'STOP', $writer;
my $backup = $plain->background_psql('postgres', on_error_stop => 0);
$backup->{stdin} .= "SELECT pg_backup_start('slow', false);\n";
$backup->{run}->pump_nb;
ok(poll_until(sub { times_logged($plain, qr/checkpoint starting: force wait/) }, 'a checkpoint'),
	'a checkpoint is on its way');
is(sql(q{SELECT inval_drain('1 minute')}), 1, 'no worker: it does not wait for that');
kill 'CONT', $writer;
abandon($backup);
$last->stop;
sql('UPDATE team SET n = 1 WHERE id = 99');
is(sql('SELECT inval_drain()'), 1, 'no worker, no standby any more: as if it had just left');
is(sql('SELECT count(*) FROM inval_queue'), 0, 'no worker, no standby: nothing waits');

no_crash($primary, 'primary');
no_crash($second, 'standby');
done_testing();
