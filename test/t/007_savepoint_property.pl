# Random schedules of nested savepoints, PL/pgSQL exception blocks, errors and
# releases, against a model that is a stack of sets.  What the model says is
# committed must be gone from Redis, and nothing else.
#
# INVAL_SEED repeats a run, INVAL_SCHEDULES makes it longer.

use strict;
use warnings;

use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = defined $ENV{INVAL_SEED} ? $ENV{INVAL_SEED} : int(rand 2**31);
my $schedules = $ENV{INVAL_SCHEDULES} || 200;
my $keys_each = 10;
my $redis = Inval::Redis->new;
my $node = new_node('property', url => $redis->unix_url);
my (@sql, %gone);

note("INVAL_SEED=$seed");
srand $seed;

$node->safe_psql('postgres', qq{
	CREATE TABLE at_commit (s int, k int, n int DEFAULT 0, PRIMARY KEY (s, k));
	CREATE TABLE in_background (LIKE at_commit INCLUDING ALL);
	INSERT INTO at_commit SELECT s, k
		FROM generate_series(1, $schedules) s, generate_series(1, $keys_each) k;
	INSERT INTO in_background SELECT * FROM at_commit;
	SELECT inval_track('at_commit', 's, k');
	SELECT inval_track('in_background', 's, k', delivery => 'background')});
$redis->fill("$_:", 1, $keys_each)
  foreach map { ("at_commit:$_", "in_background:$_") } 1 .. $schedules;

# A statement that touches one key, and the key.
sub touch
{
	my ($schedule) = @_;
	my $table = rand() < 0.7 ? 'at_commit' : 'in_background';
	my $k = 1 + int(rand $keys_each);
	my $key = "$table:$schedule:$k";
	my @ways = (
		"UPDATE $table SET n = n + 1 WHERE s = $schedule AND k = $k;",
		"DELETE FROM $table WHERE s = $schedule AND k = $k;"
		  . " INSERT INTO $table VALUES ($schedule, $k);",
		"PERFORM inval_touch('$key');");

	return ($ways[ int(rand @ways) ], $key);
}

# As psql sends it: PERFORM is PL/pgSQL's word for it.
sub plain
{
	my ($statement) = @_;

	$statement =~ s/\bPERFORM\b/SELECT/g;
	return $statement;
}

# A PL/pgSQL block, perhaps with an exception handler and perhaps running into
# it; gives its text and the keys that survive it.
sub block
{
	my ($schedule, $depth) = @_;
	my (@text, %keys);

	foreach (0 .. int(rand 3))
	{
		if ($depth < 4 && rand() < 0.4)
		{
			my ($inner, @inner_keys) = block($schedule, $depth + 1);

			push @text, $inner;
			@keys{@inner_keys} = ();
		}
		else
		{
			my ($statement, $key) = touch($schedule);

			push @text, $statement;
			$keys{$key} = undef;
		}
	}
	return ("BEGIN @text END;", keys %keys) if rand() < 0.3;

	my ($handler, $handler_key) = touch($schedule);
	my $fails = rand() < 0.5;

	push @text, rand() < 0.5 ? "RAISE EXCEPTION 'on purpose';" : 'ignored := 1 / 0;'
	  if $fails;
	return ("BEGIN @text EXCEPTION WHEN OTHERS THEN $handler END;",
		$fails ? $handler_key : keys %keys);
}

# One transaction.  The stack has a set of keys for each open savepoint, the
# transaction itself at the bottom; names repeat, and mean the innermost.
sub schedule
{
	my ($schedule) = @_;
	my @stack = ([ '', {} ]);
	my @text = ('BEGIN;');
	my $failed = 0;

	foreach (1 .. 4 + int(rand 25))
	{
		my $dice = rand;
		my $name = (qw(a b c))[ int(rand 3) ];
		my ($place) = grep { $stack[$_][0] eq $name } reverse 0 .. $#stack;

		if ($failed || $dice < 0.15)
		{
			next unless defined $place;
			push @text, "ROLLBACK TO $name;";
			splice @stack, $place + 1;
			$stack[$place][1] = {};
			$failed = 0;
		}
		elsif ($dice < 0.35)
		{
			push @text, "SAVEPOINT $name;";
			push @stack, [ $name, {} ];
		}
		elsif ($dice < 0.45)
		{
			next unless defined $place;
			push @text, "RELEASE $name;";
			foreach my $released (splice @stack, $place)
			{
				$stack[$place - 1][1]{$_} = 1 foreach keys %{ $released->[1] };
			}
		}
		elsif ($dice < 0.5 && @stack > 1)
		{
			my ($statement) = touch($schedule);

			push @text, plain($statement), 'SELECT 1 / 0;';
			$failed = 1;
		}
		elsif ($dice < 0.65)
		{
			my ($text, @keys) = block($schedule, 0);

			push @text, "DO \$\$ DECLARE ignored int; BEGIN $text END \$\$;";
			$stack[-1][1]{$_} = 1 foreach @keys;
		}
		else
		{
			my ($statement, $key) = touch($schedule);

			push @text, plain($statement);
			$stack[-1][1]{$key} = 1;
		}
	}
	# COMMIT of a failed transaction rolls back.
	if (rand() < 0.2)
	{
		push @text, 'ROLLBACK;';
		$failed = 1;
	}
	else
	{
		push @text, 'COMMIT;';
	}
	return (join("\n", @text) . "\n",
		$failed ? () : map { keys %{ $_->[1] } } @stack);
}

my @texts = ('');
foreach my $number (1 .. $schedules)
{
	my ($text, @keys) = schedule($number);

	push @texts, $text;
	@gone{@keys} = ();
}

my ($status, $output, $error) =
  $node->psql('postgres', join('', @texts), on_error_stop => 0);
is($status, 0, 'the schedules ran');
is(join("\n", grep { /ERROR/ && !/division by zero|transaction is aborted/ }
			split /\n/, $error),
	'', 'with no errors but those on purpose');

# Those at commit are gone by now; those in the background soon.
ok(wait_queue_empty($node, 'postgres'), 'the queue is empty');
my (@all, @wrong);
foreach my $number (1 .. $schedules)
{
	foreach my $table ('at_commit', 'in_background')
	{
		push @all, map { "$table:$number:$_" } 1 .. $keys_each;
	}
}
my %left = map { $_ => 1 } $redis->existing(@all);
foreach my $key (@all)
{
	my $should_go = exists $gone{$key};

	push @wrong, "$key " . ($should_go ? 'should be gone' : 'should be there')
	  if $should_go == ($left{$key} || 0);
}
is(join("\n", @wrong), '', "$schedules schedules do what the model says");
cmp_ok(scalar(keys %gone), '>', $schedules, 'and many keys were invalidated');
cmp_ok(scalar(keys %left), '>', $schedules, 'and many were not');
if (@wrong)
{
	my ($number) = $wrong[0] =~ /:(\d+):/;

	diag("INVAL_SEED=$seed\nfirst wrong schedule:\n$texts[$number]");
}
no_crash($node, 'no server process crashed');

done_testing();
