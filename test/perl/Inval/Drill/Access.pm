=pod

=head1 NAME

Inval::Drill::Access - drills: Redis lets nobody in, or must not be trusted

=cut

package Inval::Drill::Access;

use strict;
use warnings;

use File::Spec;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Inval::Certificates;
use Inval::Drill::Load;
use Inval::Test;

sub drills
{
	return (
		{
			name => 'expired-certificate',
			about => 'Redis shows a certificate that has expired (`CONFIG SET tls-cert-file`), to all who connect anew, '
			  . 'and all connections are closed; then it is given a valid one.',
			run => \&_expired_certificate
		},
		{
			name => 'password',
			about => 'The password of the user of inval is changed in Redis, and its connections are closed; '
			  . 'later the new one is put into the file that `passfile` of the URL names.',
			run => \&_password
		});
}

sub _down_because
{
	my ($drill, $reason, $what) = @_;

	ok(wait_target_state($drill->node, 'postgres', 'down'), "$what: deliveries stop");
	ok(poll_query($drill->node, 'postgres', qq{
			SELECT last_error ~ '$reason' FROM inval_target_status WHERE target = 'default'}),
		"$what: and inval_target_status says why");
	$drill->remark('`last_error` was: '
		  . $drill->node->safe_psql('postgres', 'SELECT last_error FROM inval_target_status'));
	return;
}

sub _expired_certificate
{
	my ($drill) = @_;
	my $certificates = Inval::Certificates->new
	  or return $drill->leave_out('there is no openssl');
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $redis;

	$certificates->certify($_->[0], 'DNS:localhost,IP:127.0.0.1', $_->[1])
	  foreach [ 'expired', 0 ], [ 'right', 10 ];
	$redis = eval {
		Inval::Redis->new(
			config => {
				'tls-port' => $port,
				'tls-cert-file' => $certificates->file('right.pem'),
				'tls-key-file' => $certificates->file('right.key'),
				'tls-ca-cert-file' => $certificates->file('ca.pem'),
				'tls-auth-clients' => 'no' });
	} or return $drill->leave_out('this Redis has no TLS');
	my $url = "rediss://localhost:$port/0?cacert=" . $certificates->file('ca.pem');
	my ($status, $output, $error) =
	  $drill->node->psql('postgres', "SET inval.redis_url = '$url'");

	return $drill->leave_out('inval was built without TLS') if $status != 0;

	my $show = sub {
		my ($name) = @_;

		$redis->cmd('CONFIG', 'SET', 'tls-cert-file', $certificates->file("$name.pem"),
			'tls-key-file', $certificates->file("$name.key"));
		$redis->cmd('CLIENT', 'KILL', 'LADDR', "127.0.0.1:$port");
	};

	$drill->begin(url => $url, redis => [ $redis->sock ]);
	$drill->fault(
		sub {
			$show->('expired');
			_down_because($drill, 'expired', 'expired-certificate');
			$drill->wait_seconds(0.7, 40);
			$drill->remark_queue;
			$show->('right');
			ok(wait_target_state($drill->node, 'postgres', 'up'),
				'expired-certificate: deliveries go on with a valid one');
		});
	$drill->end(stores => [$redis]);
	return;
}

sub _password
{
	my ($drill) = @_;
	my $redis = Inval::Redis->new(acl => ['app on >F1rst-secret ~* &* +@all']);
	my $file = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir() . '/password');
	my $write = sub {
		my ($password) = @_;

		append_to_file("$file.new", "$password\n");
		chmod 0600, "$file.new";
		rename "$file.new", $file or die "could not rename: $!";
	};

	$write->('F1rst-secret');
	$drill->begin(
		url => sprintf('redis://app@127.0.0.1:%d/0?passfile=%s', $redis->port, $file),
		redis => [ $redis->sock ]);
	$drill->fault(
		sub {
			$redis->cmd('ACL', 'SETUSER', 'app', 'resetpass', '>S3cond-secret');
			$redis->cmd('CLIENT', 'KILL', 'USER', 'app');
			_down_because($drill, 'WRONGPASS', 'password');
			$drill->wait_seconds(0.7, 40);
			$drill->remark_queue;
			$write->('S3cond-secret');
			ok(wait_target_state($drill->node, 'postgres', 'up'),
				'password: deliveries go on with the new one');
		});
	$drill->end(stores => [$redis]);
	password_hidden($drill->node, 'postgres', $_, "password: $_")
	  foreach 'F1rst-secret', 'S3cond-secret';
	return;
}

1;
