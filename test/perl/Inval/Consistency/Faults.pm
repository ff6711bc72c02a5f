=pod

=head1 NAME

Inval::Consistency::Faults - what goes wrong at random moments

=cut

package Inval::Consistency::Faults;

use strict;
use warnings;

use Exporter 'import';
use File::Path qw(rmtree);
use Time::HiRes qw(time);

use Inval::Test;

our @EXPORT = qw(consistency_faults pass_time);

# Between two faults, in seconds.
my ($least, $most) = (0.2, 1.2);

# Each gets the run (Inval::Consistency), and leaves everything running.  The first
# number says how often it comes.
my %faults = (
	single => [
		[ 2, 'Redis restarts empty' => sub { _restart($_[0], 0) } ],
		[ 2, 'Redis restarts with its data' => sub { _restart($_[0], 1) } ],
		[ 2, 'Redis freezes' => \&_freeze ],
		[ 2, 'Redis refuses removals for a while' => \&_refuse ] ],
	sentinels => [
		[ 2, 'failover' => \&_failover ],
		[ 1, 'kill -9 of the master' => \&_kill_master ] ],
	connections => [
		[ 4, 'CLIENT KILL' => \&_kill_clients ],
		[ 2, 'the worker stops for a while' => \&_stop_worker ] ],
	sessions => [
		[ 3, 'a backend is terminated' => sub { _signal($_[0], 'client backend', 'TERM') } ] ],
	# Who is killed takes all others with him, or comes back as another process.
	processes => [
		[ 1, 'kill -9 of a backend' => sub { _signal($_[0], 'client backend', 'KILL') } ],
		[ 1, 'the worker is terminated' => sub { _signal($_[0], 'inval worker', 'TERM') } ],
		[ 1, 'kill -9 of the worker' => sub { _signal($_[0], 'inval worker', 'KILL') } ] ]);

=pod

=head2 consistency_faults(@groups)

References to name and code, each as often as it is to come, of those groups: C<single> (to
one Redis), C<sentinels>, C<connections>, C<sessions>, C<processes>.

=head2 pass_time($run, $seconds)

Lets the clients run, with faults if the mode has any, and counts them in
C<happened> of the run.

=cut

sub consistency_faults
{
	my (@groups) = @_;

	return map { my ($weight, @fault) = @$_; map { \@fault } 1 .. $weight }
	  map { @{ $faults{$_} } } @groups;
}

sub pass_time
{
	my ($run, $seconds) = @_;
	my $end = time + $seconds;
	my @faults = consistency_faults($run->{single} ? 'single' : 'sentinels',
		'connections', 'sessions', 'processes');

	while ((my $left = $end - time) > 0)
	{
		my $pause = $run->{mode}->{faults} ? $least + rand($most - $least) : $left;

		# Not a wait for anything: the moment is to be a random one.
		select undef, undef, undef, $pause < $left ? $pause : $left;
		next unless $run->{mode}->{faults} && time < $end;

		my ($name, $code) = @{ $faults[ int(rand @faults) ] };

		$run->{happened}->{$name}++ if $code->($run);
	}
	return;
}

sub _restart
{
	my ($run, $with_data) = @_;

	$run->redis->kill9;
	rmtree("$run->{single}->{dir}/appendonlydir") unless $with_data;
	$run->redis->start;
	return 1;
}

sub _freeze
{
	my ($run) = @_;

	$run->redis->freeze;
	select undef, undef, undef, rand 0.8;
	$run->redis->thaw;
	return 1;
}

# To inval, not to readers; for longer than fences stand by themselves.
sub _refuse
{
	my ($run) = @_;

	$run->redis->cmd('ACL', 'SETUSER', 'inval', '-unlink', '-zrem');
	select undef, undef, undef, 2.5 + rand 1.5;
	$run->redis->cmd('ACL', 'SETUSER', 'inval', '+unlink', '+zrem');
	return 1;
}

sub _kill_clients
{
	my ($run) = @_;

	return eval { $run->redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'); 1 };
}

sub _signal
{
	my ($run, $type, $signal) = @_;
	my $pid = eval {
		$run->node->safe_psql('postgres', qq{
			SELECT pid FROM pg_stat_activity
			WHERE backend_type = '$type' AND pid <> pg_backend_pid() AND application_name <> 'watched'
			ORDER BY random() LIMIT 1});
	};

	return $pid && kill($signal, $pid) && $pid;
}

# What a commit leaves to it waits; and something is left when clients are cut off.
sub _stop_worker
{
	my ($run) = @_;
	my $pid = _signal($run, 'inval worker', 'STOP') or return 0;

	foreach (1 .. 5)
	{
		select undef, undef, undef, 0.1 + rand 0.3;
		_kill_clients($run);
	}
	kill 'CONT', $pid;
	return 1;
}

# Sentinels replace a master only when they know a replica that follows it.
sub _failover
{
	my ($run) = @_;
	my $set = $run->{sentinels};

	return eval {
		$set->is_well && ($set->sentinels)[0]->cmd('SENTINEL', 'FAILOVER', 'keys');
	};
}

sub _kill_master
{
	my ($run) = @_;
	my $set = $run->{sentinels};
	my $master;

	return 0 unless eval { $set->is_well };
	$master = $set->master;
	$master->kill9;
	poll_until(sub { $set->master != $master }, 'another master');
	$master->start;
	return 1;
}

1;
