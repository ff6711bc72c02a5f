=pod

=head1 NAME

Inval::Drill::Load - clients that commit during a drill, and what they measured

=head1 SYNOPSIS

  my $load = Inval::Drill::Load->start($node, rows => 1000, rate => 200,
	arrangement => 'single', redis => ['127.0.0.1:6379']);
  my $from = now_us();
  ...
  my $measured = $load->finish;
  my $latencies = $measured->latencies('at_commit', $from, now_us());

=head1 DESCRIPTION

Runs F<test/drill/load>, which F<test/drill/main.c> describes, and reads what it
prints.

=cut

package Inval::Drill::Load;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use File::Basename;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Symbol qw(gensym);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

our @EXPORT = qw(now_us quantile);

my $directory = dirname(__FILE__) . '/../../../drill';
my $built;

=pod

=head2 now_us

The time by the clock of the program, in microseconds.

=cut

sub now_us
{
	return clock_gettime(CLOCK_MONOTONIC) * 1e6;
}

=pod

=head2 quantile($share, @values)

The value below which that share of the values lies; undef if there are none.

=cut

sub quantile
{
	my ($share, @values) = @_;

	return undef unless @values;
	@values = sort { $a <=> $b } @values;
	my $index = int($share * @values);
	return $values[ $index < @values ? $index : -1 ];
}

=pod

=head2 start($node, %options)

Starts the load and returns when all keys are cached.  Options: C<rows>, C<rate>
commits a second, C<clients>, C<settle> seconds to wait for the last keys,
C<arrangement> and C<redis> as F<main.c> says, C<env> further variables of libpq.

=cut

sub start
{
	my ($class, $node, %options) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $self = bless { out => "$dir/load", dir => $dir }, $class;
	my $input = gensym;

	_build();
	local %ENV = (
		%ENV,
		PGHOST => $node->host,
		PGPORT => $node->port,
		PGDATABASE => 'postgres',
		PGCONNECT_TIMEOUT => 10,
		%{ $options{env} || {} });
	$self->{run} = IPC::Run::start(
		[ "$directory/load", @options{qw(rows rate clients settle arrangement)},
			@{ $options{redis} } ],
		'<pipe', $input, '>', $self->{out}, '2>', "$self->{out}.errors");
	$self->{input} = $input;
	$self->_wait_ready;
	return $self;
}

sub _build
{
	return if $built;
	my @command = ('make', '-s', '-C', $directory);
	my ($out, $err) = ('', '');

	IPC::Run::run(\@command, '>', \$out, '2>', \$err)
	  or croak "could not build the load: $out$err";
	$built = 1;
	return;
}

sub _wait_ready
{
	my ($self) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $deadline)
	{
		return if slurp_file($self->{out}) =~ /^ready$/m;
		croak 'the load ended: ' . $self->errors unless $self->{run}->pumpable;
		select undef, undef, undef, 0.01;
	}
	croak 'the keys were not cached in time';
}

sub errors
{
	my ($self) = @_;

	return slurp_file("$self->{out}.errors");
}

=pod

=head2 finish

Ends the load, waits until no key is owed or the time for that is over, and
reads what was measured.

=cut

sub finish
{
	my ($self) = @_;

	close $self->{input};
	$self->{run}->finish;
	croak 'the load failed: ' . $self->errors if $self->{run}->result(0);
	$self->{commits} = [];
	open my $file, '<', $self->{out} or croak "could not open $self->{out}: $!";
	while (my $line = <$file>)
	{
		my @fields = split ' ', $line;

		if (@fields == 5)
		{
			my %commit;

			@commit{qw(kind returned latency gone undone)} = @fields;
			$commit{sent} = $commit{returned} - ($commit{latency} > 0 ? $commit{latency} : 0);
			push @{ $self->{commits} }, \%commit;
		}
		@$self{qw(reconnects refused)} = @fields[ 1, 2 ] if $fields[0] eq 'clients';
	}
	close $file;
	return $self;
}

sub reconnects { return $_[0]->{reconnects}; }
sub refused { return $_[0]->{refused}; }

=pod

=head2 commits($from, $to, @kinds)

The commits of those kinds (default: the tracked ones) that were sent then, as
references to hashes: C<kind>, C<sent>, C<returned>, C<latency>, C<gone>,
C<undone>.

=head2 latencies($from, $to, @kinds)

How long they took, in ms; those whose answer was lost are left out.

=head2 windows($from, $to, @kinds)

From COMMIT having returned to the key having been seen gone, in ms.

=cut

sub commits
{
	my ($self, $from, $to, @kinds) = @_;
	my %wanted = map { $_ => 1 } @kinds ? @kinds : qw(at_commit in_background);

	return grep {
		$wanted{ $_->{kind} } && $_->{sent} >= $from && $_->{sent} < $to
	} @{ $self->{commits} };
}

sub latencies
{
	my ($self, @which) = @_;

	return map { $_->{latency} / 1e3 }
	  grep { $_->{latency} >= 0 } $self->commits(@which);
}

sub windows
{
	my ($self, @which) = @_;

	return map { ($_->{gone} - $_->{returned}) / 1e3 }
	  grep { $_->{gone} && !$_->{undone} } $self->commits(@which);
}

1;
