# A Redis Cluster: keys go to the nodes of their slots at commit; nodes die and
# are replaced, slots move, under load; and nothing is lost.  One node that is
# away concerns nobody but the keys of its slots.

use strict;
use warnings;

use Inval::Cluster;
use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $password = 'Tr0ub4dor-and-3';
my $cluster = Inval::Cluster->new(password => $password);
my ($second) = grep { $cluster->is_primary($_) } reverse $cluster->nodes;
# Nobody listens on the first node of the URL.
my $node = new_node('cluster',
	url => $cluster->url(1, $second->port),
	conf => join "\n", "inval.sweep_interval = '50ms'",
	# A machine that is busy is no reason to leave keys to the worker.
	"inval.commit_timeout = '2s'");

$node->safe_psql('postgres', q{
	CREATE TABLE plain (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE tagged (id int PRIMARY KEY, n int DEFAULT 0);
	CREATE TABLE background (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO plain SELECT generate_series(1, 5000);
	INSERT INTO tagged SELECT generate_series(1, 5000);
	INSERT INTO background SELECT generate_series(1, 5000);
	SELECT inval_track('plain', 'id');
	SELECT inval_track('tagged', key => 'tagged:{{{id}}}:x');
	SELECT inval_track('tagged', key => 'hash:{id}', field => 'n');
	SELECT inval_track('background', 'id', delivery => 'background');
});

sub plain_keys { return map { "plain:$_" } @_; }
sub tagged_keys { return map { "tagged:{$_}:x" } @_; }
sub background_keys { return map { "background:$_" } @_; }

sub update
{
	my ($table, @ids) = @_;

	return join '', map { "UPDATE $table SET n = n + 1 WHERE id = $_;\n" } @ids;
}

my $delivered_by_worker = q{
	SELECT sum(delivered_by_worker) FROM inval_stats WHERE rule IS NOT NULL;};

sub all_delivered
{
	my ($what, @keys) = @_;

	ok(wait_queue_empty($node, 'postgres'), "$what: the queue is empty");
	ok(wait_keys_gone($cluster, @keys), "$what: all keys are gone");
	ok(wait_target_state($node, 'postgres', 'up'), "$what: the target is up");
	return;
}

# At commit: one transaction for each key, and one for many.
$cluster->set(plain_keys(1 .. 1000), tagged_keys(1 .. 1000));
$node->safe_psql('postgres', update('plain', 1 .. 50) . update('tagged', 1 .. 50));
is(join(' ', $cluster->existing(plain_keys(1 .. 50), tagged_keys(1 .. 50))), '',
	'keys with and without hash tags are gone at commit');
$node->safe_psql('postgres', q{
	BEGIN;
	UPDATE plain SET n = n + 1 WHERE id BETWEEN 51 AND 600;
	UPDATE tagged SET n = n + 1 WHERE id BETWEEN 51 AND 600;
	COMMIT});
is(join(' ', $cluster->existing(plain_keys(51 .. 600), tagged_keys(51 .. 600))), '',
	'the same in one transaction');
is(scalar($cluster->existing(plain_keys(601 .. 1000), tagged_keys(601 .. 1000))), 800,
	'other keys are not');
is($node->safe_psql('postgres', q{
		SELECT sum(delivered_by_worker) FROM inval_stats WHERE rule IS NOT NULL}),
	0, 'the worker had nothing to do');
is($node->safe_psql('postgres', 'SELECT address FROM inval_target_status'),
	$cluster->address(1, $second->port), 'the status has the address');
is($node->safe_psql('postgres', 'SHOW inval.redis_url'),
	$cluster->url(1, $second->port) =~ s/\Q$password/********/r, 'and so has the setting');

# Fields of hashes
$cluster->owner("hash:$_")->cmd('HSET', "hash:$_", 'n', 1, 'other', 2) foreach 1 .. 20;
$node->safe_psql('postgres', update('tagged', 1 .. 20));
is(join(' ', map { @{ $cluster->owner("hash:$_")->cmd('HKEYS', "hash:$_") } } 1 .. 20),
	join(' ', ('other') x 20), 'fields are gone at commit');

# In the background, all slots in one batch
$cluster->set(background_keys(1 .. 1000));
$node->safe_psql('postgres', 'UPDATE background SET n = n + 1 WHERE id <= 1000');
all_delivered('background', background_keys(1 .. 1000));

# One entry that a node refuses: a string has no fields.
$cluster->set('hash:21');
$node->safe_psql('postgres', update('tagged', 21));
ok(poll_query($node, 'postgres',
		q{SELECT last_error ~ 'WRONGTYPE' FROM inval_queue WHERE key = 'hash:21'}),
	'an entry that is refused says why');
$cluster->set(plain_keys(700));
$node->safe_psql('postgres', update('plain', 700));
is(join(' ', $cluster->existing(plain_keys(700))), '', 'and concerns no other');
$cluster->owner('hash:21')->cmd('DEL', 'hash:21');
ok(wait_queue_empty($node, 'postgres'), 'and is delivered when it can be');

# A slot that has moved: the first commit after it finds out.
my $moving = 'plain:701';
my $slot = Inval::Cluster::slot($moving);
my $source = $cluster->owner($moving);
my ($destination) = grep { $cluster->is_primary($_) && $_ != $source } $cluster->nodes;
my $session = $node->background_psql('postgres');

sub start_moving
{
	$destination->cmd('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $cluster->id($source));
	$source->cmd('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $cluster->id($destination));
	return;
}

sub migrate
{
	my ($key) = @_;

	$source->cmd('MIGRATE', '127.0.0.1', $destination->port, $key, 0, 5000,
		'AUTH', $password);
	return;
}

sub end_moving
{
	my $id = $cluster->id($destination);

	# The others would hear of it in a while.
	foreach my $primary ($destination, grep { $_ != $destination } $cluster->nodes)
	{
		$primary->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $id)
		  if $cluster->is_primary($primary);
	}
	return;
}

# Asked on the node that is importing
sub is_imported
{
	my ($key) = @_;
	my @replies = $destination->pipeline(['ASKING'], [ 'EXISTS', $key ]);

	return $replies[1];
}

$cluster->set($moving);
$session->query_safe(update('plain', 701));
is(join(' ', $cluster->existing($moving)), '', 'before the move: gone at commit');

# The window in which the source has some keys of the slot and the destination
# others.
$cluster->set($moving);
start_moving();
$session->query_safe(update('plain', 701));
# Asked for a key of the slot that it does not have, the source says where to ask.
ok(!defined eval { $source->cmd('EXISTS', $moving) } && $@ =~ /^ASK /,
	'moving: a key that has not moved yet is gone at commit');
end_moving();
$cluster->set($moving);
($source, $destination) = ($destination, $source);
start_moving();
migrate($moving);
ok(is_imported($moving), 'moving: the key is on the other node');
$session->query_safe(update('plain', 701));
ok(poll_until(sub { !is_imported($moving) }, 'the key to go'),
	'moving: ASK is followed, the key is gone there');
ok(wait_queue_empty($node, 'postgres'), 'moving: the queue is empty');
end_moving();
$cluster->set($moving);
$session->query_safe(update('plain', 701));
all_delivered('moved', $moving);
$cluster->set($moving);
$session->query_safe(update('plain', 701));
is(join(' ', $cluster->existing($moving)), '', 'moved: the next is gone at commit');
$session->quit;

# Resharding under load, there and back
my @load = plain_keys(1001 .. 2500), background_keys(1001 .. 2500);
$node->safe_psql('postgres', 'CREATE SEQUENCE next_id START 1001');
append_to_file($node->basedir . '/load.sql', q{
SELECT nextval('next_id') AS id \gset
UPDATE plain SET n = n + 1 WHERE id = :id;
UPDATE background SET n = n + 1 WHERE id = :id;
});
my ($out, $err) = ('', '');

sub start_load
{
	my ($transactions, $rate) = @_;

	return IPC::Run::start(
		[ 'pgbench', '-n', '-c', 4, '-t', $transactions, '-R', $rate,
			'-f', $node->basedir . '/load.sql', $node->connstr('postgres') ],
		'>', \$out, '2>', \$err);
}

$cluster->set(@load);
my $load = start_load(375, 400);
foreach (1 .. 4)
{
	$cluster->redis_cli('--cluster', 'reshard', '127.0.0.1:' . $second->port,
		'--cluster-from', $cluster->id($destination),
		'--cluster-to', $cluster->id($source),
		'--cluster-slots', 300, '--cluster-yes');
	($source, $destination) = ($destination, $source);
	# It refuses to begin before all nodes have heard of the end of the last one.
	poll_until(sub { $cluster->redis_cli('--cluster', 'check', '127.0.0.1:' . $second->port) },
		'the nodes to agree');
}
ok($load->finish, 'resharding: no commit failed') or diag($err);
all_delivered('resharding', @load);

# A primary dies under load.  What it has confirmed last may not have reached
# its replica, which is Redis's own affair: so it is held still before.
my ($victim) = grep { $cluster->is_primary($_) && $_ != $second } $cluster->nodes;
my @survivors = grep { $cluster->owner("plain:$_") != $victim } 3001 .. 3200;
my @orphans = grep { $cluster->owner("plain:$_") == $victim } 3001 .. 3200;

@load = (plain_keys(2501 .. 3000), background_keys(2501 .. 3000));
$node->safe_psql('postgres', q{SELECT setval('next_id', 2501, false)});
$cluster->set(@load, plain_keys(@survivors, @orphans));
$node->safe_psql('postgres', "ALTER SYSTEM SET inval.commit_timeout = '200ms'");
reload($node);
$load = start_load(125, 100);
$victim->cmd('CLIENT', 'PAUSE', 60_000, 'WRITE');
$cluster->wait_replicated($victim);
$victim->kill9;
$node->safe_psql('postgres', update('plain', @orphans[ 0 .. 4 ]));
ok(poll_query($node, 'postgres',
		'SELECT count(*) > 0 FROM inval_queue'),
	'a primary is dead: keys of its slots are queued');
$session = $node->background_psql('postgres');
$session->query_safe(update('plain', @survivors));
is(scalar($cluster->existing(plain_keys(@survivors))), 0,
	'a primary is dead: keys of the others are gone at commit');
is($node->safe_psql('postgres', 'SELECT state FROM inval_target_status'),
	'up', 'a primary is dead: the target is not down');
$session->query_safe(update('plain', @orphans));
$cluster->wait_promoted(plain_keys(@orphans));
ok($load->finish, 'a primary was replaced: no commit failed') or diag($err);
all_delivered('a primary was replaced', @load, plain_keys(@orphans));
like(slurp_file($node->logfile), qr/inval target "default": node 127\.0\.0\.1:@{[ $victim->port ]} is lost/,
	'the log says which node was lost');
ok(poll_until(
		sub {
			slurp_file($node->logfile) =~
			  /inval target "default": node 127\.0\.0\.1:@{[ $victim->port ]} has been replaced/;
		},
		'the log'),
	'and that others have its slots');

# It is found by those who knew the old one, too.
ok(poll_until(
		sub {
			my $by_worker = $session->query_safe($delivered_by_worker);

			$cluster->set(plain_keys(@orphans));
			$session->query_safe(update('plain', @orphans));
			return !$cluster->existing(plain_keys(@orphans)) &&
			  $session->query_safe($delivered_by_worker) == $by_worker;
		},
		'delivery at commit'),
	'a primary was replaced: keys of its slots are gone at commit');

# The old one comes back as a replica.
$victim->start;
$cluster->set(plain_keys(3201 .. 3300));
$session->query_safe(update('plain', 3201 .. 3300));
all_delivered('the old primary is back', plain_keys(3201 .. 3300));

# A primary that stands still and has nobody to replace it, nor when all are back, when a
# replica may be the first to see that; a cluster that then refuses everything, whatever
# the slot.
foreach my $one ($cluster->nodes)
{
	$one->cmd('CONFIG', 'SET', 'cluster-require-full-coverage', 'yes');
	$one->cmd('CONFIG', 'SET', 'cluster-replica-no-failover', 'yes');
}
my ($frozen) = grep { $cluster->is_primary($_) && $_ != $second } $cluster->nodes;
my @all = (plain_keys(3301 .. 3400), background_keys(3301 .. 3400));
$cluster->set(@all);
$_->freeze foreach $cluster->replica_of($frozen), $frozen;
ok(poll_until(
		sub {
			!grep { $_->cmd('CLUSTER', 'INFO') !~ /^cluster_state:fail/m } $cluster->running;
		},
		'the cluster to fail'),
	'the cluster is down');
$session->query_safe(update('plain', 3301 .. 3400) . update('background', 3301 .. 3400));
ok(poll_query($node, 'postgres', 'SELECT count(DISTINCT key) FROM inval_queue', '200'),
	'the cluster is down: every key is queued');
ok(wait_target_state($node, 'postgres', 'down'), 'the cluster is down: so is the target');
$_->thaw foreach $cluster->nodes;
all_delivered('the cluster is back', @all);
$session->quit;

# All of it away, and a server that starts meanwhile
$cluster->set(@all);
$_->freeze foreach $cluster->nodes;
$node->restart;
$node->safe_psql('postgres', update('plain', 3301 .. 3310));
ok(wait_target_state($node, 'postgres', 'down'), 'all nodes are away: the target is down');
$_->thaw foreach $cluster->nodes;
all_delivered('all nodes are back', plain_keys(3301 .. 3310));

# Without a worker
$node->safe_psql('postgres', 'ALTER SYSTEM SET inval.workers = 0');
$node->restart;
$cluster->set(@all);
$node->safe_psql('postgres',
	update('plain', 3301 .. 3400) . update('background', 3301 .. 3400));
ok(poll_until(
		sub {
			$node->safe_psql('postgres', 'SELECT inval_drain()');
			return !$cluster->existing(@all);
		},
		'inval_drain'),
	'without a worker: inval_drain delivers');
is(queue_length($node, 'postgres'), 0, 'without a worker: the queue is empty');

password_hidden($node, 'postgres', $password, 'password');
no_crash($node, 'no server process crashed');
done_testing();
