# Random transactions of many sessions at the same time, and readers that cache
# what the tables say: when all has ended, nothing is cached that the tables do not
# say.
#
# INVAL_SEED repeats what is done, though not when.  INVAL_SCHEMAS, INVAL_ROUNDS (of
# each), INVAL_TRANSACTIONS (of a round), INVAL_SESSIONS make it longer or shorter,
# INVAL_ONLY runs one of the shops.  test/differential --concurrent is the long run.

use strict;
use warnings;

use Inval::Concurrent;
use Inval::Test;
use Test::More;

my $seed = defined $ENV{INVAL_SEED} ? $ENV{INVAL_SEED} : int(rand 2**31);
my $long = $ENV{INVAL_SCHEMAS};
my $show = $long ? \&diag : \&note;
my $redis = Inval::Redis->new;
my $node = concurrent_node('concurrent', $redis);
my %size = (
	seed => $seed,
	transactions => $ENV{INVAL_TRANSACTIONS} || 32,
	sessions => $ENV{INVAL_SESSIONS} || 8);

$show->("INVAL_SEED=$seed");
my $run = concurrent_run($node, $redis, %size,
	shops => $long || 3,
	rounds => $ENV{INVAL_ROUNDS} || 3,
	only => $ENV{INVAL_ONLY},
	show => $show);

is(scalar @{ $run->{complaints} }, 0, 'nothing is cached that the tables do not say');
concurrent_report($run, @{ $run->{complaints} } ? \&diag : $show);
diag("INVAL_SEED=$seed") if @{ $run->{complaints} };
cmp_ok($run->{totals}{'answers compared'}, '>', 100, 'and a lot was compared');

# A hole that must be seen, or else it proves nothing.  One try may not meet it.
my $found = 0;
foreach my $try (1 .. 8)
{
	$run = concurrent_run($node, $redis, %size, seed => $seed + $try, shops => 1, rounds => 4,
		sabotage => q{
	UPDATE pg_trigger SET tgenabled = 'D'
	WHERE tgfoid = 'inval_capture_row'::regproc AND tgrelid = 'app.article'::regclass});
	$found = grep { $_->{what} =~ /is cached/ } @{ $run->{complaints} };
	last if $found;
}
ok($found, 'a trigger that is off is found') or concurrent_report($run, \&diag);
no_crash($node, 'no server process crashed');

done_testing();
