=pod

=head1 NAME

Inval::Soak::Log - what a server may say of itself while all kinds of things go wrong

=cut

package Inval::Soak::Log;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;

our @EXPORT = qw(unexpected_lines);

my @expected = (
	# What was done to the server and to sessions
	qr/FATAL:  terminating connection due to (?:administrator command|unexpected postmaster exit)/,
	qr/FATAL:  terminating background worker "inval worker[^"]*" due to administrator command/,
	qr/FATAL:  the database system is (?:starting up|shutting down|in recovery mode|not yet accepting)/,
	qr/WARNING:  terminating connection because of crash of another server process/,
	qr/terminated by signal 9/,
	# The last moment of the long sessions
	qr/watched FATAL:  connection to client lost/,
	# What statements of the soak run into
	qr/ERROR:  canceling statement due to (?:statement|lock) timeout/,
);

=pod

=head2 unexpected_lines($node)

Errors, warnings and crashes in its log that nothing here explains: each kind once, with how
often.

=cut

sub unexpected_lines
{
	my ($node) = @_;
	my %count;

	foreach my $line (split /\n/, slurp_file($node->logfile))
	{
		next unless $line =~ /\b(?:ERROR|FATAL|PANIC|WARNING):  |terminated by signal|TRAP:|stack smashing/;
		next if grep { $line =~ $_ } @expected;
		# Without the time and the process
		$line =~ s/^.*?\[\d+\] //;
		$count{$line}++;
	}
	return map { "in the log, $count{$_} times: $_" } sort keys %count;
}

1;
