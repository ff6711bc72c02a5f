=pod

=head1 NAME

Inval::Drill::Promotion - a drill: the primary is gone, a standby takes over

=cut

package Inval::Drill::Promotion;

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Inval::Drill::Load;
use Inval::Test;

sub drills
{
	return (
		{
			name => 'promotion',
			about => 'The worker is held back, so that something is owed; shortly after, replication, too. Then the primary '
			  . 'is stopped at once (immediate), and its asynchronous standby is promoted. Clients go on with that one. What is owed '
			  . 'is what it has: commits that it had not got are lost, as without inval.',
			place => \&_place,
			happen => \&_promotion,
			after => \&_after
		});
}

sub _place
{
	my ($drill) = @_;
	my $redis = Inval::Redis->new;
	my $primary = new_node('drill_primary',
		url => $redis->unix_url,
		init => { allows_streaming => 1 },
		conf => $drill->conf . "max_connections = 50\n");
	my $standby = PostgreSQL::Test::Cluster->new('drill_standby');

	$primary->backup('base');
	$standby->init_from_backup($primary, 'base', has_streaming => 1);
	$standby->start;
	return {
		url => $redis->unix_url,
		redis => [ $redis->sock ],
		node => $primary,
		standby => $standby,
		env => {
			PGHOST => join(',', $primary->host, $standby->host),
			PGPORT => join(',', $primary->port, $standby->port),
			PGTARGETSESSIONATTRS => 'read-write'
		},
		stores => sub { return $redis; },
	};
}

sub _promotion
{
	my ($drill, $place) = @_;
	my ($primary, $standby) = @$place{qw(node standby)};
	my $worker = $drill->worker;
	my $sender = $primary->safe_psql('postgres', 'SELECT pid FROM pg_stat_replication');

	kill 'STOP', $worker;
	$drill->wait_seconds(0.6, 10);
	kill 'STOP', $sender;
	$drill->wait_seconds(0.1, 0.5);
	kill 'QUIT', $primary->{_pid};
	_let_die($worker, $sender);
	$primary->stop('immediate', fail_ok => 1);
	$drill->wait_seconds(0.3, 10);
	$standby->promote;
	$drill->switch_to($standby);
	$drill->wait_seconds(0.5, 10);
	return;
}

sub _after
{
	my ($drill, $place) = @_;

	cmp_ok($drill->{result}{undone}, '>', 0, 'promotion: it had not got all commits');
	cmp_ok($drill->{result}{reconnects}, '>', 0, 'promotion: clients had to connect again');
	cmp_ok($drill->{result}{by_worker}, '>=', $drill->pick(20, 1000),
		"promotion: the standby's worker delivered");
	no_crash($place->{standby}, 'promotion: no process of the promoted server crashed');
	return;
}

# Lets stopped processes go on when they have been told to end (SIGQUIT), so that
# they do nothing else.
sub _let_die
{
	my (@pids) = @_;

	foreach my $pid (@pids)
	{
		poll_until(
			sub {
				return slurp_file("/proc/$pid/status") =~ /^ShdPnd:\s*(\w+)/m && hex($1) & 4;
			},
			'a server to end its processes');
		kill 'CONT', $pid;
	}
	return;
}

1;
