=pod

=head1 NAME

Inval::Drill::Outage - drills: Redis is away; the worker is held back

=cut

package Inval::Drill::Outage;

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use Inval::Drill::Load;
use Inval::Test;

=pod

=head2 drills

Each drill: its name, what happens in it, and the code that lets it happen to an
Inval::Drill.

=cut

sub drills
{
	return (
		{
			name => 'outage',
			about => 'Redis is there and does not answer (SIGSTOP), then answers again.',
			run => \&_outage
		},
		{
			name => 'held-back',
			about => 'The worker of the target is stopped (SIGSTOP), then goes on. '
			  . 'Delivery at commit goes on meanwhile.',
			run => \&_held_back
		});
}

sub _outage
{
	my ($drill) = @_;
	my $redis = Inval::Redis->new;
	my $thawed;

	$drill->begin(url => $redis->unix_url, redis => [ $redis->sock ]);
	$drill->fault(
		sub {
			$redis->freeze;
			ok(wait_target_state($drill->node, 'postgres', 'down'),
				'outage: the breaker opens');
			$drill->breaker_open;
			$drill->wait_seconds(1.5, 120);
			$drill->remark_queue;
			$redis->thaw;
			$thawed = now_us();
		});
	$drill->end(stores => [$redis]);
	$drill->remark(sprintf 'All that was owed when Redis answered again was gone %.2f s later.',
		$drill->last_gone_of_fault($thawed));
	return;
}

sub _held_back
{
	my ($drill) = @_;
	my $redis = Inval::Redis->new;

	$drill->begin(url => $redis->unix_url, redis => [ $redis->sock ]);
	my $worker = worker_pid($drill->node, 'postgres');
	$drill->fault(
		sub {
			kill 'STOP', $worker;
			$drill->wait_seconds(1.5, 30);
			$drill->remark_queue;
			kill 'CONT', $worker;
		});
	$drill->end(stores => [$redis]);
	return;
}

1;
