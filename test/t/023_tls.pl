# TLS: the server must prove to be who the URL says, or nothing is sent; where
# it does, all is as without.

use strict;
use warnings;

use Inval::Certificates;
use Inval::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $certificates = Inval::Certificates->new
  or plan skip_all => 'no openssl to make certificates with';
my $dir = $certificates->file('.');

# Over at once: older versions of openssl cannot be told a date in the past.
$certificates->certify('expired', 'DNS:localhost,IP:127.0.0.1', 0);
$certificates->certify('right', 'DNS:localhost,IP:127.0.0.1', 10);
$certificates->certify('elsewhere', 'DNS:elsewhere.example', 10);
$certificates->certify('client', 'DNS:client', 10);

sub new_tls_redis
{
	my ($name, %config) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $redis = Inval::Redis->new(
		password => 'T1ght-lipped',
		config => {
			'tls-port' => $port,
			'tls-cert-file' => "$dir/$name.pem",
			'tls-key-file' => "$dir/$name.key",
			'tls-ca-cert-file' => "$dir/ca.pem",
			'tls-auth-clients' => 'no',
			%config });

	return ($redis, $port);
}

my ($redis, $port) = eval { new_tls_redis('right') };
plan skip_all => "this Redis has no TLS: $@" unless $redis;

my $node = new_node('tls', url => $redis->unix_url, conf => "inval.sweep_interval = '10ms'\n");
my ($status, $output, $error) =
  $node->psql('postgres', "SET inval.redis_url = 'rediss://localhost'");

if ($status != 0)
{
	like($error, qr/built without TLS/, 'without TLS the URL is refused, and why');
	done_testing();
	exit;
}

$node->safe_psql('postgres', q{
	CREATE TABLE at_commit (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO at_commit SELECT generate_series(1, 100000);
	SELECT inval_track('at_commit', 'id')});

my $id = 1;

sub url
{
	my ($host, $at, @options) = @_;

	return sprintf 'rediss://:T1ght-lipped@%s:%d/0?%s', $host, $at,
	  join '&', "cacert=$dir/ca.pem", @options;
}

sub delivers
{
	my ($what, $server, $url) = @_;
	my @keys = ("at_commit:$id", 'at_commit:' . ($id + 1));

	$server->fill('at_commit:', $id, $id + 1);
	set_redis_url($node, $url);
	ok(wait_target_state($node, 'postgres', 'up'), "$what: the target is up");
	$node->safe_psql('postgres', "UPDATE at_commit SET n = n + 1 WHERE id = $id");
	$node->safe_psql('postgres', "UPDATE at_commit SET n = n + 1 WHERE id = $id + 1");
	ok(wait_keys_gone($server, @keys), "$what: keys are gone");
	ok(wait_queue_empty($node, 'postgres'), "$what: the queue is empty");
	$id += 2;
	return;
}

sub refuses
{
	my ($what, $url, $reason) = @_;

	set_redis_url($node, $url);
	$node->safe_psql('postgres', "UPDATE at_commit SET n = n + 1 WHERE id = 1");
	ok(wait_target_state($node, 'postgres', 'down'), "$what: the target is down");
	ok(poll_query($node, 'postgres', qq{
			SELECT last_error ~ '$reason' FROM inval_target_status WHERE target = 'default'}),
		"$what: with the reason");
	ok(queue_length($node, 'postgres') > 0, "$what: keys stay queued");
	return;
}

delivers('by address', $redis, url('127.0.0.1', $port));
delivers('by name', $redis, url('localhost', $port));
is($node->safe_psql('postgres', 'SELECT address FROM inval_target_status'),
	"rediss://localhost:$port/0", 'the status has the address');

# A session that comes back to its connection after a while, when the server's
# tickets have arrived, still has it.  It would be given up where an answer is late, as it
# may be on a busy machine.
my $session = $node->background_psql('postgres');
$session->query_safe("SET inval.commit_timeout = '60s'");
$redis->fill('at_commit:', 1001, 3000);
$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id = 1001');
my $connections = $redis->cmd('INFO', 'stats') =~ /total_connections_received:(\d+)/ && $1;
foreach my $next (1002 .. 1010)
{
	$session->query_safe("SELECT pg_sleep(0.02)");
	$session->query_safe("UPDATE at_commit SET n = n + 1 WHERE id = $next");
}
is(scalar($redis->existing(map { "at_commit:$_" } 1001 .. 1010)), 0,
	'one session: keys are gone at COMMIT');
my $later = $redis->cmd('INFO', 'stats') =~ /total_connections_received:(\d+)/ && $1;
is($later, $connections, 'one session: over one connection');
$session->query_safe('RESET inval.commit_timeout');

# Many records at once, in a commit and in the worker.
$redis->fill('at_commit:', 1, 100000);
$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id <= 100000');
ok(wait_queue_empty($node, 'postgres'), 'a bulk change: the queue is empty');
is(scalar($redis->existing(map { "at_commit:$_" } 1 .. 100000)), 0,
	'a bulk change: all keys are gone');

# An outage is one here, too.
$redis->fill('at_commit:', 2001, 2100);
$redis->freeze;
$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id = 2001');
ok(wait_target_state($node, 'postgres', 'down'), 'frozen: the target is down');
$redis->thaw;
ok(wait_keys_gone($redis, 'at_commit:2001'), 'thawed: keys are gone');
ok(wait_target_state($node, 'postgres', 'up'), 'thawed: the target is up');
$redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id = 2002');
ok(wait_keys_gone($redis, 'at_commit:2002'), 'CLIENT KILL: keys are gone');
$session->quit;

# The handshake is within the deadline: this server accepts the connection and
# says nothing.
$redis->freeze;
$node->safe_psql('postgres', 'UPDATE at_commit SET n = n + 1 WHERE id = 2003');
ok(poll_query($node, 'postgres', q{
		SELECT state = 'down' AND last_error ~ 'no answer' FROM inval_target_status}),
	'frozen: a new session comes through, and the target is down');
$redis->thaw;
ok(wait_keys_gone($redis, 'at_commit:2003'), 'thawed: keys are gone');

# Another target, whose URL is in the catalogs.
$node->safe_psql('postgres', sprintf(q{
	SELECT inval_add_target('other', '%s');
	CREATE TABLE told (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO told SELECT generate_series(1, 100);
	SELECT inval_track('told', 'id', targets => '{other}')},
	url('localhost', $port) =~ s{/0\?}{/1?}r));
ok(poll_query($node, 'postgres', q{
		SELECT state FROM inval_target_status WHERE target = 'other' AND worker_pid IS NOT NULL},
		'up'),
	'another target: up');
$redis->select_db(1)->fill('told:', 1, 100);
$node->safe_psql('postgres', 'UPDATE told SET n = n + 1');
ok(wait_keys_gone($redis, map { "told:$_" } 1 .. 100), 'another target: keys are gone');
$redis->select_db(0);

# Who cannot prove to be whom we want gets nothing, least of all the password.
my ($elsewhere, $elsewhere_port) = new_tls_redis('elsewhere');
refuses('wrong name', url('localhost', $elsewhere_port), 'mismatch');
refuses('wrong address', url('127.0.0.1', $elsewhere_port), 'mismatch');
delivers('the name it has', $elsewhere, url('127.0.0.1', $elsewhere_port, 'sni=elsewhere.example'));
my ($expired, $expired_port) = new_tls_redis('expired');
refuses('expired', url('localhost', $expired_port), 'expired');
refuses('unknown authority', "rediss://localhost:$port", 'self.signed|unable to get');
refuses('no certificates', "rediss://localhost:$port?cacert=$dir/none.pem", 'No such file');
refuses('no TLS there', url('localhost', $redis->port), '.');
is($expired->calls('auth'), 1, 'and only this test has logged in there');

# A certificate that is renewed is taken without a word to PostgreSQL.
set_redis_url($node, url('localhost', $expired_port));
ok(poll_query($node, 'postgres', q{
		SELECT state = 'down' AND last_error ~ 'expired' FROM inval_target_status
		WHERE target = 'default'}),
	'expired: down');
$expired->fill('at_commit:', 3001, 3001);
$node->safe_psql('postgres', 'UPDATE at_commit SET n = n + 1 WHERE id = 3001');
is(scalar($expired->existing('at_commit:3001')), 1, 'expired: the key is there');
foreach my $what ('pem', 'key')
{
	rename "$dir/right.$what", "$dir/expired.$what" or die "could not rename: $!";
	$expired->cmd('CONFIG', 'SET', "tls-cert-file", "$dir/expired.pem",
		"tls-key-file", "$dir/expired.key") if $what eq 'key';
}
ok(wait_keys_gone($expired, 'at_commit:3001'), 'renewed: the key is gone');
ok(wait_target_state($node, 'postgres', 'up'), 'renewed: the target is up');
ok(wait_queue_empty($node, 'postgres'), 'renewed: the queue is empty');
$certificates->certify('right', 'DNS:localhost,IP:127.0.0.1', 10);

# A certificate of our own, where the server wants one.
my ($strict, $strict_port) = new_tls_redis('right', 'tls-auth-clients' => 'yes');
refuses('no certificate of our own', url('localhost', $strict_port), '.');
delivers('a certificate of our own', $strict,
	url('localhost', $strict_port, "cert=$dir/client.pem", "key=$dir/client.key"));

password_hidden($node, 'postgres', 'T1ght-lipped', 'the password');
no_crash($node, 'no server process crashed');

done_testing();
