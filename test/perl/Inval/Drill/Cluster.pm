=pod

=head1 NAME

Inval::Drill::Cluster - drills: a Cluster whose slots move, and one that loses a primary

=cut

package Inval::Drill::Cluster;

use strict;
use warnings;

use Test::More;

use Inval::Cluster;
use Inval::Drill::Load;
use Inval::Test;

sub drills
{
	return (
		{
			name => 'cluster-reshard',
			about => 'Slots of a Redis Cluster (three primaries, each with a replica) move to another primary, and '
			  . 'back, with what is in them (`redis-cli --cluster reshard`).',
			place => \&_place,
			happen => \&_reshard
		},
		{
			name => 'cluster-loss',
			about => 'A primary of a Redis Cluster is killed (SIGKILL); its replica takes its slots. In its last moment it '
			  . 'confirms nothing any more, as in the drill sentinel.',
			place => \&_place,
			happen => \&_loss,
			mend => \&_mend
		});
}

# One cluster for both: making it takes seconds.
my $cluster;

sub _place
{
	$cluster ||= Inval::Cluster->new;
	$_->cmd('FLUSHALL') foreach _primaries();
	return {
		url => $cluster->url,
		arrangement => 'cluster',
		redis => [ map { '127.0.0.1:' . $_->port } $cluster->nodes ],
		stores => \&_primaries,
	};
}

sub _primaries
{
	return grep { $cluster->is_primary($_) } $cluster->running;
}

sub _reshard
{
	my ($drill) = @_;
	my $slots = $drill->pick(300, 4000);
	my ($from, $to) = _primaries();
	my $start = now_us();

	_move($slots, $from, $to);
	_move($slots, $to, $from);
	$drill->remark(sprintf '%d slots moved, and moved back, in %.1f s.',
		$slots, (now_us() - $start) / 1e6);
	return;
}

sub _move
{
	my ($slots, $from, $to) = @_;

	# All nodes must have heard of what was done before.
	poll_until(sub { $cluster->redis_cli('--cluster', 'check', '127.0.0.1:' . $from->port) },
		'the nodes to agree');
	$cluster->redis_cli('--cluster', 'reshard', '127.0.0.1:' . $from->port,
		'--cluster-from', $cluster->id($from), '--cluster-to', $cluster->id($to),
		'--cluster-slots', $slots, '--cluster-yes');
	return;
}

sub _loss
{
	my ($drill) = @_;
	my ($victim) = _primaries();
	my $replica = $cluster->replica_of($victim);

	$cluster->wait_replicated($victim);
	my $killed = now_us();

	$victim->cmd('CLIENT', 'PAUSE', 1000, 'WRITE');
	$drill->wait_seconds(0.05, 0.05);
	$victim->kill9;
	ok(poll_until(sub { $cluster->is_primary($replica) }, 'a failover'),
		'cluster-loss: the replica takes over');
	$drill->remark(sprintf 'The replica had taken over after %.1f s.',
		(now_us() - $killed) / 1e6);
	$drill->wait_seconds(0.5, 20);
	return;
}

# Who was killed becomes the replica of who took over.
sub _mend
{
	$_->start foreach grep { !$_->pid } $cluster->nodes;
	ok( poll_until(
			sub {
				my @replicas = grep { !$cluster->is_primary($_) } $cluster->nodes;

				return @replicas == 3 && !grep { !Inval::Cluster::is_synchronised($_) } @replicas;
			},
			'replicas'),
		'cluster-loss: the old primary is a replica');
	return;
}

1;
