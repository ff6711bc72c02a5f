# The actions on a Cluster, where what belongs to one invalidation lies on several
# nodes: the members of a set, and a key and the stream that tells of it.  Nodes that
# do not answer, slots that move and a worker that ends in the midst delay it, and
# leave nothing out.

use strict;
use warnings;

use Inval::Cluster;
use Inval::Listener;
use Inval::Proxy;
use Inval::Test;
use Test::More;

my $cluster = Inval::Cluster->new(replicas => 0);
my $node = new_node('cluster_actions', url => $cluster->url,
	conf => "inval.commit_timeout = '2s'\ninval.retry_max = '100ms'\ninval.sweep_interval = '50ms'\n"
	  . "inval.reply_timeout = '1s'\n");

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

sub delivered
{
	my ($what) = @_;

	return ok(wait_queue_empty($node, 'postgres'), "$what: delivered");
}

# One command about a key, sent to the key's node
sub on_owner
{
	my ($command, $key, @rest) = @_;

	return $cluster->owner($key)->cmd($command, $key, @rest);
}

sub stream { return map { { @{ $_->[1] } } } @{ on_owner('XRANGE', $_[0], '-', '+') }; }

# The first of a series of names that is on the node, or is not.
sub name_on
{
	my ($owner, $prefix, $has) = @_;

	return (grep { ($cluster->owner($_) == $owner) == $has } map { "$prefix$_" } 1 .. 1000)[0];
}

sub touch
{
	my ($id) = @_;

	return sql("UPDATE item SET n = n + 1 WHERE id = $id");
}

foreach my $server ($cluster->nodes)
{
	ok(poll_until(sub { $server->cmd('FCALL', 'inval_version', 0) }, 'the library'),
		'a node has the functions');
}
my $set = 'ns:set:1';
my $taken = "$set:inval-taken{$set}";
my $home = $cluster->owner($set);
sql(sprintf q{
	CREATE TABLE item (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO item SELECT generate_series(1, 100);
	SELECT inval_add_target('there', '%s', namespace => 'ns:');
	SELECT inval_track('item', key => 'ns:set:{id}', action => 'members', targets => '{there}')},
	$cluster->url);

# Members on all nodes, more than one step takes, with leases, and what is not for us.
my @members = map { "ns:m:$_" } 1 .. 5000;
my $fence = 'ns:k:inval-fence{ns:k}';
$cluster->set(@members, 'ns:other', 'outside', $set . ':x');
$cluster->owner($fence)->cmd('ZADD', $fence, 1, 'owner');
on_owner('SADD', $set, splice @{ [@members] }, 1000 * $_, 1000) foreach 0 .. 4;
on_owner('SADD', $set, 'outside', $set, $taken, $fence, "ns:\0\r\n");
my $token = $cluster->owner("ns:\0\r\n")->cmd('FCALL', 'inval_get', 1, "ns:\0\r\n", 3_600_000)->[1];
touch(1);
delivered('members');
is_deeply([ $cluster->existing(@members, $set, $taken) ], [], 'members: all are gone, and the set');
is_deeply([ $cluster->existing('ns:other', 'outside', $set . ':x', $fence) ],
	[ 'ns:other', 'outside', $set . ':x', $fence ], 'members: nothing else is, fences included');
is($cluster->owner("ns:\0\r\n")->cmd('FCALL', 'inval_set', 1, "ns:\0\r\n", $token, 'old', 1000), 0,
	'members: leases are void');
like(sql(q{SELECT delivered_at_commit || ' ' || delivered_by_worker FROM inval_stats
		WHERE target = 'there' AND rule IS NOT NULL}), qr/^0 [1-9]/, 'members: by the worker');
touch(2);
delivered('members of a set that is not there');

# Members whose names are more, together, than is asked for at once
my @long = map { "ns:m:$_:" . 'x' x 200_000 } 1 .. 180;
$cluster->set(@long[ 0 .. 2 ]);
on_owner('SADD', $set, $_) foreach @long;
touch(1);
delivered('long members');
is_deeply([ $cluster->existing(@long[ 0 .. 2 ], $set, $taken) ], [], 'long members: all are gone');
is(times_logged($node, 'is lost: reply is too large'), 0, 'long members: that is no outage');

# What somebody has left who died on the way goes, too, and so does the rest.
$cluster->set('ns:left', 'ns:new');
on_owner('SADD', $taken, 'ns:left') if on_owner('SADD', $set, 'ns:new');
touch(1);
delivered('members after a death');
is_deeply([ $cluster->existing('ns:left', 'ns:new', $set, $taken) ], [],
	'members: what was left on the way is not forgotten, nor what came since');

# A node that stands still: its members stay noted, whoever comes; others go; and who
# registers meanwhile is met by the next change.
my ($frozen) = grep { $_ != $home } $cluster->nodes;
my $stuck = name_on($frozen, 'ns:stuck:', 1);
my $free = name_on($frozen, 'ns:free:', 0);
my $late = name_on($frozen, 'ns:late:', 0);
my $told = name_on($home, 'ns:told:', 1);
$cluster->set($stuck, $free);
on_owner('SADD', $set, $stuck, $free);
sql(qq{SELECT inval_track('item', key => 'ns:set:{id}', action => 'members', targets => '{there}', stream => '$told')});
$frozen->freeze;
touch(1);
ok(poll_until(sub { !$cluster->owner($free)->cmd('EXISTS', $free) }, 'a member to go'),
	'frozen: members on other nodes go');
ok(poll_until(sub { join(',', @{ on_owner('SMEMBERS', $taken) }) eq $stuck }, 'a member to stay'),
	'frozen: the one on the frozen node stays noted');
$cluster->owner($late)->cmd('SET', $late, 'v');
on_owner('SADD', $set, $late);
my $worker = sql(q{SELECT worker_pid FROM inval_target_status WHERE target = 'there'});
sql("SELECT pg_terminate_backend($worker)");
ok(poll_query($node, 'postgres',
		qq{SELECT worker_pid <> $worker FROM inval_target_status WHERE target = 'there'}),
	'frozen: another worker comes');
is(on_owner('EXISTS', $told), 0, 'frozen: nothing is told yet');
isnt(queue_length($node, 'postgres'), 0, 'frozen: it is owed');
$frozen->thaw;
delivered('thawed');
is_deeply([ $cluster->existing($stuck) ], [], 'thawed: the member is gone');
ok(on_owner('SISMEMBER', $set, $late) || !$cluster->existing($late),
	'thawed: who has registered since is gone as well, or still registered');
is_deeply([ map { "$_->{action} $_->{key}" } stream($told) ], ["members $set"], 'thawed: now it is told');
touch(1);
delivered('the next change');
is_deeply([ $cluster->existing($late, $set, $taken) ], [], 'the next change finds who has registered');

# What is no set stays, and is refused alone.
$cluster->set('ns:set:3');
sql('UPDATE item SET n = n + 1 WHERE id IN (3, 4)');
ok(poll_until(sub { sql('SELECT string_agg(key, $$,$$) FROM inval_queue WHERE last_error ~ $$WRONGTYPE$$') eq 'ns:set:3' },
		'a refusal'),
	'what is no set is refused, alone');
is(on_owner('GET', 'ns:set:3'), 'cached', 'and stays');
is(sql(q{SELECT state FROM inval_target_status WHERE target = 'there'}), 'up', 'the target is up');
on_owner('DEL', 'ns:set:3');
delivered('without it');

# Another session delivers as the worker does.
sql(q{SELECT inval_pause('there')});
$cluster->set(@members[ 0 .. 99 ]);
on_owner('SADD', $set, @members[ 0 .. 99 ]);
touch(1);
sql(q{SELECT inval_resume('there'); SELECT inval_drain()});
is_deeply([ $cluster->existing(@members[ 0 .. 99 ], $set, $taken) ], [], 'inval_drain removes members');
delivered('drained');

# The set's slot moves: it is waited for, and found where it is then.
my ($to) = grep { $_ != $home } $cluster->nodes;
my $slot = Inval::Cluster::slot($set);
$cluster->set('ns:m:1', 'ns:m:2');
on_owner('SADD', $set, 'ns:m:1', 'ns:m:2');
$to->cmd('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $cluster->id($home));
$home->cmd('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $cluster->id($to));
$home->cmd('MIGRATE', '127.0.0.1', $to->port, $set, 0, 5000);
touch(1);
ok(poll_until(sub { queue_length($node, 'postgres') > 0 && $home->cmd('INFO', 'ERRORSTATS') =~ /errorstat_ASK/ },
		'an attempt'),
	'the slot moves: it is owed');
$_->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $cluster->id($to)) foreach $to, $home, $cluster->nodes;
delivered('the slot has moved');
delete $cluster->{owners};
is_deeply([ $cluster->existing('ns:m:1', 'ns:m:2', $set, $taken) ], [], 'the slot has moved: members are gone');
sql(q{SELECT inval_untrack('item')});

# A key and its stream on different nodes: the key goes first, whichever node is away.
my $key = 'ns:key:1';
my $owner = $cluster->owner($key);
my $elsewhere = name_on($owner, 'ns:s:', 0);
my $other = $cluster->owner($elsewhere);
my ($third) = grep { $_ != $owner && $_ != $other } $cluster->nodes;
my $listener = Inval::Listener->subscribed($third, 'c:*');
sql(qq{SELECT inval_track('item', key => 'ns:key:{id}', stream => '$elsewhere', publish => 'c:{id}', targets => '{there}')});
$cluster->set($key);
my $xid = sql('BEGIN; UPDATE item SET n = n + 1 WHERE id = 1; SELECT pg_current_xact_id(); COMMIT');
is($owner->cmd('EXISTS', $key), 0, 'a stream elsewhere: the key is gone at commit');
delivered('a stream elsewhere');
my @entries = stream($elsewhere);
is_deeply([ map { $_->{number} } @entries ], [ 1 .. @entries ], 'a stream elsewhere: has numbers');
is_deeply([ map { "$_->{xid} $_->{key}" } @entries ], [ ("$xid $key") x @entries ], 'a stream elsewhere: tells');
cmp_ok(scalar @entries, '>', 0, 'a stream elsewhere: it is told');
is_deeply([ $listener->heard(1) ], [ [ 'c:1', $key ] ], 'a third node hears what is published');
$cluster->set($key);
$other->freeze;
touch(1);
is($owner->cmd('EXISTS', $key), 0, 'the stream is away: the key is gone at commit');
isnt(queue_length($node, 'postgres'), 0, 'the stream is away: it is owed');
$other->thaw;
delivered('the stream is back');
cmp_ok(scalar(stream($elsewhere)), '>', @entries, 'the stream is back: it is told');
@entries = stream($elsewhere);
$cluster->set($key);
$owner->freeze;
sql(q{SET inval.commit_timeout = '100ms'; UPDATE item SET n = n + 1 WHERE id = 1});
ok(poll_query($node, 'postgres', q{SELECT sum(failed_tries) > 0 FROM inval_stats WHERE target = 'there'}),
	'the key is away: it is tried');
is(scalar(stream($elsewhere)), scalar @entries, 'the key is away: nothing is told');
$owner->thaw;
delivered('the key is back');
is($owner->cmd('EXISTS', $key), 0, 'the key is back: it is gone');
cmp_ok(scalar(stream($elsewhere)), '>', scalar @entries, 'the key is back: it is told');

# The key's slot moves: what was told too early is told again behind it.
$slot = Inval::Cluster::slot($key);
$other->cmd('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $cluster->id($owner));
$owner->cmd('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $cluster->id($other));
$other->pipeline([ 'ASKING' ], [ 'SET', $key, 'v' ]);
@entries = stream($elsewhere);
my $monitor = Inval::Listener->monitoring($other);
touch(1);
delivered('a slot that moves');
is(($other->pipeline([ 'ASKING' ], [ 'EXISTS', $key ]))[1], 0, 'a slot that moves: the key is gone');
cmp_ok(scalar(stream($elsewhere)), '>', scalar @entries, 'a slot that moves: it is told');
my @seen = map { /"(unlink|fcall)"/i ? lc $1 : () } $monitor->commands_until(qr/"XRANGE"/);
is($seen[0], 'unlink', 'a slot that moves: when the key is gone, not before');

# So does a number's.
sql(q{
	SELECT inval_untrack('item');
	SELECT inval_track('item', key => 'ns:key:{id}', action => 'version', targets => '{there}')});
touch(1);
delivered('a version');
my $number = ($other->pipeline([ 'ASKING' ], [ 'GET', $key ]))[1];
cmp_ok($number, '>', 1_000_000 * (time - 3600), 'a version: starts from the clock where its slot goes to');
touch(1);
delivered('the next version');
cmp_ok(($other->pipeline([ 'ASKING' ], [ 'GET', $key ]))[1], '>', $number, 'a version: grows');

# Members whose names are more, together, than arrives in time
$set = 'ns:narrow';
my $narrow = Inval::Proxy->new($cluster->owner($set));
my @wide = map { "ns:n:$_:" . 'x' x 20_000 } 1 .. 60;
on_owner('SADD', $set, @wide);
$cluster->set(@wide[ 0 .. 2 ]);
$cluster->announce($cluster->owner($set), $narrow->{port});
$node->restart;
$narrow->mode('most 400000');
sql(qq{SELECT inval_touch('$set', 'members', target => 'there')});
delivered('narrow');
is_deeply([ $cluster->existing(@wide[ 0 .. 2 ], $set) ], [], 'narrow: all are gone');

no_crash($node, 'no process crashed');
done_testing();
