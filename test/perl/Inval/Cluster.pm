=pod

=head1 NAME

Inval::Cluster - a throwaway Redis Cluster, and a client for it

=head1 SYNOPSIS

  my $cluster = Inval::Cluster->new;           # three primaries, a replica for each
  $cluster->fill('team:', 1, 100);
  my $primary = $cluster->owner('team:42');    # an Inval::Redis
  $primary->kill9;
  $cluster->wait_promoted($primary);

=head1 DESCRIPTION

Servers (Inval::Redis) that C<redis-cli --cluster create> makes a cluster of.
The client finds the node of a key by its own reckoning of slots, which thereby
tests that of inval.

=cut

package Inval::Cluster;

use strict;
use warnings;

use Carp;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

use Inval::Redis;

# How long a node is silent before it is replaced, in ms.
my $node_timeout = 1500;

=pod

=head2 new(%options)

Options: C<replicas> of each of the three primaries (default 1); C<password>
of the default user; C<config>, further directives for each server; C<tls>, the
paths of the authority's certificate, the servers' and its key, for a cluster
that is reached over TLS too.

=cut

sub new
{
	my ($class, %options) = @_;
	my $self = bless { nodes => [], password => $options{password},
		tls => $options{tls} }, $class;
	my $replicas = defined $options{replicas} ? $options{replicas} : 1;

	foreach (1 .. 3 * (1 + $replicas))
	{
		my $port = _free_port();

		# With TLS this is the port of TLS, and another one for tests.
		push @{ $self->{nodes} }, Inval::Redis->new(
			port => $self->{tls} ? PostgreSQL::Test::Cluster::get_free_port() : $port,
			password => $options{password},
			config => {
				'cluster-enabled' => 'yes',
				'cluster-node-timeout' => $node_timeout,
				'cluster-require-full-coverage' => 'no',
				'cluster-replica-validity-factor' => 0,
				'cluster-migration-barrier' => 10,
				'repl-diskless-sync-delay' => 0,
				defined $options{password} ? (masterauth => $options{password}) : (),
				$self->{tls} ? _tls_config($port, @{ $self->{tls} }) : (),
				%{ $options{config} || {} } });
		$self->{nodes}[-1]{cluster_port} = $port;
	}
	$self->redis_cli('--cluster', 'create',
		(map { "127.0.0.1:$_->{cluster_port}" } $self->nodes),
		'--cluster-replicas', $replicas, '--cluster-yes');
	$self->_wait(
		sub {
			!grep { $_->cmd('CLUSTER', 'INFO') !~ /^cluster_state:ok/m } $self->nodes;
		},
		'a cluster');
	$self->_wait(
		sub { !grep { !$self->is_primary($_) && !is_synchronised($_) } $self->nodes },
		'replicas');
	return $self;
}

sub _tls_config
{
	my ($port, $ca, $certificate, $key) = @_;

	return (
		'tls-port' => $port,
		'tls-cluster' => 'yes',
		'tls-replication' => 'yes',
		'tls-auth-clients' => 'no',
		'tls-ca-cert-file' => $ca,
		'tls-cert-file' => $certificate,
		'tls-key-file' => $key);
}

# The nodes talk to each other on another one, 10,000 above.
sub _free_port
{
	my $port;

	do
	{
		$port = 10_000 + int rand 10_000;
	} until PostgreSQL::Test::Cluster::can_bind('127.0.0.1', $port)
	  && PostgreSQL::Test::Cluster::can_bind('127.0.0.1', $port + 10_000);
	return $port;
}

sub nodes { return @{ $_[0]->{nodes} }; }

=pod

=head2 url(@ports)

What C<inval.redis_url> needs; by default with all nodes.

=head2 address(@ports)

The same without the password.

=head2 redis_cli(@arguments)

Runs redis-cli, or valkey-cli; dies with what it says if it fails.

=cut

sub url
{
	my ($self, @ports) = @_;

	@ports = map { $_->{cluster_port} } $self->nodes unless @ports;
	return ($self->{tls} ? 'rediss' : 'redis') . '+cluster://'
	  . (defined $self->{password} ? ":$self->{password}\@" : '')
	  . join ',', map { "127.0.0.1:$_" } @ports;
}

sub address
{
	my ($self, @ports) = @_;

	return $self->url(@ports) =~ s{//.*@}{//}r;
}

sub redis_cli
{
	my ($self, @arguments) = @_;
	my ($out, $err) = ('', '');
	my @tls = $self->{tls} ? ('--tls', '--cacert', $self->{tls}[0]) : ();
	my @user = defined $self->{password} ? ('-a', $self->{password}, '--no-auth-warning') : ();
	my ($program) = grep { Inval::Redis::_in_path($_) } 'redis-cli', 'valkey-cli';

	croak 'no redis-cli and no valkey-cli in the PATH' unless $program;
	IPC::Run::run([ $program, @user, @tls, @arguments ], '>', \$out, '2>', \$err)
	  or croak "$program @arguments: $out$err";
	return $out;
}

=pod

=head2 slot($key)

The slot of a key.

=cut

sub slot
{
	my ($key) = @_;
	my $crc = 0;

	$key = $1 if $key =~ /^[^{]*\{([^}]+)\}/;
	foreach my $byte (unpack 'C*', $key)
	{
		$crc ^= $byte << 8;
		foreach (1 .. 8)
		{
			$crc = $crc & 0x8000 ? ($crc << 1 ^ 0x1021) & 0xffff : $crc << 1;
		}
	}
	return $crc % 16384;
}

=pod

=head2 owner($key)

The node that has the key's slot, as a node that runs sees it.

=head2 running

The nodes that are neither dead nor frozen.

=head2 id($node)

The node's name in the cluster.

=head2 is_primary($node), is_synchronised($replica)

=cut

sub owner
{
	my ($self, $key) = @_;

	return $self->_owner_of_slot(slot($key));
}

sub _owner_of_slot
{
	my ($self, $slot) = @_;

	$self->_load unless $self->{owners};
	return $self->{owners}[$slot];
}

# Who has what, as the node with the newest epoch sees it.
sub _load
{
	my ($self) = @_;
	my %by_port = map { $_->{announced} || $_->port => $_ } $self->nodes;
	my ($newest, $slots) = (-1);

	foreach my $node ($self->running)
	{
		my $epoch = eval {
			$node->cmd('CLUSTER', 'INFO') =~ /^cluster_current_epoch:(\d+)/m ? $1 : -1 };

		next unless defined $epoch && $epoch > $newest;
		$slots = eval { $node->cmd('CLUSTER', 'SLOTS') } or next;
		$newest = $epoch;
	}
	croak 'no node answers' unless $slots;
	my @owners;
	foreach my $range (@$slots)
	{
		@owners[ $range->[0] .. $range->[1] ] =
		  ($by_port{ $range->[2][1] }) x ($range->[1] - $range->[0] + 1);
	}
	$self->{owners} = \@owners;
	return;
}

sub running
{
	my ($self) = @_;

	return grep { defined $_->pid && !$_->{frozen} } $self->nodes;
}

sub id
{
	my ($self, $node) = @_;

	return $node->cmd('CLUSTER', 'MYID');
}

sub is_primary
{
	my ($self, $node) = @_;

	return $node->cmd('ROLE')->[0] eq 'master';
}

sub is_synchronised
{
	my ($replica) = @_;

	return $replica->cmd('ROLE')->[3] eq 'connected';
}

=pod

=head2 announce($node, $port)

Has a node tell everybody that it is at that port, where something stands before
it.  Waits until all have heard of it.

=cut

sub announce
{
	my ($self, $node, $port) = @_;

	$node->cmd('CONFIG', 'SET', 'cluster-announce-port', $port);
	$node->{announced} = $port;
	delete $self->{owners};
	return $self->_wait(
		sub {
			!grep {
				!grep { $_->[2][1] == $port } @{ $_->cmd('CLUSTER', 'SLOTS') }
			} $self->nodes;
		},
		'all to know of a port');
}

=pod

=head2 replica_of($primary)

=head2 wait_replicated($primary)

Waits until its replica has what the primary has.

=head2 wait_promoted(@keys)

Waits until running nodes have the slots of all keys, and all agree.

=cut

sub replica_of
{
	my ($self, $primary) = @_;

	foreach my $node ($self->running)
	{
		my $role = $node->cmd('ROLE');

		return $node if $role->[0] eq 'slave' && $role->[2] == $primary->port;
	}
	croak 'no replica';
}

sub wait_replicated
{
	my ($self, $primary) = @_;
	my $replica = $self->replica_of($primary);

	return $self->_wait(
		sub { $replica->cmd('ROLE')->[4] == $primary->cmd('ROLE')->[1] },
		'a replica to have all');
}

sub wait_promoted
{
	my ($self, @keys) = @_;
	my %slots = map { slot($_) => 1 } @keys;
	my %running = map { $_->port => 1 } $self->running;

	return $self->_wait(
		sub {
			foreach my $node ($self->running)
			{
				my %served;

				foreach my $range (@{ $node->cmd('CLUSTER', 'SLOTS') })
				{
					next unless $running{ $range->[2][1] };
					$served{$_} = 1 foreach $range->[0] .. $range->[1];
				}
				return 0 if grep { !$served{$_} } keys %slots;
			}
			return 1;
		},
		'a replica to be promoted');
}

=pod

=head2 set(@keys), fill($prefix, $from, $to), existing(@keys)

As of Inval::Redis, on the nodes of the keys.

=cut

sub set
{
	my ($self, @keys) = @_;

	$self->_on_owners(sub { map { [ 'SET', $_, 'cached' ] } @_ }, @keys);
	return;
}

sub fill
{
	my ($self, $prefix, $from, $to) = @_;

	$self->set(map { "$prefix$_" } $from .. $to);
	return;
}

sub existing
{
	my ($self, @keys) = @_;
	my %there = $self->_on_owners(sub { map { [ 'EXISTS', $_ ] } @_ }, @keys);

	return grep { $there{$_} } @keys;
}

# Runs commands that may be repeated, one for each key; gives keys and replies.  A
# cluster that was kept from running takes a moment to serve again.
sub _on_owners
{
	my ($self, @arguments) = @_;
	my %replies;

	$self->_wait(sub { %replies = $self->_try_owners(@arguments); return 1 }, 'all slots');
	return %replies;
}

sub _try_owners
{
	my ($self, $commands, @keys) = @_;
	my (%keys_of, %replies);

	$self->_load;
	foreach my $key (@keys)
	{
		my $node = $self->owner($key) or croak "nobody has the slot of $key";

		push @{ $keys_of{ $node->port } }, $key;
	}
	foreach my $node ($self->nodes)
	{
		my $mine = $keys_of{ $node->port } or next;

		@replies{@$mine} = $node->pipeline($commands->(@$mine));
	}
	return %replies;
}

sub _wait
{
	my ($self, $condition, $what) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	my $error = '';

	while (time < $deadline)
	{
		return 1 if eval { $condition->() };
		$error = $@;
		select undef, undef, undef, 0.05;
	}
	croak "gave up waiting for $what: $error";
}

1;
