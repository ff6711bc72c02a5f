# Drills: clients commit while something goes wrong, and at the end no key may hold
# something older than its row.  What each does is said where it is written, in
# test/perl/Inval/Drill/*.pm; here they are short.  test/drills runs them for longer,
# by this file, and has a report.
#
# INVAL_DRILLS         only these, separated by spaces
# INVAL_DRILLS_FULL    the longer form
# INVAL_DRILLS_REPORT  the file to write the report to

use strict;
use warnings;

use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

use Inval::Consistency::Report qw(machine);
use Inval::Drill;
use Inval::Drill::Access;
use Inval::Drill::Cluster;
use Inval::Drill::Network;
use Inval::Drill::Outage;
use Inval::Drill::Promotion;
use Inval::Drill::Report;
use Inval::Drill::Sentinel;
use Inval::Test;

my @drills = map { $_->drills } qw(
  Inval::Drill::Outage
  Inval::Drill::Network
  Inval::Drill::Sentinel
  Inval::Drill::Cluster
  Inval::Drill::Promotion
  Inval::Drill::Access
);
my %chosen = map { $_ => 1 } split ' ', $ENV{INVAL_DRILLS} || '';
my @results;
my $load_before = load_average();

foreach my $drill (grep { !%chosen || $chosen{ $_->{name} } } @drills)
{
	my $run = Inval::Drill->new($drill->{name}, full => $ENV{INVAL_DRILLS_FULL});

	diag("drill $drill->{name}") if $ENV{INVAL_DRILLS_REPORT};
	$run->run($drill);
	if ($run->{skipped})
	{
		pass("$drill->{name}: skipped, $run->{skipped}");
		next;
	}
	$run->check;
	push @results, { %{ $run->{result} }, about => $drill->{about} };
}

if ($ENV{INVAL_DRILLS_REPORT})
{
	my @facts = (
		$ENV{INVAL_DRILLS_FULL}
		? '- Full form: 500 tracked commits a second, and as many untracked ones, of 8 clients; 100,000 rows; fsync on.'
		: '- Short form: 100 tracked commits a second, and as many untracked ones, of 8 clients; 4,000 rows; fsync off.',
		'- Measured ' . POSIX::strftime('%Y-%m-%d', gmtime) . ' on ' . machine() . '.',
		"- Load average of the machine: $load_before before the first drill, "
		  . load_average() . ' after the last.');

	open my $file, '>', $ENV{INVAL_DRILLS_REPORT} or die "could not write the report: $!";
	print $file drill_report(\@facts, @results);
	close $file;
}
done_testing();

sub load_average
{
	return (split ' ', slurp_file('/proc/loadavg'))[1];
}
