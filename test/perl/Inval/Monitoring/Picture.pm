=pod

=head1 NAME

Inval::Monitoring::Picture - the dashboard while something goes wrong, as a picture

=head1 DESCRIPTION

A few minutes of a small shop, for F<docs/monitoring.md>: two targets, writers at a steady
pace, some of whose keys are delivered at commit and some in the background, and readers who
fill the caches.  A statement changes many rows; a Redis stops answering for a while; the
other target is paused.

=cut

package Inval::Monitoring::Picture;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run ();
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

use Inval::Monitoring;
use Inval::Test;

our @EXPORT = qw(draw_picture);

my $rows = 20_000;
my $setup = qq{
	CREATE TABLE product (id int PRIMARY KEY, shop_id int, price int DEFAULT 0);
	CREATE TABLE page_view (id int PRIMARY KEY, n int DEFAULT 0);
	INSERT INTO product SELECT i, i % 500 FROM generate_series(1, $rows) i;
	INSERT INTO page_view SELECT generate_series(1, 1000);
	SELECT inval_track('product', 'id');
	SELECT inval_track('product', key => 'shop:{shop_id}:products', targets => '{default,eu}');
	SELECT inval_track('page_view', 'id', delivery => 'background')};

# Two rows of one shop, so that a key is queued once for both.
my %scripts = (
	write => "\\set id random(1, $rows - 500)\n"
	  . "UPDATE product SET price = price + 1 WHERE id IN (:id, :id + 500);\n",
	view => "\\set id random(1, 980)\n"
	  . "UPDATE page_view SET n = n + 1 WHERE id BETWEEN :id AND :id + 10;\n");

=pod

=head2 draw_picture($file, $unit)

Writes the picture, as SVG.  C<$unit> seconds are a sixth of what it shows.

=cut

sub draw_picture
{
	my ($file, $unit) = @_;
	my ($here, $eu) = (Inval::Redis->new, Inval::Redis->new);
	my $node = new_node('picture', url => $here->unix_url);
	my $monitoring;

	$node->safe_psql('postgres', "SELECT inval_add_target('eu', '" . $eu->unix_url . "'); $setup");
	$monitoring = Inval::Monitoring->new($node, interval => '1s', as_is => 1);
	my @writers = map { pgbench($node, @$_) } [ write => 4, 200 ], [ view => 1, 40 ];
	my $reader = reader($here, $eu);

	pass_time(1.2 * $unit);
	$node->safe_psql('postgres', 'UPDATE product SET price = price * 2');
	pass_time($unit);
	diag('Redis stops answering');
	$here->freeze;
	pass_time(1.3 * $unit);
	diag('Redis answers again');
	$here->thaw;
	pass_time($unit);
	$node->safe_psql('postgres', "SELECT inval_pause('eu')");
	pass_time(0.6 * $unit);
	$node->safe_psql('postgres', "SELECT inval_resume('eu')");
	pass_time(0.9 * $unit);
	ok(IPC::Run::run([ Inval::Monitoring::file('picture'), '--prometheus', $monitoring->url,
				'--last', 6 * $unit, '--rate', 6, '--filled', $file ]), 'a picture');
	$_->kill_kill foreach @writers;
	kill 'KILL', $reader;
	waitpid $reader, 0;
	$node->stop;
	return;
}

# A sleep that is meant: the picture shows the time that passes.
sub pass_time
{
	my ($seconds) = @_;

	Time::HiRes::sleep($seconds);
	return;
}

sub pgbench
{
	my ($node, $name, $clients, $rate) = @_;
	my $script = PostgreSQL::Test::Utils::tempdir() . "/$name.sql";

	append_to_file($script, $scripts{$name});
	return IPC::Run::start([ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-c', $clients,
			'-R', $rate, '-T', 3600, '-f', $script, 'postgres' ], '<', \undef, '>&', \my $output);
}

# Reads random keys of both, and fills what is missing; the one that does not answer is
# left alone.
sub reader
{
	my @servers = @_;
	my $pid = fork;

	return $pid if $pid;
	$SIG{INT} = $SIG{TERM} = sub { POSIX::_exit(1) };
	while (getppid != 1)
	{
		my $redis = $servers[ rand @servers ];

		Time::HiRes::sleep(0.005);
		next if slurp_file('/proc/' . $redis->pid . '/stat') =~ /^\d+ \(.*\) T/s;
		my $key = rand() < 0.5 ? 'product:' . int(1 + rand 2000) : 'shop:' . int(rand 500) . ':products';

		eval { $redis->cmd('GET', $key) // $redis->cmd('SET', $key, 'x' x 200) };
	}
	POSIX::_exit(0);
}

1;
