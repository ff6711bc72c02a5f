=pod

=head1 NAME

Inval::Drill::Sentinel - a drill: the master is gone, sentinels name another

=cut

package Inval::Drill::Sentinel;

use strict;
use warnings;

use Test::More;

use Inval::Drill::Load;
use Inval::Sentinels;
use Inval::Test;

sub drills
{
	return (
		{
			name => 'sentinel',
			about => 'The master of a Sentinel set is killed (SIGKILL); the sentinels make its replica the master. '
			  . 'In its last moment it confirms nothing any more, because what Redis has confirmed and not yet '
			  . 'passed on is lost for any client.',
			place => \&_place,
			happen => \&_sentinel,
			after => \&_after,
			mend => \&_mend
		});
}

sub _place
{
	my $set = Inval::Sentinels->new;

	poll_until(sub { $set->is_well }, 'replication and sentinels') or die 'no sentinels';
	return {
		url => $set->url,
		arrangement => 'primary',
		redis => [ map { '127.0.0.1:' . $_->port } $set->servers ],
		set => $set,
		stores => sub { return $set->master; },
	};
}

sub _sentinel
{
	my ($drill, $place) = @_;
	my $set = $place->{set};
	my $old = $set->master;
	my $killed = now_us();

	$old->reconnect->cmd('CLIENT', 'PAUSE', 1000, 'WRITE');
	$drill->wait_seconds(0.05, 0.05);
	$old->kill9;
	ok(poll_until(sub { $set->master != $old }, 'a failover'),
		'sentinel: another server is the master');
	$drill->remark(sprintf 'Sentinels named another master after %.1f s.',
		(now_us() - $killed) / 1e6);
	ok($drill->wait_state('up'), 'sentinel: the target is up');
	$drill->wait_seconds(0, 20);
	# What was confirmed just before is removed once more.
	ok(poll_until(sub { $set->master->cmd('DBSIZE') > $drill->rows * 0.6 }, 'values'),
		'sentinel: readers have filled it again');
	return;
}

sub _after
{
	my ($drill, $place) = @_;

	is($drill->node->safe_psql('postgres', 'SELECT address FROM inval_target_status'),
		'redis://127.0.0.1:' . $place->{set}->master->port . '/0', 'sentinel: the address is the new one');
	return;
}

# The sentinels make it a replica of the new one.
sub _mend
{
	my ($drill, $place) = @_;
	my $set = $place->{set};

	$_->start foreach grep { !$_->pid } $set->servers;
	ok(poll_until(sub { $_->reconnect foreach $set->servers; $set->is_well }, 'a replica'),
		'sentinel: the old master is a replica');
	return;
}

1;
