# DROP DATABASE, ALTER DATABASE RENAME, CREATE DATABASE TEMPLATE, DROP EXTENSION
# and DROP OWNED wait for no worker, whatever it is just doing for its target: it
# leaves when asked, while it connects, resolves a name, waits for a reply or keeps
# to a rate.  Databases without the extension cost nothing.  A standby stays
# quiet, and has a worker for each target once it is promoted.

use strict;
use warnings;

use Inval::Test;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket;
use Test::More;

my $redis = Inval::Redis->new;
my $frozen = Inval::Redis->new;

# A resolver that does not answer is none that a test can have, so the servers get
# a getaddrinfo() that does not: for the names *.stuck, and for longer than
# anybody waits here.  As the real one, it does not care for signals.
my $shim_dir = PostgreSQL::Test::Utils::tempdir_short();
my $shim = "$shim_dir/stuck.so";
append_to_file("$shim_dir/stuck.c", <<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int
getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
			struct addrinfo **found)
{
	int (*real) (const char *, const char *, const struct addrinfo *,
				 struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
	size_t length = host ? strlen(host) : 0;

	if (length > 6 && strcmp(host + length - 6, ".stuck") == 0)
	{
		char mark[1024];
		struct timespec rest = {600, 0};

		snprintf(mark, sizeof(mark), "%s/%s", getenv("STUCK_MARKS"), host);
		close(open(mark, O_CREAT | O_WRONLY, 0600));
		while (nanosleep(&rest, &rest) != 0)
			;
	}
	return real(host, service, hints, found);
}
C
my $has_shim = system("cc -shared -fPIC -o $shim $shim_dir/stuck.c -ldl 2>/dev/null") == 0;

# A port where connecting takes for ever: nobody accepts, and the queue of those
# who wait to be accepted is full.
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
  or die "could not listen: $!";
my @waiting;
while (@waiting < 20)
{
	socket(my $socket, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
	$socket->blocking(0);
	connect $socket, pack_sockaddr_in($listener->sockport, inet_aton('127.0.0.1'));
	push @waiting, $socket;
}

my $node;
{
	local $ENV{LD_PRELOAD} = $has_shim ? $shim : '';
	local $ENV{STUCK_MARKS} = $shim_dir;

	$node = new_node('commands', url => $redis->unix_url, extension => 0,
		conf => join "\n",
		"inval.connect_timeout = '60s'",
		"inval.reply_timeout = '10min'",
		"inval.sweep_interval = '100ms'",
		'inval.workers = 100',
		'max_worker_processes = 100',
		'max_connections = 50',
		'fsync = off');
}

# Sockets in a state (as in /proc/net/tcp) whose given end is at the port.
sub sockets
{
	my ($end, $port, $state) = @_;
	my $hex = sprintf '%04X', $port;

	return map { [ split ' ', $_ ] } grep {
		my @fields = split ' ', $_;
		$fields[ $end eq 'local' ? 1 : 2 ] =~ /:$hex$/ && $fields[3] eq $state
	} split /\n/, slurp_file('/proc/net/tcp');
}

# How a worker is brought into each state, and how one sees that it is there;
# $count databases have one in that state.
my %state = (
	connecting => {
		url => 'redis://127.0.0.1:' . $listener->sockport . '/0',
		there => sub {
			my ($count, $before) = @_;
			return sockets('remote', $listener->sockport, '02') >= $count + $before;
		},
		before => sub { return scalar sockets('remote', $listener->sockport, '02') },
	},
	waiting => {
		url => $frozen->tcp_url,
		# What was sent lies unread at the server's end.
		there => sub {
			my ($count) = @_;
			return grep({ $_->[4] !~ /:0+$/ } sockets('local', $frozen->port, '01')) >= $count;
		},
	},
	pacing => {
		url => $redis->tcp_url,
		options => ', max_rate => 1',
		databases => sub {
			my ($database) = @_;
			return $node->safe_psql($database,
				"SELECT count(*) BETWEEN 1 AND 99 FROM inval_queue WHERE target = 'there'") eq 't';
		},
	});
$state{resolving} = {
	url => 'redis://%s.stuck/0',
	databases => sub { return -e "$shim_dir/$_[0].stuck" },
} if $has_shim;
my @states = sort keys %state;
my @ways = ('drop', 'rename', 'copy', 'extension', 'owned');

# A database with a worker in that state; its workers are two.
sub make
{
	my ($database, $state) = @_;
	my $url = $state->{url};

	$url =~ s/%s/$database/;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, "
		CREATE EXTENSION inval;
		SELECT inval_add_target('there', '$url'@{[ $state->{options} || '' ]});
		CREATE TABLE team (id int);
		ALTER TABLE team OWNER TO owner;
		GRANT USAGE ON FOREIGN SERVER inval_target_there TO PUBLIC;
		SELECT inval_track('team', 'id', targets => '{there}', delivery => 'background');
		" . join "\n", map { "INSERT INTO team VALUES ($_);" } 1 .. 100);
	return;
}

# Succeeds, and in less time than the server lets anybody wait.
sub succeeds
{
	my ($database, $command, $name) = @_;
	my ($status, $output, $error) = $node->psql($database,
		"SET lock_timeout = '20s'; SET statement_timeout = '60s'; "
		  . "SET client_min_messages = error; $command");

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is("$status$error", '0', $name);
}

$node->safe_psql('postgres', 'CREATE ROLE owner');
SKIP:
{
	skip 'no compiler for the stuck resolver', 1 unless $has_shim;
	ok($has_shim, 'there is a resolver that is stuck');
}
$frozen->freeze;
my %before = map { $_ => $state{$_}{before} ? $state{$_}{before}->() : 0 } @states;
foreach my $name (@states)
{
	make("${name}_$_", $state{$name}) foreach @ways;
}
foreach my $name (@states)
{
	my $state = $state{$name};

	ok(poll_until(
			sub {
				return $state->{there}->(scalar @ways, $before{$name}) if $state->{there};
				return !grep { !$state->{databases}->("${name}_$_") } @ways;
			},
			"workers to be $name"),
		"$name: the workers are");
}
foreach my $name (@states)
{
	succeeds('postgres', "DROP DATABASE ${name}_drop", "$name: DROP DATABASE");
	succeeds('postgres', "ALTER DATABASE ${name}_rename RENAME TO ${name}_renamed",
		"$name: ALTER DATABASE RENAME");
	succeeds('postgres', "CREATE DATABASE ${name}_copied TEMPLATE ${name}_copy",
		"$name: CREATE DATABASE TEMPLATE");
	succeeds("${name}_owned", 'DROP OWNED BY owner', "$name: DROP OWNED");
	is($node->safe_psql("${name}_owned", 'SELECT count(*) FROM inval_rule'), 0,
		"$name: which takes the rules along");
	succeeds("${name}_extension", 'DROP EXTENSION inval CASCADE', "$name: DROP EXTENSION");
	succeeds("${name}_extension", 'CREATE EXTENSION inval', "$name: and CREATE EXTENSION");
	succeeds('postgres', "DROP DATABASE ${name}_$_", "$name: DROP DATABASE ${name}_$_")
	  foreach 'renamed', 'copied', 'copy', 'owned', 'extension';
}
is($node->safe_psql('postgres', q{
		SELECT count(*) FROM pg_database WHERE datname ~ '_'}), 0, 'all are dropped');
$frozen->thaw;

# Workers that are just being started are no obstacle either.
foreach my $turn (1 .. 4)
{
	$node->safe_psql('postgres', 'CREATE DATABASE young');
	$node->safe_psql('young', 'CREATE EXTENSION inval; ' . join ' ',
		map { "SELECT inval_add_target('t$_', '" . $redis->unix_url . "');" } 1 .. 4);
	succeeds('postgres', 'DROP DATABASE young', "turn $turn: DROP DATABASE of a young one");
}

# Many databases without the extension: each is looked at once when the
# server starts, and never again.
my $many = "datname ~ '^plain'";

# (none of them before that)
$node->adjust_conf('postgresql.conf', 'inval.workers', 0);
reload($node);
$node->safe_psql('postgres', join "\n", map { "CREATE DATABASE plain$_;" } 1 .. 40);
$node->stop;
# Autovacuum visits them too.
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->adjust_conf('postgresql.conf', 'inval.workers', 4);
$node->adjust_conf('postgresql.conf', 'max_worker_processes', 8);
my $complaints = times_logged($node, qr/inval has no worker for every database/);
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION inval');
my $visits = "SELECT count(*) FILTER (WHERE xact_commit > 0) FROM pg_stat_database WHERE $many";
ok(poll_query($node, 'postgres', $visits, 40), 'many databases: each is looked at')
  or diag($node->safe_psql('postgres', $visits));
ok(poll_query($node, 'postgres', q{
		SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'inval worker'}, 1),
	'many databases: no worker stays but that of the one that has inval');
my $cost = "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database WHERE $many";
my $cost_before = $node->safe_psql('postgres', $cost);
my $turns = $node->safe_psql('postgres',
	"SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'");

# Time is what the worker of the other database makes of it.
ok(poll_query($node, 'postgres', "SELECT xact_commit > $turns + 60
		FROM pg_stat_database WHERE datname = 'postgres'"),
	'many databases: while another worker is at work');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION inval');
ok(worker_pid($node, 'other'), 'many databases: and another one begins');
is($node->safe_psql('postgres', $cost), $cost_before,
	'many databases: nobody connects to them');
is($node->safe_psql('postgres', q{
		SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'inval worker'}), 2,
	'many databases: two workers');
is(times_logged($node, qr/inval has no worker for every database/), $complaints,
	'many databases: no complaint of too few workers');
no_crash($node, 'no server process crashed');
$node->stop;

# A standby has no worker for any target; promoted, it has one for each.
my $primary = new_node('primary', url => $redis->unix_url,
	init => { allows_streaming => 1 }, conf => 'max_connections = 20');
my $standby = PostgreSQL::Test::Cluster->new('standby');
my $away = Inval::Redis->new;

$primary->backup('base');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->safe_psql('postgres', "
	SELECT inval_add_target('away', '" . $away->unix_url . "');
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, 20);
	SELECT inval_track('team', key => 'team:{id}', targets => '{default,away}')");
$away->cmd('SAVE');
$away->kill9;
$primary->safe_psql('postgres', "UPDATE team SET n = 1 WHERE id = $_") foreach 1 .. 10;
$primary->wait_for_catchup($standby);
ok(poll_query($standby, 'postgres',
		"SELECT count(DISTINCT key) >= 10 FROM inval_queue WHERE target = 'away'"),
	'the standby has the queue of the target');
$away->start;
$away->fill('team:', 1, 20);
$primary->stop('immediate');
$away->fill('team:', 1, 20);
is($standby->safe_psql('postgres', q{
		SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^inval'}), 0,
	'a standby has no process of inval');
is(scalar($away->existing(map { "team:$_" } 1 .. 20)), 20, 'a standby sends nothing');
$standby->promote;
ok(wait_keys_gone($away, map { "team:$_" } 1 .. 10), 'promoted: it delivers to the target');
ok(poll_query($standby, 'postgres', q{
		SELECT count(DISTINCT worker_pid) FROM inval_target_status}, 2),
	'promoted: each target has a worker');
ok(wait_queue_empty($standby, 'postgres'), 'promoted: the queue is empty');
is(scalar($away->existing(map { "team:$_" } 11 .. 20)), 10, 'promoted: and nothing else is gone');
no_crash($standby, 'no process of the standby crashed');

done_testing();
