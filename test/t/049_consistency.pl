# Many clients change rows and read keys, and the checker says which values from Redis
# were older than they may be: never any where rules are strict, none that outlives
# its invalidation where they have a fence.  Here it runs for moments; test/consistency
# runs it for longer, by this file, and has a report.
#
# INVAL_CONSISTENCY           these modes, separated by spaces
# INVAL_CONSISTENCY_SECONDS   of a round
# INVAL_CONSISTENCY_ROUNDS    at least so many
# INVAL_CONSISTENCY_READS     and until that many values were checked
# INVAL_CONSISTENCY_REPORT    the file to write the report to
# INVAL_CONSISTENCY_BROKEN    a step was taken out: the checker must notice
# INVAL_CONSISTENCY_LOAD      settings of the load, as test/consist/main.c has them
# INVAL_CONSISTENCY_LINES     the file to write what was noticed to
# INVAL_SEED                  the same clients again (not the same moments)

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use Inval::Consistency;
use Inval::Consistency::Report;
use Inval::Test;

my @modes = split ' ', $ENV{INVAL_CONSISTENCY} || 'plain fence early-faults strict strict-faults';
my $seed = defined $ENV{INVAL_SEED} ? $ENV{INVAL_SEED} : int(rand 2**20);
my $broken = $ENV{INVAL_CONSISTENCY_BROKEN};
my @results;

note("INVAL_SEED=$seed");

# What the checker calls too old, on histories by hand.
my $directory = build_consistency();
my ($out, $err) = run_command(["$directory/check_test"]);
is(join("\n", $out =~ /^not ok.*$/mg), '', 'the checker is right about small histories');
like($out, qr/^1\.\.[1-9]/m, 'all of them');

# The reader that shows the rules.
if (!$ENV{INVAL_CONSISTENCY})
{
	my $run = Inval::Consistency->new('fence')->prepare;

	($out, $err) = run_command([ "$directory/../django/python", "$directory/reader_check.py",
			$run->redis->sock, $run->node->connstr('postgres') ]);
	is(join("\n", $out =~ /^(?:not ok|#).*$/mg) . $err, '', 'the reader in Python follows the rules');
	like($out, qr/^1\.\.[1-9]/m, 'all of them');
}

foreach my $name (@modes)
{
	my $run = Inval::Consistency->new($name,
		seconds => $ENV{INVAL_CONSISTENCY_SECONDS} || 3,
		rounds => $ENV{INVAL_CONSISTENCY_ROUNDS} || 1,
		reads => $ENV{INVAL_CONSISTENCY_READS} || 0,
		seed => $seed,
		load => { map { split /=/ } split ' ', $ENV{INVAL_CONSISTENCY_LOAD} || '' },
		broken => $broken);

	if (!$run->is_possible)
	{
		pass("$name: skipped, there are no such rules");
		next;
	}
	my $result = $run->run;
	my $violations = violations($result);

	push @results, $result;
	diag(consistency_line($result)) if $ENV{INVAL_CONSISTENCY_REPORT};
	cmp_ok($result->{checked}, '>', 100, "$name: values were checked");
	cmp_ok($result->{commits}, '>', 10, "$name: and rows changed");
	cmp_ok($result->{looks}, '>', 5, "$name: and the queue looked at");
	if ($broken)
	{
		isnt($violations, '', "$name, broken: the checker notices");
		append_to_file($ENV{INVAL_CONSISTENCY_LINES},
			"after $result->{seconds} s, " . consistency_line($result) . "\n")
		  if $ENV{INVAL_CONSISTENCY_LINES};
		next;
	}
	is($violations, '', "$name: what is promised was kept");
	diag("INVAL_SEED=$seed\n" . consistency_line($result) . "\n$result->{complaints}")
	  if $violations;
}
no_crash(Inval::Consistency::node(), 'nothing crashed but what was killed', kill9 => 1);

if ($ENV{INVAL_CONSISTENCY_REPORT})
{
	append_to_file($ENV{INVAL_CONSISTENCY_REPORT}, consistency_report(@results));
}
done_testing();
