=pod

=head1 NAME

Inval::Redis - a throwaway Redis (or Valkey) server, and a client for it

=head1 SYNOPSIS

  my $redis = Inval::Redis->new(config => { maxmemory => '2mb' });
  $redis->cmd('SET', 'team:1', 'x');
  is($redis->cmd('EXISTS', 'team:1'), 0);
  $redis->freeze;            # SIGSTOP: connected, but no answers
  $redis->thaw;
  $redis->kill9;             # gone
  $redis->start;             # back, empty unless SAVE was called before

=head1 DESCRIPTION

The server lives in a temporary directory of its own, listens on a Unix socket
there and on a free TCP port, and writes nothing to disk by itself.  It ends
with the test script, whatever ends that.

The client speaks the protocol itself instead of calling redis-cli: keys are
bytes, and hundreds of thousands of them must not start as many processes.

=cut

package Inval::Redis;

use strict;
use warnings;

use Carp;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

# Those to end with the script.
my @servers;

=pod

=head2 new(%options)

Starts a server, unless C<start> is false.  Options: C<password> for the default
user, C<acl> a list of further C<user> lines, C<config> further directives,
C<port> instead of a free one, C<sentinel> true for a Sentinel, whose config says
what it monitors.

=cut

sub new
{
	my ($class, %options) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir_short();
	my $self = bless {
		dir => $dir,
		sock => "$dir/redis.sock",
		log => "$dir/redis.log",
		port => $options{port} || PostgreSQL::Test::Cluster::get_free_port(),
		password => $options{password},
		acl => $options{acl} || [],
		config => $options{config} || {},
		sentinel => $options{sentinel},
		pid => undef,
		client => undef,
	}, $class;

	push @servers, $self;
	$self->start unless defined $options{start} && !$options{start};
	return $self;
}

sub sock { return $_[0]->{sock}; }
sub port { return $_[0]->{port}; }
sub pid { return $_[0]->{pid}; }

=pod

=head2 unix_url($db), tcp_url($db, $userinfo)

What C<inval.redis_url> needs to reach this server.  C<$userinfo> is
C<user:password>; by default it is the server's own password, if it has one.

=cut

sub unix_url
{
	my ($self, $db) = @_;

	return "unix://$self->{sock}?db=" . ($db || 0);
}

sub tcp_url
{
	my ($self, $db, $userinfo) = @_;

	$userinfo = ":$self->{password}"
	  if !defined $userinfo && defined $self->{password};
	return sprintf 'redis://%s127.0.0.1:%d/%d',
	  defined $userinfo ? "$userinfo\@" : '', $self->{port}, $db || 0;
}

=pod

=head2 start(%options)

Starts the server and waits until it answers.  With C<< wait => 'any' >> an
error is an answer too, for a server that is still loading.

=cut

sub start
{
	my ($self, %options) = @_;
	my @command = (_server_program(), "$self->{dir}/redis.conf",
		$self->{sentinel} ? '--sentinel' : ());
	my $pid;

	croak 'this Redis runs already' if defined $self->{pid};
	# It is to end with us even if we are killed, where there is a way.
	unshift @command, 'setpriv', '--pdeathsig', 'KILL'
	  if _in_path('setpriv');
	$self->_write_config;
	unlink $self->{sock};
	# Not IPC::Run: it would close the server's pipes when a test dies half-way.
	$pid = fork;
	croak "could not fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		open STDIN, '<', '/dev/null';
		open STDOUT, '>>', $self->{log};
		open STDERR, '>&', \*STDOUT;
		{ exec @command };
		POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	$self->_wait_for_answer($options{wait} || 'pong');
	return $self;
}

sub _server_program
{
	return $ENV{REDIS_SERVER} if $ENV{REDIS_SERVER};
	foreach my $name ('redis-server', 'valkey-server')
	{
		return $name if _in_path($name);
	}
	croak 'no redis-server and no valkey-server in the PATH';
}

sub _in_path
{
	my ($program) = @_;

	return grep { -x "$_/$program" } split /:/, $ENV{PATH};
}

sub _write_config
{
	my ($self) = @_;
	my %config = (
		dir => $self->{dir},
		unixsocket => $self->{sock},
		bind => '127.0.0.1',
		port => $self->{port},
		$self->{sentinel} ? () : (
			save => '""',
			appendonly => 'no',
			databases => 16),
		%{ $self->{config} });

	$config{requirepass} = $self->{password} if defined $self->{password};
	open my $file, '>', "$self->{dir}/redis.conf"
	  or croak "could not write redis.conf: $!";
	print $file "$_ $config{$_}\n" foreach sort keys %config;
	print $file "user $_\n" foreach @{ $self->{acl} };
	close $file;
	return;
}

sub _wait_for_answer
{
	my ($self, $what) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $deadline)
	{
		my $answer = eval { $self->cmd('PING') };

		return if defined $answer && $answer eq 'PONG';
		# The client dies with the server's own words in capitals.
		return if $what eq 'any' && $@ =~ /^[A-Z]+ /;
		croak 'the Redis server ended: '
		  . PostgreSQL::Test::Utils::slurp_file($self->{log})
		  if waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid};
		select undef, undef, undef, 0.02;
	}
	croak 'the Redis server does not answer';
}

=pod

=head2 stop, kill9, restart, freeze, thaw

C<stop> and C<kill9> return when the process is gone, C<freeze> when it has
really stopped.

=cut

sub stop
{
	my ($self) = @_;

	return $self->_end('TERM');
}

sub kill9
{
	my ($self) = @_;

	return $self->_end('KILL');
}

sub restart
{
	my ($self) = @_;

	$self->stop;
	return $self->start;
}

sub freeze
{
	my ($self) = @_;

	$self->{frozen} = 1;
	kill 'STOP', $self->{pid};
	select undef, undef, undef, 0.005 while _process_state($self->{pid}) ne 'T';
	return;
}

sub thaw
{
	my ($self) = @_;

	$self->{frozen} = 0;
	kill 'CONT', $self->{pid};
	return;
}

sub _process_state
{
	my ($pid) = @_;

	return PostgreSQL::Test::Utils::slurp_file("/proc/$pid/stat") =~
	  /^\d+ \(.*\) (\S)/s ? $1 : '';
}

sub _end
{
	my ($self, $signal) = @_;

	return unless defined $self->{pid};
	$self->{client} = undef;
	kill $signal, $self->{pid};
	kill 'CONT', $self->{pid};
	waitpid $self->{pid}, 0;
	$self->{pid} = undef;
	$self->{frozen} = 0;
	return;
}

END
{
	# waitpid sets $?, which is this script's exit status.
	local $?;
	foreach my $server (@servers)
	{
		$server->_end('KILL');
	}
}

=pod

=head2 cmd($command, @arguments)

Sends one command and returns its reply: a string, undef for nil, an array
reference.  Dies with the server's words if the reply is an error, and also if
the connection fails; the next call connects again.

=head2 pipeline([$command, @arguments], ...)

Sends many commands at once and returns the list of their replies.

=cut

sub cmd
{
	my ($self, @command) = @_;
	my ($reply) = $self->pipeline(\@command);

	return $reply;
}

sub pipeline
{
	my ($self, @commands) = @_;
	my @replies;

	while (my @batch = splice @commands, 0, 1000)
	{
		my $client = $self->_client;
		my @answers;

		# On any failure the connection may hold unread replies: never reuse it.
		$self->{client} = undef;
		_send($client, @batch);
		@answers = map { _receive($client) } @batch;
		$self->{client} = $client;
		foreach my $answer (@answers)
		{
			croak $$answer if ref $answer eq 'SCALAR';
		}
		push @replies, @answers;
	}
	return @replies;
}

=pod

=head2 fill($prefix, $from, $to)

Sets the keys C<prefix$from> to C<prefix$to> on the server itself.

=cut

sub fill
{
	my ($self, $prefix, $from, $to) = @_;
	my $step = 50_000;

	for (my $low = $from; $low <= $to; $low += $step)
	{
		my $high = $low + $step - 1 < $to ? $low + $step - 1 : $to;

		# Redis numbers are floats: %d keeps 1000000 from becoming 1e+06.
		$self->cmd('EVAL', q{
			for i = tonumber(ARGV[2]), tonumber(ARGV[3]) do
				redis.call('SET', ARGV[1] .. string.format('%d', i), 'cached')
			end}, 0, $prefix, $low, $high);
	}
	return;
}

=pod

=head2 existing(@keys)

Those of the keys that exist, in the same order.

=cut

sub existing
{
	my ($self, @keys) = @_;
	my @there = $self->pipeline(map { [ 'EXISTS', $_ ] } @keys);

	return map { $there[$_] ? $keys[$_] : () } 0 .. $#keys;
}

=pod

=head2 reconnect()

Makes C<cmd> and the rest connect anew: sentinels end the connections of a server
whose role they change.

=cut

sub reconnect
{
	my ($self) = @_;

	$self->{client} = undef;
	return $self;
}

=pod

=head2 select_db($number)

Makes C<cmd> and the rest work in this database from now on.

=cut

sub select_db
{
	my ($self, $db) = @_;

	$self->{db} = $db;
	$self->{client} = undef;
	return $self;
}

=pod

=head2 calls($command)

How often the server has run this command since it started.

=cut

sub calls
{
	my ($self, $command) = @_;

	return $self->cmd('INFO', 'commandstats') =~
	  /^cmdstat_\Q$command\E:calls=(\d+)/m ? $1 : 0;
}

=pod

=head2 another

Another connection to the same server, which runs as long as this object says.

=head2 send_command($command, @arguments), receive_reply

The two halves of C<cmd>, so that several connections can have something under way.

=cut

sub another
{
	my ($self) = @_;

	return bless { %$self, pid => undef, client => undef }, ref $self;
}

sub send_command
{
	my ($self, @command) = @_;

	_send($self->_client, \@command);
	return;
}

sub receive_reply
{
	my ($self) = @_;
	my $reply = _receive($self->{client});

	croak $$reply if ref $reply eq 'SCALAR';
	return $reply;
}

sub _client
{
	my ($self) = @_;

	# What nobody asked for is the end: Sentinel closes the clients of a server
	# that it makes master.
	return $self->{client}
	  if $self->{client} && !IO::Select->new($self->{client})->can_read(0);
	my $client = IO::Socket::UNIX->new(Peer => $self->{sock})
	  or croak "could not connect to Redis: $!";
	if (defined $self->{password})
	{
		_send($client, [ 'AUTH', $self->{password} ]);
		my $answer = _receive($client);
		croak $$answer if ref $answer;
	}
	if ($self->{db})
	{
		_send($client, [ 'SELECT', $self->{db} ]);
		_receive($client);
	}
	return $self->{client} = $client;
}

sub _send
{
	my ($client, @commands) = @_;
	my $bytes = '';

	foreach my $command (@commands)
	{
		$bytes .= '*' . @$command . "\r\n";
		$bytes .= '$' . length($_) . "\r\n$_\r\n" foreach @$command;
	}
	local $SIG{PIPE} = 'IGNORE';
	while (length $bytes)
	{
		my $sent = syswrite $client, $bytes;

		croak "could not write to Redis: $!" unless defined $sent;
		substr $bytes, 0, $sent, '';
	}
	return;
}

# One reply; an error as a reference to its text.
sub _receive
{
	my ($client) = @_;
	my $line;

	local $/ = "\r\n";
	$line = readline $client;
	croak 'Redis closed the connection' unless defined $line;
	chomp $line;
	my ($type, $rest) = (substr($line, 0, 1), substr($line, 1));
	return $rest if $type eq '+' || $type eq ':';
	return \$rest if $type eq '-';
	return undef if $rest == -1;
	if ($type eq '$')
	{
		my $length = $rest + 2;
		my $bytes = '';

		while (length $bytes < $length)
		{
			read $client, $bytes, $length - length $bytes, length $bytes
			  or croak 'Redis closed the connection';
		}
		return substr $bytes, 0, $rest;
	}
	croak "not a Redis reply: $line" unless $type eq '*';
	return [ map { _receive($client) } 1 .. $rest ];
}

1;
