=pod

=head1 NAME

Inval::Monitoring - a throwaway exporter and a throwaway Prometheus, and what they know

=head1 SYNOPSIS

  my $monitoring = Inval::Monitoring->new($node) or plan skip_all => 'no Prometheus';
  $monitoring->query('inval_target_queue_depth');
  $monitoring->wait_firing('InvalTargetDown');

=head1 DESCRIPTION

The files of F<monitoring/> as an administrator would use them: the exporter logs in as a
role that has C<pg_monitor> and nothing else, and asks what F<queries.yaml> says; Prometheus
scrapes it, with the rules of F<alerts.yaml>.  Both run in a temporary directory, and end
with the test.

So that nobody has to wait, they work on copies: what alerts wait for is a second, what
they look back to a few, and nothing is cached.

=cut

package Inval::Monitoring;

use strict;
use warnings;

use Carp;
use Cwd ();
use File::Basename ();
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

use Inval::Test;

my $exporter = 'prometheus-postgres-exporter';
my $files = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../../monitoring');

# Processes to end with the script, which is not one that it has forked.
my @children;
my $owner = $$;

=pod

=head2 file($name)

The path of a file of F<monitoring/>.

=head2 missing

The programs that are needed and not there.

=head2 new($node, %options)

Starts both for all databases of a server that others can connect to.  Options: C<interval>, of scrapes (default
C<500ms>); C<as_is>, to use the files as they are.

=cut

sub file
{
	my ($name) = @_;

	return "$files/$name";
}

sub missing
{
	return grep { !_in_path($_) } $exporter, 'prometheus', 'promtool';
}

sub new
{
	my ($class, $node, %options) = @_;
	my $self = bless {
		dir => PostgreSQL::Test::Utils::tempdir_short(),
		interval => $options{interval} || '500ms',
		as_is => $options{as_is},
		port => { map { $_ => PostgreSQL::Test::Cluster::get_free_port() }
			  qw(exporter prometheus text) },
		http => HTTP::Tiny->new(timeout => 20),
	}, $class;

	$node->safe_psql('postgres', 'CREATE ROLE prometheus LOGIN IN ROLE pg_monitor');
	$self->_copy('queries.yaml', sub { s/^ *cache_seconds: \d+\n//mg });
	$self->_copy('alerts.yaml', sub { s/^( *for:) \S+$/$1 1s/mg; s/\[10m\]/[4s]/g; s/> 60$/> 1/mg });
	$self->_start_exporter($node);
	$self->_start_text($node);
	$self->_start_prometheus;
	return $self;
}

# A copy of a file, changed unless it is to be as it is.
sub _copy
{
	my ($self, $name, $change) = @_;

	local $_ = slurp_file(file($name));
	$change->() unless $self->{as_is};
	append_to_file("$self->{dir}/$name", $_);
	return;
}

sub _start_exporter
{
	my ($self, $node) = @_;

	$self->_start('exporter',
		'env', 'DATA_SOURCE_NAME=user=prometheus dbname=postgres sslmode=disable'
		  . ' host=' . $node->host . ' port=' . $node->port,
		$exporter, "--web.listen-address=127.0.0.1:$self->{port}{exporter}",
		'--disable-default-metrics', '--disable-settings-metrics', '--auto-discover-databases',
		"--extend.query-path=$self->{dir}/queries.yaml");
	return;
}

# Serves what inval_metrics() gives.
sub _start_text
{
	my ($self, $node) = @_;
	my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $self->{port}{text},
		Listen => 5, ReuseAddr => 1) or croak "no socket: $!";
	my $pid = fork;

	croak "could not fork: $!" unless defined $pid;
	if ($pid)
	{
		push @children, $pid;
		return;
	}
	# What the script does at its end is not for us to do.
	$SIG{INT} = $SIG{TERM} = sub { POSIX::_exit(1) };
	$SIG{PIPE} = 'IGNORE';
	while (my $client = $listen->accept)
	{
		while (defined(my $line = <$client>)) { last if $line =~ /^\r?$/; }
		print $client "HTTP/1.0 200 OK\r\n",
		  "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n\r\n",
		  _metrics($node);
		close $client;
	}
	POSIX::_exit(0);
}

sub _metrics
{
	my ($node) = @_;
	my $pid = open my $psql, '-|', 'psql', '-XqAt', '-U', 'prometheus', '-h', $node->host,
	  '-p', $node->port, '-c', 'SELECT inval_metrics()', 'postgres';

	return $pid ? do { local $/; <$psql> } : '';
}

# What is scraped as text is checked and not kept, since the exporter has the same.
sub _start_prometheus
{
	my ($self) = @_;

	append_to_file("$self->{dir}/prometheus.yml", <<"END");
global:
  scrape_interval: $self->{interval}
  scrape_timeout: $self->{interval}
  evaluation_interval: $self->{interval}
rule_files: ['$self->{dir}/alerts.yaml']
scrape_configs:
  - job_name: postgres
    static_configs: [{targets: ['127.0.0.1:$self->{port}{exporter}']}]
  - job_name: text
    scrape_interval: 2s
    scrape_timeout: 2s
    static_configs: [{targets: ['127.0.0.1:$self->{port}{text}']}]
    metric_relabel_configs: [{source_labels: [__name__], regex: 'inval_.*', action: drop}]
END
	$self->_start('prometheus', 'prometheus', "--config.file=$self->{dir}/prometheus.yml",
		"--storage.tsdb.path=$self->{dir}/data", '--log.level=warn',
		"--web.listen-address=127.0.0.1:$self->{port}{prometheus}");
	poll_until(sub { $self->_get('prometheus', '/-/ready') }, 'Prometheus')
	  or croak slurp_file("$self->{dir}/prometheus.log");
	return;
}

sub _start
{
	my ($self, $name, @command) = @_;
	my $pid = fork;

	croak "could not fork: $!" unless defined $pid;
	unshift @command, 'setpriv', '--pdeathsig', 'KILL' if _in_path('setpriv');
	if ($pid == 0)
	{
		open STDIN, '<', '/dev/null';
		open STDOUT, '>>', "$self->{dir}/$name.log";
		open STDERR, '>&', \*STDOUT;
		{ exec @command };
		POSIX::_exit(127);
	}
	push @children, $pid;
	return;
}

sub _in_path
{
	my ($program) = @_;

	return grep { -x "$_/$program" } split /:/, $ENV{PATH};
}

sub _get
{
	my ($self, $which, $path) = @_;
	my $response = $self->{http}->get("http://127.0.0.1:$self->{port}{$which}$path");

	croak "$path: $response->{status} $response->{content}" unless $response->{success};
	return $response->{content};
}

=pod

=head2 exported

What the exporter says.

=head2 url

Where Prometheus is.

=head2 query($expression)

What it answers now: a list of references to hashes, with the labels, and the value as
C<value>.  Dies with its words if it does not understand the expression.

=head2 firing

The names of the alerts that fire, sorted.

=head2 wait_firing($name, $meanwhile)

Waits until an alert fires; false if it does not.  C<$meanwhile> is called again and again.

=cut

sub exported
{
	my ($self) = @_;

	return $self->_get('exporter', '/metrics');
}

sub url { return "http://127.0.0.1:$_[0]->{port}{prometheus}"; }

sub query
{
	my ($self, $expression) = @_;
	my $answer = JSON::PP::decode_json($self->_get('prometheus',
			'/api/v1/query?' . $self->{http}->www_form_urlencode({ query => $expression })));

	return map { { %{ $_->{metric} }, value => $_->{value}[1] } } @{ $answer->{data}{result} };
}

sub firing
{
	my ($self) = @_;
	my %names = map { $_->{alertname} => 1 } $self->query('ALERTS{alertstate="firing"}');

	return sort keys %names;
}

sub wait_firing
{
	my ($self, $name, $meanwhile) = @_;

	return poll_until(
		sub {
			$meanwhile->() if $meanwhile;
			return grep { $_ eq $name } $self->firing;
		},
		"alert $name");
}

END
{
	# waitpid sets $?, which is this script's exit status.
	local $?;
	kill 'KILL', @children if $$ == $owner;
	waitpid $_, 0 foreach $$ == $owner ? @children : ();
}

1;
