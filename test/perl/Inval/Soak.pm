=pod

=head1 NAME

Inval::Soak - mixed load for a long time, and faults at random

=head1 SYNOPSIS

  my $result = Inval::Soak->new(seconds => 3600, seed => 42)->run;
  is(join("\n", @{ $result->{problems} }), '', 'nothing was found');

=head1 DESCRIPTION

One server, with five targets: C<default> is one Redis behind a proxy; C<sentinel>, C<cluster>,
C<tls> and C<password> are the places of the drills that are called so (Inval::Drill).
Each has the load of a drill; C<default> has readers with leases besides
(Inval::Consistency, mode C<fence-faults>).  Inval::Soak::Accidents has what happens to them.

It goes in rounds.  At the end of each the clients stop, what is owed is delivered, and
all rows are compared with what Redis holds.

In its first third everything may happen.  After that no process of the server is killed or
ended, but for sessions that nobody watches: so that those that are watched
(Inval::Soak::Samples) become old.

=cut

package Inval::Soak;

use strict;
use warnings;

use Carp;
use IPC::Run ();
use List::Util qw(max min sum);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use Inval::Consistency;
use Inval::Drill;
use Inval::Drill::Access;
use Inval::Drill::Cluster;
use Inval::Drill::Network;
use Inval::Drill::Outage;
use Inval::Drill::Sentinel;
use Inval::Soak::Accidents;
use Inval::Soak::Contexts;
use Inval::Soak::Log;
use Inval::Soak::Samples;
use Inval::Test;

# Which drills happen to which target.
my %drills_at = (
	default => [qw(outage held-back twice partition)],
	sentinel => ['sentinel'],
	cluster => [qw(cluster-reshard cluster-loss)],
	tls => ['expired-certificate'],
	password => ['password'],
);

# In kB: what inval's tables may take when nothing is owed any more.  A table that was never
# written to takes 8 kB or 16; there are some twenty.
my $tables_limit = 2048;

=pod

=head2 new(%options)

C<seconds>; C<seed>; C<broken>: something that must be noticed, C<lost>, C<stale>, C<leak> or
C<stuck>; C<say>: called with a line about what happens.

=head2 run

Returns the result: C<problems> in words; C<happened> counts; C<rounds>; C<commits>, C<readers>
(the numbers of Inval::Consistency), C<samples>, C<seconds>.

=cut

sub new
{
	my ($class, %options) = @_;
	my $self = bless {
		seconds => 60,
		seed => 1,
		say => sub { },
		%options,
		happened => {},
		problems => [],
		rounds => 0,
		commits => 0,
		reconnects => 0,
	}, $class;

	$self->{round} = max(15, min(90, $self->{seconds} / 4));
	return $self;
}

sub run
{
	my ($self) = @_;
	my $began = time;

	srand $self->{seed};
	$self->_prepare;
	$self->{start} = time;
	do { $self->_round } until $self->_time_left < $self->{round} / 2 || $self->_is_noticed;
	$self->_finish;
	return { %$self, seconds => time - $began };
}

sub node { return $_[0]->{node}; }
sub consistency { return $_[0]->{consistency}; }

# Whether processes may be ended.  As the number of the round says, so that the same seed does
# the same.
sub is_rough
{
	my ($self) = @_;

	return $self->{rounds} < int($self->{seconds} / $self->{round} / 3);
}

sub _time_left
{
	my ($self) = @_;

	return $self->{start} + $self->{seconds} - time;
}

sub _is_noticed
{
	my ($self) = @_;

	return $self->{broken} && @{ $self->{problems} };
}

sub complain
{
	my ($self, @problems) = @_;

	push @{ $self->{problems} }, @problems;
	$self->{say}->("PROBLEM: $_") foreach @problems;
	return;
}

sub _prepare
{
	my ($self) = @_;

	# Commands that fail are ours; what the server says of itself is what is looked at.
	$self->{node} = Inval::Consistency::_node("max_worker_processes = 20\n");
	# Before there are clients, whose ends of pipes it would have.
	$self->{samples} =
	  Inval::Soak::Samples->start($self->node, max(0.5, min(5, $self->{seconds} / 300)));
	$self->{contexts} = Inval::Soak::Contexts->new($self->node);
	$self->{consistency} = Inval::Consistency->new('fence-faults',
		seed => $self->{seed},
		proxied => 1,
		load => { readers => 2, writers => 2, rate => 60 })->prepare;
	$self->_make_places;
	make_soak_tables($self);
	$self->{consistency}->start_load;
	return;
}

sub _make_places
{
	my ($self) = @_;
	my $consistency = $self->{consistency};
	my %definition = map { $_->{name} => $_ } map { $_->drills } qw(Inval::Drill::Outage
	  Inval::Drill::Network Inval::Drill::Sentinel Inval::Drill::Cluster Inval::Drill::Access);

	$self->{places}{default} = {
		redis => [ $consistency->redis->sock ],
		server => $consistency->redis,
		proxy => $consistency->{proxy},
		stores => sub { return $consistency->redis; },
	};
	foreach my $target (sort keys %drills_at)
	{
		my @definitions = map { $definition{$_} } @{ $drills_at{$target} };
		my $drill = $self->_drill($target);
		my $place = $self->{places}{$target} ||= $definitions[0]{place}->($drill);

		if (!$place)
		{
			$self->{say}->("no target $target: $drill->{skipped}");
			delete $self->{places}{$target};
			next;
		}
		$place->{definitions} = \@definitions;
		next if $target eq 'default';
		$self->node->safe_psql('postgres',
			"SELECT inval_add_target('$target', '$place->{url}')");
		$drill->wait_state('up') or croak "target $target is not up";
	}
	return;
}

sub _drill
{
	my ($self, $target) = @_;

	return Inval::Drill->new($target,
		node => $self->node,
		target => $target,
		rows => 2000,
		rate => 30,
		clients => 2,
		least => 0,
		pass => sub { pass_soak_time($self, @_); });
}

# --- One round ---

sub _round
{
	my ($self) = @_;
	my $end;

	# How many accidents there are in a round depends on the time they take, so each begins anew.
	srand 1000 * $self->{seed} + $self->{rounds};
	$self->{calm} = 1;
	$self->{drills} = { map { $_ => $self->_drill($_) } keys %{ $self->{places} } };
	keep_watched($self);
	$self->{consistency}->go;
	foreach my $target (sort keys %{ $self->{places} })
	{
		my %options = %{ $self->{places}{$target} };

		$self->{drills}{$target}->begin(map { $_ => $options{$_} } qw(url arrangement redis env));
	}
	$self->{calm} = 0;
	$end = time + min($self->{round}, $self->_time_left);
	while (time < $end)
	{
		keep_watched($self);
		have_accident($self);
		leak($self) if ($self->{broken} || '') eq 'leak';
		# The moment is to be a random one.
		select undef, undef, undef, 0.2 + rand 1.5;
	}
	$self->{calm} = 1;
	$self->{rounds}++;
	$self->_count;
	return;
}

sub _count
{
	my ($self) = @_;
	my $consistency = $self->{consistency};
	my %drills = %{ $self->{drills} };

	$consistency->stand_still;
	$drills{$_}->stop foreach sort keys %drills;
	$self->complain("round $self->{rounds}: the queue does not become empty")
	  unless wait_queue_empty($self->node, 'postgres');
	$self->_break;
	eval { $consistency->look; 1 } or $self->complain("round $self->{rounds}: $@");
	foreach my $target (sort keys %drills)
	{
		my $drill = $drills{$target};

		$drill->end(stores => [ $self->{places}{$target}{stores}->() ]);
		$self->{commits} += $drill->{result}{commits};
		$self->{reconnects} += $drill->{result}{reconnects};
		$self->complain(map { "round $self->{rounds}, $_" } $drill->complaints);
	}
	$self->complain(look_at_soak_tables($self));
	$self->{contexts}->look;
	$self->{say}->(sprintf 'round %d done after %d s: %d commits, %d values checked',
		$self->{rounds}, time - $self->{start}, $self->{commits}, $consistency->{numbers}{checked});
	$self->{drills} = {};
	return;
}

# A key that holds something old, which the comparison must find.
sub _break
{
	my ($self) = @_;
	my $broken = $self->{broken} || '';
	my $redis = $self->{consistency}->redis;

	if ($broken eq 'lost')
	{
		my ($id, $stamp) = split /\|/, $self->node->safe_psql('postgres',
			'SELECT id, n FROM soak_default.at_commit ORDER BY n DESC LIMIT 1');

		$redis->cmd('SET', "at_commit:$id", $stamp - 1);
	}
	$redis->cmd('SET', 'item:1', '0') if $broken eq 'stale';
	return;
}

# --- The end ---

sub _finish
{
	my ($self) = @_;

	$self->{samples}->stop;
	stop_watched($self);
	if (($self->{broken} || '') eq 'stuck')
	{
		# What is owed to a target that is paused stays in its table.
		$self->node->safe_psql('postgres', q{
			SELECT inval_pause('default');
			UPDATE soak_big SET n = n + 1});
	}
	$self->complain('the tables do not become small: ' . $self->_tables_size . ' kB')
	  unless poll_until(sub { $self->_tables_size < $tables_limit }, 'small tables');
	$self->complain('something is queued') unless wait_queue_empty($self->node, 'postgres');
	$self->{tables_in_the_end} = $self->_tables_size;
	# Counters of rules that are gone are given back when there are few left.
	$self->complain('some rules found no place for their counters')
	  if $self->node->safe_psql('postgres', 'SELECT count(*) FROM inval_stats WHERE rule = -1');
	$self->{readers} = $self->{consistency}->end_load;
	my $violations = violations($self->{readers});
	$self->complain("readers with leases: $violations\n" . $self->{readers}{complaints})
	  if $violations;
	$self->complain($self->{samples}->grown, $self->{contexts}->grown);
	$self->complain(unexpected_lines($self->node));
	# Of a connection that was killed there is no answer.
	my @errors = grep { $_ ne 'no answer' } split /\n/, $self->{consistency}{proxy}->errors;
	$self->complain("commands that came twice or late were errors: @errors") if @errors;
	return;
}

sub _tables_size
{
	my ($self) = @_;

	return $self->node->safe_psql('postgres', Inval::Soak::Samples::tables_query());
}

1;
