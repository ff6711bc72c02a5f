# The reader of examples/node, with the two clients that Node has for Redis.  They come
# from npm, in the versions that package.json names; where npm does not answer, the
# distribution's node-redis is tried alone.

use strict;
use warnings;

use File::Basename;
use Inval::Test;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $example = dirname(__FILE__) . '/../../examples/node';

# Runs a command in the example's directory for so many seconds at most.
sub run_there
{
	my ($seconds, @command) = @_;
	my $output = '';
	my $succeeded = eval {
		IPC::Run::run(\@command, '<', '/dev/null', '>&', \$output,
			init => sub { chdir $example or die "no $example" }, IPC::Run::timeout($seconds));
	};

	return ($succeeded, $output);
}

my ($has_node) = eval { run_there(30, 'node', '--version') };
plan skip_all => 'there is no node' unless $has_node;

$ENV{npm_config_cache} = PostgreSQL::Test::Utils::tempdir;
$ENV{npm_config_update_notifier} = 'false';
my ($installed) =
  eval { run_there(120, qw(npm install --silent --no-audit --no-fund --no-package-lock)) };
if (!$installed)
{
	note('npm does not answer: only the node-redis of the distribution, if it is there');
	$ENV{NODE_PATH} = '/usr/share/nodejs';
	my ($packaged) = run_there(30, 'node', '-e', 'require("redis")');
	plan skip_all => 'neither npm nor a packaged node-redis' unless $packaged;
}

my $redis = Inval::Redis->new;
my $node = new_node('node', url => $redis->unix_url,
	conf => "inval.commit_timeout = '60s'\n");

$node->safe_psql('postgres', q{
	CREATE TABLE node (id int PRIMARY KEY, v int NOT NULL);
	INSERT INTO node VALUES (1, 1);
	SELECT inval_track('node', 'id', fence => true)});
ok(poll_until(sub { $redis->cmd('FCALL', 'inval_version', 0) }, 'the library'),
	'Redis has the functions for readers');

$ENV{REDIS_SOCKET} = $redis->sock;
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{INVALIDATE} = 'psql -qXd postgres -c "UPDATE node SET v = v + 1"';
my (undef, $output) = run_there(300, qw(node --test --test-reporter=tap));

# Its subtests are these tests.
my $client = '';
my $passed = 0;
foreach my $line (split /\n/, $output)
{
	$client = $1 if $line =~ /^# Subtest: (\w+)$/;
	next unless $line =~ /^ {4}(not )?ok \d+ - (.*)/;
	ok(!$1, "$client: $2");
	$passed++ unless $2 =~ / # SKIP/i;
}
like($output, qr/^# fail 0$/m, 'nothing failed') or diag($output);
cmp_ok($passed, '>=', $installed ? 18 : 9, 'all were run');

done_testing();
