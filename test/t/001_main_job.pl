# The promise in one paragraph, against a real Redis: a tracked table, a changed
# row, the key gone when COMMIT returns; a rolled-back change removes nothing.
# Nothing is polled here, because with delivery 'commit' nothing has to be.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('main', url => $redis->unix_url);

$node->safe_psql('postgres', q{
	CREATE TABLE team (id int PRIMARY KEY, parent int, note text);
	INSERT INTO team SELECT i, i / 10, 'x' FROM generate_series(1, 100) i;
	CREATE TABLE member (id int PRIMARY KEY,
		team_id int REFERENCES team ON DELETE CASCADE);
	INSERT INTO member SELECT i, i / 10 + 50 FROM generate_series(1, 100) i;
	SELECT inval_track('team', 'id');
	SELECT inval_track('member', key => 'member:{id}:of:{team_id}');
});

# Cache these keys, run the SQL, and name those that are gone right after it.
sub gone_after
{
	my ($sql, @keys) = @_;
	my %left;

	$redis->pipeline(map { [ 'SET', $_, 'cached' ] } @keys);
	$node->safe_psql('postgres', $sql);
	%left = map { $_ => 1 } $redis->existing(@keys);
	return join ' ', grep { !$left{$_} } @keys;
}

is($redis->cmd('PING'), 'PONG', 'Redis is there');

foreach my $address ([ 'Unix socket', $redis->unix_url ],
	[ 'TCP', $redis->tcp_url ])
{
	my ($how, $url) = @$address;

	set_redis_url($node, $url);
	is(gone_after('UPDATE team SET note = note || 1 WHERE id = 7',
			'team:7', 'team:8'),
		'team:7', "$how: update");
	is(gone_after(q{INSERT INTO team VALUES (101, 1, 'new')},
			'team:101', 'team:1'),
		'team:101', "$how: insert");
	is(gone_after('DELETE FROM team WHERE id = 101', 'team:101', 'team:1'),
		'team:101', "$how: delete");
	is(gone_after('UPDATE team SET id = 201 WHERE id = 9; UPDATE team SET id = 9 WHERE id = 201',
			'team:9', 'team:201', 'team:20'),
		'team:9 team:201', "$how: a changed key column means both keys");
	is(gone_after("BEGIN; UPDATE team SET note = 'y' WHERE id = 5; ROLLBACK",
			'team:5'),
		'', "$how: a rolled-back change removes nothing");
}

is(gone_after('UPDATE team SET note = note || 2 WHERE id BETWEEN 11 AND 20',
		map { "team:$_" } 10 .. 21),
	join(' ', map { "team:$_" } 11 .. 20),
	'bulk update');
is(gone_after("COPY team FROM stdin;\n301\t1\ta\n302\t1\tb\n\\.\n",
		'team:301', 'team:302', 'team:303'),
	'team:301 team:302', 'COPY');
is(gone_after("INSERT INTO team VALUES (301, 2, 'c') ON CONFLICT (id) DO UPDATE SET note = 'c'",
		'team:301', 'team:302'),
	'team:301', 'ON CONFLICT DO UPDATE');
is(gone_after('DELETE FROM team WHERE id = 55',
		'team:55', 'member:50:of:55', 'member:59:of:55', 'member:60:of:56'),
	'team:55 member:50:of:55 member:59:of:55', 'cascaded delete');
is(gone_after('TRUNCATE member',
		(map { "member:$_:of:" . (int($_ / 10) + 50) } 1, 2, 100),
		'member:50:of:55', 'member:101:of:60'),
	'member:1:of:50 member:2:of:50 member:100:of:60',
	'truncate means the rows that were there');
is(gone_after('BEGIN; TRUNCATE team CASCADE; ROLLBACK', 'team:1', 'team:2'),
	'', 'rolled-back truncate');

# Savepoints
is(gone_after(q{
		BEGIN;
		UPDATE team SET note = 's' WHERE id = 21;
		SAVEPOINT a;
		UPDATE team SET note = 's' WHERE id IN (21, 22);
		ROLLBACK TO a;
		UPDATE team SET note = 's' WHERE id = 23;
		SAVEPOINT b;
		UPDATE team SET note = 's' WHERE id = 24;
		RELEASE b;
		COMMIT}, map { "team:$_" } 21 .. 25),
	'team:21 team:23 team:24', 'savepoints');
is(gone_after(q{
		DO $$
		BEGIN
			UPDATE team SET note = 'e' WHERE id = 26;
			BEGIN
				UPDATE team SET note = 'e' WHERE id = 27;
				RAISE EXCEPTION 'no';
			EXCEPTION WHEN OTHERS THEN
				UPDATE team SET note = 'e' WHERE id = 28;
			END;
		END $$}, map { "team:$_" } 26 .. 28),
	'team:26 team:28', 'PL/pgSQL exception block');

# A field of a hash
$node->safe_psql('postgres', q{
	CREATE TABLE flag (team int, name text, value bool);
	INSERT INTO flag VALUES (1, 'beta', true), (1, 'dark', true);
	SELECT inval_track('flag', key => 'flags:{team}', field => '{name}')});
$redis->cmd('HSET', 'flags:1', 'beta', 1, 'dark', 1);
$node->safe_psql('postgres', "UPDATE flag SET value = false WHERE name = 'beta'");
is_deeply($redis->cmd('HKEYS', 'flags:1'), ['dark'], 'only the field goes');

# Bytes that are special to the protocol, to a shell or to SQL
$node->safe_psql('postgres', q{
	CREATE TABLE odd (name text);
	SELECT inval_track('odd', key => 'odd:{name}')});
is(gone_after(qq{INSERT INTO odd VALUES (E'a b\\r\\n\$1\\r\\n*'), ('%s%n'), ('\x{c3}\x{a9}')},
		"odd:a b\r\n\$1\r\n*", 'odd:%s%n', "odd:\xc3\xa9", 'odd:a'),
	"odd:a b\r\n\$1\r\n* odd:%s%n odd:\xc3\xa9", 'odd bytes in keys');

# Other doors
is(gone_after(q{SELECT inval_untrack('odd'); INSERT INTO odd VALUES ('late')}, 'odd:late'),
	'', 'an untracked table is left alone');
is(gone_after(q{
		SET session_replication_role = replica;
		UPDATE team SET note = 'r' WHERE id = 30}, 'team:30'),
	'team:30', 'changes of a replication role count');

is(queue_length($node, 'postgres'), 0, 'nothing is queued');
is($node->safe_psql('postgres',
		'SELECT sum(delivered_at_commit) > 50, sum(failed_tries) FROM inval_stats'),
	't|0', 'all of it went out at commit');

# Background delivery: the same promise without the wait
$node->safe_psql('postgres', "SELECT inval_track('team', 'id', delivery => 'background')");
$redis->pipeline(map { [ 'SET', "team:$_", 'cached' ] } 40 .. 49);
$node->safe_psql('postgres', "UPDATE team SET note = 'bg' WHERE id BETWEEN 40 AND 48");
ok(wait_keys_gone($redis, map { "team:$_" } 40 .. 48), 'the worker delivers');
is($redis->cmd('EXISTS', 'team:49'), 1, 'and no more than that');
ok(wait_queue_empty($node, 'postgres'), 'nothing is queued');
no_crash($node, 'no server process crashed');

done_testing();
