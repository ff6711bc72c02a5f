# What each action does to a single Redis server, and what is told of it: numbers
# that only grow, dependency sets, shorter lives, channels, and streams whose
# consumers miss nothing without noticing.  A command that the server refuses holds
# up its own entry and nothing else.

use strict;
use warnings;

use Inval::Listener;
use Inval::Test;
use Test::More;

my $redis = Inval::Redis->new(config => { 'stream-node-max-entries' => 5 });
my $node = new_node('actions', url => $redis->unix_url,
	conf => "inval.commit_timeout = '2s'\ninval.retry_max = '100ms'\ninval.sweep_interval = '50ms'\n");

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

sub has_library
{
	my ($server) = @_;

	return poll_until(sub { $server->cmd('FCALL', 'inval_version', 0) }, 'the library');
}

sub delivered
{
	my ($what) = @_;

	return ok(wait_queue_empty($node, 'postgres'), "$what: delivered");
}

sub state_of
{
	my ($target) = @_;

	return sql("SELECT state FROM inval_target_status WHERE target = '$target'");
}

# A stream's entries, oldest first, each as a hash
sub stream
{
	my ($server, $name) = @_;

	return map { { @{ $_->[1] } } } @{ $server->cmd('XRANGE', $name, '-', '+') };
}

sub numbers { return map { $_->{number} } @_; }

# What may have been refused so far is due again.
sub eventually
{
	my ($condition, $what) = @_;

	return ok(poll_until($condition, $what), $what);
}

ok(has_library($redis), 'the worker has loaded the functions');
sql(q{
	CREATE TABLE item (id int PRIMARY KEY, n int DEFAULT 0, topic text, tags text[]);
	INSERT INTO item SELECT generate_series(1, 200)});

# version: a missing number starts from the clock, and grows by one.
sql(q{SELECT inval_track('item', key => 'version:{id}', action => 'version')});
my $earliest = time * 1_000_000;
sql('UPDATE item SET n = n + 1 WHERE id = 1');
my $number = $redis->cmd('GET', 'version:1');
cmp_ok($number, '>', $earliest, 'version: a missing number starts from the clock');
cmp_ok($number, '<', (time + 2) * 1_000_000, 'version: which is in microseconds');
sql('UPDATE item SET n = n + 1 WHERE id = 1');
is($redis->cmd('GET', 'version:1'), $number + 1, 'version: the next one is one more');
is(sql(q{SELECT sum(delivered_by_worker) FROM inval_stats}), 0, 'version: all at commit');
sql('BEGIN; UPDATE item SET n = n + 1 WHERE id = 1; UPDATE item SET n = n + 1 WHERE id = 1; COMMIT');
is($redis->cmd('GET', 'version:1'), $number + 2, 'version: once for a transaction');
sql('BEGIN; UPDATE item SET n = n + 1 WHERE id = 1; ROLLBACK');
is($redis->cmd('GET', 'version:1'), $number + 2, 'version: not for one that is rolled back');
$redis->cmd('DEL', 'version:1');
sql('UPDATE item SET n = n + 1 WHERE id = 1');
cmp_ok($redis->cmd('GET', 'version:1'), '>', $number + 2,
	'version: one that was evicted does not come to numbers of its first life');
$redis->freeze;
sql(q{SET inval.commit_timeout = '50ms'; UPDATE item SET n = n + 1 WHERE id = 1});
$number = do { $redis->thaw; delivered('version after an outage'); $redis->cmd('GET', 'version:1') };
sql('UPDATE item SET n = n + 1 WHERE id = 1');
is($redis->cmd('GET', 'version:1'), $number + 1, 'version: what was sent twice has only grown');

# What is at the key is no number: that entry waits, others do not.
$redis->cmd('SET', 'version:2', 'text');
sql('UPDATE item SET n = n + 1 WHERE id IN (2, 3)');
eventually(sub { sql('SELECT string_agg(key, $$,$$) FROM inval_queue') eq 'version:2' },
	'version: a text is refused, alone');
like(sql(q{SELECT last_error FROM inval_queue}), qr/not an integer/, 'version: and it is said why');
cmp_ok($redis->cmd('GET', 'version:3'), '>', $earliest, 'version: the other has its number');
is(state_of('default'), 'up', 'version: the target is up');
$redis->cmd('DEL', 'version:2');
delivered('version: without the text');
foreach my $least (-5, '-9223372036854775808')
{
	$redis->cmd('SET', 'version:2', $least);
	sql('UPDATE item SET n = n + 1 WHERE id = 2');
	delivered("version: $least");
	cmp_ok($redis->cmd('GET', 'version:2'), '>', $least, "version: $least has grown");
}
is(times_logged($node, 'no answer to the command'), 0, 'version: a number below 0 is an answer');
$redis->cmd('SET', 'version:2', '9223372036854775807');
sql('UPDATE item SET n = n + 1 WHERE id = 2');
eventually(sub { sql('SELECT last_error FROM inval_queue') =~ /overflow/ }, 'version: the last number is refused');
is(state_of('default'), 'up', 'version: and the target is up');
$redis->cmd('DEL', 'version:2');
delivered('version: without the last number');
sql(q{SELECT inval_touch('version:9', action => 'version')});
cmp_ok($redis->cmd('GET', 'version:9'), '>', $earliest, 'version: by hand');
sql(q{SELECT inval_untrack('item')});

# expire: at most so long, and no longer than before.
sql(q{SELECT inval_track('item', key => 'expire:{id}', action => 'expire', ttl => '1 hour')});
$redis->fill('expire:', 1, 60);
$redis->cmd('PEXPIRE', 'expire:60', 100_000);
sql('UPDATE item SET n = n + 1');
my @lives = map { $redis->cmd('PTTL', "expire:$_") } 1 .. 59;
is(scalar(grep { $_ > 3_600_000 || $_ < 3_600_000 * 0.9 - 60_000 } @lives), 0,
	'expire: at most ttl, and not much less');
my %minutes = map { int($_ / 60_000) => 1 } @lives;
cmp_ok(scalar keys %minutes, '>', 2, 'expire: not all at once');
cmp_ok($redis->cmd('PTTL', 'expire:60'), '<=', 100_000, 'expire: what has less keeps that');
is($redis->cmd('EXISTS', 'expire:61'), 0, 'expire: what is not there stays so');
sql(q{SELECT inval_track('item', key => 'expire:{id}', action => 'expire', ttl => '1 hour', fence => true)});
my $token = $redis->cmd('FCALL', 'inval_get', 1, 'expire:1', 3_600_000, -1)->[1];
sql('UPDATE item SET n = n + 1 WHERE id = 1');
is($redis->cmd('FCALL', 'inval_set', 1, 'expire:1', $token, 'old', 1000), 0,
	'expire: with a fence the lease is void');
sql(q{SELECT inval_untrack('item')});

# members: what the set lists goes with it, in one step, and so do the leases.
sql(sprintf q{SELECT inval_add_target('spaced', '%s', namespace => 'ns:', region => 'here')},
	$redis->unix_url);
sql(q{SELECT inval_track('item', key => 'ns:set:{id}', action => 'members', targets => '{spaced}')});
$redis->cmd('SET', $_, 'v') foreach 'ns:a', 'ns:b', 'ns:c', 'outside';
$redis->cmd('SADD', 'ns:set:1', 'ns:a', 'ns:b', "ns:\0\n", 'outside');
$token = $redis->cmd('FCALL', 'inval_get', 1, "ns:\0\n", 3_600_000)->[1];
sql('UPDATE item SET n = n + 1 WHERE id = 1');
is_deeply([ $redis->existing('ns:a', 'ns:b', 'ns:set:1', 'ns:c', 'outside') ], [ 'ns:c', 'outside' ],
	'members: gone, with the set; not what it does not list, nor what is outside the namespace');
is($redis->cmd('FCALL', 'inval_set', 1, "ns:\0\n", $token, 'old', 1000), 0, 'members: leases are void');
is(sql(q{SELECT delivered_at_commit FROM inval_stats WHERE target = 'spaced'}), 1, 'members: at commit');
my $fence = 'ns:k:inval-fence{ns:k}';
$redis->cmd('ZADD', $fence, 1, 'owner');
$redis->cmd('SADD', 'ns:set:1', $fence, 'ns:set:1', 'ns:c');
sql('UPDATE item SET n = n + 1 WHERE id = 1');
is_deeply([ $redis->existing($fence, 'ns:set:1', 'ns:c') ], [$fence], 'members: a fence stays, whoever lists it');
$redis->cmd('SET', 'ns:set:2', 'text');
sql('UPDATE item SET n = n + 1 WHERE id IN (2, 3)');
eventually(sub { sql('SELECT string_agg(key, $$,$$) FROM inval_queue') eq 'ns:set:2' },
	'members: what is no set is refused, alone');
is($redis->cmd('GET', 'ns:set:2'), 'text', 'members: and stays');
$redis->cmd('DEL', 'ns:set:2');
delivered('members: without the text');
sql(q{SELECT inval_untrack('item')});

# publish: behind the removal, at commit and by the worker.
my $listener = Inval::Listener->subscribed($redis, 'c:*');
sql(q{SELECT inval_track('item', key => 'item:{id}', publish => 'c:{topic}')});
sql(q{UPDATE item SET topic = 'a' WHERE id = 1});
$redis->fill('item:', 1, 20);
my $monitor = Inval::Listener->monitoring($redis);
sql(q{UPDATE item SET topic = 'b' WHERE id = 1});
is_deeply([ $listener->heard(3) ], [ map { [ $_, 'item:1' ] } 'c:a', 'c:a', 'c:b' ],
	'publish: of the old row and of the new one, and not on a channel that is NULL');
my @seen = map { /"(UNLINK|PUBLISH)" .*/ ? lc $1 : () } $monitor->commands_until(qr/"PUBLISH" "c:b"/);
is_deeply(\@seen, [qw(unlink publish unlink publish)], 'publish: behind the removal');
sql('UPDATE item SET n = n + 1 WHERE id = 2');
is($redis->cmd('EXISTS', 'item:2'), 0, 'publish: without a channel the key goes all the same');
sql('SELECT inval_pause()');
sql('UPDATE item SET n = n + 1 WHERE id = 1') foreach 1 .. 3;
$redis->kill9;
$redis->start;
$redis->cmd('SET', 'item:1', 'old');
$listener = Inval::Listener->subscribed($redis, 'c:*');
$monitor = Inval::Listener->monitoring($redis);
sql('SELECT inval_resume()');
is_deeply([ $listener->heard(3) ], [ map { [ 'c:b', 'item:1' ] } 1 .. 3 ],
	'publish: after an outage, once for each transaction');
@seen = map { /"(UNLINK|PUBLISH)" .*/ ? lc $1 : () } $monitor->commands_until(qr/"PUBLISH"/);
is_deeply(\@seen, [qw(unlink publish)], 'publish: behind the removal again');
delivered('publish');
ok(has_library($redis), 'the worker has loaded the functions again');
sql(q{
	SELECT inval_track('item', key => 'item:{id}', publish => 'c:{tags[]}');
	UPDATE item SET tags = '{x,y,NULL}' WHERE id = 3});
is_deeply([ sort { $a->[0] cmp $b->[0] } $listener->heard(2) ], [ [ 'c:x', 'item:3' ], [ 'c:y', 'item:3' ] ],
	'publish: on as many channels as an array has');
sql(q{
	SELECT inval_untrack('item');
	SELECT inval_track('item', key => 'n:{id}', action => 'none', publish => 'c:{topic}', repeat_after => '300 ms')});
$redis->cmd('SET', 'n:1', 'v');
sql(q{UPDATE item SET n = n + 1 WHERE id IN (1, 2)});
is_deeply([ $listener->heard(2) ], [ map { [ 'c:b', 'n:1' ] } 1 .. 2 ], 'none: is told, and once more');
is($redis->cmd('EXISTS', 'n:1'), 1, 'none: nothing else happens');
delivered('none: nothing is queued without a channel');
is(sql('SELECT skipped > 0 FROM inval_stats s JOIN inval_rule r ON r.id = s.rule'), 't',
	'none: but counted');
sql(q{SELECT inval_untrack('item')});

# Whichever rule tells of a key: by then it is gone, at commit and by the worker.
foreach my $delivery ('commit', 'background')
{
	sql(qq{SELECT inval_track('item', key => 'gone:{id}', delivery => '$delivery'),
		inval_track('item', key => 'gone:{id}', action => 'none', publish => 'c:{topic}', delivery => '$delivery')});
	$monitor = Inval::Listener->monitoring($redis);
	sql('UPDATE item SET n = n + 1 WHERE id = 1');
	@seen = map { /"(UNLINK|PUBLISH)" .*/ ? lc $1 : () } $monitor->commands_until(qr/"PUBLISH"/);
	is_deeply(\@seen, [qw(unlink publish)], "$delivery: another rule tells of a key when it is gone");
	sql(q{SELECT inval_untrack('item')});
}

# Streams: who has changed what, numbered without gaps.
sql(q{
	CREATE TABLE done (xid xid8, id int);
	SELECT inval_track('item', key => 'ns:item:{id}', field => 'f{id}', stream => 'ns:s',
		targets => '{spaced}') AS rule});
my $rule = sql('SELECT id FROM inval_rule');
my $before = int(1000 * time);
my $xid = sql(q{
	BEGIN;
	UPDATE item SET n = n + 1 WHERE id = 1;
	SAVEPOINT s;
	UPDATE item SET n = n + 1 WHERE id = 2;
	ROLLBACK TO s;
	UPDATE item SET n = n + 1 WHERE id = 1;
	SELECT pg_current_xact_id();
	COMMIT});
my ($first) = stream($redis, 'ns:s');
cmp_ok(delete $first->{committed_ms}, '>=', $before - 1000, 'stream: when it was');
is_deeply($first,
	{ number => 1, region => 'here', database => 'postgres', xid => $xid, rule => $rule,
		action => 'delete', key => 'ns:item:1', field => 'f1' },
	'stream: what is told');
is(scalar(stream($redis, 'ns:s')), 1, 'stream: once, and nothing of what was rolled back');

# Several sessions at once, and a group of consumers who share the stream.
$node->append_conf('postgresql.conf', "inval.stream_max_entries = 0\n");
reload($node);
PostgreSQL::Test::Utils::append_to_file($node->basedir . '/load.sql', q{\set id random(1, 200)
\set other random(1, 200)
BEGIN;
UPDATE item SET n = n + 1 WHERE id = least(:id, :other);
UPDATE item SET n = n + 1 WHERE id = greatest(:id, :other);
INSERT INTO done SELECT DISTINCT pg_current_xact_id(), unnest(ARRAY[:id, :other]);
COMMIT;
});
$redis->cmd('XGROUP', 'CREATE', 'ns:s', 'g', '$');
$node->command_ok([ 'pgbench', '-n', '-c', 6, '-t', 60, '-f', $node->basedir . '/load.sql', 'postgres' ],
	'stream: sessions write');
delivered('stream: of many sessions');
my @got;
my $turn = 0;
while (my $entries = $redis->cmd('XREADGROUP', 'GROUP', 'g', 'c' . $turn++ % 3, 'COUNT', 7, 'STREAMS', 'ns:s', '>'))
{
	foreach my $entry (@{ $entries->[0][1] })
	{
		push @got, { @{ $entry->[1] } };
		$redis->cmd('XACK', 'ns:s', 'g', $entry->[0]);
	}
}
is_deeply([ numbers(@got) ], [ 2 .. @got + 1 ], 'stream: numbers have no gap and no repetition');
is_deeply([ sort map { "$_->{xid} $_->{key}" } @got ],
	[ sort split /\n/, sql(q{SELECT xid || ' ns:item:' || id FROM done}) ],
	'stream: a consumer group has seen every commit, once');

# The worker, two-phase commits, and what is told twice
sql(q{SELECT inval_track('item', key => 'ns:item:{id}', field => 'f{id}', stream => 'ns:s',
	delivery => 'background', targets => '{spaced}')});
$xid = sql('BEGIN; UPDATE item SET n = n + 1 WHERE id = 3; SELECT pg_current_xact_id(); COMMIT');
delivered('stream: in the background');
is((stream($redis, 'ns:s'))[-1]{xid}, $xid, 'stream: by the worker it is the writer whose transaction it was');
$xid = sql(q{BEGIN; UPDATE item SET n = n + 1 WHERE id = 4; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'p'});
my $length = $redis->cmd('XLEN', 'ns:s');
sql(q{COMMIT PREPARED 'p'});
eventually(sub { $redis->cmd('XLEN', 'ns:s') > $length }, 'stream: what was prepared is told');
is((stream($redis, 'ns:s'))[-1]{xid}, $xid, 'stream: with its own transaction');
delivered('stream: prepared');
sql(q{SELECT inval_track('item', key => 'ns:item:{id}', field => 'f{id}', stream => 'ns:s', targets => '{spaced}')});
$redis->freeze;
$xid = sql(q{SET inval.commit_timeout = '50ms'; BEGIN; UPDATE item SET n = n + 1 WHERE id = 5;
	SELECT pg_current_xact_id(); COMMIT});
$redis->thaw;
delivered('stream: after an outage');
my @told = grep { $_->{key} eq 'ns:item:5' && $_->{xid} >= $xid } stream($redis, 'ns:s');
cmp_ok(scalar @told, '>=', 1, 'stream: told at least once');
is(scalar(grep { $_->{xid} != $xid || $_->{rule} != $rule } @told), 0,
	'stream: what is told twice has the same transaction, rule and key');

# What was trimmed is a gap to who is late; a new stream begins again.
$node->append_conf('postgresql.conf', "inval.stream_max_entries = 20\n");
reload($node);
my $last = (numbers(stream($redis, 'ns:s')))[-1];
sql('UPDATE item SET n = n + 1 WHERE id <= 60');
my @left = numbers(stream($redis, 'ns:s'));
cmp_ok(scalar @left, '<=', 30, 'stream: about as many stay as are to stay');
cmp_ok($left[0], '>', $last + 1, 'stream: who had read up to there sees a gap');
is_deeply(\@left, [ $last + 61 - @left .. $last + 60 ], 'stream: and no other');
$redis->cmd('DEL', 'ns:s');
sql('UPDATE item SET n = n + 1 WHERE id = 1');
is_deeply([ numbers(stream($redis, 'ns:s')) ], [1], 'stream: one that was deleted begins again at 1');

# Numbers that the functions cannot tell apart are not given out.
$redis->cmd('XADD', 'ns:s', '*', 'a', 'b');
foreach my $added ('9007199254740992', '9223372036854775807')
{
	$redis->cmd('XSETID', 'ns:s', '9999999999999-0', 'ENTRIESADDED', $added, 'MAXDELETEDID', '0-0');
	sql('UPDATE item SET n = n + 1 WHERE id = 1');
	eventually(sub { sql('SELECT last_error FROM inval_queue LIMIT 1') =~ /no numbers left/ },
		"stream: there is no number after $added");
	is(state_of('spaced'), 'up', 'stream: and the target is up');
}
$redis->cmd('DEL', 'ns:s');
delivered('stream: a new one');

# A stream is a key: it keeps to the namespace, and what is at the key goes anyway.
my ($stdout, $stderr);
$node->psql('postgres', q{
	SELECT inval_untrack('item');
	SELECT inval_track('item', key => 'ns:item:{id}', stream => '{topic}s', targets => '{spaced}');
	UPDATE item SET topic = 'x' WHERE id = 1; UPDATE item SET topic = 'ns:' WHERE id = 1},
	stdout => \$stdout, stderr => \$stderr);
$redis->cmd('SET', 'ns:item:1', 'v');
sql(q{UPDATE item SET n = n + 1 WHERE id = 1; UPDATE item SET topic = 'x' WHERE id = 1});
like($stderr, qr/skips keys outside the namespace/, 'stream: one outside the namespace is skipped aloud');
is_deeply([ $redis->existing('ns:item:1', 'xs', 'bs', 'ns:s') ], ['ns:s'], 'stream: and not written, but the key goes');

# Refusals: of what has not the memory or the right, the removals go on.
sql(q{
	SELECT inval_untrack('item');
	SELECT inval_track('item', key => 'told:{id}', stream => 's');
	SELECT inval_track('item', key => 'number:{id}', action => 'version');
	CREATE TABLE plain (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO plain SELECT generate_series(1, 9);
	SELECT inval_track('plain', 'id')});

sub removals_go_on
{
	my ($what, $refusal) = @_;
	my $at_commit = q{SELECT delivered_at_commit FROM inval_stats s JOIN inval_rule r ON r.id = s.rule
		WHERE r.relation = 'plain'::regclass};
	my $so_far = sql($at_commit);

	sql('UPDATE item SET n = n + 1 WHERE id = 7');
	eventually(
		sub { sql(q{SELECT count(*) FROM inval_queue WHERE attempts > 0 AND last_error ~ '} . $refusal . q{'}) == 2 },
		"$what: refused");
	is($redis->cmd('EXISTS', 'told:7'), 0, "$what: its key is gone all the same");
	is(state_of('default'), 'up', "$what: the target is up");
	sql("UPDATE plain SET n = n + 1 WHERE id = $_") foreach 1 .. 9;
	is(scalar($redis->existing(map { "plain:$_" } 1 .. 9)), 0, "$what: others' keys are gone at commit");
	is(sql($at_commit), $so_far + 9, "$what: by the sessions themselves");
	return;
}
$redis->fill($_, 1, 9) foreach 'told:', 'plain:';
$redis->cmd('CONFIG', 'SET', 'maxmemory', 1);
removals_go_on('out of memory', 'OOM');
$redis->cmd('CONFIG', 'SET', 'maxmemory', 0);
delivered('with memory again');
$redis->fill($_, 1, 9) foreach 'told:', 'plain:';
$redis->cmd('ACL', 'SETUSER', 'default', '-xadd', '-incr');
removals_go_on('not allowed', '(xadd|incr|run)');
$redis->cmd('ACL', 'SETUSER', 'default', '+@all');
delivered('with the rights again');
$redis->fill($_, 1, 9) foreach 'told:', 'plain:';
$redis->cmd('FUNCTION', 'FLUSH');
is(sql(q{UPDATE item SET n = n + 1 WHERE id = 8; SELECT 1}), 1, 'a lost library stops nobody');
delivered('with the library again');
is((stream($redis, 's'))[-1]{key}, 'told:8', 'and then it is told');

# A user who may do what the documentation says, and no more
$redis->cmd('ACL', 'SETUSER', 'app', 'on', '>secret', '~few:*', '&few:*', '+ping', '+unlink', '+hdel', '+set', '+incr',
	'+pexpire', '+fcall', '+function|load', '+smembers', '+publish', '+exists', '+xinfo|stream', '+xadd');
sql(sprintf q{SELECT inval_add_target('few', '%s')}, 'unix://' . $redis->sock . '?user=app&password=secret');
sql(q{
	SELECT inval_untrack('plain');
	SELECT inval_track('plain', key => 'few:v', action => 'version', targets => '{few}');
	SELECT inval_track('plain', key => 'few:e', action => 'expire', ttl => '1 min', targets => '{few}', fence => true);
	SELECT inval_track('plain', key => 'few:m', action => 'members', targets => '{few}');
	SELECT inval_track('plain', key => 'few:n', action => 'none', publish => 'few:c', stream => 'few:s', targets => '{few}')});
$redis->cmd('SADD', 'few:m', 'few:member');
$redis->cmd('SET', $_, 'v') foreach 'few:member', 'few:e';
sql('UPDATE plain SET n = n + 1 WHERE id = 1');
delivered('few rights');
is(scalar($redis->existing('few:v', 'few:e', 'few:s')) . ' ' . scalar($redis->existing('few:m', 'few:member')), '3 0',
	'few rights: all is done');
cmp_ok($redis->cmd('PTTL', 'few:e'), '>', 0, 'few rights: the life is shorter');

# A member that he may not remove keeps none of the others, whichever comes first.
my @members = map { "few:$_" } 1 .. 20;
$redis->cmd('SET', $_, 'v') foreach @members, 'forbidden';
$redis->cmd('SADD', 'few:m', @members[ 0 .. 9 ], 'forbidden', @members[ 10 .. 19 ], 'few:m');
sql('UPDATE plain SET n = n + 1 WHERE id = 1');
eventually(sub { sql('SELECT string_agg(key || last_error, $$,$$) FROM inval_queue') =~ /^few:m.*(?:can't|No permissions to) access/ },
	'few rights: a member that is forbidden is refused');
is_deeply([ $redis->existing(@members, 'forbidden', 'few:m') ], [ 'forbidden', 'few:m' ],
	'few rights: and all others are gone');
$redis->cmd('DEL', 'forbidden', 'few:m');
delivered('few rights: without the member');

# Where there are no functions, what needs them is refused when it is tracked.
my $old = Inval::Redis->new(config => { 'rename-command' => 'FCALL ""' });
sql(sprintf q{SELECT inval_add_target('old', '%s')}, $old->unix_url);
eventually(sub { times_logged($node, '"old" does not have the functions') }, 'a server without functions is noticed');
foreach my $needs (q{action => 'members'}, q{stream => 's'})
{
	like(error_of($node, "SELECT inval_track('item', key => 'k', targets => '{old}', $needs)"),
		qr/does not have the functions that this rule needs/, "without functions: $needs is refused");
}
sql(q{SELECT inval_track('item', key => 'old:{id}', action => 'version', targets => '{old}')});
sql('UPDATE item SET n = n + 1 WHERE id = 9');
cmp_ok($old->cmd('GET', 'old:9'), '>', $earliest, 'without functions: a version is counted');

# A long outage: the removal of the namespace stands for what it does as well, and
# what is to be told stays.
my $other = Inval::Redis->new;
sql(sprintf q{
	SELECT inval_add_target('other', '%s', namespace => 'ns:');
	SELECT inval_untrack('plain');
	SELECT inval_track('plain', key => 'ns:v', action => 'version', targets => '{other}');
	SELECT inval_track('plain', key => 'ns:e', action => 'expire', ttl => '1 min', targets => '{other}');
	SELECT inval_track('plain', key => 'ns:m', action => 'members', targets => '{other}');
	SELECT inval_untrack('item');
	SELECT inval_track('item', key => 'ns:n', action => 'none', stream => 'ns:s', targets => '{other}')},
	$other->unix_url);
ok(has_library($other), 'another server has the functions');
$other->cmd('SADD', 'ns:m', 'ns:member');
$other->cmd('SET', $_, 1) foreach 'ns:v', 'ns:e', 'ns:member';
$other->freeze;
sql(q{SELECT inval_pause('other'); UPDATE plain SET n = n + 1});
sql(q{UPDATE item SET n = n + 1 WHERE id = 1});
$node->append_conf('postgresql.conf', "inval.backlog_max_keys = 2\ninval.reply_timeout = '200ms'\n");
reload($node);
sql(q{SELECT inval_resume('other')});
eventually(sub { sql(q{SELECT string_agg(action, ',' ORDER BY action) FROM inval_queue WHERE target = 'other'}) eq 'none,prefix' },
	'a long outage: what is told stays, all else has collapsed');
$other->thaw;
delivered('after a long outage');
# The stream is in the namespace, so the one or the other came last.
is_deeply([ grep { $_ ne 'ns:s' } @{ $other->cmd('KEYS', '*') } ], [], 'a long outage: all is gone');

no_crash($node, 'no process crashed');
done_testing();
