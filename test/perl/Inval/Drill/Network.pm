=pod

=head1 NAME

Inval::Drill::Network - drills: what a network does to commands

=cut

package Inval::Drill::Network;

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use Inval::Drill::Load;
use Inval::Proxy::Fault;
use Inval::Test;

sub drills
{
	return (
		{
			name => 'twice',
			about => 'A proxy delivers every command twice, the second time up to 50 ms later and by another connection.',
			place => \&_patient_place,
			happen => \&_twice,
			after => \&_after_twice
		},
		{
			name => 'partition',
			about => 'A proxy delays commands by 20 ms, then by 200 ms (longer than COMMIT waits); then resets '
			  . 'connections; then cuts them half-way through a command; then swallows some commands, then all. (Each time '
			  . 'but the last all is well for a moment.) When that '
			  . 'heals, what it had swallowed arrives after all, in reverse order. Readers are on the other side '
			  . 'and can read all the while.',
			place => \&_place,
			happen => \&_partition,
			after => \&_after_partition
		});
}

sub _place
{
	my $redis = Inval::Redis->new;
	my $proxy = Inval::Proxy::Fault->new($redis);

	return {
		url => $proxy->url,
		redis => [ $redis->sock ],
		proxy => $proxy,
		stores => sub { return $redis; },
	};
}

# A commit that waits in vain on a busy machine would be a try that failed.
sub _patient_place
{
	my ($drill) = @_;

	$drill->node->safe_psql('postgres', q{ALTER SYSTEM SET inval.commit_timeout = '10s'});
	reload($drill->node);
	return _place();
}

sub _twice
{
	my ($drill, $place) = @_;

	$place->{proxy}->mode('twice');
	$drill->wait_seconds(1.5, 40);
	$place->{proxy}->mode('pass');
	return;
}

sub _after_twice
{
	my ($drill, $place) = @_;
	my $proxy = $place->{proxy};

	cmp_ok($proxy->copies, '>', $drill->pick(100, 10_000), 'twice: commands were repeated');
	is($proxy->errors, '', 'twice: none of the repeated ones is an error');
	is($drill->node->safe_psql('postgres', 'SELECT sum(failed_tries) FROM inval_stats'), 0,
		'twice: nor is any other');
	$drill->node->safe_psql('postgres', 'ALTER SYSTEM RESET inval.commit_timeout');
	reload($drill->node);
	$drill->remark('Commands that were delivered a second time: ' . $proxy->copies . '.');
	return;
}

sub _partition
{
	my ($drill, $place) = @_;
	my $proxy = $place->{proxy};

	foreach my $mode ('delay 20', 'delay 200', 'reset 20', 'cut 20')
	{
		$proxy->mode($mode);
		$drill->wait_seconds(0.4, 12);
		$proxy->mode('pass');
		$drill->wait_state('up');
	}
	foreach my $mode ('hold 20', 'hold 100')
	{
		$proxy->mode($mode);
		$drill->wait_seconds(0.4, 12);
	}
	ok($drill->wait_state('down'),
		'partition: the target is down while everything is swallowed');
	$drill->remark_queue;
	$proxy->mode('pass');
	return;
}

sub _after_partition
{
	my ($drill, $place) = @_;
	my $proxy = $place->{proxy};

	cmp_ok($proxy->copies, '>', 0, 'partition: what was swallowed arrived late');
	is($proxy->errors, '', 'partition: and did no harm');
	$drill->remark('Commands that had been swallowed and arrived late: ' . $proxy->copies . '.');
	return;
}

1;
