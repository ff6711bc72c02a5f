=pod

=head1 NAME

Inval::Listener - hears what a throwaway Redis server tells

=head1 SYNOPSIS

  my $listener = Inval::Listener->subscribed($redis, 'c:*');
  is_deeply([ $listener->heard(2) ], [ [ 'c:1', 'key' ], [ 'c:2', 'other' ] ]);
  my $monitor = Inval::Listener->monitoring($redis);
  like(($monitor->commands_until(qr/"PUBLISH"/))[-2], qr/"UNLINK"/);

=head1 DESCRIPTION

A connection of its own that has subscribed to a pattern of channels, or sees all
commands of the server.

=cut

package Inval::Listener;

use strict;
use warnings;

use Carp;
use IO::Select;
use IO::Socket::UNIX;
use PostgreSQL::Test::Utils;

sub subscribed
{
	my ($class, $redis, $pattern) = @_;
	my $self = $class->_connected($redis, 'PSUBSCRIBE', $pattern);

	# What it has subscribed to, and to how many
	$self->_bulk foreach 1 .. 2;
	$self->_take(qr/\A:1\r\n/);
	return $self;
}

sub monitoring
{
	my ($class, $redis) = @_;
	my $self = $class->_connected($redis, 'MONITOR');

	$self->_take(qr/\A\+OK\r\n/);
	return $self;
}

sub _connected
{
	my ($class, $redis, @command) = @_;
	my $socket = IO::Socket::UNIX->new(Peer => $redis->sock) or croak "no connection: $!";

	$socket->syswrite(join '', '*' . @command . "\r\n",
		map { '$' . length($_) . "\r\n$_\r\n" } @command);
	return bless { socket => $socket, bytes => '' }, $class;
}

=pod

=head2 heard($count)

The next messages, each with its channel and its text.

=head2 commands_until($pattern)

The next lines of MONITOR, up to one that matches.

=cut

sub heard
{
	my ($self, $count) = @_;
	my @messages;

	foreach (1 .. $count)
	{
		my @parts;

		$self->_take(qr/\A\*4\r\n/);
		push @parts, $self->_bulk foreach 1 .. 4;
		push @messages, [ @parts[ 2, 3 ] ];
	}
	return @messages;
}

sub commands_until
{
	my ($self, $pattern) = @_;
	my @lines;

	do { push @lines, $self->_take(qr/\A\+([^\r]*)\r\n/) } until $lines[-1] =~ $pattern;
	return @lines;
}

sub _bulk
{
	my ($self) = @_;
	my $length = $self->_take(qr/\A(?:\*\d+\r\n)?\$(\d+)\r\n/);

	$self->_read until length $self->{bytes} >= $length + 2;
	return substr substr($self->{bytes}, 0, $length + 2, ''), 0, $length;
}

# Takes what matches off the bytes that have come; returns what it has captured.
sub _take
{
	my ($self, $pattern) = @_;

	$self->_read until $self->{bytes} =~ s/$pattern//;
	return $1;
}

sub _read
{
	my ($self) = @_;

	croak 'nothing is heard'
	  if !IO::Select->new($self->{socket})->can_read($PostgreSQL::Test::Utils::timeout_default);
	croak 'the connection is gone'
	  if !$self->{socket}->sysread($self->{bytes}, 65536, length $self->{bytes});
	return;
}

1;
