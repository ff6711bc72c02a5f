=pod

=head1 NAME

Inval::Soak::Report - what a soak found, as Markdown

=cut

package Inval::Soak::Report;

use strict;
use warnings;

use Exporter 'import';
use List::Util qw(max sum);
use POSIX ();

use Inval::Consistency::Report qw(machine);

our @EXPORT = qw(soak_report);

=pod

=head2 soak_report($result, $load_before)

The text; the second is the load average of the machine before.

=cut

sub soak_report
{
	my ($result, $load_before) = @_;
	my $readers = $result->{readers};
	my $samples = $result->{samples};
	my @tables = @{ $samples->{tables} };

	return join "\n",
	  sprintf('- %.0f minutes in %d rounds, seed %d; the first third with crashes.',
		$result->{seconds} / 60, $result->{rounds}, $result->{seed}),
	  '- Measured ' . POSIX::strftime('%Y-%m-%d', gmtime) . ' on ' . machine()
	  . "; load average before: $load_before.",
	  "- Commits of the drills' clients: $result->{commits}, each of which owed a key; they had to "
	  . "connect again $result->{reconnects} times.",
	  sprintf('- Readers with leases: %d reads, %d values checked, %d commits; too old after delivery: %d; '
		  . 'left behind: %d.', @$readers{qw(reads checked commits delivered left)}),
	  sprintf('- Tables of inval: %d kB at most, %d kB in the end. Shared memory: %d kB.',
		max(0, @tables), $result->{tables_in_the_end}, $samples->{shared} || 0),
	  sprintf('- Problems: %s.', @{ $result->{problems} } ? scalar @{ $result->{problems} } : 'none'),
	  (map { "  - $_" =~ s/\n/ /gr } @{ $result->{problems} }),
	  '', 'What happened:', '',
	  _happened($result), '',
	  '| process | minutes | samples | memory, first third | last | files | connections |',
	  '|---|---:|---:|---:|---:|---:|---:|',
	  (map { _row($_) } sort { $b->{minutes} <=> $a->{minutes} } $samples->judged), '',
	  '| process | looks | in TopMemoryContext, second look | last |',
	  '|---|---:|---:|---:|',
	  (map { sprintf '| %s | %d | %d B | %d B |', @$_{qw(role looks first last)} }
		sort { $b->{looks} <=> $a->{looks} } $result->{contexts}->judged), '';
}

sub _happened
{
	my ($result) = @_;
	my $happened = $result->{happened};

	return join(', ', map { "$happened->{$_} × $_" } sort keys %$happened) . '.';
}

sub _row
{
	my ($process) = @_;

	return sprintf '| %s | %.1f | %d | %d kB | %d kB | %d to %d | %d to %d |',
	  @$process{qw(role minutes samples)}, map { @{ $process->{$_} } } qw(memory files connections);
}

1;
