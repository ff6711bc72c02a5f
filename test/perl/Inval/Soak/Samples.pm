=pod

=head1 NAME

Inval::Soak::Samples - what a server takes while it runs, and whether that grows

=head1 SYNOPSIS

  my $samples = Inval::Soak::Samples->start($node, 2);
  ...
  $samples->stop;
  my @grown = $samples->grown;

=head1 DESCRIPTION

A process of its own looks every few seconds: at memory, file descriptors and TCP
connections of each process of inval and of sessions called C<watched>, and at the size
of inval's tables.  While the server is away it sees nothing.

Memory is RssAnon: what a process has for itself.  Shared buffers and the pages of the
program are not in it.

=cut

package Inval::Soak::Samples;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use POSIX ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);

our @EXPORT_OK = qw(compare_thirds is_flat);

# A process is judged if it was seen that often.
my $least_samples = 24;

# By how much the last third may be above the first: a share, and something besides.
# Memory: malloc keeps what a burst took; caches of catalogs grow with what is touched.
# Files: the server keeps those of tables open that it has read, of inval's some twenty with
# their indexes.  Connections: one or two come and go.
my %tolerance = (
	memory => [ 0.10, 1024 ],
	files => [ 0.25, 16 ],
	connections => [ 0, 3 ],
);

my $processes = q{
	SELECT a.pid, CASE a.backend_type WHEN 'inval worker' THEN 'worker of ' || coalesce(s.target, '?')
		WHEN 'inval launcher' THEN 'launcher' ELSE 'watched session' END
	FROM pg_stat_activity a
	LEFT JOIN inval_target_status s ON s.worker_pid = a.pid
	WHERE a.backend_type IN ('inval launcher', 'inval worker') OR a.application_name = 'watched'};
my $tables = q{
	SELECT (sum(pg_total_relation_size(c.oid)) / 1024)::int
	FROM pg_depend d
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'inval'
	JOIN pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'm')
	WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass};
my $shared = q{
	SELECT (sum(allocated_size) / 1024)::int FROM pg_shmem_allocations WHERE name LIKE 'inval%'};

=pod

=head2 start($node, $seconds)

=head2 stop

Ends the process and reads what it has seen.

=cut

sub start
{
	my ($class, $node, $seconds) = @_;
	my $self = bless {
		node => $node,
		file => PostgreSQL::Test::Utils::tempdir() . '/samples',
		series => {},
		tables => [],
	}, $class;

	$self->{pid} = fork;
	croak "could not fork: $!" unless defined $self->{pid};
	return $self if $self->{pid};
	$SIG{$_} = 'DEFAULT' foreach qw(INT TERM);
	my $parent = getppid;
	while (getppid == $parent)
	{
		eval { $self->_take };
		# Its own pace, not a wait for anything.
		select undef, undef, undef, $seconds;
	}
	POSIX::_exit(0);
}

sub stop
{
	my ($self) = @_;

	return unless $self->{pid};
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	$self->{pid} = undef;
	return unless -e $self->{file};
	foreach my $line (split /\n/, slurp_file($self->{file}))
	{
		my ($what, $when, @rest) = split /\t/, $line;

		if ($what eq 'process' && @rest == 6)
		{
			my ($role, $pid, $start, %seen);

			($role, $pid, $start, @seen{qw(memory files connections)}) = @rest;
			push @{ $self->{series}{"$role\t$pid $start"} }, { when => $when, %seen };
		}
		push @{ $self->{tables} }, $rest[0] if $what eq 'tables' && @rest == 2;
		$self->{shared} = $rest[1] if $what eq 'tables' && @rest == 2;
	}
	return;
}

sub _take
{
	my ($self) = @_;
	my $now = time;
	my @lines;
	my $ask = sub {
		my $out = '';

		return $self->{node}->psql('postgres', "SET statement_timeout = '5s'; $_[0]",
			stdout => \$out, stderr => \my $error) == 0 ? $out : '';
	};

	foreach my $row (split /\n/, $ask->($processes))
	{
		my ($pid, $role) = split /\|/, $row;
		my @seen = eval { _look_at($pid) } or next;

		push @lines, join "\t", 'process', $now, $role, $pid, @seen;
	}
	my ($size, $shmem) = split /\n/, $ask->("$tables; $shared");
	push @lines, join "\t", 'tables', $now, int $size, int $shmem if $shmem;
	append_to_file($self->{file}, join '', map { "$_\n" } @lines);
	return;
}

# When it started (pids come again), kB of memory, files, connections by TCP.
sub _look_at
{
	my ($pid) = @_;
	my $start = (split ' ', slurp_file("/proc/$pid/stat") =~ s/^.*\) //sr)[19];
	my ($memory) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m or return;
	my %ours = map { $_ => 1 } map { readlink($_) || '' } glob "/proc/$pid/fd/*";
	my @files = glob "/proc/$pid/fd/*";
	my $connections = 0;

	foreach my $line (split /\n/, slurp_file('/proc/net/tcp'))
	{
		# 01 is ESTABLISHED; inode is the tenth.
		my (undef, undef, $remote, $state, @rest) = split ' ', $line;

		$connections++ if $state && $state eq '01' && $ours{"socket:[$rest[5]]"};
	}
	return ($start, $memory, scalar @files, $connections);
}

=pod

=head2 compare_thirds(@values)

The median of the first and of the last third, after the first quarter (warm-up).

=head2 is_flat($what, $first, $last)

Whether that is no growth, by the tolerance for C<memory>, C<files>, C<connections>.

=cut

sub compare_thirds
{
	my (@values) = @_;

	splice @values, 0, @values / 4;
	my $third = int(@values / 3) || 1;

	return (_median(@values[ 0 .. $third - 1 ]), _median(@values[ -$third .. -1 ]));
}

sub _median
{
	my @sorted = sort { $a <=> $b } @_;

	return $sorted[ @sorted / 2 ];
}

sub is_flat
{
	my ($what, $first, $last) = @_;
	my ($share, $more) = @{ $tolerance{$what} };

	return $last <= $first * (1 + $share) + $more;
}

=pod

=head2 processes_query

The query for process ids and roles of those that are looked at.

=head2 tables_query

The query for the size of the tables of inval, in kB.

=head2 judged

Of each process that was seen often enough, a reference to a hash: C<role>, C<minutes>,
C<samples>, and for C<memory>, C<files>, C<connections> the two medians.

=head2 grown

Those that grew, in words.

=cut

sub processes_query { return $processes; }
sub tables_query { return $tables; }

sub judged
{
	my ($self) = @_;
	my @judged;

	foreach my $name (sort keys %{ $self->{series} })
	{
		my @samples = @{ $self->{series}{$name} };
		my ($role) = split /\t/, $name;

		next if @samples < $least_samples;
		push @judged,
		  {
			role => $role,
			samples => scalar @samples,
			minutes => ($samples[-1]{when} - $samples[0]{when}) / 60,
			map {
				my $what = $_;

				$what => [ compare_thirds(map { $_->{$what} } @samples) ]
			} keys %tolerance
		  };
	}
	return @judged;
}

sub grown
{
	my ($self) = @_;
	my @grown;

	foreach my $process ($self->judged)
	{
		foreach my $what (sort keys %tolerance)
		{
			my ($first, $last) = @{ $process->{$what} };

			push @grown, sprintf '%s: %s grew from %d to %d in %.1f minutes',
			  $process->{role}, $what, $first, $last, $process->{minutes}
			  unless is_flat($what, $first, $last);
		}
	}
	return @grown;
}

1;
