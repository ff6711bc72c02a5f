# Ordinary roles that mean harm run random SQL beside an owner of tracked tables:
# see Inval::Hostile for what must not happen.
#
# INVAL_SEED chooses the same SQL again (not the same moments), INVAL_SECONDS makes it
# longer, INVAL_HOSTILE_ROLES is the number of sessions at a time, and
# INVAL_HOSTILE_KEEP a directory for their scripts and what they were told.
# test/hostile is the long run.

use strict;
use warnings;

use Inval::Hostile;
use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = defined $ENV{INVAL_SEED} ? $ENV{INVAL_SEED} : int(rand 2**31);
my $show = $ENV{INVAL_SECONDS} ? \&diag : \&note;
my $run;

$show->("INVAL_SEED=$seed");
$run = hostile_run(seed => $seed, seconds => $ENV{INVAL_SECONDS}, scripts => 6,
	roles => $ENV{INVAL_HOSTILE_ROLES} || 2, keep => $ENV{INVAL_HOSTILE_KEEP},
	sabotage => $ENV{INVAL_HOSTILE_SABOTAGE});

is(join("\n", @{ $run->{complaints} }), '', 'nothing happens that must not');
diag("INVAL_SEED=$seed") if @{ $run->{complaints} };
$show->("$_: $run->{totals}{$_}") foreach sort keys %{ $run->{totals} };
$show->(join ', ', map { sprintf '%s %d/%d', $_, $run->{kinds}{$_}{false} || 0,
		($run->{kinds}{$_}{true} || 0) + ($run->{kinds}{$_}{false} || 0) } sort keys %{ $run->{kinds} });
cmp_ok($run->{totals}{'statements that succeeded'}, '>', 100, 'and a lot was tried');
cmp_ok($run->{kinds}{track}{false} || 0, '>', 0, 'rules were made');

done_testing();
