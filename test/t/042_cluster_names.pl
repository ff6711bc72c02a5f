# A Redis Cluster whose nodes call each other by names, which nobody can resolve:
# what they point to is found all the same.

use strict;
use warnings;

use Inval::Cluster;
use Inval::Test;
use Test::More;

my $cluster = Inval::Cluster->new(replicas => 0);
my @nodes = $cluster->nodes;

plan skip_all => 'this Redis announces no names'
  unless eval { $nodes[0]->cmd('CONFIG', 'SET', 'cluster-preferred-endpoint-type', 'hostname'); 1 };
foreach my $i (0 .. $#nodes)
{
	$nodes[$i]->cmd('CONFIG', 'SET', 'cluster-preferred-endpoint-type', 'hostname');
	# Longer than an address ever is
	$nodes[$i]->cmd('CONFIG', 'SET', 'cluster-announce-hostname',
		'node' . $i . '.' . 'a-long-name-' x 5 . 'x.example');
}

# Whether all nodes have heard the names of all.
sub is_named
{
	foreach my $node (@nodes)
	{
		return 0 if grep { $_->[2][0] !~ /example$/ } @{ $node->cmd('CLUSTER', 'SLOTS') };
	}
	return 1;
}

ok(poll_until(\&is_named, 'the names'), 'the nodes have names');
my $node = new_node('names', url => $cluster->url,
	conf => "inval.commit_timeout = '2s'\ninval.retry_max = '200ms'\n");

$node->safe_psql('postgres', q{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, 500);
	SELECT inval_track('team', 'id')});

sub update
{
	$node->safe_psql('postgres', join '', map { "UPDATE team SET n = n + 1 WHERE id = $_;\n" } @_);
	return;
}

sub keys_of { return map { "team:$_" } @_; }

ok(wait_target_state($node, 'postgres', 'up'), 'the target is up');
$cluster->fill('team:', 1, 100);
update(1 .. 50);
is(scalar($cluster->existing(keys_of(1 .. 100))), 50, 'keys are gone at commit');

# A slot that is being moved, and stays so: the key has moved already.
my $slot = Inval::Cluster::slot('team:101');
my $source = $cluster->owner('team:101');
my ($destination) = grep { $_ != $source } @nodes;

$cluster->set('team:101');
$destination->cmd('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $cluster->id($source));
$source->cmd('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $cluster->id($destination));
$source->cmd('MIGRATE', '127.0.0.1', $destination->port, 'team:101', 0, 5000);
update(101);
ok(poll_until(
		sub {
			my @replies = $destination->pipeline(['ASKING'], [ 'EXISTS', 'team:101' ]);
			return !$replies[1];
		},
		'the key to go'),
	'ASK with a name is followed');
ok(wait_queue_empty($node, 'postgres'), 'and nothing is owed');

# The slot is moved.
foreach my $each ($destination, grep { $_ != $destination } @nodes)
{
	$each->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $cluster->id($destination));
}
$cluster->set('team:101');
update(101);
ok(wait_keys_gone($cluster, 'team:101'), 'MOVED with a name is followed');
ok(wait_queue_empty($node, 'postgres'), 'and nothing is owed again');

no_crash($node, 'no server process crashed');
done_testing();
