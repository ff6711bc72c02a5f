# What only version 18 has: virtual generated columns, foreign keys over time
# and those that are not enforced, slots that are given up.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Keys stay queued where no Redis is; what the worker finds when it looks up once more would
# be among them if it were quick enough.
my $node = new_node('main', url => 'unix:///nonexistent/redis.sock', conf => "inval.look_again = off\n");
my $last = 0;

plan skip_all => 'what is new in version 18'
  if $node->safe_psql('postgres', 'SHOW server_version_num') < 180000;

# The keys that a statement queues.
sub queues
{
	my ($statement, $expected) = @_;
	my $keys;

	$node->safe_psql('postgres', $statement);
	$keys = $node->safe_psql('postgres', qq{
		SELECT string_agg(key, ' ' ORDER BY key COLLATE "C") FROM inval_queue WHERE id > $last});
	$last = $node->safe_psql('postgres', "SELECT coalesce(max(id), $last) FROM inval_queue");
	is($keys, $expected, $statement);
	return;
}

sub refused
{
	my ($arguments, $error) = @_;
	my (undef, undef, $stderr) = $node->psql('postgres', "SELECT inval_track($arguments)");

	like($stderr, qr/ERROR:  \Q$error\E/, $arguments);
	return;
}

$node->safe_psql('postgres', q{
	CREATE TABLE team (id int PRIMARY KEY, name text,
		loud text GENERATED ALWAYS AS (name || '!') VIRTUAL);
	CREATE TABLE task (id int PRIMARY KEY, team_id int REFERENCES team NOT ENFORCED,
		twice int GENERATED ALWAYS AS (id * 2) VIRTUAL);
	CREATE TABLE lease (who int4range, during int4range, name text,
		PRIMARY KEY (who, during WITHOUT OVERLAPS));
	CREATE TABLE visit (who int4range, during int4range,
		FOREIGN KEY (who, PERIOD during) REFERENCES lease (who, PERIOD during));
	INSERT INTO team (id, name) VALUES (1, 'a')});

# Triggers do not see the value of a virtual column; queries do.
refused(q{'task', 'twice'}, 'virtual generated column "twice" cannot be part of a key');
refused(q{'task', key => '{team_id.loud}'},
	'virtual generated column "loud" cannot be part of a key');
refused(q{'task', key => '{id}', changes => '{id,twice}'},
	'virtual generated column "twice" cannot be in the list of changes');
refused(q{'task', key => '{name}', via => 'SELECT name FROM team WHERE id = {twice}'},
	'virtual generated column "twice" cannot be used in a via query');
$node->safe_psql('postgres', q{
	SELECT inval_track('task', key => 'via:{loud}',
		via => 'SELECT loud FROM team WHERE id = {team_id}')});
queues('INSERT INTO task (id, team_id) VALUES (1, 1)', 'via:a!');
queues(q{ALTER TABLE team ALTER COLUMN loud SET EXPRESSION AS (name || '?')}, '');
queues('UPDATE task SET id = 2', 'via:a?');
queues('ALTER TABLE team RENAME COLUMN loud TO "Loud"; UPDATE task SET id = 3', 'via:a?');

# A foreign key over time may need several rows.
refused(q{'visit', key => '{who.name}'},
	'temporal foreign key "visit_who_during_fkey" cannot be followed');

# One that is not enforced is followed where it leads to a row.
$node->safe_psql('postgres', q{SELECT inval_track('task', key => 'name:{team_id.name}')});
queues('INSERT INTO task (id, team_id) VALUES (5, 1), (6, 99)', 'name:a via:a?');
queues('ALTER TABLE task ALTER CONSTRAINT task_team_id_fkey NOT ENFORCED', '');
queues('DELETE FROM task', 'name:a via:a?');

# What waits for a standby that is away does so until the server gives its slot up.
my $redis = Inval::Redis->new;
my $idle = new_node('idle',
	url => $redis->unix_url,
	init => { allows_streaming => 1 },
	conf => "inval.repeat_after_replay = on\ninval.replay_timeout = 0\n"
	  . "idle_replication_slot_timeout = 0\n");

$idle->safe_psql('postgres', q{
	CREATE TABLE team (id int PRIMARY KEY);
	SELECT inval_track('team', 'id');
	SELECT pg_create_physical_replication_slot('away', true);
	INSERT INTO team VALUES (1)});
$redis->cmd('SET', 'team:1', 'put back');
$idle->adjust_conf('postgresql.conf', 'idle_replication_slot_timeout', '1s');
reload($idle);
ok(poll_query($idle, 'postgres', q{CHECKPOINT; SELECT wal_status FROM pg_replication_slots}, 'lost'),
	'a slot is given up');
ok(wait_keys_gone($redis, 'team:1'), 'nobody waits for its standby any more');
ok(wait_queue_empty($idle, 'postgres'), 'the queue is empty');

done_testing();
