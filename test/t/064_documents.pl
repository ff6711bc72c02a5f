# What the documents have in SQL and for a shell, run as it stands there, in its order: who
# is new types it, and whoever is on call at night must be able to copy it.
#
# Each document has a database of its own, by the name that they use, and what it takes for
# granted is made there first.  Other tests run what readers.md and orm.md have; "text" is
# run by nobody.  test/documents checks the links.

use strict;
use warnings;

use Cwd ();
use File::Basename;
use Inval::Test;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $root = Cwd::abs_path(dirname(__FILE__) . '/../..');
my $redis = Inval::Redis->new;
my $node = new_node('documents', url => $redis->unix_url, extension => 0,
	conf => "inval.commit_timeout = '60s'\ninval.connect_timeout = '60s'\ninval.strict_timeout = '60s'\n");
my $other = $redis->unix_url(1);
my $sources = q{
	CREATE TABLE external_data_source (id int PRIMARY KEY, team_id int, kind text, status text);
	INSERT INTO external_data_source SELECT i, i, 'a', 'on' FROM generate_series(1, 100) i;};

# What each of them needs; undef for who has other tests.
my %prepared = (
	'README.md' => '',
	'clients/python/README.md' => 'CREATE TABLE app_user (id int PRIMARY KEY);',
	'docs/audit.md' => q{CREATE TABLE article (id int PRIMARY KEY, title text);
		INSERT INTO article SELECT i, 'x' FROM generate_series(1, 20) i;},
	'docs/comparison.md' => $sources,
	'docs/monitoring.md' => '',
	'docs/operations.md' => $sources . q{
		SELECT inval_track('external_data_source', 'team_id');
		SELECT inval_track('external_data_source', key => 'strict:{id}', delivery => 'strict', fence => true);
		UPDATE external_data_source SET status = 'off' WHERE id < 10;},
	'docs/orm.md' => undef,
	'docs/readers.md' => undef,
	'docs/reference.md' => $sources . q{
		CREATE TABLE app_user (id int, email text, first_name text, last_name text);
		CREATE TABLE feature_flag (team_id int, name text);
		CREATE TABLE page_view (page_id int);
		CREATE TABLE article (id int, team_id int, tags text[]);
		CREATE TABLE article_tag (article_id int, tag_id int);
		CREATE TABLE tag (id int);
		CREATE TABLE team (id int PRIMARY KEY, name text);
		CREATE TABLE project (id int PRIMARY KEY, team_id int);
		CREATE TABLE task (id int, project_id int REFERENCES project);
		INSERT INTO team VALUES (42, 'y');
		SELECT inval_track('team', 'id');
		SELECT inval_add_target('eu', '} . $redis->unix_url(2) . q{');},
	'docs/security.md' => 'CREATE ROLE app_owner;',
	'docs/targets.md' => 'CREATE TABLE product (id int PRIMARY KEY);');

# redis-cli finds the server of this test where it would look for its own.
my ($client) = grep { -x } map { ("$_/redis-cli", "$_/valkey-cli") } split /:/, $ENV{PATH};
my $programs = PostgreSQL::Test::Utils::tempdir();
PostgreSQL::Test::Utils::append_to_file("$programs/redis-cli",
	"#!/bin/sh\nexec $client -s '" . $redis->sock . "' \"\$\@\"\n");
chmod 0755, "$programs/redis-cli";
$ENV{PATH} = "$programs:$ENV{PATH}";
@ENV{qw(PGHOST PGPORT)} = ($node->host, $node->port);

my @documents = map { substr $_, 1 + length $root } glob "$root/README.md $root/docs/*.md $root/clients/*/README.md";

# The one that removes all traces comes last.
foreach my $document (sort { ($a eq 'docs/operations.md') <=> ($b eq 'docs/operations.md') || $a cmp $b } @documents)
{
	my @pieces = pieces_of(slurp_file("$root/$document"));

	next unless @pieces;
	ok(exists $prepared{$document}, "$document: it is known what it needs") or next;
	next unless defined $prepared{$document};
	if ($document eq 'README.md') { try_readme(@pieces) }
	else { try_document($document, @pieces) }
	$redis->cmd('FLUSHALL');
}
try_rights();
no_crash($node, 'no server process crashed');
done_testing();

# The heading that each piece is under, its language, and the piece
sub pieces_of
{
	my ($text) = @_;
	my $heading = '';
	my @pieces;

	while ($text =~ /^(?:#+ ([^\n]*)\n|( *)```(\w+)\n(.*?)^ *```$)/gms)
	{
		if (defined $1) { $heading = $1; next }

		my ($indent, $language, $piece) = ($2, $3, $4);
		push @pieces, [ $heading, $language, $piece =~ s/^$indent//mgr ] if $language =~ /^(?:sql|sh|python)$/;
	}
	return @pieces;
}

# Status, and all that it prints
sub run_here
{
	my ($command, $input) = @_;
	my $output = '';
	my $passed = IPC::Run::run($command, '<', \$input, '>&', \$output);

	return ($passed, $output);
}

sub run_sql
{
	my ($sql, @options) = @_;

	return run_here([ 'psql', '-XAtq', @options, 'shop' ], $sql);
}

sub make_shop
{
	my ($sql) = @_;

	$node->safe_psql('postgres', 'CREATE DATABASE shop');
	$node->safe_psql('shop', "CREATE EXTENSION inval; $sql");
	ok(poll_until(sub { $redis->cmd('FCALL', 'inval_version', 0) }, 'the library'),
		'Redis has the functions for readers');
	return;
}

sub try_document
{
	my ($document, @pieces) = @_;
	my $part = 0;

	make_shop($prepared{$document});
	foreach my $piece (@pieces)
	{
		my ($heading, $language, $text) = @$piece;
		my $name = "$document, " . ++$part . ", $heading";
		my ($passed, $output);

		$text =~ s{redis://127\.0\.0\.1:6379/1}{$other};
		next if $language eq 'python' && $document ne 'docs/comparison.md';
		if ($language eq 'python') { try_outbox($text); next }
		($passed, $output) = $language eq 'sql' ? run_sql($text, '-v', 'ON_ERROR_STOP=1') : run_here([ 'sh', '-e' ], $text);
		ok($passed, $name) or diag("$text\n$output");
		is($output, '', "$name: nothing is left") if $text =~ /pg_event_trigger/;
		# The user is that of docs/targets.md.
		like($output, qr/^OK\n+1$/, "$name: nor in Redis") if $text =~ /--scan/;
		like($output, qr/^0\|0\|0\|0\|0$/m, "$name: all is well") if $text =~ /AS broken_or_paused/;
	}
	$node->safe_psql('postgres', 'DROP DATABASE shop');
	return;
}

# Users of Redis who may do what docs/targets.md says that something needs, and no more.
sub try_rights
{
	my $text = slurp_file("$root/docs/targets.md");
	my %rights = $text =~ /^\| ([^|]*?) \| `(\+[^`]*)`/mg;
	my @always = map { $rights{$_} } 'removing keys and fields', 'the [functions for readers](readers.md)';
	my $select = $rights{'a database of Redis other than 0'};
	my $refill = q{refill => 'SELECT n::text FROM account WHERE id = {id}', ttl => '1 hour'};

	make_shop('CREATE TABLE account (id int PRIMARY KEY, n int); INSERT INTO account VALUES (1, 1)');
	make_user('strict', @always, $select, $rights{'delivery `strict`'});
	make_user('refill', @always, $select, $rights{'`refill`'});
	make_user('first', @always);
	$node->safe_psql('shop', qq{
		SELECT inval_track('account', key => 'strict:{id}', delivery => 'strict', targets => '{strict}');
		SELECT inval_track('account', key => 'refill:{id}', $refill, targets => '{refill}');
		SELECT inval_touch('first:1', target => 'first')});
	run_here([ 'redis-cli', '-n', '1', 'SET', 'strict:1', 'old' ], '');
	$node->safe_psql('shop', 'UPDATE account SET n = 2');
	is((run_here([ 'redis-cli', '-n', '1', 'EXISTS', 'strict:1' ], ''))[1], "0\n", 'the rights for strict rules suffice');
	ok(poll_query($node, 'shop', q{SELECT count(*) = 0 FROM inval_queue WHERE target = 'strict'}), 'also to end fences');
	ok(poll_until(sub { (run_here([ 'redis-cli', '-n', '1', 'GET', 'refill:1' ], ''))[1] eq "2\n" }, 'the value'),
		'the rights for putting values back suffice');
	ok(poll_query($node, 'shop', q{SELECT state = 'down' FROM inval_target_status WHERE target = 'first'}),
		'who may not choose a database is down');
	$node->safe_psql('postgres', 'DROP DATABASE shop');
	return;
}

# Makes a user of Redis, and a target of that name.
sub make_user
{
	my ($name, @rights) = @_;

	$redis->cmd('ACL', 'SETUSER', $name, 'on', '>secret', "~$name:*", map { s/\\//gr } map { split } @rights);
	$node->safe_psql('shop', "SELECT inval_add_target('$name', '$other&user=$name&password=secret')");
	return;
}

# The tutorial, typed as it is said there; and that what it says comes true.
sub try_readme
{
	my @pieces = @_;
	my @typed = grep { $_->[0] !~ /^(?:inval|See it work|Install)$/ } @pieces;
	my @opening = grep { $_->[0] eq 'inval' } @pieces;
	my @expected = (
		'Getting started' => qr/^$/,
		'Track a table' => qr/^1$/,
		'Track a table' => qr/^external_data_source:1\nexternal_data_source:2\nexternal_data_source:3$/,
		'Change a row' => qr/^OK\n0\n1$/,
		'Change a row' => qr/^1$/,
		'When Redis does not take it' => qr/^default\|delete\|external_data_source:43\n1$/,
		'When Redis does not take it' => qr/^0\n0$/,
		'See that nothing is missed' => qr/^external_data_source\|tracked\ninvoice\|untracked$/,
		'See that nothing is missed' => qr/^2\nexternal_data_source\|tracked\ninvoice\|tracked$/,
		'See that nothing is missed' => qr/^ERROR: .*\nDETAIL: .*\nHINT: .*inval_track/m,
		'See that nothing is missed' => qr/^$/);

	is(scalar @opening, 1, 'README.md has an opening');
	$node->safe_psql('postgres', 'CREATE DATABASE shop');
	$node->safe_psql('shop', $sources);
	$redis->cmd('SET', 'external_data_source:42', 1);
	my ($passed, $output) = run_sql($opening[0][2], '-v', 'ON_ERROR_STOP=1');
	ok($passed && $output eq "1\n", 'README.md, the opening') or diag($output);
	is($redis->cmd('EXISTS', 'external_data_source:42'), 0, 'the key is gone');
	$node->safe_psql('postgres', 'DROP DATABASE shop');

	foreach my $piece (@typed)
	{
		my ($heading, $language, $text) = @$piece;
		my ($there, $expected) = splice @expected, 0, 2;

		last unless is($heading, $there // 'nothing more', 'README.md: a piece where one is expected');
		# However busy the machine is, the worker has had its moment.
		$text =~ s/^SELECT pg_sleep\(1\);/DO 'BEGIN WHILE EXISTS (SELECT FROM inval_queue) LOOP PERFORM pg_sleep(0.01); END LOOP; END';/m;
		($passed, $output) = $language eq 'sh' ? run_here([ 'sh', '-e' ], $text) : run_sql($text);
		$output = join "\n", grep { $_ ne '' } split /\n/, $output;
		like($output, $expected, "README.md, $heading") or diag($text);
	}
	is(scalar @expected, 0, 'README.md: there is no piece less');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_database WHERE datname = 'shop'}), 0,
		'README.md: no trace is left');
	return;
}

# What docs/comparison.md has for servers where no extension can be installed: the SQL was
# run, the consumer is tried.
sub try_outbox
{
	my ($consumer) = @_;
	my $queued = q{SELECT string_agg(key, ' ' ORDER BY key) FROM cache_outbox};
	my $key = 'external_data_source';

	$node->safe_psql('shop', qq{
		UPDATE $key SET team_id = 1000 WHERE id = 7;
		BEGIN; UPDATE $key SET status = 'x' WHERE id = 8; ROLLBACK;
		INSERT INTO $key (id, team_id) VALUES (1001, NULL);
		DELETE FROM $key WHERE id IN (9, 10)});
	is($node->safe_psql('shop', $queued), join(' ', sort map { "$key:$_" } 7, 9, 10, 1000),
		'the outbox without an extension: what changed is queued');
	$redis->cmd('SET', "$key:$_", 1) foreach 7 .. 10;

	my $python = "$root/clients/python/tests/python";
  SKIP:
	{
		skip 'no Python with clients for both', 4 unless -x $python && (run_here([ $python, '-c', 'import psycopg, redis' ], ''))[0];
		my $program = qq{
import psycopg, redis
connection = psycopg.connect("dbname=shop", autocommit=True)
cache = redis.Redis(unix_socket_path="${\$redis->sock}")
class Away:
    def unlink(self, *keys):
        raise redis.ConnectionError("away")
$consumer
try:
    deliver(connection, Away())
except redis.ConnectionError:
    print("away")
print(deliver(connection, cache), deliver(connection, cache))
};
		my ($passed, $output) = run_here([ $python, '-' ], $program);
		ok($passed, 'the consumer runs') or diag($output);
		is($output, "away\n4 0\n", 'what Redis does not take stays');
		is(scalar($redis->existing("$key:7", "$key:9", "$key:10")), 0, 'then its keys are gone');
		is($redis->cmd('EXISTS', "$key:8"), 1, 'nothing is removed for what was rolled back');
	}
	$node->safe_psql('shop', "TRUNCATE cache_outbox; TRUNCATE $key");
	is($node->safe_psql('shop', 'SELECT count(*) FROM cache_outbox'), 98, 'a TRUNCATE queues the keys of all rows');
	return;
}
