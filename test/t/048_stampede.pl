# A hot key is invalidated while 500 readers want it: one of them reads the database,
# the others have what it stores.  A hot key that is about to expire, or is stale, is
# refreshed by one of them, and nobody waits.  Each reader is a connection to Redis of
# its own, and all have asked before the first gets an answer.

use strict;
use warnings;

use Inval::Readers;
use Inval::Test;
use Test::More;

my $count = 500;
my $redis = Inval::Redis->new;
my $node = new_node('stampede', url => $redis->unix_url,
	conf => "inval.commit_timeout = '10s'\n");

sub sql
{
	my ($statement) = @_;

	return $node->safe_psql('postgres', $statement);
}

sql(q{
	CREATE TABLE hot (id int PRIMARY KEY, v int NOT NULL);
	INSERT INTO hot VALUES (1, 1);
	CREATE SEQUENCE reads;
	SELECT inval_track('hot', 'id', fence => true)});
ok(poll_until(sub { $redis->cmd('FCALL', 'inval_version', 0) }, 'the library'),
	'Redis has the functions for readers');

my $readers = Inval::Readers->new($redis, $count);

# What a reader does who is to fill; the database counts how often.
sub read_database
{
	return sql(q{SELECT v FROM hot, nextval('reads') WHERE id = 1});
}

sub reads_since
{
	my ($before) = @_;

	return sql(q{SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM reads}) - $before;
}

sub change { return sql('UPDATE hot SET v = v + 1 RETURNING v'); }

# All readers ask; what each was answered.
sub ask_all
{
	my (@arguments) = @_;

	return $readers->ask([ 'FCALL', 'inval_get', 1, 'hot:1', @arguments ]);
}

sub store
{
	my ($answer, $value, @times) = @_;

	return $redis->cmd('FCALL', 'inval_set', 1, 'hot:1', $answer->[1], $value, @times);
}

# How many were answered what, and with which value.
sub summary
{
	my (@answers) = @_;
	my %times;

	foreach my $answer (@answers)
	{
		my ($word, $value) = @$answer[ 0, -1 ];

		$times{ defined $value ? "$word $value" : "$word without a value" }++;
	}
	return join ', ', map { "$times{$_} $_" } sort keys %times;
}

sub first_fill
{
	my ($answer) = grep { $_->[0] eq 'fill' } @_;

	return $answer;
}

# Invalidated: one reads, the others wait for it, and get what it has read.
my $before = reads_since(0);
my $value = change();
my @answers = ask_all(60_000);
is(summary(@answers), '1 fill without a value, 499 wait without a value', 'of 500 readers one may fill');
is(store(first_fill(@answers), read_database(), 60_000), 1, 'it reads the database, and stores');
is(summary(ask_all(60_000)), "500 hit $value", 'then all have the new value');
is(reads_since($before), 1, 'from one read of the database');

# Invalidated once more while it reads: what it has read is refused, and another one
# is let through at once, who does not wait for it.
$before = reads_since(0);
change();
@answers = ask_all(60_000);
my $first = first_fill(@answers);
my $old = read_database();
$value = change();
@answers = ask_all(60_000);
is(summary(@answers), '1 fill without a value, 499 wait without a value',
	'after a change in the midst of it, another reader may fill');
is(store($first, $old, 60_000), 0, 'the first stores nothing');
is(store(first_fill(@answers), read_database(), 60_000), 1, 'the second does');
is(summary(ask_all(60_000)), "500 hit $value", 'and all have what is new');
is(reads_since($before), 2, 'from one read for each change');

# About to expire: one refreshes, and the others do not even notice.
$before = reads_since(0);
@answers = ask_all(60_000, 90_000);
is(summary(@answers), "1 fill $value, 499 hit $value", 'early, one refreshes and nobody waits');
is(summary(ask_all(60_000, 90_000)), "500 hit $value", 'while it does, nobody else is asked to');
is(store(first_fill(@answers), read_database(), 600_000), 1, 'it is refreshed');
is(summary(ask_all(60_000, 90_000)), "500 hit $value", 'for all');
is(reads_since($before), 1, 'by one read of the database');

# Stale: the same, with the old value.
$before = reads_since(0);
@answers = ask_all(60_000, -1);
is(store(first_fill(@answers), $value, 60_000, 90_000), 1, 'a value that may be used when it is stale');
$redis->cmd('PEXPIRE', 'hot:1', 80_000);
@answers = ask_all(60_000);
is(summary(@answers), "1 fill $value, 499 wait $value", 'stale, one refreshes and the others have a value');
is(store(first_fill(@answers), read_database(), 60_000), 1, 'it is refreshed');
is(reads_since($before), 1, 'by one read of the database');

# The one who was to fill dies: its lease runs out, and again one follows.
change();
@answers = ask_all(1);
ok(first_fill(@answers), 'a reader takes a lease, and is not heard of again');
ok(poll_until(sub { !$redis->existing('hot:1:inval-lease{hot:1}') }, 'the lease to run out'),
	'which runs out');
is(summary(ask_all(60_000)), '1 fill without a value, 499 wait without a value', 'then one other fills');

done_testing();
