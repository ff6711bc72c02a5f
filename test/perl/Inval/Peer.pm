=pod

=head1 NAME

Inval::Peer - a Redis that lies, floods, or says nothing

=head1 SYNOPSIS

  my $peer = Inval::Peer->new($redis);
  $peer->mode('duplicate');
  $peer->mode('pass');

=head1 DESCRIPTION

As Inval::Proxy, with a process for each connection, so that one that is being
flooded does not keep another from being so too.  What is about a connection (PING
and the like) works in most modes; what deletes is answered as the mode says.
Modes:

  pass            every command goes to the real server
  silent          no answer
  deaf            no answer, not even to PING
  black hole      the same, to connections from before; others pass
  answer TEXT     TEXT, with escapes, is the answer, and nothing is deleted
  flood TEXT      the same, and then x without end
  drip            an answer of which a byte comes every 20 ms, without end
  duplicate       the real server's answers, each of them twice
  surplus         the same, and one more after each
  swap            the same, two and two in the wrong order
  reset           the connection is reset
  half            the connection is closed in our direction
  hello           TLS: HelloRequest without end
  only NAME MODE  MODE for the command of that name; all others pass

=cut

package Inval::Peer;

use strict;
use warnings;

use Carp;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep time);

use parent 'Inval::Proxy';

my %is_about_connection = map { $_ => 1 } qw(auth select ping echo role cluster);

# The loop of the process that accepts; called by the constructor.
sub _serve
{
	my ($self, $listener, $parent) = @_;
	my $select = IO::Select->new($listener);

	$SIG{CHLD} = 'IGNORE';
	while (getppid() == $parent)
	{
		next unless $select->can_read(0.2);
		my $client = $listener->accept or next;
		my $pid = fork;

		next if $pid;
		POSIX::_exit(1) unless defined $pid;
		close $listener;
		eval { $self->_serve_client($client, $parent) };
		POSIX::_exit(0);
	}
	return;
}

sub _serve_client
{
	my ($self, $client, $parent) = @_;
	my $server = IO::Socket::UNIX->new(Peer => $self->{redis}->sock) or return;
	my $first_mode = $self->_mode;
	my $input = '';

	return $self->_flood($client, "\x16\x03\x03\x00\x04\x00\x00\x00\x00" x 4000)
	  if $first_mode eq 'hello';
	while (1)
	{
		my ($ready) = IO::Select->new($client)->can_read(0.2);

		# Who started us may be gone.
		return unless kill 0, $parent;
		next unless $ready;
		sysread $client, my $bytes, 65536 or return;
		$input .= $bytes;
		while (my ($raw, $name) = Inval::Proxy::_take_command(\$input))
		{
			my $mode = $self->_mode;
			my ($only, $its_mode) = $mode =~ /^only (\w+) (.+)/;
			my $passes = $mode eq 'pass' || ($only && $only ne $name) ||
			  ($mode eq 'black hole' && $first_mode eq $mode) ||
			  ($is_about_connection{$name} && $mode !~ /^(deaf|black hole)$/);

			if ($passes)
			{
				_write_all($client, _answer_of($server, $raw));
			}
			else
			{
				$self->_misbehave($its_mode || $mode, $client, $server, $raw) or return;
			}
		}
	}
}

# Returns false if the connection is to be closed.
sub _misbehave
{
	my ($self, $mode, $client, $server, $raw) = @_;
	my ($what, $text) = split ' ', $mode, 2;

	$text = defined $text ? $text =~ s/\\r\\n/\r\n/gr : '';
	if ($what eq 'answer')
	{
		_write_all($client, $text);
	}
	elsif ($what eq 'flood')
	{
		_write_all($client, $text);
		return $self->_flood($client, 'x' x 65536);
	}
	elsif ($what eq 'drip')
	{
		_write_all($client, ':');
		while ($self->_mode eq 'drip')
		{
			sleep 0.02;
			syswrite $client, '0' or return 0;
		}
		return 0;
	}
	elsif ($what eq 'duplicate' || $what eq 'surplus')
	{
		my $answer = _answer_of($server, $raw);

		_write_all($client, $answer . ($what eq 'surplus' ? ":0\r\n" : $answer));
	}
	elsif ($what eq 'swap')
	{
		my $answer = _answer_of($server, $raw);

		# The first waits for the second, if there is one.
		if (defined $self->{kept})
		{
			_write_all($client, $answer . delete $self->{kept});
		}
		else
		{
			$self->{kept} = $answer;
		}
	}
	elsif ($what eq 'reset')
	{
		setsockopt $client, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
		return 0;
	}
	elsif ($what eq 'half')
	{
		shutdown $client, 1;
	}
	return 1;
}

# Until the client has had enough of it, or the mode changes.
sub _flood
{
	my ($self, $client, $bytes) = @_;
	my $mode = $self->_mode;
	my $select = IO::Select->new($client);
	my $looked = time;

	$client->blocking(0);
	while (1)
	{
		if ($select->can_write(0.05))
		{
			my $written = syswrite $client, $bytes;

			return 0 unless defined $written || $!{EAGAIN};
		}
		next if time - $looked < 0.05;
		$looked = time;
		return 0 if $self->_mode ne $mode;
	}
}

sub _answer_of
{
	my ($server, $raw) = @_;
	my $answer = '';

	syswrite $server, $raw;
	do
	{
		sysread $server, $answer, 65536, length $answer or die "no answer\n";
	} while !_is_whole($answer);
	return $answer;
}

# What is asked through us has answers of a line, or the map of a cluster, which
# comes in one piece.
sub _is_whole
{
	my ($answer) = @_;

	return $answer =~ /\r\n\z/;
}

sub _write_all
{
	my ($client, $bytes) = @_;

	while (length $bytes)
	{
		my $written = syswrite $client, $bytes;

		die "gone\n" unless $written;
		substr $bytes, 0, $written, '';
	}
	return;
}

1;
