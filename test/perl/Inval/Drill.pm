=pod

=head1 NAME

Inval::Drill - a drill: load, something that goes wrong, and the count of what was lost

=head1 SYNOPSIS

  my $drill = Inval::Drill->new('outage', full => 0);
  $drill->run($definition);     # of Inval::Drill::Outage and its neighbours
  $drill->check;

=head1 DESCRIPTION

Each drill has three phases: before, during and after what goes wrong.  Clients
commit all the while; a reader looks at the key of each row they changed.  At the
end the rows are compared with what Redis holds, key by key, by a second client
that knows nothing of the first.

=cut

package Inval::Drill;

use strict;
use warnings;

use Carp;
use List::Util qw(max);
use PostgreSQL::Test::Utils;
use Test::More;

use Inval::Drill::Load;
use Inval::Drill::Verdict;
use Inval::Test;

my $shared_node;

=pod

=head2 new($name, %options)

C<full> is true for the longer form.  Where several go on at once (Inval::Soak), each has a
C<target> of that name and a schema that is called the same.  C<rows>, C<rate>, C<clients>: of
the load; C<least>: the share of the keys that must be there in the end; C<pass>: called
instead of waiting, with a number of seconds.

=cut

sub new
{
	my ($class, $name, %options) = @_;

	return bless {
		name => $name,
		full => $options{full},
		notes => [],
		clients => 8,
		least => 0.5,
		%options,
	}, $class;
}

=pod

=head2 run($definition)

The whole drill, as Inval::Drill::Outage describes it.

=cut

sub run
{
	my ($self, $definition) = @_;
	my $place = $definition->{place}->($self) or return;

	$self->begin(%$place);
	$self->fault($definition->{happen}, $place);
	$self->end(stores => [ $place->{stores}->() ]);
	$definition->{after}->($self, $place) if $definition->{after};
	return;
}

=pod

=head2 target

The name of its target.

=head2 wait_state($state)

Until the target is C<up> or C<down>.

=head2 worker

The process id of its worker.

=cut

sub target { return $_[0]->{target} || 'default'; }

sub wait_state
{
	my ($self, $state) = @_;

	return wait_target_state($self->node, 'postgres', $state, $self->target);
}

sub worker
{
	my ($self) = @_;

	return worker_pid($self->node, 'postgres', $self->target);
}

=pod

=head2 pick($quick, $full)

One of the two, according to the form of the drill.

=head2 wait_seconds($quick, $full)

Lets the load go on for that long.

=head2 remark($text)

A sentence for the report.

=cut

sub pick
{
	my ($self, $quick, $full) = @_;

	return $self->{full} ? $full : $quick;
}

sub wait_seconds
{
	my ($self, @seconds) = @_;
	my $seconds = $self->pick(@seconds);

	if ($self->{pass})
	{
		$self->{pass}->($seconds);
	}
	else
	{
		select undef, undef, undef, $seconds;
	}
	return;
}

sub remark
{
	my ($self, $text) = @_;

	push @{ $self->{notes} }, $text;
	return;
}

=pod

=head2 leave_out($reason)

There can be no such drill here.

=cut

sub leave_out
{
	my ($self, $reason) = @_;

	$self->{skipped} = $reason;
	return;
}

=pod

=head2 node

The server of all drills that need none of their own.

=head2 conf

What its configuration has that a server of a drill's own should have too.

=cut

sub node
{
	my ($self) = @_;

	$self->{node} ||= $shared_node ||= new_node('drill',
		url => 'unix:///nowhere?db=0', conf => $self->conf);
	return $self->{node};
}

sub conf
{
	my ($self) = @_;

	# What commits cost is compared, so they must cost what they do.
	return ($self->{full} ? "fsync = on\n" : '') . "max_wal_size = 4GB\n";
}

=pod

=head2 begin(%options)

Makes the tables and starts the load; returns when the first phase is over.
Options: C<url> for inval.redis_url; C<arrangement> (default C<single>) and
C<redis>, where the reader finds Redis; C<node> instead of the shared one;
C<env> for the clients. With a target of its own, that is there already.

=cut

sub begin
{
	my ($self, %options) = @_;

	$self->{node} = $options{node} if $options{node};
	$self->{url} = $options{url};
	set_redis_url($self->node, $options{url}) unless $options{node} || $self->{target};
	$self->wait_state('up') or croak 'the target is not up';
	$self->_make_tables;
	$self->{load} = Inval::Drill::Load->start($self->node,
		rows => $self->rows,
		rate => $self->{rate} || $self->pick(100, 500),
		clients => $self->{clients},
		settle => $self->pick(30, 120),
		arrangement => $options{arrangement} || 'single',
		redis => $options{redis},
		env => { PGOPTIONS => '-c search_path=' . $self->schema, %{ $options{env} || {} } });
	# Connections are made, plans are cached.
	$self->wait_seconds(0.3, 2);
	$self->{begin} = now_us();
	$self->wait_seconds(0.7, 10);
	return;
}

# As many as are changed while nothing can be cached again, and half as many
# more.
sub rows
{
	my ($self) = @_;

	return $self->{rows} || $self->pick(4000, 100_000);
}

sub schema
{
	my ($self) = @_;

	return $self->{target} ? "soak_$self->{target}" : 'public';
}

sub _make_tables
{
	my ($self) = @_;
	my $rows = $self->rows;
	my $schema = $self->schema;
	my $targets = "targets => '{" . $self->target . "}'";

	foreach my $table (qw(at_commit in_background untracked))
	{
		$self->node->safe_psql('postgres', qq{
			SET client_min_messages = warning;
			CREATE SCHEMA IF NOT EXISTS $schema;
			SET search_path = $schema, public;
			DROP TABLE IF EXISTS $table;
			CREATE TABLE $table (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)
				WITH (fillfactor = 50);
			INSERT INTO $table SELECT generate_series(1, $rows)});
	}
	# What was cached of tables before goes with them.
	wait_queue_empty($self->node, 'postgres') if $self->{target};
	$self->node->safe_psql('postgres', qq{
		SET search_path = $schema, public;
		SELECT inval_track('at_commit', key => 'at_commit:{id}', $targets);
		SELECT inval_track('in_background', key => 'in_background:{id}',
			delivery => 'background', $targets);
		VACUUM ANALYZE at_commit;
		VACUUM ANALYZE in_background;
		VACUUM ANALYZE untracked;
		SELECT inval_stats_reset();
		CHECKPOINT});
	return;
}

=pod

=head2 fault($code, $place)

Runs what goes wrong, with the drill and the place, and is right again when it returns.  What follows, as long
again as what went before, is the last phase.

=cut

sub fault
{
	my ($self, $code, $place) = @_;

	$self->{fault} ||= now_us();
	$code->($self, $place);
	$self->{healed} = now_us();
	$self->wait_seconds(0.7, 10);
	return;
}

=pod

=head2 breaker_open

Remembers that from now on commits do not try to reach the target; the report
then shows their latency from here on by itself.

=head2 remark_queue

Notes how much is queued now.

=cut

sub breaker_open
{
	my ($self) = @_;

	$self->{open} = now_us();
	return;
}

sub remark_queue
{
	my ($self) = @_;

	$self->remark(sprintf 'At the end of it %d invalidations were queued.',
		queue_length($self->node, 'postgres'));
	return;
}

=pod

=head2 switch_to($node)

From now on this is the server that says what the rows are.

=cut

sub switch_to
{
	my ($self, $node) = @_;

	$self->{node} = $node;
	return;
}

=pod

=head2 stop

Ends the load.

=head2 end(%options)

Does so if that has not been done, waits until everything is delivered, and counts.  C<stores> are
the servers (Inval::Redis) that have the keys now.  Returns the result: see
Inval::Drill::Report.

=cut

sub stop
{
	my ($self) = @_;

	return if $self->{end};
	$self->{end} = now_us();
	$self->{$_} ||= $self->{end} foreach qw(fault healed);
	$self->{load}->finish;
	return;
}

sub end
{
	my ($self, %options) = @_;
	my $load = $self->{load};
	my $result;

	$self->stop;
	$self->{drained} = wait_queue_empty($self->node, 'postgres');
	my @tracked = $load->commits(0, 'inf');
	my @owed = grep { !$_->{undone} } @tracked;
	my @confirmed = grep { $_->{gone} } @owed;
	$result = {
		name => $self->{name},
		commits => scalar @tracked,
		undone => @tracked - @owed,
		owed => scalar @owed,
		confirmed => scalar @confirmed,
		windows => [ $load->windows(0, 'inf') ],
		reconnects => $load->reconnects,
		refused => $load->refused,
		notes => $self->{notes},
		compare_keys($self, @{ $options{stores} }),
		delivered($self),
	};
	$result->{phases} = [ $self->_phases ];
	return $self->{result} = $result;
}

sub _phases
{
	my ($self) = @_;
	my $load = $self->{load};
	my @phases;
	my @times = (
		[ before => $self->{begin}, $self->{fault} ],
		$self->{open}
		? ([ 'during, until the breaker is open' => $self->{fault}, $self->{open} ],
			[ 'during, then' => $self->{open}, $self->{healed} ])
		: [ during => $self->{fault}, $self->{healed} ],
		[ after => $self->{healed}, $self->{end} ]);

	foreach (@times)
	{
		my ($name, $from, $to) = @$_;

		push @phases,
		  {
			name => $name,
			seconds => ($to - $from) / 1e6,
			commits => scalar $load->commits($from, $to),
			latency => {
				map { $_ => [ $load->latencies($from, $to, $_) ] }
				  qw(at_commit in_background untracked)
			},
			windows => {
				map { $_ => [ $load->windows($from, $to, $_) ] }
				  qw(at_commit in_background)
			},
		  };
	}
	return @phases;
}

=pod

=head2 last_gone_of_fault($since)

Seconds from that moment until the last key that was owed then was seen gone.

=cut

sub last_gone_of_fault
{
	my ($self, $since) = @_;
	my @gone = map { $_->{gone} } grep { $_->{gone} > $since } $self->{load}->commits(0, $since);

	return @gone ? (max(@gone) - $since) / 1e6 : 0;
}

=pod

=head2 check

Passes if nothing was lost, and if the drill was one.

=head2 complaints

What C<check> would not let pass, in words.

=cut

sub check
{
	my ($self) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cmp_ok($_->[1], $_->[2], $_->[3], "$self->{name}: $_->[0]") foreach facts($self);
	no_crash($self->node, "$self->{name}: no server process crashed");
	return;
}

sub complaints
{
	my ($self) = @_;

	return map { "$self->{name}: not so: $_->[0] ($_->[1], not $_->[2] $_->[3])" }
	  grep { $_->[2] eq '==' ? $_->[1] != $_->[3] : $_->[1] <= $_->[3] } facts($self);
}

1;
