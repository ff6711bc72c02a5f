=pod

=head1 NAME

Inval::Drill::Verdict - what became of the keys in a drill, and what must be so

=head2 compare_keys($drill, @stores)

Compares every row with what Redis has at its key.

=head2 delivered($drill)

What inval says who delivered what.

=head2 facts($drill)

What must be so in the end: references to a name and two numbers with what is to be between
them, == or >.

=cut

package Inval::Drill::Verdict;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

use Inval::Test;

our @EXPORT = qw(compare_keys delivered facts);

sub compare_keys
{
	my ($drill, @stores) = @_;
	my (%stamps, @lost);
	my ($compared, $ahead) = (0, 0);

	foreach my $table (qw(at_commit in_background))
	{
		my $rows = $drill->node->safe_psql('postgres',
			'SELECT id, n FROM ' . $drill->schema . ".$table");

		foreach my $row (split /\n/, $rows)
		{
			my ($id, $stamp) = split /\|/, $row;

			$stamps{"$table:$id"} = $stamp;
		}
	}
	foreach my $store (@stores)
	{
		# A drill may have closed its connection.
		poll_until(sub { $store->cmd('PING') eq 'PONG' }, 'Redis to answer');
		my @keys = grep { defined $stamps{$_} } @{ $store->cmd('KEYS', '*') };
		my @values = $store->pipeline(map { [ 'GET', $_ ] } @keys);

		foreach my $i (grep { defined $values[$_] } 0 .. $#keys)
		{
			$compared++;
			push @lost, $keys[$i] if $values[$i] < $stamps{ $keys[$i] };
			$ahead++ if $values[$i] > $stamps{ $keys[$i] };
		}
	}
	diag("lost: @lost[0 .. ($#lost < 9 ? $#lost : 9)]") if @lost;
	return (lost => scalar @lost, compared => $compared, ahead => $ahead);
}

sub delivered
{
	my ($drill) = @_;
	my ($at_commit, $by_worker) = split /\|/, $drill->node->safe_psql('postgres', q{
		SELECT coalesce(sum(delivered_at_commit), 0), coalesce(sum(delivered_by_worker), 0)
		FROM inval_stats});

	return (at_commit => $at_commit, by_worker => $by_worker);
}

sub facts
{
	my ($drill) = @_;
	my $result = $drill->{result};

	return (
		[ 'no key is lost', $result->{lost}, '==', 0 ],
		[ 'every key owed was seen gone', $result->{confirmed}, '==', $result->{owed} ],
		[ 'nothing is queued any more', $drill->{drained}, '==', 1 ],
		[ 'no commit failed', $result->{refused}, '==', 0 ],
		[ 'keys were compared', $result->{compared}, '>', $drill->rows * $drill->{least} ],
		# Where other things happen besides, phases say little.
		$drill->{pass}
		? [ 'there were commits', $result->{commits}, '>', 0 ]
		: map { [ "there were commits $_->{name}", $_->{commits}, '>', 0 ] }
		  grep { $_->{seconds} > 0.5 } @{ $result->{phases} });
}

1;
