# Random transactions on random schemas: what is queued is what a query that
# compares the tables before and after says, never less, and what is more is
# explained.
#
# INVAL_SEED repeats a run.  INVAL_SCHEMAS, INVAL_TRANSACTIONS (of each schema) make it
# longer, INVAL_ONLY runs one of the schemas, INVAL_FEATURES and INVAL_WITHOUT are lists of
# features to use and to leave out.  test/differential is the long run.

use strict;
use warnings;

use Inval::Differential;
use Inval::Test;
use Test::More;

my $seed = defined $ENV{INVAL_SEED} ? $ENV{INVAL_SEED} : int(rand 2**31);
my $schemas = $ENV{INVAL_SCHEMAS} || 5;
my $transactions = $ENV{INVAL_TRANSACTIONS} || 35;
my $show = $ENV{INVAL_SCHEMAS} ? \&diag : \&note;
my %without = map { $_ => 1 } split /[\s,]+/, $ENV{INVAL_WITHOUT} || '';
my @features = grep { !$without{$_} } $ENV{INVAL_FEATURES}
  ? split /[\s,]+/, $ENV{INVAL_FEATURES} : sort keys %feature;
my $node = differential_node('differential');

$show->("INVAL_SEED=$seed");
my $run = differential_run($node, seed => $seed, schemas => $schemas,
	transactions => $transactions, only => $ENV{INVAL_ONLY}, features => \@features);

is(scalar @{ $run->{complaints} }, 0, 'what is queued is what has changed');
differential_report($run, @{ $run->{complaints} } ? \&diag : $show);
diag("INVAL_SEED=$seed") if @{ $run->{complaints} };
cmp_ok($run->{totals}{'keys expected'}, '>', 10 * $schemas, 'and a lot has changed')
  unless $ENV{INVAL_ONLY};

# Holes that the oracle must see, or else it proves nothing: a trigger that does
# not fire, for all that inval knows, and a key that nobody has asked for.
my %simple = (seed => $seed, schemas => 1, transactions => 20,
	features => [qw(savepoints rollback on_conflict foreign_keys)]);
$run = differential_run($node, %simple, sabotage => q{
	UPDATE pg_trigger SET tgenabled = 'D' WHERE tgfoid = 'inval_capture_row'::regproc});
cmp_ok($run->{totals}{'keys missing'} || 0, '>', 0, 'a trigger that is off is found')
  or differential_report($run, \&diag);
$run = differential_run($node, %simple, sabotage => q{
	CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN PERFORM inval_touch('something else'); RETURN NULL; END $$;
	DO $$
		DECLARE leaf regclass;
		BEGIN
			FOR leaf IN SELECT oid FROM pg_class
				WHERE relnamespace = 'app'::regnamespace AND relkind = 'r'
			LOOP
				EXECUTE format('CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON %s
					FOR EACH ROW EXECUTE FUNCTION app.touch()', leaf);
			END LOOP;
		END $$});
ok((grep { $_->{what} =~ /not explained.*something else/ } @{ $run->{complaints} }),
	'a key too much is found')
  or differential_report($run, \&diag);
no_crash($node, 'no server process crashed');

done_testing();
