=pod

=head1 NAME

Inval::Proxy - a Redis that can be made to misbehave

=head1 SYNOPSIS

  my $proxy = Inval::Proxy->new($redis);
  $proxy->mode('error OOM command not allowed when used memory > maxmemory');
  $proxy->mode('pass');

=head1 DESCRIPTION

Stands between PostgreSQL and a real server on a TCP port of its own.  Some
errors of a real server are hard to bring about at a chosen moment, or do not
last; this one shows any of them for as long as a test wants.  Modes:

  pass         every command goes to the real server
  error TEXT   TEXT is the answer to every command that does anything; AUTH,
               SELECT, PING and the like still work
  refuse TEXT  TEXT is the answer to every command
  mute         commands are read and never answered
  close        the connection is closed on the first command
  half         every other command is passed, then the connection is closed
  garbage      the answer is no Redis reply at all
  endless      the answer begins and never ends
  slow MS      every command goes to the real server, so many milliseconds later
  most BYTES   no more than that arrives of what is answered to the last command

=cut

package Inval::Proxy;

use strict;
use warnings;

use Carp;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

my @proxies;

# What a client says about itself and its connection, not about data.
my %is_about_connection =
  map { $_ => 1 } qw(auth select ping hello client info echo role command);

sub new
{
	my ($class, $redis) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir_short();
	my $self = bless {
		dir => $dir,
		redis => $redis,
		port => PostgreSQL::Test::Cluster::get_free_port(),
	}, $class;
	my $listener;

	$self->mode('pass');
	$listener = IO::Socket::INET->new(
		LocalAddr => '127.0.0.1',
		LocalPort => $self->{port},
		Listen => 20,
		ReuseAddr => 1) or croak "could not listen: $!";
	$self->{pid} = fork;
	croak "could not fork: $!" unless defined $self->{pid};
	if ($self->{pid} == 0)
	{
		$SIG{$_} = 'DEFAULT' foreach qw(INT TERM);
		$SIG{PIPE} = 'IGNORE';
		eval { $self->_serve($listener, getppid()) };
		print STDERR "proxy: $@" if $@;
		POSIX::_exit(0);
	}
	push @proxies, $self;
	return $self;
}

# As of a server (Inval::Redis).
sub tcp_url
{
	my ($self, $db, $userinfo) = @_;

	return sprintf 'redis://%s127.0.0.1:%d/%d', defined $userinfo ? "$userinfo\@" : '',
	  $self->{port}, $db || 0;
}

sub url
{
	my ($self, $db) = @_;

	return $self->tcp_url($db);
}

=pod

=head2 mode($mode)

Changes what happens from the next command on.

=head2 commands

How many commands have arrived so far in other modes than C<pass>.

=cut

sub mode
{
	my ($self, $mode) = @_;

	# Renamed into place: the other process reads it whole or not at all.
	_write("$self->{dir}/mode.new", $mode);
	rename "$self->{dir}/mode.new", "$self->{dir}/mode" or croak "rename: $!";
	return;
}

sub commands
{
	my ($self) = @_;

	return -s "$self->{dir}/refused" || 0;
}

sub stop
{
	my ($self) = @_;

	return unless $self->{pid};
	kill 'KILL', $self->{pid};
	waitpid $self->{pid}, 0;
	$self->{pid} = undef;
	return;
}

END
{
	local $?;
	$_->stop foreach @proxies;
}

sub _write
{
	my ($path, $text) = @_;

	open my $file, '>', $path or croak "could not write $path: $!";
	print $file $text;
	close $file;
	return;
}

# The other process: one loop over all clients and their servers.
sub _serve
{
	my ($self, $listener, $parent) = @_;
	my $select = IO::Select->new($listener);
	my %peer;
	my %input;

	while (getppid() == $parent)
	{
		my @ready = $select->can_read($self->_patience);

		$self->_turn;
		foreach my $socket (@ready)
		{
			if ($socket == $listener)
			{
				my $client = $listener->accept or next;
				my $server = IO::Socket::UNIX->new(Peer => $self->{redis}->sock);

				next unless $server;
				$peer{$client} = [ $client, $server, 'client' ];
				$peer{$server} = [ $server, $client, 'server' ];
				$input{$client} = '';
				$select->add($client, $server);
				next;
			}
			my $pair = $peer{$socket} or next;
			my $alive = sysread $socket, my $bytes, 65536;

			if ($alive && $pair->[2] eq 'server')
			{
				$alive = $self->_bring($pair->[1], $bytes);
			}
			elsif ($alive)
			{
				$input{$socket} .= $bytes;
				$alive = $self->_answer($socket, $pair->[1], \$input{$socket});
			}
			next if $alive;
			foreach my $end (@$pair[ 0, 1 ])
			{
				$select->remove($end);
				delete $peer{$end};
				delete $input{$end};
				delete $self->{brought}{$end};
				close $end;
			}
		}
	}
	return;
}

# For those who do more than answer commands (Inval::Proxy::Fault): how long to wait
# for the next one, and what to do in each turn of the loop.
sub _patience
{
	return 0.5;
}

sub _turn
{
	return;
}

sub _mode
{
	my ($self) = @_;

	return PostgreSQL::Test::Utils::slurp_file("$self->{dir}/mode");
}

# Bring a client what its server says; false if it is gone.
sub _bring
{
	my ($self, $client, $bytes) = @_;

	if ($self->_mode =~ /^most (\d+)/)
	{
		my $room = $1 - ($self->{brought}{$client} || 0);

		return 1 if $room <= 0;
		$bytes = substr $bytes, 0, $room;
		$self->{brought}{$client} += length $bytes;
	}
	return syswrite $client, $bytes;
}

# Handle the whole commands in the input; false if the client is to be closed.
sub _answer
{
	my ($self, $client, $server, $input) = @_;

	while (my @command = _take_command($input))
	{
		my ($raw, $name) = @command;
		my $mode = $self->_mode;

		if ($mode eq 'pass' || $mode =~ /^most /)
		{
			$self->{brought}{$client} = 0;
			syswrite $server, $raw;
			next;
		}
		if ($mode =~ /^(error|mute|half|garbage|endless)\b/
			&& $is_about_connection{$name})
		{
			_pass($client, $server, $raw);
			next;
		}
		if ($mode =~ /^slow (\d+)/)
		{
			select(undef, undef, undef, $1 / 1000);
			syswrite $server, $raw;
			next;
		}
		open my $count, '>>', "$self->{dir}/refused";
		print $count '.';
		close $count;
		if ($mode =~ /^(?:error|refuse) (.*)/s)
		{
			syswrite $client, "-$1\r\n";
		}
		elsif ($mode eq 'garbage')
		{
			syswrite $client, "HTTP/1.1 400 Bad Request\r\n\r\n";
		}
		elsif ($mode eq 'endless')
		{
			# Until the client has had enough of it.
			my $bytes = '+' . 'x' x 65536;

			1 while syswrite $client, $bytes;
			return 0;
		}
		elsif ($mode eq 'half')
		{
			$self->{passed} = !$self->{passed};
			return 0 unless $self->{passed};
			_pass($client, $server, $raw);
		}
		elsif ($mode eq 'close')
		{
			return 0;
		}
	}
	return 1;
}

# Pass one command and its answer, which must not be overtaken by ours to the
# next command.
sub _pass
{
	my ($client, $server, $raw) = @_;
	my $bytes;

	syswrite $server, $raw;
	IO::Select->new($server)->can_read(5) or return;
	sysread $server, $bytes, 65536;
	syswrite $client, $bytes;
	return;
}

# Take one command off the front: its bytes and its lower-case name, or
# nothing if it has not fully arrived.
sub _take_command
{
	my ($input) = @_;
	my ($name, $position);

	$$input =~ /\A\*(\d+)\r\n/ or return;
	my $count = $1;
	$position = $+[0];
	foreach my $i (1 .. $count)
	{
		pos($$input) = $position;
		$$input =~ /\G\$(\d+)\r\n/g or return;
		my ($start, $length) = (pos $$input, $1);
		return if length $$input < $start + $length + 2;
		$name = lc substr $$input, $start, $length if $i == 1;
		$position = $start + $length + 2;
	}
	return (substr($$input, 0, $position, ''), $name);
}

1;
