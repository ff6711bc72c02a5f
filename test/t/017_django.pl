# A real Django project writes in all the ways that Django, its database and its
# neighbours have, and reads through two caches: that of a library in the ORM
# (django-cacheops), and a plain one of which inval removes the keys.  After no
# way of writing may the latter give an answer that the database does not.
#
# What cacheops misses is told and kept in docs/orm.md; here it shows that the
# measurement can see a stale answer at all.
#
# INVAL_ORM_TABLE=1 prints the table for docs/orm.md (test/django/compare).

use strict;
use warnings;

use File::Basename;
use Encode;
use IPC::Run ();
use Inval::Test;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = dirname(__FILE__) . '/../..';
my $redis = Inval::Redis->new;
# A commit waits for Redis however busy the machine is.
my $node = new_node('django', url => $redis->unix_url, extension => 0,
	conf => "inval.commit_timeout = '60s'\n");
my $report = measure();
my @ways = @{ $report->{ways} };
my %cacheops;

# The JSON has characters, the test's output and the document have bytes.
$_->{name} = encode_utf8($_->{name}) foreach @ways;
note(join ', ', map { "$_ $report->{versions}{$_}" } sort keys %{ $report->{versions} });

is(scalar @ways, 29, 'there are 29 ways to write');
foreach my $way (@ways)
{
	my $good = is_measured($way, $way->{name})
	  && is_deeply($way->{inval}, [], "inval: $way->{name}");

	next unless $good;
	$cacheops{ $way->{name} } = scalar @{ $way->{cacheops} };
	note("cacheops: stale @{ $way->{cacheops} }") if @{ $way->{cacheops} };
}

ok($cacheops{'SQL from Django: `UPDATE`'}, 'control: cacheops misses SQL');
ok($cacheops{'psql: `UPDATE`'}, 'control: cacheops misses psql');
is($cacheops{'`save()`: a new row and a changed one'}, 0,
	'control: cacheops does not miss save()');
is_measured($report->{paused}, 'paused')
  && isnt(scalar @{ $report->{paused}{inval} }, 0,
	'control: without inval the plain cache is stale');
is_deeply($report->{resumed}, [], 'resumed, it is not');

my $rolled_back = $report->{'rolled back'};

is($rolled_back->{error}, undef, 'a transaction is rolled back');
is_deeply($rolled_back->{changed}, [], 'a transaction rolled back changes nothing');
is($rolled_back->{removed}, 0, 'and removes nothing');
is_deeply($rolled_back->{inval}, [], 'and leaves the right answers');

is(queue_length($node, 'postgres'), 0, 'nothing is queued');
no_crash($node, 'no server process crashed');

my @table = table();
my $documented = slurp_file("$root/docs/orm.md");

if ($ENV{INVAL_ORM_TABLE})
{
	diag($_) foreach @table;
}
elsif ($documented =~ /django-cacheops \Q$report->{versions}{'django-cacheops'}\E\b/)
{
	is(join("\n", $documented =~ /^(\|.*)/mg), join("\n", @table),
		'docs/orm.md has what was measured');
}
else
{
	note('docs/orm.md is about another version of django-cacheops');
}

done_testing();

# What the project reports.
sub measure
{
	my ($output, $error) = ('', '');

	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGDATABASE} = 'postgres';
	local $ENV{REDIS_SOCKET} = $redis->sock;
	IPC::Run::run([ "$root/test/django/python", "$root/test/django/measure.py" ],
		'>', \$output, '2>', \$error)
	  or BAIL_OUT("the Django project failed: $error");
	note($error) if $error ne '';
	return decode_json($output);
}

# Passes over a way that worked and changed something that is read: only of
# such a one is it worth knowing what is stale.
sub is_measured
{
	my ($way, $name) = @_;

	return 1 if !defined $way->{error} && @{ $way->{changed} };
	fail("$name is a way to write");
	diag($way->{error} || 'no answer changed');
	return 0;
}

sub table
{
	my %stale = (cacheops => 0, inval => 0);
	my @rows = map { row($_, \%stale) } @ways;

	return ('| way to write | django-cacheops | inval |', '|---|---|---|', @rows,
		"| stale after | $stale{cacheops} of 29 | $stale{inval} of 29 |");
}

sub row
{
	my ($way, $stale) = @_;
	my @verdicts;

	foreach my $cache ('cacheops', 'inval')
	{
		my $count = @{ $way->{$cache} || ['not measured'] };

		$stale->{$cache}++ if $count;
		push @verdicts, $count ? '**stale**' : 'right';
	}
	return sprintf '| %s | %s | %s |', $way->{name}, @verdicts;
}
