
# The classic race: a reader misses and takes a lease, reads the old row, a writer
# commits, and the reader stores what it has read.  Rules with a fence make the store
# be refused, however the key is found and whoever delivers it; without one it
# is not.

use strict;
use warnings;

use Inval::Cluster;
use Inval::Test;
use Test::More;

my $redis = Inval::Redis->new;
my $node = new_node('fence', url => $redis->unix_url,
	conf => "inval.commit_timeout = '2s'\ninval.retry_max = '100ms'\ninval.sweep_interval = '50ms'\n");

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

# Takes the lease of a key for long; returns what stores under it: 1 or 0.
sub lease
{
	my ($server, $key) = @_;
	my $answer = $server->cmd('FCALL', 'inval_get', 1, $key, 3_600_000);

	die "no lease of $key: $answer->[0]" if $answer->[0] ne 'fill';
	return sub { $server->cmd('FCALL', 'inval_set', 1, $key, $answer->[1], 'old', 3_600_000) };
}

sub has_library
{
	my ($server) = @_;

	return poll_until(sub { $server->cmd('FCALL', 'inval_version', 0) }, 'the library');
}

ok(has_library($redis), 'the worker has loaded the functions');
sql(q{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE project (id int PRIMARY KEY, team_id int REFERENCES team);
	CREATE TABLE task (id int PRIMARY KEY, project_id int REFERENCES project, n int DEFAULT 0);
	CREATE TABLE tag (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE article_tag (article_id int, tag_id int);
	CREATE TABLE late (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team VALUES (1);
	INSERT INTO project VALUES (1, 1);
	INSERT INTO task VALUES (1, 1);
	INSERT INTO tag VALUES (1);
	INSERT INTO article_tag VALUES (7, 1);
	INSERT INTO late VALUES (1)});

sub track
{
	my ($fence) = @_;

	sql(qq{
		SELECT inval_track('team', key => 'team:{id}', fence => $fence);
		SELECT inval_track('task', key => 'tasks:{project_id.team_id}', fence => $fence);
		SELECT inval_track('tag', key => 'article:{article_id}', fence => $fence,
			via => 'SELECT article_id FROM article_tag WHERE tag_id = {id}');
		SELECT inval_track('late', key => 'late:{id}', delivery => 'background', fence => $fence)});
}

# With a fence last, so that what follows has one.
foreach my $fence ('false', 'true')
{
	my $stored = $fence eq 'true' ? 0 : 1;
	my $how = $fence eq 'true' ? 'is refused' : 'is stored without a fence';
	my %found = ('team:1' => [ 'team', 'the row names' ], 'tasks:1' => [ 'task', 'a path leads to' ],
		'article:7' => [ 'tag', 'a query finds' ]);

	track($fence);
	is(sql('SELECT DISTINCT fence FROM inval_rule'), substr($fence, 0, 1), "fence is $fence");
	foreach my $key (sort keys %found)
	{
		my ($table, $what) = @{ $found{$key} };
		my $store = lease($redis, $key);

		sql("UPDATE $table SET n = n + 1");
		ok(wait_queue_empty($node, 'postgres'), 'delivered');
		is($store->(), $stored, "at commit: an old value at a key that $what $how");
	}

	my $store = lease($redis, 'late:1');
	sql('UPDATE late SET n = n + 1');
	ok(wait_queue_empty($node, 'postgres'), 'delivered by the worker');
	is($store->(), $stored, "by the worker: the old value $how");

	$store = lease($redis, 'team:1') if $stored == 0;
	$redis->cmd('UNLINK', 'team:1') if $stored == 1;
	$store = lease($redis, 'team:1') if $stored == 1;
	$redis->freeze;
	sql("SET inval.commit_timeout = '50ms'; UPDATE team SET n = n + 1");
	isnt(queue_length($node, 'postgres'), 0, 'Redis is away');
	$redis->thaw;
	ok(wait_queue_empty($node, 'postgres'), 'and back');
	is($store->(), $stored, "after an outage: the old value $how");
	$redis->cmd('FLUSHALL');
}

# One rule of two has a fence: whatever comes first, the lease is void.
sql(q{SELECT inval_track('team', key => 'tasks:{id}')});
my $store = lease($redis, 'tasks:1');
sql('BEGIN; UPDATE team SET n = n + 1; UPDATE task SET n = n + 1; COMMIT');
ok(wait_queue_empty($node, 'postgres'), 'delivered');
is($store->(), 0, 'of two rules with one key one fence is enough');
$store = lease($redis, 'tasks:1') if $redis->cmd('UNLINK', 'tasks:1') >= 0;
sql('BEGIN; UPDATE task SET n = n + 1; UPDATE team SET n = n + 1; COMMIT');
ok(wait_queue_empty($node, 'postgres'), 'delivered');
is($store->(), 0, 'also where the other comes first');
sql(q{
	SELECT inval_pause();
	SELECT inval_untrack('task');
	SELECT inval_track('task', key => 'tasks:{project_id}', fence => true)});
$redis->cmd('FLUSHALL');
$store = lease($redis, 'tasks:1');
sql('UPDATE team SET n = n + 1');
sql('UPDATE task SET n = n + 1');
sql('SELECT inval_resume()');
ok(wait_queue_empty($node, 'postgres'), 'delivered by the worker');
is($store->(), 0, 'of two transactions with one key, too');

# Rules without a fence send what they did, and no more.
sub commands_sent
{
	my ($fence) = @_;
	my $before;

	sql(qq{SELECT inval_track('tag', key => 'tag:{id}', fence => $fence)});
	$before = $redis->calls('unlink');
	sql('UPDATE tag SET n = n + 1') foreach 1 .. 10;
	return $redis->calls('unlink') - $before;
}
sql(q{SELECT inval_untrack('tag')});
is(commands_sent('false'), 10, 'a key is one command');
is(commands_sent('true'), 10, 'with its lease, too');

# What has collapsed into the removal of a namespace: leases go first.
my $other = Inval::Redis->new;
sql(sprintf q{SELECT inval_add_target('other', '%s', namespace => 'ns:')}, $other->unix_url);
ok(has_library($other), 'another target has the functions');
foreach my $fence ('false', 'true')
{
	sql(qq{
		SELECT inval_track('late', key => 'ns:late:{id}', delivery => 'background', fence => $fence,
			targets => '{other}')});
	$other->cmd('FLUSHALL');
	$other->cmd('CONFIG', 'RESETSTAT');
	$store = lease($other, 'ns:late:1');
	$other->cmd('SET', 'ns:2', 'v');
	$other->freeze;
	sql("SELECT inval_pause('other')");
	sql('UPDATE late SET n = n + 1') foreach 1 .. 3;
	$node->append_conf('postgresql.conf', "inval.backlog_max_keys = 2\ninval.reply_timeout = '200ms'\n");
	reload($node);
	sql("SELECT inval_resume('other')");
	ok(poll_query($node, 'postgres', q{SELECT string_agg(action, ',') FROM inval_queue}, 'prefix'),
		'the backlog has collapsed');
	$other->thaw;
	ok(wait_queue_empty($node, 'postgres'), 'the namespace is removed');
	is($other->cmd('EXISTS', 'ns:2'), 0, 'all of it');
	is($store->(), 0, 'leases included') if $fence eq 'true';
	is($other->calls('scan'), $fence eq 'true' ? 2 : 1,
		$fence eq 'true' ? 'in two searches' : 'in one search, if no fence was owed');
}

# A cluster: leases lie in the slots of their keys, whatever those look like.
my $cluster = Inval::Cluster->new(replicas => 0);
sql(sprintf q{SELECT inval_add_target('cluster', '%s')}, $cluster->url);
ok(has_library($_), 'a node of a cluster has the functions') foreach $cluster->nodes;
sql(q{
	CREATE TABLE odd (key text PRIMARY KEY, n int DEFAULT 0);
	SELECT inval_track('odd', key => '{key}', fence => true, targets => '{cluster}')});
srand 42;
my %odd = map { $_ => 1 } ('a{b}c', '{b}', 'a}b', '{}x', '{', '}', '{}', '}{', 'user:{}', '{}{a}', '{{a}',
	'a{{b}}c', 'a{b', 'x}{y}', 'article:42', 'a:inval-lease', 'x' x 7500, '{' . 'x' x 7000,
	map { join '', map { ('{', '}', 'a', 'b', ':')[ rand 5 ] } 0 .. rand 12 } 1 .. 300);
my @odd = sort keys %odd;
my %stores = map { $_ => lease($cluster->owner($_), $_) } @odd;
sql('INSERT INTO odd VALUES ' . join ', ', map { "('$_')" } @odd);
ok(wait_queue_empty($node, 'postgres'), 'delivered');
my $left = 0;
$left += $_->cmd('DBSIZE') foreach $cluster->nodes;
is($left, 0, 'no lease is left, however awkward its key is');
is(scalar(grep { $stores{$_}->() } @odd), 0, 'and no fill is taken');

# While a slot moves, what has been sent out of order is sent again in order.
my $from = $cluster->owner('moving');
my ($to) = grep { $_ != $from } $cluster->nodes;
my $slot = Inval::Cluster::slot('moving');
my $lease = 'moving:inval-lease{moving}';
$from->cmd('SET', 'moving', 'v');
$to->cmd('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $cluster->id($from));
$from->cmd('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $cluster->id($to));
$to->pipeline([ 'ASKING' ], [ 'SET', $lease, 'token' ]);
my $before = $to->calls('unlink');
sql(q{INSERT INTO odd VALUES ('moving')});
ok(wait_queue_empty($node, 'postgres'), 'delivered');
is(($to->pipeline([ 'ASKING' ], [ 'EXISTS', $lease ]))[1], 0, 'the lease is gone where it was');
is($from->cmd('DBSIZE') + $to->cmd('DBSIZE'), 0, 'and the key');
cmp_ok($to->calls('unlink') - $before, '>=', 2, 'which was sent again behind it');

no_crash($node, 'no process crashed');
done_testing();
