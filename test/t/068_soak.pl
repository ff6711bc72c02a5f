# Mixed load, and faults at random, for a long time: test/soak runs that by this file.  Here
# the parts that judge are tried: what they must call growth, and what they must not.
#
# INVAL_SOAK_SECONDS   how long
# INVAL_SOAK_REPORT    the file to write the report to
# INVAL_SOAK_BROKEN    lost, stale, leak, stuck: what is broken on purpose, and must be noticed;
#                      inval: inval itself is
# INVAL_SEED           the same accidents again (not the same moments)

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use Inval::Soak;
use Inval::Soak::Report;
use Inval::Soak::Samples qw(compare_thirds is_flat);

is_deeply([ compare_thirds(1 .. 12) ], [ 5, 11 ],
	'the first quarter is left out, then come the medians of thirds');
ok(is_flat('memory', 5000, 6500), 'what malloc keeps is no growth');
ok(!is_flat('memory', 5000, 6600), 'more is');
ok(!is_flat('connections', 5, 9), 'neither are connections that nobody closes');

if ($ENV{INVAL_SOAK_SECONDS})
{
	my $seed = defined $ENV{INVAL_SEED} ? $ENV{INVAL_SEED} : int(rand 2**20);
	my $load_before = (split ' ', slurp_file('/proc/loadavg'))[1];

	diag("INVAL_SEED=$seed");
	my $result = Inval::Soak->new(
		seconds => $ENV{INVAL_SOAK_SECONDS},
		seed => $seed,
		broken => $ENV{INVAL_SOAK_BROKEN},
		verbose => $ENV{INVAL_SOAK_VERBOSE},
		say => sub { diag(@_) })->run;
	my $problems = join "\n", @{ $result->{problems} };

	if ($ENV{INVAL_SOAK_BROKEN})
	{
		my %words = (
			lost => qr/no key is lost/,
			stale => qr/values left behind/,
			leak => qr/watched session: memory grew/,
			stuck => qr/something is queued/,
			inval => qr/./);

		like($problems, $words{ $ENV{INVAL_SOAK_BROKEN} }, "$ENV{INVAL_SOAK_BROKEN}: it is noticed");
	}
	else
	{
		is($problems, '', 'nothing was lost, nothing grew, nothing crashed');
	}
	append_to_file($ENV{INVAL_SOAK_REPORT}, soak_report($result, $load_before))
	  if $ENV{INVAL_SOAK_REPORT};
}
done_testing();
