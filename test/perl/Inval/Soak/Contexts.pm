=pod

=head1 NAME

Inval::Soak::Contexts - what processes hold in memory that is never given back

=head1 DESCRIPTION

What malloc keeps hides what is lost in small pieces.  So at the end of each round, when
nobody commits, each process writes the sizes of its memory contexts to the log, and what is
in use in TopMemoryContext is looked at: what lands there by mistake stays.

=cut

package Inval::Soak::Contexts;

use strict;
use warnings;

use PostgreSQL::Test::Utils;

use Inval::Soak::Samples;
use Inval::Test;

# In bytes, from the second look to the last: tables of caches that double, once or twice.
my $tolerance = 48 * 1024;

# A process is judged if it was looked at so often.
my $least_looks = 3;

=pod

=head2 new($node), look

=head2 judged

Of each process that was looked at often enough, a reference to a hash: C<role>, C<looks>,
C<first> (the second look), C<last>, both in bytes.

=head2 grown

Those that grew, in words.

=cut

sub new
{
	my ($class, $node) = @_;

	return bless { node => $node, series => {} }, $class;
}

sub look
{
	my ($self) = @_;
	my $node = $self->{node};
	my $offset = -s $node->logfile;
	my %role = map { split /\|/ } split /\n/,
	  $node->safe_psql('postgres', Inval::Soak::Samples::processes_query());
	my %used;

	$node->safe_psql('postgres', "SELECT pg_log_backend_memory_contexts($_)") foreach keys %role;
	poll_until(
		sub {
			my $log = slurp_file($node->logfile, $offset);

			foreach my $pid (keys %role)
			{
				$used{$pid} = $1 if $log =~ /\[$pid\] [^\n]*TopMemoryContext: [^\n]* (\d+) used/;
			}
			return keys %used == keys %role;
		},
		'memory contexts in the log');
	push @{ $self->{series}{"$role{$_}\t$_"} }, $used{$_} foreach keys %used;
	return;
}

sub judged
{
	my ($self) = @_;
	my @judged;

	foreach my $name (sort keys %{ $self->{series} })
	{
		my @looks = @{ $self->{series}{$name} };

		push @judged,
		  { role => (split /\t/, $name)[0], looks => scalar @looks, first => $looks[1], last => $looks[-1] }
		  if @looks >= $least_looks;
	}
	return @judged;
}

sub grown
{
	my ($self) = @_;

	return map {
		sprintf '%s: what is in TopMemoryContext grew from %d to %d bytes in %d rounds',
		  @$_{qw(role first last looks)}
	} grep { $_->{last} > $_->{first} + $tolerance } $self->judged;
}

1;
