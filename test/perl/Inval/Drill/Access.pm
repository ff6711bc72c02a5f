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
			place => \&_certificate_place,
			happen => \&_expired_certificate
		},
		{
			name => 'password',
			about => 'The password of the user of inval is changed in Redis, and its connections are closed; '
			  . 'later the new one is put into the file that `passfile` of the URL names.',
			place => \&_password_place,
			happen => \&_password,
			after => \&_after_password
		});
}

sub _down_because
{
	my ($drill, $reason, $what) = @_;
	my $target = $drill->target;
	my $error = "SELECT last_error FROM inval_target_status WHERE target = '$target'";

	ok($drill->wait_state('down'), "$what: deliveries stop");
	ok(poll_query($drill->node, 'postgres', "SELECT ($error) ~ '$reason'"),
		"$what: and inval_target_status says why");
	$drill->remark('`last_error` was: ' . $drill->node->safe_psql('postgres', $error));
	return;
}

sub _certificate_place
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
	return {
		url => $url,
		redis => [ $redis->sock ],
		stores => sub { return $redis; },
		show => sub {
			my ($name) = @_;

			$redis->cmd('CONFIG', 'SET', 'tls-cert-file', $certificates->file("$name.pem"),
				'tls-key-file', $certificates->file("$name.key"));
			$redis->cmd('CLIENT', 'KILL', 'LADDR', "127.0.0.1:$port");
		},
	};
}

sub _expired_certificate
{
	my ($drill, $place) = @_;

	$place->{show}->('expired');
	_down_because($drill, 'expired', 'expired-certificate');
	$drill->wait_seconds(0.7, 40);
	$drill->remark_queue;
	$place->{show}->('right');
	ok($drill->wait_state('up'), 'expired-certificate: deliveries go on with a valid one');
	return;
}

sub _password_place
{
	my $redis = Inval::Redis->new(acl => ['app on >F1rst-secret ~* &* +@all']);
	my $file = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir() . '/password');
	my $place = {
		url => sprintf('redis://app@127.0.0.1:%d/0?passfile=%s', $redis->port, $file),
		redis => [ $redis->sock ],
		server => $redis,
		file => $file,
		passwords => ['F1rst-secret'],
		stores => sub { return $redis; },
	};

	_write_password($place);
	return $place;
}

# The last one.
sub _write_password
{
	my ($place) = @_;
	my $file = $place->{file};

	append_to_file("$file.new", "$place->{passwords}[-1]\n");
	chmod 0600, "$file.new";
	rename "$file.new", $file or die "could not rename: $!";
	return;
}

sub _password
{
	my ($drill, $place) = @_;
	my $redis = $place->{server};
	my $password = 'N3xt-secret-' . @{ $place->{passwords} };

	push @{ $place->{passwords} }, $password;
	$redis->cmd('ACL', 'SETUSER', 'app', 'resetpass', ">$password");
	$redis->cmd('CLIENT', 'KILL', 'USER', 'app');
	_down_because($drill, 'WRONGPASS', 'password');
	$drill->wait_seconds(0.7, 40);
	$drill->remark_queue;
	_write_password($place);
	ok($drill->wait_state('up'), 'password: deliveries go on with the new one');
	return;
}

sub _after_password
{
	my ($drill, $place) = @_;

	password_hidden($drill->node, 'postgres', $_, "password: $_")
	  foreach @{ $place->{passwords} };
	return;
}

1;
