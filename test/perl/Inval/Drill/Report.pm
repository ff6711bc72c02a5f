=pod

=head1 NAME

Inval::Drill::Report - what drills found, as Markdown

=cut

package Inval::Drill::Report;

use strict;
use warnings;

use Exporter 'import';
use POSIX ();

use Inval::Drill::Load;

our @EXPORT = qw(drill_report);

=pod

=head2 drill_report($facts, @results)

The text.  C<$facts> says how and where they were run, in lines; each result is that
of an Inval::Drill, with C<about>.

=cut

sub drill_report
{
	my ($facts, @results) = @_;

	return join "\n", "# Drills\n", _introduction(), @$facts, '', _summary(@results),
	  map { _section($_) } @results;
}

sub _introduction
{
	return <<'END';
What happens to commits and to their keys while something goes wrong, with real servers. Made by `test/drills`.

Clients change rows at an even pace, each row in a transaction of its own. Four of five tracked rows have a rule with delivery
`commit`, the others one with delivery `background`; and for each there is a commit to a table without a rule, in
random order, to compare with. A reader keeps the key of every row in Redis, with a number that says how old the row was;
it looks at the key of each changed row until it is gone, and only then caches it again, with the row's new number. At the
end another client compares each row with what Redis holds.

- **commits**: those that were confirmed to their client and changed a tracked row.
- **keys owed**: one for each of them. (A commit that a promoted standby had not got is not owed.)
- **keys confirmed**: those that the reader saw gone, or replaced by something not older than the commit.
- **keys lost**: rows whose key, at the end, holds something older than the row.
- **stale window**: the time from COMMIT having returned until the answer arrived by which the reader saw that the key is gone. It
  includes one round trip and the pause between two looks, some 0.2 to 1 ms (more where thousands of keys are looked at), also
  for keys that were gone before COMMIT returned. While Redis does not answer, nobody can read what is stale there; that
  time is counted all the same.
- **commit latency**: from sending the UPDATE to having its answer. What is owed to a commit whose answer was lost is counted, but its
  latency is not.
END
}

sub _summary
{
	my (@results) = @_;
	my @rows = map {
		my @windows = _quantiles(@{ $_->{windows} });

		join ' | ', "[$_->{name}](#$_->{name})", @$_{qw(commits owed confirmed lost)}, @windows;
	} @results;

	return join "\n",
	  '| drill | commits | keys owed | confirmed | lost | stale window p50 | p99 | max |',
	  '|---|---:|---:|---:|---:|---:|---:|---:|', (map { "| $_ |" } @rows), '';
}

sub _section
{
	my ($result) = @_;
	my @rows;

	foreach my $phase (@{ $result->{phases} })
	{
		foreach my $table (qw(at_commit in_background untracked))
		{
			my $windows = $phase->{windows}{$table};

			push @rows, join ' | ', _phase_name($phase), _table_name($table),
			  scalar @{ $phase->{latency}{$table} },
			  _quantiles(@{ $phase->{latency}{$table} }),
			  $windows ? _quantiles(@$windows) : ('', '', '');
		}
	}
	return join "\n", "## $result->{name}\n", "$result->{about}\n",
	  '| phase | commits to | commits | latency p50 | p99 | max | stale window p50 | p99 | max |',
	  '|---|---|---:|---:|---:|---:|---:|---:|---:|', (map { "| $_ |" } @rows), '',
	  (map { "- $_" } @{ $result->{notes} }, _closing($result)), '';
}

sub _phase_name
{
	my ($phase) = @_;

	return sprintf '%s (%.*f s)', $phase->{name}, $phase->{seconds} < 10 ? 1 : 0,
	  $phase->{seconds};
}

sub _table_name
{
	my ($table) = @_;
	my %names = (
		at_commit => 'delivery `commit`',
		in_background => 'delivery `background`',
		untracked => 'no rule');

	return $names{$table};
}

# What inval itself says, and what the comparison at the end was.
sub _closing
{
	my ($result) = @_;
	my @sentences = (
		"inval counted $result->{at_commit} deliveries at commit and $result->{by_worker} by the worker"
		  . ' (those of this server since its start).',
		"Compared at the end: $result->{compared} keys that Redis held.");

	push @sentences, "Clients had to connect again $result->{reconnects} times."
	  if $result->{reconnects};
	push @sentences, "Not owed, because the standby had not got them: $result->{undone} commits. "
	  . "Keys that held what readers had cached of those: $result->{ahead}."
	  if $result->{undone};
	return @sentences;
}

# p50, p99 and max in ms, or dashes.
sub _quantiles
{
	my (@values) = @_;

	return map { _milliseconds(quantile($_, @values)) } 0.5, 0.99, 1;
}

sub _milliseconds
{
	my ($value) = @_;

	return '–' unless defined $value;
	return sprintf '%.2f ms', $value if $value < 10;
	return sprintf '%.0f ms', $value if $value < 1000;
	return sprintf '%.1f s', $value / 1000;
}

1;
