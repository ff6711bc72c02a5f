# Sessions that come and go, and servers that are well: whoever is new may be late
# for its own COMMIT, and nobody else is.  How many keys are gone at commit is
# printed; with more time and nothing else to do, it is a measurement:
#
#   INVAL_SESSIONS_SECONDS=10 TESTS=test/t/041_new_sessions.pl test/run tap

use strict;
use warnings;

use Inval::Certificates;
use Inval::Cluster;
use Inval::Test;
use List::Util qw(max);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

my $seconds = $ENV{INVAL_SESSIONS_SECONDS} || 2;
my $certificates = Inval::Certificates->new;
my $ca = $certificates && $certificates->file('ca.pem');
my $system_ca = '/etc/ssl/certs/ca-certificates.crt';

# What the system trusts, and ours: for URLs without cacert
if ($certificates)
{
	$certificates->certify('right', 'DNS:localhost,IP:127.0.0.1', 10);
	my $bundle = $certificates->file('bundle.pem');

	append_to_file($bundle, slurp_file($ca) . (-r $system_ca ? slurp_file($system_ca) : ''));
	$ENV{SSL_CERT_FILE} = $bundle;
}

my $patience = 0.03;            # half of inval.commit_timeout, and room for what is ours
my $witness = Inval::Redis->new;
my $plain = Inval::Redis->new(config => { maxclients => 200 });
my $cluster = Inval::Cluster->new(replicas => 0);
my $tls_port = PostgreSQL::Test::Cluster::get_free_port();
my $tls = $certificates && eval {
	Inval::Redis->new(config => {
			'tls-port' => $tls_port,
			'tls-cert-file' => $certificates->file('right.pem'),
			'tls-key-file' => $certificates->file('right.key'),
			'tls-ca-cert-file' => $ca,
			'tls-auth-clients' => 'no' });
};
my $node = new_node('sessions', url => $plain->tcp_url,
	conf => "inval.sweep_interval = '50ms'\nmax_connections = 200\n");
my $has_tls = $tls &&
  $node->psql('postgres', "SET inval.redis_url = 'rediss://127.0.0.1:$tls_port'") == 0;
my ($out, $err) = ('', '');

$node->safe_psql('postgres', q{
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, 10000);
	SELECT inval_track('team', 'id')});
append_to_file($node->basedir . '/load.sql', q{
\set id random(1, 10000)
UPDATE team SET n = n + 1 WHERE id = :id;
});

sub load
{
	return IPC::Run::start(
		[ 'pgbench', '-n', @_, '-T', $seconds, '-f', $node->basedir . '/load.sql',
			$node->connstr('postgres') ],
		'>', \$out, '2>', \$err);
}

# Where everything is late, whoever is called slow was.  Sets the longest time, in seconds,
# that a client of ours had to wait for an answer of a server that has nothing else to do.
my $longest;

sub watch
{
	my $end = time + $seconds;

	while (time < $end)
	{
		my $asked = Time::HiRes::time;

		$witness->cmd('PING');
		$longest = max($longest, Time::HiRes::time - $asked);
		Time::HiRes::sleep(0.002);
	}
	return;
}

# Runs the load, and a function meanwhile, and says what became of its keys.
sub measure
{
	my ($what, $url, @loads) = @_;
	my $meanwhile = ref $loads[-1] eq 'CODE' ? pop @loads : \&watch;

	$longest = 0;

	set_redis_url($node, $url);
	ok(poll_query($node, 'postgres',
			q{SELECT state = 'up' AND worker_pid IS NOT NULL FROM inval_target_status}),
		"$what: up");
	$node->safe_psql('postgres', 'UPDATE team SET n = n + 1 WHERE id = 1');
	ok(wait_queue_empty($node, 'postgres'), "$what: nothing is owed before");
	my $downs = times_logged($node, 'is down|is lost');
	$node->safe_psql('postgres', 'SELECT inval_stats_reset()');
	my @running = map { load(@$_) } @loads;
	$meanwhile->();
	ok($_->finish, "$what: no commit failed") or diag($err) foreach @running;
	ok(wait_queue_empty($node, 'postgres'), "$what: nothing is owed in the end");
	my ($at_commit, $by_worker) = split /\|/, $node->safe_psql('postgres', q{
		SELECT sum(delivered_at_commit), sum(delivered_by_worker) FROM inval_stats});
	note(sprintf '%s: %d at commit, %d by the worker, share %.4f', $what, $at_commit,
		$by_worker, $at_commit / ($at_commit + $by_worker || 1));
  SKIP:
	{
		skip sprintf('%s: the machine is too busy: a PING took %.0f ms', $what, 1000 * $longest), 1
		  if $longest > $patience;
		is(times_logged($node, 'is down|is lost'), $downs, "$what: nobody is called down or lost");
	}
	return ($at_commit, $by_worker);
}

my @new = ('-C', '-c', 8);

measure('new sessions', $plain->tcp_url, [@new]);
measure('new sessions, cluster', $cluster->url, [@new]);
SKIP:
{
	skip 'no TLS', 1 unless $has_tls;
	my $url = "rediss://127.0.0.1:$tls_port/0";

	measure('new sessions, TLS', "$url?cacert=$ca", [@new]);
	measure('new sessions, TLS, what the system trusts', $url, [@new]);
	measure('an old session beside new ones, TLS', $url, [ '-c', 1, '-R', 200 ],
		[ '-C', '-c', 2, '-R', 20 ]);
	my $tls_cluster = Inval::Cluster->new(replicas => 0,
		tls => [ $ca, map { $certificates->file("right.$_") } 'pem', 'key' ]);
	measure('new sessions, cluster, TLS', $tls_cluster->url . "?cacert=$ca", [@new]);
}

# As many clients as Redis takes, and some more: those that are connected stay so.
{
	my $session = $node->background_psql('postgres');

	set_redis_url($node, $plain->tcp_url);
	ok(wait_target_state($node, 'postgres', 'up'), 'too many: up');
	$session->query_safe('UPDATE team SET n = n + 1 WHERE id = 1');
	my ($clients) = $plain->cmd('INFO', 'clients') =~ /connected_clients:(\d+)/;
	$plain->cmd('CONFIG', 'SET', 'maxclients', $clients + 4);
	my ($commits, $left) = (0, 0);
	my ($at_commit) = measure('four more may connect, twelve want to', $plain->tcp_url,
		[ '-c', 12 ], sub {
			foreach my $id (1 .. 100)
			{
				$plain->cmd('SET', "team:$id", 'x');
				$session->query_safe("UPDATE team SET n = n + 1 WHERE id = $id");
				$commits++;
				$left += $plain->cmd('EXISTS', "team:$id");
			}
		});

	cmp_ok($at_commit, '>', 0, 'too many: who connects delivers at commit');
	note(sprintf 'of %d commits of the session that was connected before, %d late', $commits, $left);
	cmp_ok($left, '<=', $commits / 100, 'too many: so does who was there before');
	$session->quit;
	$plain->cmd('CONFIG', 'SET', 'maxclients', 200);
}
no_crash($node, 'no server process crashed');
done_testing();
