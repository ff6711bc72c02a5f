# The action "prefix": a rule, or inval_touch, removes every key that starts with
# what it renders, in the background, by bounded steps; whatever is in the data, and
# whatever becomes of the worker and of Redis meanwhile.  On a cluster, too, where
# slots are moved while it is searched.

use strict;
use warnings;

use Inval::Cluster;
use Inval::Peer;
use Inval::Proxy;
use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('prefix', url => $redis->unix_url, conf => join "\n",
	"inval.retry_max = '200ms'",
	"inval.sweep_interval = '100ms'",
	"inval.commit_timeout = '2s'");

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

sub delivered
{
	my ($name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(wait_queue_empty($node, 'postgres'), "$name: nothing is owed");
}

sub progress
{
	my ($target, $pattern, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(poll_query($node, 'postgres', "SELECT progress ~ '$pattern'
		FROM inval_target_status WHERE target = '$target'"), $name);
}

sql(q{
	CREATE TABLE page (id int PRIMARY KEY, slug text, n int DEFAULT 0);
	SELECT inval_track('page', key => 'page:{slug}:', action => 'prefix');
	SELECT inval_track('page', key => 'id:{id}')});
is(sql(q{SELECT action, delivery FROM inval_rule WHERE key = 'page:{slug}:'}),
	'prefix|commit', 'a rule with the action prefix, and any delivery');

# Data is text, not a pattern.
my @slugs = ('a*b', '[x]', '?', '\\', 'b\\*', '^', '[', ']', 'plain', "\xc3\xa9");
my @mine = map { ("page:$_:1", "page:$_:2:x", "page:$_:") } @slugs;
my @others = ('page:aXb:1', 'page:x:1', 'page:c:1', 'page:bX:', 'page:', 'page:plain', 'xpage:plain:1',
	'id:99', "page:plain;1");
$redis->cmd('SET', $_, 'v') foreach @mine, @others, 'id:1';
sql('BEGIN; INSERT INTO page VALUES (1, $$plain$$); ROLLBACK');
sql("INSERT INTO page VALUES " . join ', ', map { "($_, '$slugs[$_ - 1]')" } 1 .. @slugs);
is($redis->cmd('EXISTS', 'id:1'), 0, 'keys of another rule are gone at commit');
ok(wait_keys_gone($redis, @mine), 'every key with the prefix is removed');
delivered('prefix');
is(scalar($redis->existing(@others)), scalar(@others), 'and no other');
is(sql(q{SELECT delivered_by_worker, delivered_at_commit FROM inval_stats s
		JOIN inval_rule r ON r.id = s.rule WHERE r.key = 'page:{slug}:'}),
	scalar(@slugs) . '|0', 'the worker has delivered them');

# A rolled-back change, and one to a savepoint
$redis->cmd('SET', 'page:plain:1', 'v');
sql('BEGIN; UPDATE page SET n = 1; ROLLBACK');
sql('BEGIN; SAVEPOINT s; UPDATE page SET n = 1; ROLLBACK TO s; COMMIT');
is(queue_length($node, 'postgres'), 0, 'what is rolled back queues nothing');
is($redis->cmd('EXISTS', 'page:plain:1'), 1, 'and removes nothing');

# By hand
sql(q{SELECT inval_touch('page:plain', 'prefix')});
ok(wait_keys_gone($redis, 'page:plain:1', 'page:plain', 'page:plain;1'), 'inval_touch of a prefix');
delivered('by hand');
is($redis->cmd('EXISTS', 'page:'), 1, 'and of no more');

# Many entries of one rule, and such that another covers, share a search.
sql(q{
	SELECT inval_pause();
	INSERT INTO page SELECT n, 'many-' || n FROM generate_series(1001, 2000) n;
	SELECT inval_touch('page:many-', 'prefix');
	SELECT inval_touch('page:many-', 'prefix');
	SELECT inval_touch('page:many-1', 'prefix');
	SELECT inval_touch('page:many-1', 'prefix', 'background')});
$redis->cmd('SET', "page:many-$_:x", 'v') foreach 1001 .. 2000;
is(sql(q{SELECT count(*), count(DISTINCT xid) FROM inval_queue WHERE action = 'prefix'}), '1004|5',
	'many prefixes are queued');
$redis->cmd('CONFIG', 'RESETSTAT');
sql('SELECT inval_resume()');
delivered('many');
is(scalar(grep { /many/ } @{ $redis->cmd('KEYS', '*') }), 0, 'many: all are removed');
cmp_ok($redis->calls('scan'), '<=', 12, 'many: a few searches did');

# Once more, later
sql(q{SELECT inval_track('page', key => 'page:{slug}:', action => 'prefix', repeat_after => '2 seconds')});
$redis->cmd('SET', 'page:plain:1', 'v');
sql('UPDATE page SET n = n + 1 WHERE id = 9');
ok(wait_keys_gone($redis, 'page:plain:1'), 'repeated: removed at once');
$redis->cmd('SET', 'page:plain:1', 'written back');
ok(wait_keys_gone($redis, 'page:plain:1'), 'repeated: what was written back is removed, too');
delivered('repeated');

# With a fence: a fill that began before is refused.  A fence of somebody is his own.
ok(poll_until(sub { $redis->cmd('FCALL', 'inval_version', 0) }, 'the library'), 'there is the library');
foreach my $fence ('true', 'false')
{
	sql(qq{SELECT inval_track('page', key => 'page:{slug}:', action => 'prefix', fence => $fence)});
	$redis->cmd('CONFIG', 'RESETSTAT');
	my $lease = $redis->cmd('FCALL', 'inval_get', 1, 'page:plain:1', 3_600_000);
	my $name = 'page:plain:2:inval-fence{page:plain:2}';

	$redis->cmd('ZADD', $name, 1, 'owner');
	sql('UPDATE page SET n = n + 1 WHERE id = 9');
	delivered("fence $fence");
	is($redis->cmd('FCALL', 'inval_set', 1, 'page:plain:1', $lease->[1], 'old', 3_600_000), 0,
		"fence $fence: a fill that began before is refused");
	is($redis->cmd('EXISTS', $name), 1, "fence $fence: a fence stays");
	is($redis->calls('scan'), $fence eq 'true' ? 2 : 1,
		"fence $fence: " . ($fence eq 'true' ? 'leases go first' : 'one search'));
}

# What else than an ACL keeps a key from being removed may pass: the removal is owed,
# and the other keys are gone.  So is one that was answered by what is no list of keys.
my $peer = Inval::Peer->new($redis);
sql("SELECT inval_add_target('liar', '" . $peer->url . "')");
foreach my $lie (
	[ 'unlink answer -ERR upstream failure\r\n', 'upstream failure' ],
	[ 'unlink answer -MOVED 1 127.0.0.1:1\r\n', 'MOVED' ],
	[ 'scan answer *2\r\n$1\r\n0\r\n*1\r\n:5\r\n', 'not what it should be' ],
	[ 'scan answer *2\r\n$1\r\n0\r\n:5\r\n', 'not what it should be' ],
	[ 'scan answer -LOADING it is\r\n', 'LOADING' ])
{
	my ($mode, $error) = @$lie;

	$redis->cmd('SET', 'liar:1', 'v');
	$peer->mode("only $mode");
	sql(q{SELECT inval_touch('liar:', 'prefix', target => 'liar')});
	ok(poll_query($node, 'postgres', "SELECT last_error ~ '$error' FROM inval_queue"),
		"liar: $error: is owed, and why");
	is($redis->cmd('EXISTS', 'liar:1'), 1, "liar: $error: it is there");
	$peer->mode('pass');
	delivered("liar: $error");
	is($redis->cmd('EXISTS', 'liar:1'), 0, "liar: $error: it is gone when it can be");
}
$redis->cmd('SET', 'liar:1', 'v');
$peer->mode('only scan answer *2\r\n$1\r\n0\r\n*1\r\n$4\r\nid:1\r\n');
$redis->cmd('SET', 'id:1', 'v');
sql(q{SELECT inval_touch('liar:', 'prefix', target => 'liar')});
delivered('liar: what does not start with the prefix');
is($redis->cmd('EXISTS', 'id:1'), 1, 'liar: what does not start with the prefix is left, whoever names it');
sql(q{SELECT inval_drop_target('liar')});

# Keys whose names are more, together, than one step may find
$redis->cmd('EVAL', q{for i = 1, 1500 do redis.call('SET', 'long:' .. i .. string.rep('x', 30000), 'v') end}, 0);
sql(q{SELECT inval_touch('long:', 'prefix')});
delivered('long');
is(scalar(@{ $redis->cmd('KEYS', 'long:*') }), 0, 'long: all are gone');
is(times_logged($node, 'is down: reply is too large'), 0, 'long: that is no outage');

# Or more than arrives in time
my $narrow = Inval::Proxy->new($redis);
$redis->cmd('EVAL', q{for i = 1, 1500 do redis.call('SET', 'wide:' .. i .. string.rep('x', 300), 'v') end}, 0);
$narrow->mode('most 100000');
sql(sprintf q{SELECT inval_add_target('narrow', '%s')}, $narrow->url);
sql(q{ALTER SYSTEM SET inval.reply_timeout = '500ms'});
$node->reload;
sql(q{SELECT inval_touch('wide:', 'prefix', target => 'narrow')});
delivered('narrow');
is(scalar(@{ $redis->cmd('KEYS', 'wide:*') }), 0, 'narrow: all are gone');
sql(q{ALTER SYSTEM RESET inval.reply_timeout});
$node->reload;
sql(q{SELECT inval_drop_target('narrow')});

# 100,000 keys among as many others, by steps that block nobody
$redis->cmd('FLUSHALL');
$redis->fill('page:plain:', 1, 100_000);
$redis->fill('other:', 1, 100_000);
$redis->cmd('CONFIG', 'RESETSTAT');
sql('UPDATE page SET n = n + 1 WHERE id = 9');
ok(poll_until(sub { $redis->cmd('DBSIZE') == 100_000 }, 'the keys to go'), 'large: all are gone');
delivered('large');
foreach my $command ('scan', 'unlink')
{
	my ($calls, $per_call) = $redis->cmd('INFO', 'commandstats') =~
	  /^cmdstat_$command:calls=(\d+),.*usec_per_call=([\d.]+)/m;

	cmp_ok($calls, '>', 100, "large: $command in many steps");
	cmp_ok($per_call, '<', 3000, "large: each of which takes less than 3 ms");
}

# In the midst of it the worker is killed, and then Redis.
sql("SELECT inval_add_target('slow', '" . $redis->unix_url . "', max_rate => 1000)");
sql(q{SELECT inval_track('page', key => 'slow:{slug}:', action => 'prefix', targets => '{slow}')});
$redis->fill('slow:plain:', 1, 20_000);
$redis->cmd('SAVE');
sql('UPDATE page SET n = n + 1 WHERE id = 9');
progress('slow', '^prefix: about \d+ %, [1-9]\d* keys removed$', 'slow: it is on its way');
my $pid = sql(q{SELECT worker_pid FROM inval_target_status WHERE target = 'slow'});
kill 'KILL', $pid;
ok(poll_query($node, 'postgres', "SELECT worker_pid <> $pid FROM inval_target_status
		WHERE target = 'slow'"), 'slow: its worker is killed');
is(sql(q{SELECT count(*) FROM inval_queue WHERE target = 'slow'}), 1, 'slow: it is still owed');
progress('slow', ' [1-9]\d* keys removed$', 'slow: it goes on');
$redis->kill9;
$redis->start;
is(sql(q{SELECT count(*) FROM inval_queue WHERE target = 'slow'}), 1, 'slow: Redis is killed');
$node->stop('immediate');
$node->start;
is(sql(q{SELECT count(*) FROM inval_queue WHERE target = 'slow'}), 1, 'slow: PostgreSQL, too');
sql("SELECT inval_add_target('slow', '" . $redis->unix_url . "')");
delivered('slow');
is(scalar(@{ $redis->cmd('KEYS', 'slow:*') }), 0, 'slow: in the end all are gone');
is($redis->cmd('DBSIZE'), 100_000, 'slow: and no other');

# A namespace holds for prefixes, too.
sql("SELECT inval_add_target('slow', '" . $redis->unix_url . "', namespace => 'slow:p')");
like(error_of($node, q{SELECT inval_touch('slow:', 'prefix', target => 'slow')}), qr/outside the namespace/,
	'namespace: a wider prefix is refused');

# A cluster.  The nodes are searched in the order of their slots; the middle one has
# so much that there is time to move a key from behind it to before it.
my $cluster = Inval::Cluster->new(replicas => 0);
my @nodes;
foreach my $i (0 .. 100_000)
{
	my $at = Inval::Cluster::slot("cl:plain:$i");
	my $number = $at < 5461 ? 0 : $at < 10923 ? 1 : 2;

	push @{ $nodes[$number] }, "cl:plain:$i" if !$nodes[$number] || @{ $nodes[$number] } < 300;
	last if 3 == grep { $_ && @$_ == 300 } @nodes[ 0 .. 2 ];
}
my ($first, $last) = ($cluster->owner($nodes[0][0]), $cluster->owner($nodes[2][0]));
sql("SELECT inval_add_target('cluster', '" . $cluster->url . "')");
sql(q{SELECT inval_track('page', key => 'cl:{slug}:', action => 'prefix', targets => '{cluster}')});
$cluster->set(map { @$_ } @nodes);
$cluster->set('cl:other', 'cl:plainer:1');
sql('UPDATE page SET n = n + 1 WHERE id = 9');
delivered('cluster');
is(scalar($cluster->existing(map { @$_ } @nodes)), 0, 'cluster: all are removed');
is(scalar($cluster->existing('cl:other', 'cl:plainer:1')), 2, 'cluster: and no other');

sub begin_move
{
	my ($slot, $from, $to) = @_;

	$to->cmd('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $cluster->id($from));
	$from->cmd('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $cluster->id($to));
	return;
}

sub end_move
{
	my ($slot, $to) = @_;
	my $id = $cluster->id($to);

	$_->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $id)
	  foreach $to, grep { $_ != $to } $cluster->nodes;
	return;
}

sub keys_left
{
	return map { @{ $_->cmd('KEYS', 'cl:plain:*') } } $cluster->nodes;
}

sub move
{
	my ($key, $from, $to) = @_;
	my $slot = Inval::Cluster::slot($key);

	begin_move($slot, $from, $to);
	migrate($key, $from, $to);
	end_move($slot, $to);
	return;
}

sub migrate
{
	my ($key, $from, $to) = @_;

	return $from->cmd('MIGRATE', '127.0.0.1', $to->port, $key, 0, 5000);
}

# A key that is moved when the node that it comes to has been searched and the one it
# leaves has not: by a move as a whole, by one that is under way all the time, and by
# one that is taken back when its node has been searched, too.
foreach my $case ('whole', 'under way', 'there and back')
{
	my ($from, $to) = ($last, $first);
	my $key = $nodes[2][0];
	my $slot = Inval::Cluster::slot($key);

	# What is found is removed before more is looked for, and that takes a while.
	sql("SELECT inval_add_target('cluster', '" . $cluster->url . "', max_rate => 40)");
	$cluster->set($key, map { @$_[ 1 .. 150 ] } @nodes[ 1, 2 ]);
	begin_move($slot, $from, $to) if $case eq 'under way';
	sql('UPDATE page SET n = n + 1 WHERE id = 9');
	progress('cluster', 'about 66 %', "$case: two nodes have been searched");
	$case eq 'under way' ? migrate($key, $from, $to) : move($key, $from, $to);
	progress('cluster', 'about 66 %', "$case: the key was moved meanwhile");
	if ($case eq 'there and back')
	{
		progress('cluster', 'about 100 %', "$case: all have been searched");
		move($key, $to, $from);
		progress('cluster', 'about 100 %', "$case: the key was moved back meanwhile");
	}
	sql("SELECT inval_add_target('cluster', '" . $cluster->url . "')");
	delivered($case);
	is(join(' ', keys_left()), '', "$case: all keys are removed");
	if ($case eq 'under way')
	{
		$_->cmd('CLUSTER', 'SETSLOT', $slot, 'STABLE') foreach $from, $to;
	}
	elsif ($case eq 'whole')
	{
		begin_move($slot, $to, $from);
		end_move($slot, $from);
	}
}

# One node away: the others are searched, and it is when it is back.
$cluster->set(map { @$_ } @nodes);
$last->freeze;
sql('UPDATE page SET n = n + 1 WHERE id = 9');
ok(wait_keys_gone($first, @{ $nodes[0] }), 'a node is away: another is searched');
ok(poll_query($node, 'postgres', q{SELECT string_agg(action, ',') FROM inval_queue}, 'prefix'),
	'a node is away: it is still owed');
$last->thaw;
delivered('a node is back');
is(join(' ', keys_left()), '', 'a node is back: all keys are removed');

# A worker that is killed in the midst of it
sql("SELECT inval_add_target('cluster', '" . $cluster->url . "', max_rate => 100)");
$cluster->set(map { @$_ } @nodes);
sql('UPDATE page SET n = n + 1 WHERE id = 9');
progress('cluster', ' [1-9]\d* keys removed', 'killed: it is on its way');
kill 'KILL', sql(q{SELECT worker_pid FROM inval_target_status WHERE target = 'cluster'});
ok(poll_query($node, 'postgres', q{SELECT count(*) = 1 FROM inval_queue}), 'killed: it is still owed');
sql("SELECT inval_add_target('cluster', '" . $cluster->url . "')");
delivered('killed');
is(join(' ', keys_left()), '', 'killed: all keys are removed');

# A user that may not ask the nodes what they have
$_->cmd('ACL', 'SETUSER', 'default', '-cluster|nodes') foreach $cluster->nodes;
$cluster->set($nodes[0][0]);
sql('UPDATE page SET n = n + 1 WHERE id = 9');
ok(poll_query($node, 'postgres', q{SELECT last_error LIKE 'NOPERM%' FROM inval_queue}),
	'not allowed: the queue tells why');
$_->cmd('ACL', 'SETUSER', 'default', '+cluster|nodes') foreach $cluster->nodes;
delivered('allowed again');

no_crash($node, 'no server process crashed', kill9 => 1);
done_testing();
