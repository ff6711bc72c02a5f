# The password in a file: read when a connection is made, so that it can be
# changed on both sides without a reload; refused if others can read it.

use strict;
use warnings;

use File::Spec;
use Inval::Test;
use PostgreSQL::Test::Utils;
use Test::More;

my $first = 'F1rst-secret';
my $second = 'S3cond-secret';
my $redis = Inval::Redis->new(acl => ["app on >$first ~* &* +\@all"]);
my $file = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir() . '/password');

sub write_password
{
	my ($text, $mode) = @_;

	unlink $file;
	append_to_file($file, $text);
	chmod $mode || 0600, $file or die "could not chmod: $!";
	return;
}

write_password("$first\nand a second line that does not matter\n");
my $url = sprintf 'redis://app@127.0.0.1:%d/0?passfile=%s', $redis->port, $file;
my $node = new_node('connect', url => $url, conf => "inval.sweep_interval = '10ms'\n");

$node->safe_psql('postgres', q{
	CREATE TABLE at_commit (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO at_commit SELECT generate_series(1, 1000);
	SELECT inval_track('at_commit', 'id')});
$redis->fill('at_commit:', 1, 1000);

sub update
{
	my ($where) = @_;

	$node->safe_psql('postgres', "UPDATE at_commit SET n = n + 1 WHERE id $where");
	return;
}

sub drop_connections
{
	$redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
	return;
}

sub down_because
{
	my ($what, $reason) = @_;

	ok(wait_target_state($node, 'postgres', 'down'), "$what: the target is down");
	ok(poll_query($node, 'postgres', qq{
			SELECT last_error ~ '$reason' FROM inval_target_status WHERE target = 'default'}),
		"$what: with the reason");
	return;
}

sub delivered
{
	my ($what, @ids) = @_;

	ok(wait_keys_gone($redis, map { "at_commit:$_" } @ids), "$what: keys are gone");
	ok(wait_queue_empty($node, 'postgres'), "$what: the queue is empty");
	ok(wait_target_state($node, 'postgres', 'up'), "$what: the target is up");
	return;
}

ok(wait_target_state($node, 'postgres', 'up'), 'passfile: the target is up');
update('= 1');
is(scalar($redis->existing('at_commit:1')), 0, 'passfile: a session delivers at COMMIT');
is($node->safe_psql('postgres', 'SHOW inval.redis_url'),
	sprintf('redis://app:@127.0.0.1:%d/0?passfile=%s', $redis->port, $file),
	'the setting shows the file');
is($node->safe_psql('postgres', 'SELECT address FROM inval_target_status'),
	sprintf('redis://127.0.0.1:%d/0', $redis->port), 'the status does not');

# The password changes, first in Redis, then in the file.
my $session = $node->background_psql('postgres');
$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id = 2');
$redis->cmd('ACL', 'SETUSER', 'app', 'resetpass', ">$second");
drop_connections();
$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id = 3');
down_because('another password', 'WRONGPASS');
write_password($second);
delivered('another password in the file', 2, 3);
$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id = 4');
is(scalar($redis->existing('at_commit:4')), 0,
	'another password in the file: the same session delivers at COMMIT');

# First the file, then Redis: nobody notices.
write_password("$first\r\n");
$redis->cmd('ACL', 'SETUSER', 'app', 'resetpass', ">$first");
drop_connections();
$session->query_safe('UPDATE at_commit SET n = n + 1 WHERE id = 5');
delivered('back to the first', 5);
$session->quit;

# What is wrong with a file is said, and seen when it is right again.
my $id = 10;
foreach my $case (
	[ 'readable by others', sub { write_password($first, 0644) }, 'accessible to its owner only' ],
	[ 'readable by the group', sub { write_password($first, 0640) }, 'accessible to its owner only' ],
	[ 'missing', sub { unlink $file }, 'could not open the password file' ],
	[ 'empty', sub { write_password("\n$first\n") }, 'empty first line' ],
	[ 'too long', sub { write_password('x' x 5000) }, 'too long' ],
	[ 'a directory', sub { unlink $file; mkdir $file, 0700 }, 'not a plain file' ])
{
	my ($what, $spoil, $reason) = @$case;

	$spoil->();
	drop_connections();
	update("= $id");
	down_because($what, $reason);
	rmdir $file;
	write_password($first);
	delivered("$what, and put right", $id++);
}

# The same over a Unix socket, whose URL has the user as an option.
set_redis_url($node, $redis->unix_url . "&user=app&passfile=$file");
update('= 20');
delivered('Unix socket', 20);

# A session that connects has one deadline for all of that, logging in included:
# this server accepts the connection and says nothing.
$redis->freeze;
update('= 30');
down_because('frozen', 'no answer in time');
$redis->thaw;
delivered('thawed', 30);

# Other targets have the same kinds of URL.
$node->safe_psql('postgres', sprintf(q{
	SELECT inval_add_target('second', 'redis://app@127.0.0.1:%d/1?passfile=%s');
	CREATE TABLE twice (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO twice SELECT generate_series(1, 100);
	SELECT inval_track('twice', 'id', targets => '{default,second}')}, $redis->port, $file));
ok(poll_query($node, 'postgres', q{
		SELECT state FROM inval_target_status WHERE target = 'second' AND worker_pid IS NOT NULL},
		'up'),
	'second target: up');
$redis->fill('twice:', 1, 10);
$redis->select_db(1)->fill('twice:', 1, 10);
$node->safe_psql('postgres', 'UPDATE twice SET n = n + 1 WHERE id = 1');
is(scalar($redis->existing('twice:1')), 0, 'second target: gone at COMMIT');
is(scalar($redis->select_db(0)->existing('twice:1')), 0, 'and from the first');
foreach my $good (
	'rediss://user:x@localhost:1/2?cacert=/ca&cert=/c&key=/k&sni=name',
	'valkey://localhost', 'valkey+cluster://a,b', 'redis://[::1]:6379',
	'unix:///tmp/x?db=1', 'redis+sentinel://:x@a,b:1,c/m/1?sentinelpassfile=/f')
{
	my ($taken, undef, $why) =
	  $node->psql('postgres', "SELECT inval_add_target('third', '$good')");

	ok($taken == 0 || ($good =~ /^rediss/ && $why =~ /built without TLS/), "taken: $good");
}
$node->safe_psql('postgres', "SELECT inval_drop_target('third')");

# What an address has that is no text is shown as it can stand in a URL.
$node->safe_psql('postgres', q{SELECT inval_add_target('third', 'unix:///tmp/%ff%0a%25.sock?db=1')});
is($node->safe_psql('postgres', q{SELECT address FROM inval_target_status WHERE target = 'third'}),
	'unix:///tmp/%FF%0A%25.sock?db=1', 'the address is text');
$node->safe_psql('postgres', "SELECT inval_drop_target('third')");

# Files are read as the user that runs the server, so not for everybody.
$node->safe_psql('postgres', q{
	CREATE ROLE operator;
	GRANT EXECUTE ON FUNCTION inval_add_target TO operator});
my $with_file = "SET ROLE operator;
	SELECT inval_add_target('third', 'redis://localhost?passfile=/etc/passwd')";
my ($status, $output, $error) = $node->psql('postgres', $with_file);
like($error, qr/permission denied to name files/, 'an operator names no files');
is($node->psql('postgres', "SET ROLE operator; SELECT inval_add_target('third', 'redis://localhost')"),
	0, 'and makes targets without');
$node->safe_psql('postgres', 'GRANT pg_read_server_files TO operator');
is($node->psql('postgres', $with_file), 0, 'unless he may read them anyway');
$node->safe_psql('postgres', "SELECT inval_drop_target('third')");

# What is refused at once.
foreach my $case (
	[ "redis://:x\@localhost?passfile=$file", 'both a password and a passfile' ],
	[ 'redis://localhost?passfile=password', 'must be an absolute path' ],
	[ 'redis://localhost?cacert=/x', 'takes the option passfile' ],
	[ 'redis+sentinel://localhost', 'names no master' ],
	[ 'redis+sentinel://a,,b/m', 'names no host' ],
	[ 'redis+sentinel://a,b,c,d,e,f,g,h,i/m', 'more than 8 sentinels' ],
	[ "redis://:pa/ss\@localhost", 'write it as %2F' ],
	[ 'redis://::1:6379', 'must be in brackets' ],
	[ 'valkeyed://localhost', 'must start with' ],
	[ 'redis+cluster://localhost/1', 'has no databases' ],
	[ 'redis+cluster://', 'names no host' ],
	[ 'redis+cluster://a,b,c,d,e,f,g,h,i', 'more than 8 nodes' ],
	[ 'redis+cluster://a?cacert=/x', 'takes the option passfile' ],
	[ 'rediss+cluster://a?db=1', 'takes the options cacert, cert, key, sni and passfile' ])
{
	my ($bad, $reason) = @$case;
	($status, $output, $error) =
	  $node->psql('postgres', "SET inval.redis_url = '$bad'");

	ok($status != 0 && $error =~ /$reason/, "refused: $bad") or diag($error);
}

# A statement that fails is logged, but not if it may have a password.
my $malformed = "redis://:$first\@localhost:port";
foreach my $statement (
	"SET inval.redis_url = '$malformed'",
	"ALTER SYSTEM SET inval.redis_url = '$malformed'",
	"ALTER DATABASE postgres SET inval.redis_url = 'redis://:$first\@localhost'",
	"SELECT set_config('inval.redis_url', '$malformed', false)",
	"SELECT inval_add_target('third', '$malformed')",
	"SELECT inval_add_target('of three words', 'redis://:$first\@localhost')",
	"SELECT inval_add_target('third', 'redis://:$first\@localhost', max_rate => 0)",
	"CREATE USER MAPPING FOR CURRENT_USER SERVER inval_target_second OPTIONS (url '$malformed')")
{
	($status, $output, $error) = $node->psql('postgres', $statement);
	isnt($status, 0, 'refused: ' . $statement =~ s/\Q$first\E/***/r);
	unlike("$output$error", qr/\Q$first\E/, 'and the message does not have the password');
}
isnt($node->psql('postgres', "DO \$\$BEGIN EXECUTE \$x\$SET inval.redis_url = '$malformed'\$x\$; END\$\$"),
	0, 'refused within a function');

# A server that does not know AUTH repeats what it was sent.
my $ignorant = Inval::Redis->new(config => { 'rename-command' => 'AUTH ""' });
set_redis_url($node, $ignorant->tcp_url(0, ":$first"));
update('= 40');
down_because('no AUTH', 'unknown command');

# More targets than there are files to be opened: that is no matter of who changes rows.
{
	my $crowded = new_node('crowded', url => $redis->tcp_url(0, "app:$first"),
		conf => "max_files_per_process = 64\ninval.commit_timeout = '10s'\n");

	$crowded->safe_psql('postgres', sprintf(q{
		CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
		INSERT INTO team SELECT generate_series(1, 10);
		SELECT count(inval_add_target('t' || n, '%s')) FROM generate_series(1, 24) n;
		SELECT inval_track('team', 'id',
			targets => (SELECT array_agg('t' || n) FROM generate_series(1, 24) n))},
		$redis->tcp_url(0, "app:$first")));
	$redis->fill('team:', 1, 2);
	is($crowded->psql('postgres', 'UPDATE team SET n = n + 1 WHERE id = 1'), 0,
		'too many open files: the change is committed');
	ok(wait_keys_gone($redis, 'team:1'), 'too many open files: and delivered');
	is(times_logged($crowded, 'is down'), 0, 'too many open files: nobody is down for that');
	$crowded->stop;
}

password_hidden($node, 'postgres', $first, 'the password');
password_hidden($node, 'postgres', $second, 'the other password');
no_crash($node, 'no server process crashed');
$node->stop;

# Where the library is loaded by somebody's statement, a setting that cannot be
# understood is not that one's fault.
$node = new_node('mistaken', preload => 0, extension => 0);
$node->safe_psql('postgres', q{
	SET client_min_messages = error;
	CREATE EXTENSION inval;
	CREATE TABLE team (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO team SELECT generate_series(1, 10);
	SELECT inval_track('team', 'id')});
$node->append_conf('postgresql.conf', "inval.redis_url = '$malformed'");
reload($node);
ok(poll_query($node, 'postgres', q{
		UPDATE team SET n = n + 1 WHERE id = 1;
		UPDATE team SET n = n + 1 WHERE id = 2;
		SELECT count(*) > 0 FROM inval_queue}),
	'a malformed URL in postgresql.conf: writes go on');
no_crash($node, 'no server process crashed there');
$node->stop;

done_testing();
