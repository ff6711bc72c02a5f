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

Each drill: its name, what happens in it, and code. C<place> says where, which is
what Inval::Drill's C<begin> takes and what C<happen> needs; C<happen> lets it
happen there; C<after> looks at what came of it, if there is more than any drill
has; C<mend> brings back what the others leave dead, for who goes on there. All get
the drill and (but C<place>) the place.

=cut

sub drills
{
	return (
		{
			name => 'outage',
			about => 'Redis is there and does not answer (SIGSTOP), then answers again.',
			place => \&_place,
			happen => \&_outage,
			after => \&_remark_end
		},
		{
			name => 'held-back',
			about => 'The worker of the target is stopped (SIGSTOP), then goes on. '
			  . 'Delivery at commit goes on meanwhile.',
			place => \&_place,
			happen => \&_held_back
		});
}

sub _place
{
	my $redis = Inval::Redis->new;

	return {
		url => $redis->unix_url,
		redis => [ $redis->sock ],
		server => $redis,
		stores => sub { return $redis; },
	};
}

sub _outage
{
	my ($drill, $place) = @_;
	my $redis = $place->{server};

	$redis->freeze;
	ok($drill->wait_state('down'), 'outage: the breaker opens');
	$drill->breaker_open;
	$drill->wait_seconds(1.5, 120);
	$drill->remark_queue;
	$redis->thaw;
	$place->{thawed} = now_us();
	return;
}

sub _remark_end
{
	my ($drill, $place) = @_;

	$drill->remark(sprintf 'All that was owed when Redis answered again was gone %.2f s later.',
		$drill->last_gone_of_fault($place->{thawed}));
	return;
}

sub _held_back
{
	my ($drill) = @_;
	my $worker = $drill->worker;

	kill 'STOP', $worker;
	$drill->wait_seconds(1.5, 30);
	$drill->remark_queue;
	kill 'CONT', $worker;
	return;
}

1;
