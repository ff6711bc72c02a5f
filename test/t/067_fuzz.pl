# What reads bytes of others reads any: templates, URLs, replies of Redis, the map of a
# cluster, entries of the outbox.  Two thousand inputs each, after those that were hard
# once; test/fuzz/run goes on for longer.
use strict;
use warnings FATAL => 'all';

use File::Temp;
use Test::More;

my $scratch = File::Temp->newdir();

open(my $probe, '>', "$scratch/probe.c") or die "cannot write: $!\n";
print $probe "int LLVMFuzzerTestOneInput(const unsigned char *b, unsigned long n)\n",
  "{ (void) b; return n > 1000000; }\n";
close($probe);
plan skip_all => 'no clang with libFuzzer here'
  if system("clang -fsanitize=fuzzer,address -o $scratch/probe $scratch/probe.c 2>/dev/null") != 0;

foreach my $target (split ' ', `make -s -C test/fuzz print-TARGETS`)
{
	my $output = `test/fuzz/run --runs 2000 $target 2>&1`;

	is($?, 0, "no input makes the target \"$target\" fail") or diag($output);
}
done_testing();
