# The Python package with Django: its project's own tests, run by the runner that gives
# each process a database and a Redis database; what a reader that goes through it is
# given after each of the ways to write; and a cache that is filled from a standby.

use strict;
use warnings;

use Encode;
use File::Basename;
use Inval::Test;
use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = dirname(__FILE__) . '/../..';
my $tests = "$root/clients/python/tests";
# Of Django 3.2 with Python 3.11, and nobody else's
my @python = ("$root/test/django/python", '-W', 'error', '-W', q{ignore:'cgi' is deprecated});
my $redis = Inval::Redis->new;
# A commit waits for Redis however busy the machine is.
my $node = new_node('django_client', url => $redis->tcp_url, extension => 0,
	init => { allows_streaming => 1 },
	conf => "inval.commit_timeout = '60s'\n");

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
$ENV{INVAL_REDIS_URL} = $redis->tcp_url;
$ENV{REDIS_SOCKET} = $redis->sock;

# A worker comes with the first database of the tests, and may not have loaded the
# functions when they begin.
$redis->cmd('FUNCTION', 'LOAD', slurp_file("$root/src/redis/inval.lua"));

# Status and output of a script of the package's tests
sub python
{
	my ($script, @arguments) = @_;
	my ($output, $error) = ('', '');

	IPC::Run::run([ @python, "$tests/$script", @arguments ], '>', \$output, '2>', \$error);
	return ($? >> 8, $output, $error);
}

# What a parallel run cannot send from its processes, an alone one tells.
my ($status, $output, $error) =
  python('django_project/manage.py', 'test', 'shop', '--noinput', '--parallel', '2');
my ($count) = $error =~ /^Ran (\d+) tests in/m;
ok($status == 0 && defined $count && $count > 100, "the project's tests pass, in two processes")
  or diag($error, (python('django_project/manage.py', 'test', 'shop', '--noinput'))[2]);
unlike($error, qr/Warning|Exception ignored/, 'and are quiet');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_database WHERE datname LIKE 'test%'}),
	0, 'and leave no database behind');
# The runner sets where keys are removed; never for a database that is not of the tests.
($status, $output, $error) = python('django_project/manage.py', 'test', '--noinput',
	'shop.tests.test_runner.SettingsTests');
like($error, qr/^Ran 2 tests.*^OK/ms, 'tests that need no database pass');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_db_role_setting'),
	0, 'and no database is set to another Redis database');

# All the ways to write
$node->safe_psql('postgres', 'CREATE DATABASE ways');
$node->safe_psql('postgres',
	"ALTER DATABASE ways SET inval.redis_url = '" . $redis->unix_url . "'");
{
	local $ENV{PGDATABASE} = 'ways';
	($status, $output, $error) = python('django_ways/measure.py');
}
is($status, 0, 'all ways to write are tried') or BAIL_OUT($error);
my $report = decode_json($output);

is(scalar @{ $report->{ways} }, 29, 'there are 29 ways to write');
foreach my $way (@{ $report->{ways} })
{
	my $name = encode_utf8($way->{name});

	is_deeply([ $way->{error}, $way->{stale} ], [ undef, [] ], "nothing stale: $name");
	isnt(scalar @{ $way->{changed} || [] }, 0, "and something changed: $name");
}
foreach my $way (@{ $report->{'in transactions'} })
{
	is_deeply([ $way->{error}, $way->{own}, $way->{left} ], [ undef, [], [] ],
		encode_utf8("sees its own write, and leaves nothing of it: $way->{name}"));
}
is(queue_length($node, 'ways'), 0, 'nothing is queued');

# Checks as a deployment runs them; a standby is one of the databases.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$ENV{INVAL_STANDBY_PORT} = $standby->port;
$ENV{INVAL_LOAD_FROM} = 'replica';
($status, $output, $error) = python('django_project/manage.py', 'migrate', '-v0');
is($status, 0, 'migrated') or diag($error);
$node->wait_for_catchup($standby);
($status, $output, $error) = python('django_project/manage.py', 'check', '--database', 'replica');
is($status, 0, 'no error');
like($error, qr/inval\.W004\) CACHES\['default'\] is loaded from 'replica', a standby/,
	'a cache that is filled from a standby gives a warning');
$node->append_conf('postgresql.conf', 'inval.repeat_after_replay = on');
reload($node);
($status, $output, $error) = python('django_project/manage.py', 'check', '--database', 'replica');
unlike($error, qr/inval\./, 'but not if keys are removed once more when it has caught up');
$node->safe_psql('postgres', 'CREATE TABLE bill (team_id integer)');
($status, $output, $error) =
  python('django_project/manage.py', 'check', '--database', 'default', '--fail-level', 'ERROR');
is($status, 1, 'a table that nobody tracks fails the check');
like($error, qr/inval\.E002\) Database 'default', tables with 'team_id': bill: untracked/,
	'which names it');
($status, $output, $error) = python('django_project/manage.py', 'inval', 'coverage', '--fail');
is($status, 1, 'and the command');

no_crash($node, 'no server process crashed');

done_testing();
