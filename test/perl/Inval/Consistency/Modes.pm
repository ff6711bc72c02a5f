=pod

=head1 NAME

Inval::Consistency::Modes - kinds of rules and readers, and what each promises

=cut

package Inval::Consistency::Modes;

use strict;
use warnings;

use Carp;
use Exporter 'import';

our @EXPORT = qw(consistency_mode consistency_modes);

# What must never be, by the names of the numbers that count it (violations, in
# Inval::Consistency): a value that was
#   visible    superseded for every observer before it was read
#   returned   ... by a commit that had returned to its client
#   delivered  ... and whose invalidation had been delivered before it was read
#   left       there when all was over
my @fence = ('delivered', 'left');

# Times are such that much of it happens: values expire while they are used.
my %early = (ttl_ms => 300, stale_ms => 200, early_ms => 150);
# Nobody waits half a minute for a fence whose transaction died.
my %short = ('inval.fence_life' => "'2s'");
# Leases run out before slow fills end.
my %lease = (short_lease_ms => 60);

my @modes = (
	{
		name => 'plain',
		about => 'GET and SET, ordinary rules',
		rule => '',
		load => { plain => 1 },
		never => [],
	},
	{
		name => 'fence',
		about => 'leases, rules with a fence',
		rule => ', fence => true',
		load => {%lease},
		never => [ @fence, 'returned' ],
	},
	{
		name => 'early',
		about => 'the same with values that expire: stale values, refreshing early',
		rule => ', fence => true',
		load => { %lease, %early },
		never => [ @fence, 'returned' ],
	},
	{
		name => 'background',
		about => 'leases, rules with a fence, delivered by the worker',
		rule => q{, fence => true, delivery => 'background'},
		load => {%lease},
		never => [@fence],
	},
	{
		name => 'refill',
		about => 'leases, rules that put the value back',
		rule => ', fence => true',
		refill => 1,
		load => {%lease},
		never => [ @fence, 'returned' ],
	},
	{
		name => 'strict',
		about => 'leases, strict rules',
		rule => q{, delivery => 'strict'},
		conf => {%short},
		load => {%lease},
		never => [ @fence, 'returned', 'visible' ],
	},
	{
		name => 'strict-early',
		about => 'the same with values that expire: stale values, refreshing early',
		rule => q{, delivery => 'strict'},
		conf => {%short},
		load => { %lease, %early },
		never => [ @fence, 'returned', 'visible' ],
	},
	# What is delivered may be lost with a master, and is delivered again.
	{
		name => 'fence-failover',
		about => 'leases, rules with a fence; masters are replaced',
		rule => ', fence => true',
		load => {%lease},
		sentinels => 1,
		faults => 1,
		never => ['left'],
	},
	{
		name => 'strict-failover',
		about => 'leases, strict rules; masters are replaced',
		rule => q{, delivery => 'strict'},
		conf => {%short},
		load => {%lease},
		sentinels => 1,
		faults => 1,
		never => ['left'],
	},
);

# The same with faults.  While Redis does not answer, commits do not wait.
push @modes, map {
	my $mode = $_;
	+{
		%$mode,
		name => "$mode->{name}-faults",
		about => "$mode->{about}; faults",
		faults => 1,
		never => [
			grep { $_ ne 'returned' || grep { $_ eq 'visible' } @{ $mode->{never} } }
			  @{ $mode->{never} } ],
	}
} grep { !$_->{faults} } @modes;

=pod

=head2 consistency_modes

All of them.

=head2 consistency_mode($name)

That one.

=cut

sub consistency_modes { return @modes; }

sub consistency_mode
{
	my ($name) = @_;
	my ($mode) = grep { $_->{name} eq $name } @modes;

	return $mode || croak "no mode $name; there are " . join ', ', map { $_->{name} } @modes;
}

1;
