=pod

=head1 NAME

Inval::Consistency::Report - what the runs found, as Markdown

=cut

package Inval::Consistency::Report;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;

our @EXPORT = qw(consistency_line consistency_report);
our @EXPORT_OK = qw(machine);

=pod

=head2 consistency_line($result)

One result as a line of text.

=head2 consistency_report(@results)

All of them as tables.

=cut

sub consistency_line
{
	my ($result) = @_;

	return sprintf '%s: %d reads, %d checked, %d commits; too old: %d visible, %d returned, '
	  . '%d delivered; %d left; oldest %.1f ms', $result->{mode}->{name},
	  @$result{qw(reads checked commits visible returned delivered left)},
	  $result->{visible_age} / 1000;
}

sub consistency_report
{
	my (@results) = @_;
	my @lines = (
		'- Measured on ' . machine() . '.', '',
		'| mode | reads | checked | hit rate | commits | refused fills | too old (visible) | rate | returned | delivered | left | oldest |',
		'|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|',
		(map { _row($_) } @results), '');

	foreach my $result (grep { %{ $_->{faults} } } @results)
	{
		my $faults = $result->{faults};

		push @lines, "- $result->{mode}->{name}: "
		  . join(', ', map { "$faults->{$_} × $_" } sort keys %$faults) . '.';
	}
	return join("\n", @lines) . "\n";
}

sub _row
{
	my ($result) = @_;

	return sprintf '| %s | %s | %s | %.1f %% | %s | %s | %s | %s | %s | %s | %s | %s |',
	  $result->{mode}->{name}, _thousands($result->{reads}), _thousands($result->{checked}),
	  $result->{reads} ? 100 * $result->{hits} / $result->{reads} : 0,
	  map({ _thousands($result->{$_}) } qw(commits refused visible)),
	  $result->{visible} ? sprintf('%.4f %%', 100 * $result->{visible} / $result->{checked}) : '0',
	  map({ _marked($result, $_) } qw(returned delivered left)),
	  $result->{visible} ? _time($result->{visible_age}) : '';
}

# Bold where it must be none.
sub _marked
{
	my ($result, $name) = @_;
	my $number = _thousands($result->{$name});

	return grep({ $_ eq $name } @{ $result->{mode}->{never} }) ? "**$number**" : $number;
}

sub _thousands
{
	my ($number) = @_;

	1 while $number =~ s/^(\d+)(\d{3})/$1,$2/;
	return $number;
}

sub _time
{
	my ($us) = @_;

	return $us < 1e6 ? sprintf('%.1f ms', $us / 1e3) : sprintf('%.1f s', $us / 1e6);
}

=pod

=head2 machine

What it was measured on, in a few words.

=cut

sub machine
{
	my ($system) = slurp_file('/etc/os-release') =~ /^PRETTY_NAME="?([^"\n]*)/m;
	my $processors = () = slurp_file('/proc/cpuinfo') =~ /^processor\s*:/mg;
	my ($redis) = `redis-server --version` =~ /v=(\S+)/;
	my ($postgres) = `postgres --version` =~ /([0-9.]+)/;

	return "$processors processors, $system, PostgreSQL $postgres, Redis $redis";
}

1;
